"""What becomes of a line once it is spoken: its changes to the world, its record, its place among the lines.

Pure over a turn that is over. It does not commit, and keeps nothing itself.
"""

from __future__ import annotations

from app.core.memory import Recollection
from app.core.messages import Change
from app.modules.dialogue import logic, messages
from app.modules.dialogue.book import Told
from app.modules.dialogue.judging import kept_proposals
from app.modules.dialogue.turn import Turn
from app.world.events import Happened, ProposalOffered, RelationChanged
from app.world.memories import line_noted
from app.world.scene import Line


def effects(turn: Turn) -> list[Change]:
    """The changes that a line makes: feelings, offers, and that the two have talked."""
    scene = turn.scene
    changes: list[Change] = []
    if turn.delta:
        changes.append(RelationChanged(npc=scene.npc.id, other=scene.listener.id, delta=turn.delta))
    changes += [
        ProposalOffered(
            id=proposal.id,
            npc=scene.npc.id,
            player=scene.listener.id,
            action=proposal.action,
            arguments=proposal.arguments,
        )
        for proposal in kept_proposals(turn)
    ]
    speaker, hearer = (scene.listener, scene.npc) if scene.heard else (scene.npc, scene.listener)
    topic = scene.topic or scene.intent
    if turn.told is not None and not turn.interrupted:
        changes.append(turn.told.change)
    changes += memories(turn)
    if scene.heard or turn.spoken:
        changes.append(
            Happened(verb="talked", actor=speaker.id, target=hearer.id, location=place_of(turn), topic=topic)
        )
    return changes


def memories(turn: Turn) -> list[Change]:
    """What those NPCs remember who heard the line that is answered, or this one; to be told to nobody else."""
    found: list[Change] = []
    for at, told in enumerate(lines(turn)):
        line = told.line
        mine = line.speaker == turn.scene.npc.id
        found.append(
            line_noted(
                turn.world,
                id=f"{turn.explain_id}.{at}",
                thread=turn.dialogue.id,
                speaker=line.speaker,
                text=line.text,
                heard_by=turn.audience,
                place=place_of(turn),
                ai_generated=line.ai_generated,
                source="own_claim" if mine else "witnessed",
                topic=turn.scene.topic or turn.scene.intent,
            )
        )
    return found


def place_of(turn: Turn) -> str:
    """The location that the line is spoken at, where the world knows it."""
    return turn.dialogue.location if turn.dialogue.location in turn.world.state.locations else ""


def lines(turn: Turn) -> list[Told]:
    """What was heard and what was said, with those who heard both."""
    scene, hearers = turn.scene, frozenset(turn.audience)
    found: list[Told] = []
    if scene.heard:
        listener = scene.listener
        line = Line(speaker=listener.id, name=listener.name, text=scene.heard, npc=scene.listener_is_npc)
        found.append(Told(line, hearers, scene.npc.id, scene.whisper))
    if turn.spoken:
        line = Line(
            speaker=scene.npc.id,
            name=scene.npc.name,
            text=turn.text,
            npc=True,
            topic=scene.topic,
            ai_generated=turn.by_model,
        )
        found.append(Told(line, hearers, scene.listener.id, scene.whisper))
    return found


def said(turn: Turn, *, committed: bool, next_speaker: str, choices: tuple[str, ...] = ()) -> messages.Said:
    """The reply; effects that were not committed are left out of it."""
    return messages.Said(
        dialogue=turn.dialogue.id,
        npc=turn.scene.npc.id,
        text=turn.text,
        emotion=logic.emotion_of(turn.scene),
        relation_delta=turn.delta,
        proposals=tuple(kept_proposals(turn)) if committed else (),
        claims=tuple(turn.claims),
        rung=turn.rung,
        engine=turn.engine,
        tokens=turn.tokens,
        cost_usd=turn.cost_usd,
        ms_first_token=turn.ms_first_token,
        ms_total=turn.ms_total,
        explain_id=turn.explain_id,
        ai_generated=turn.by_model,
        next_speaker=next_speaker,
        heard_by=turn.heard_by,
        interrupted=turn.interrupted,
        choices=choices,
    )


def explained(turn: Turn, reply: messages.Said) -> messages.Explained:
    """Everything behind the line."""
    scene = turn.scene
    return messages.Explained(
        explain_id=turn.explain_id,
        dialogue=turn.dialogue.id,
        npc=scene.npc.id,
        speaker=scene.listener.id,
        heard=scene.heard,
        intent=scene.intent,
        context=turn.compiled.parts,
        context_tokens=turn.compiled.tokens,
        context_cut=turn.compiled.cut,
        line=reply.text,
        line_cut=tuple(turn.cut),
        claims=reply.claims,
        rulings=tuple(turn.rulings),
        rung=reply.rung,
        engine=reply.engine,
        model=turn.model,
        cache=turn.cache,
        falls=tuple(turn.falls),
        tokens=reply.tokens,
        cost_usd=reply.cost_usd,
        prompt_version=turn.completion.prompt,
        prompt_label=turn.prompt_label,
        seed=turn.completion.seed,
        ms_first_token=reply.ms_first_token,
        ms_total=reply.ms_total,
        ai_generated=turn.model_wrote or any(told.line.ai_generated for told in turn.dialogue.lines),
        heard_by=reply.heard_by,
        filler=turn.filler,
        interrupted=turn.interrupted,
        recalled=tuple(_remembered(turn, one) for one in turn.recalled),
        pinned=tuple(_remembered(turn, one) for one in turn.pinned),
    )


def _remembered(turn: Turn, memory: Recollection) -> messages.Remembered:
    days = {one.id: one.days_ago for one in (*turn.scene.recalled, *turn.scene.pinned)}
    return messages.Remembered(
        id=memory.id,
        text=memory.text,
        source=memory.source,
        told_by=memory.told_by,
        days_ago=days.get(memory.id, 0.0),
        strength=memory.strength,
        score=memory.score,
        why=memory.why,
    )
