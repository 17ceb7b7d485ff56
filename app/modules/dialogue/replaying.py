"""A line made again from its record, without an effect and without anybody hearing it.

What a model wrote then goes through the gate of today; an authored line is written anew from the same scene and seed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from copy import copy

from app.core.clock import Clock
from app.core.errors import Unavailable
from app.core.messages import Chunk
from app.core.module import Call
from app.core.words import Completion
from app.modules.dialogue import logic
from app.modules.dialogue.book import Book, Dialogue
from app.modules.dialogue.composing import Sources
from app.modules.dialogue.context import Compiled
from app.modules.dialogue.judging import TO_OTHERS, Judging
from app.modules.dialogue.messages import Cut, Explained, Replayed, Ruling
from app.modules.dialogue.records import Record, Recorded
from app.modules.dialogue.settings import Settings
from app.modules.dialogue.speaking import Speaking
from app.modules.dialogue.storytelling import RUNG, Telling
from app.modules.dialogue.turn import Turn
from app.world.loops import LOOPING
from app.world.state import World


class Replaying:
    """Makes lines again, with the engines and prompts of this process."""

    def __init__(self, settings: Settings, clock: Clock, sources: Sources, book: Book) -> None:
        self._settings = settings
        self._clock = clock
        self._sources = sources
        self._book = book

    async def replay(self, call: Call, world: World, record: Record) -> Replayed:
        """The line again, and in what it differs; raises NotFound when its NPC is gone."""
        world.npc(record.explained.npc)
        turn = self._turn(call, world, record)
        sources = self._sources
        judging = Judging(self._settings, self._clock, sources.ratings, _Then(record.explained))
        for take in record.takes:
            speaking = Speaking(
                self._settings, self._clock, Recorded(take), sources.authored, sources.barks, sources.asides, judging
            )
            if take.rung == RUNG:
                await Telling(self._settings, self._clock, None, judging).again(turn, take)
                continue
            turn.refusal = take.text if take.rung == "refusal" else ""
            rungs = {"words": speaking.words, "authored": speaking.authored, "bark": speaking.bark}
            rung = rungs.get(take.rung, speaking.refusal)
            try:
                await rung(turn, call.deadline)
            except Unavailable:
                continue  # it had broken off then too, and the next one went on
        then = record.explained
        differs = tuple(_differences(then, turn))
        return Replayed(
            explain_id=then.explain_id,
            equal=not differs,
            differs=differs,
            recorded=then.line,
            replayed=turn.text,
            rungs=tuple(take.rung for take in record.takes),
            line_cut=tuple(turn.cut),
            rulings=tuple(turn.rulings),
            prompt_version=then.prompt_version,
            release=record.release,
            ai_generated=then.ai_generated,
        )

    def _turn(self, call: Call, world: World, record: Record) -> Turn:
        then, scene = record.explained, record.scene
        player = "" if scene.listener_is_npc else scene.listener.id
        chosen = self._sources.prompts.choose(call.tenant, logic.TASK, unit=f"{call.world}/{player or scene.npc.id}")
        canary = logic.canary_of(call.tenant, call.world, scene.npc.id)
        names = self._book.names(world)
        other = world.state.players.get(scene.listener.id) or world.npc(scene.listener.id)
        return Turn(
            call=_unheard(call),
            world=_without(world, record.proposals),
            dialogue=_dialogue(call, record),
            scene=scene,
            compiled=Compiled(then.context, then.context_tokens, then.context_cut, canary),
            guard=logic.guard_of(chosen),
            completion=Completion(
                task=logic.TASK,
                parts=then.context,
                output_tokens_max=self._settings.output_tokens_max,
                seed=then.seed,
                tenant=call.tenant,
                world=call.world,
                npc=scene.npc.id,
                player=player,
                scene=scene,
            ),
            prompt_label=then.prompt_label,
            names=names,
            secrets=names.secrets(world, world.npc(scene.npc.id), other),
            offers=dict(record.offers),
            explain_id=then.explain_id,
            started_s=self._clock.monotonic_s(),
        )


class _Then:
    """Finds that to be going round in circles which did so then; what has been said since is no part of a line."""

    def __init__(self, then: Explained) -> None:
        self._reasons = {cut.what: cut.reason for cut in then.line_cut if cut.reason.removesuffix(TO_OTHERS) in LOOPING}

    def judge(self, tenant: str, world: str, npc: str, text: str) -> str:
        return self._reasons.get(text, "")


def _differences(then: Explained, turn: Turn) -> list[str]:
    """What is not as it was: of a line that was interrupted only as much as was said counts."""
    found: list[str] = []
    same = turn.text.startswith(then.line) if then.interrupted else turn.text == then.line
    if not same:
        found.append("text")
    if not then.interrupted:
        found += ["cut"] if _reasons(then.line_cut) != _reasons(turn.cut) else []
        found += ["rulings"] if _verdicts(then.rulings) != _verdicts(turn.rulings) else []
    return found


def _reasons(cuts: Iterable[Cut]) -> list[str]:
    return [cut.what for cut in cuts]


def _verdicts(rulings: Iterable[Ruling]) -> list[tuple[str, bool]]:
    return [(ruling.action, ruling.allowed) for ruling in rulings]


def _dialogue(call: Call, record: Record) -> Dialogue:
    scene = record.scene
    return Dialogue(
        id=record.explained.dialogue,
        tenant=call.tenant,
        world=call.world,
        npc=scene.npc.id,
        participants=(scene.listener.id,),
        location="",
        used_s=0.0,
        lines=deque(),
    )


def _without(world: World, proposals: Collection[str]) -> World:
    """The world as it is, but for what the line itself has offered in it."""
    twin = copy(world)
    twin.state = copy(world.state)
    twin.state.proposals = {id: one for id, one in world.state.proposals.items() if id not in proposals}
    return twin


def _unheard(call: Call) -> Call:
    """The same call, whose chunks go nowhere."""

    async def send(_chunk: Chunk) -> None:
        return None

    return Call(id=call.id, tenant=call.tenant, world=call.world, deadline=call.deadline, log=call.log, send=send)
