"""Groups: who answers, who hears, who remembers, and who never learns of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest

from app.core.errors import Conflict, Invalid, NotFound, StoreDown
from app.core.memory import Cue, Recollection
from app.core.words import Completion
from app.modules.dialogue import messages
from app.modules.dialogue.settings import Settings
from app.world.events import MemoryNoted
from app.world.state import World
from tests.modules.dialogue.village import Script, Stage, make_stage, make_world

SECRET = "My sister hides in the windmill"


def plain(_completion: Completion) -> str:
    return "So it is. Nobody knows more than that."


def noted(stage: Stage) -> list[MemoryNoted]:
    return [event.change for event in stage.journal.events if isinstance(event.change, MemoryNoted)]


def contexts(script: Script, npc: str) -> str:
    return "\n".join(part.text for asked in script.asked if asked.npc == npc for part in asked.parts)


def gather(world: World, *ids: str, at: str = "inn") -> None:
    """Move people to one place."""
    state = world.state
    for id in ids:
        table: dict[str, object] = state.npcs if id in state.npcs else state.players  # type: ignore[assignment]  # either
        table[id] = msgspec.structs.replace(table[id], location=at)  # type: ignore[type-var]  # both are structs


def stand(world: World, **cells: tuple[float, float]) -> None:
    """Put NPCs on cells."""
    for id in cells:
        world.state.handles.setdefault(id, len(world.state.handles))
    handles = np.array([world.state.handles[id] for id in cells], np.uint32)
    world.crowd.report(handles, np.array([*cells.values()], np.float32), 0.0)


async def test_the_npc_that_is_addressed_answers_and_everyone_there_hears() -> None:
    stage = make_stage()
    dialogue = await stage.open("anna", "p1", "tom", "p2")
    said = await stage.say(dialogue, "p1", "Good morning to you", to="tom")
    assert (said.npc, said.heard_by[0]) == ("tom", "p1")
    assert {"p1", "p2", "anna"} <= set(said.heard_by)
    assert (await stage.say(dialogue, "p2", "Anna, who are you?")).npc == "anna"


async def test_an_npc_is_let_speak_by_the_game_and_answers_whom_it_heard_last() -> None:
    script = Script(plain)
    stage = make_stage(words=script)
    dialogue = await stage.open("anna", "p1", "tom", "p2")
    await stage.say(dialogue, "p2", "What a day", to="anna")
    said = await stage.say(dialogue, "tom")
    assert said.npc == "tom"
    heard = (await stage.ask(messages.Explain(explain_id=said.explain_id))).speaker  # type: ignore[attr-defined]  # Explained
    assert heard == "anna"
    assert "What a day" in contexts(script, "tom")


async def test_a_whisper_is_heard_by_one_and_is_in_nobody_elses_context() -> None:
    script = Script(plain)
    stage = make_stage(words=script)
    dialogue = await stage.open("anna", "p1", "tom", "p2")
    said = await stage.say(dialogue, "p1", SECRET, to="anna", whisper=True)
    assert said.heard_by == ("p1",)
    assert {one.known_by for one in noted(stage)} <= {("p1", "anna"), ("anna", "p1")}
    assert {one.holders for one in noted(stage)} == {("anna",)}
    for npc, player in (("tom", "p2"), ("tom", "p1"), ("anna", "p2")):
        await stage.say(dialogue, player, "What did you talk about?", to=npc)
        assert SECRET not in "\n".join(part.text for part in script.asked[-1].parts)
    await stage.say(dialogue, "p1", "So what do you think?", to="anna", whisper=True)
    assert SECRET in "\n".join(part.text for part in script.asked[-1].parts)


async def test_a_whisper_in_a_group_needs_its_hearer() -> None:
    stage = make_stage()
    dialogue = await stage.open("anna", "p1", "tom")
    with pytest.raises(Invalid, match="one hearer"):
        await stage.say(dialogue, "p1", SECRET, whisper=True)


async def test_who_joins_later_has_not_heard_and_who_leaves_does_not_hear() -> None:
    script = Script(plain)
    stage = make_stage(words=script)
    dialogue = await stage.open("mira", "p1")
    await stage.say(dialogue, "p1", SECRET)
    joined = await stage.ask(messages.Join(dialogue=dialogue, participant="borin"))
    assert await stage.ask(messages.Join(dialogue=dialogue, participant="borin")) == joined
    assert isinstance(joined, messages.Opened)
    assert joined.participants == ("p1", "borin")
    await stage.say(dialogue, "p1", "Good day", to="borin")
    assert SECRET not in contexts(script, "borin")
    left = await stage.ask(messages.Leave(dialogue=dialogue, participant="mira"))
    assert isinstance(left, messages.Opened)
    assert (left.npc, left.participants) == ("borin", ("p1",))
    gather(stage.world, "mira", at="mill")
    assert "mira" not in (await stage.say(dialogue, "p1", "She is gone")).heard_by
    with pytest.raises(Conflict, match="nobody is left"):
        await stage.ask(messages.Leave(dialogue=dialogue, participant="p1"))


async def test_a_group_has_a_limit_and_only_people_join() -> None:
    stage = make_stage(settings=Settings(participants_max=2))
    with pytest.raises(Invalid, match="at most 2"):
        await stage.open("anna", "p1", "p2", "tom")
    dialogue = await stage.open("anna", "p1", "p2")
    with pytest.raises(Invalid, match="at most 2"):
        await stage.ask(messages.Join(dialogue=dialogue, participant="tom"))
    with pytest.raises(NotFound, match="neither player nor NPC"):
        await stage.open("anna", "forge")


async def test_who_stands_near_overhears_and_remembers_and_who_stands_far_does_not() -> None:
    world = make_world()
    gather(world, "mira", "borin", "anna", "tom")
    stand(world, mira=(10.0, 10.0), borin=(14.0, 10.0), anna=(10.0, 40.0))
    stage = make_stage(world=world)
    said = await stage.say(await stage.open("mira", "p1"), "p1", SECRET)
    assert said.heard_by == ("p1", "borin", "tom"), "tom has no position, and is at the same place"
    (heard, answered) = noted(stage)
    assert set(heard.holders) == {"mira", "borin", "tom"}
    assert (heard.text, heard.source, set(heard.known_by)) == (SECRET, "witnessed", {"p1", "mira", "borin", "tom"})
    assert (answered.source, answered.speaker, answered.thread) == ("own_claim", "mira", said.dialogue)
    whispered = await stage.say(said.dialogue, "p1", SECRET, whisper=True)
    assert whispered.heard_by == ("p1",)


async def test_nobody_overhears_where_earshot_is_nothing() -> None:
    stage = make_stage(settings=Settings(earshot_cells=0.0))
    said = await stage.say(await stage.open("anna", "p1"), "p1", SECRET)
    assert said.heard_by == ("p1",)


async def test_players_at_the_place_hear_nothing_of_a_talk_that_the_game_does_not_show_them() -> None:
    stage = make_stage()
    said = await stage.say(await stage.open("anna", "p1"), "p1", SECRET)
    assert "p2" in stage.world.state.players
    assert "p2" not in said.heard_by
    (heard, _) = noted(stage)
    assert "p2" not in heard.known_by


async def test_an_npc_keeps_a_secret_while_another_player_listens() -> None:
    script = Script(plain)
    stage = make_stage(words=script, settings=Settings(players_overhear=True))
    dialogue = await stage.open("anna", "p1")
    await stage.say(dialogue, "p1", "What do you know about me?")
    assert "eleven coins" not in contexts(script, "anna"), "Sly stands there too"
    gather(stage.world, "p2", at="mill")
    await stage.say(dialogue, "p1", "What do you know about me?")
    assert "eleven coins" in contexts(script, "anna")


@dataclass
class Remembered:
    """A Memory that gives what it was made with, or fails."""

    found: Sequence[Recollection] = ()
    kept: Sequence[Recollection] = ()
    down: bool = False
    cues: list[Cue] = field(default_factory=list)

    async def recall(self, tenant: str, world: str, npc: str, cue: Cue) -> tuple[Recollection, ...]:
        self.cues.append(cue)
        if self.down:
            raise StoreDown("the database is gone")
        return tuple(self.found)

    async def pinned(self, tenant: str, world: str, npc: str, listener: str) -> tuple[Recollection, ...]:
        return tuple(self.kept)

    def prepare(self, tenant: str, world: str, npcs: Sequence[str]) -> None:
        """It is always ready."""


def memory(id: str, text: str, *known_by: str) -> Recollection:
    return Recollection(id=id, seq=1, text=text, source="witnessed", known_by=known_by)


async def test_memories_reach_the_context_but_for_those_that_another_hearer_must_not_learn() -> None:
    script = Script(plain)
    mind = Remembered(
        found=(memory("a", "The bridge burned twice"), memory("b", SECRET, "anna", "p1")),
        kept=(memory("c", "I owe Robin a horse", "anna", "p1"),),
    )
    stage = make_stage(words=script, memory=mind, settings=Settings(players_overhear=True))
    dialogue = await stage.open("anna", "p1")
    await stage.say(dialogue, "p1", "Do you remember?")
    shown = contexts(script, "anna")
    assert "The bridge burned twice" in shown
    assert SECRET not in shown
    assert "owe Robin a horse" not in shown
    await stage.say(dialogue, "p1", "Do you remember?", whisper=True)
    shown = "\n".join(part.text for part in script.asked[-1].parts)
    assert SECRET in shown
    assert "owe Robin a horse" in shown
    assert (mind.cues[0].listener, mind.cues[0].but_thread) == ("p1", dialogue)


async def test_a_memory_that_is_down_or_slow_costs_the_memories_and_never_the_line() -> None:
    assert (await say_over(Remembered(down=True))).text == plain(Completion(task="", output_tokens_max=1))

    class Slow(Remembered):
        async def recall(self, tenant: str, world: str, npc: str, cue: Cue) -> tuple[Recollection, ...]:
            await asyncio.sleep(30.0)
            return ()

    assert (await say_over(Slow())).rung == "words"


async def say_over(mind: Remembered) -> messages.Said:
    stage = make_stage(words=Script(plain), memory=mind, settings=Settings(recall_ms=20.0))
    said = await stage.say(await stage.open("anna", "p1"), "p1", "Do you remember?")
    assert stage.module.close is not None
    await stage.module.close()
    return said
