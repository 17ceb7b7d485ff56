"""The memory messages over a log in RAM: noting, recalling, forgetting, telling, and what follows from events."""

from __future__ import annotations

import asyncio
import itertools
import random

import msgspec
import pytest

from app.core.errors import Conflict, Invalid, NotFound
from app.core.memory import Cue
from app.modules.memory.messages import Forget, Note, Recall, Recalled, Tell
from app.modules.memory.settings import GossipSettings, Settings
from app.world.entities import Item, Npc
from app.world.events import EntityUpserted, Happened, MemoryNoted, SubjectRestricted, WorldRestored, WorldSaved
from app.world.memories import line_noted
from tests.modules.memory.hall import Hall


@pytest.fixture
async def hall() -> Hall:
    found = Hall()
    await found.fill()
    return found


async def texts(hall: Hall, npc: str, text: str, listener: str = "", **more: object) -> list[str]:
    told = await hall.ask(Recall(npc=npc, text=text, listener=listener, most=100, **more))  # type: ignore[arg-type]  # fields of Recall
    assert isinstance(told, Recalled)
    return [memory.text for memory in told.memories]


async def test_what_was_noted_comes_back_word_for_word_with_its_source(hall: Hall) -> None:
    noted = await hall.ask(Note(npc="greta", text="The silver axe lies in the cellar.", source="told_by:tom"))
    told = await hall.ask(Recall(npc="greta", text="where is the axe"))
    (memory,) = told.memories
    assert memory.text == "The silver axe lies in the cellar."
    assert (memory.id, memory.seq, memory.source) == (noted.id, noted.seq, "told_by:tom")
    assert memory.provenance == ("tom",)
    assert memory.score > 0
    assert memory.why


async def test_the_same_key_notes_once(hall: Hall) -> None:
    request = Note(npc="greta", text="A grey cat came by.", key="k")
    assert await hall.ask(request) == await hall.ask(request)
    assert await texts(hall, "greta", "grey cat") == ["A grey cat came by."]


async def test_nobody_remembers_for_somebody_who_is_not_there(hall: Hall) -> None:
    with pytest.raises(NotFound):
        await hall.ask(Note(npc="gretta", text="x"))
    with pytest.raises(Invalid):
        await hall.ask(Note(npc="greta", text="x", source="rumor"))
    with pytest.raises(NotFound):
        await hall.ask(Recall(npc="nobody", text="x"))


async def test_a_secret_reaches_only_those_who_may_hear_it(hall: Hall) -> None:
    await hall.ask(Note(npc="greta", text="Ash hid the crown under the mill.", speaker="ash", known_by=("ash",)))
    assert await texts(hall, "greta", "crown mill", listener="ash")
    assert await texts(hall, "greta", "crown mill")
    assert not await texts(hall, "greta", "crown mill", listener="bo")
    assert not await texts(hall, "tom", "crown mill")


async def test_what_a_faction_knows_its_members_know(hall: Hall) -> None:
    await hall.ask(Note(npc="guard", text="The password is heron.", known_by=("guard",)))
    assert await texts(hall, "tom", "password") == ["The password is heron."]
    assert await texts(hall, "bert", "password") == ["The password is heron."]
    assert not await texts(hall, "greta", "password")
    assert await texts(hall, "tom", "password", listener="bert"), "who is of it may be told"
    assert not await texts(hall, "tom", "password", listener="greta")
    assert not await texts(hall, "tom", "password", listener="ash")
    await hall.post(EntityUpserted(entity=Npc(id="bert", name="Bert", location="mill")))
    assert not await texts(hall, "bert", "password"), "who left the faction does not know any more"


async def test_forgetting_by_id_dialogue_and_entity(hall: Hall) -> None:
    first = await hall.ask(Note(npc="greta", text="The wolf howled."))
    await hall.ask(Note(npc="greta", text="The wolf came nearer.", thread="d1"))
    await hall.ask(Note(npc="greta", text="The wolf bit Ash.", participants=("ash",)))
    assert (await hall.ask(Forget(npc="greta", ids=(first.id, "unknown")))).forgotten == 1
    assert (await hall.ask(Forget(npc="greta", thread="d1"))).forgotten == 1
    assert await texts(hall, "greta", "wolf") == ["The wolf bit Ash."]
    assert (await hall.ask(Forget(npc="greta", about="ash"))).forgotten == 1
    assert (await hall.ask(Forget(npc="greta", about="ash"))).forgotten == 0
    hall.restart()
    assert await texts(hall, "greta", "wolf") == []
    with pytest.raises(Invalid):
        await hall.ask(Forget(npc="greta"))


async def test_pinned_memories_are_always_at_hand_and_never_ranked(hall: Hall) -> None:
    await hall.ask(Note(npc="greta", text="I promised Ash a room.", pinned=True, known_by=("ash", "greta")))
    told = await hall.ask(Recall(npc="greta", text="room", listener="ash"))
    assert [memory.text for memory in told.pinned] == ["I promised Ash a room."]
    assert told.memories == ()
    assert not (await hall.ask(Recall(npc="greta", text="room", listener="bo"))).pinned


async def test_more_than_may_be_pinned_is_refused(hall: Hall) -> None:
    hall.settings = Settings(pinned_max=1)
    hall.restart()
    await hall.ask(Note(npc="greta", text="one", pinned=True))
    with pytest.raises(Conflict):
        await hall.ask(Note(npc="greta", text="two", pinned=True))


async def test_a_memory_with_a_term_is_gone_after_it(hall: Hall) -> None:
    await hall.ask(Note(npc="greta", text="The bridge is closed.", ttl_s=60.0, game_s=100.0))
    await hall.ask(Note(npc="greta", text="Keep the bridge warm.", ttl_s=60.0, game_s=100.0, pinned=True))
    assert await texts(hall, "greta", "bridge")
    await hall.log.append("t", "w", [Happened(verb="moved", actor="ash", location="inn")], game_s=161.0)
    assert not await texts(hall, "greta", "bridge")
    assert not (await hall.ask(Recall(npc="greta", text="bridge"))).pinned


async def test_the_least_that_matters_goes_first_and_nothing_pinned(hall: Hall) -> None:
    hall.settings = Settings(mind_memories_max=3)
    hall.restart()
    await texts(hall, "greta", "x")
    await hall.ask(Note(npc="greta", text="pinned bell", pinned=True, importance=0.01))
    for at, weight in enumerate((0.9, 0.1, 0.5, 0.4)):
        await hall.ask(Note(npc="greta", text=f"bell {at}", importance=weight))
    left = sorted(await texts(hall, "greta", "bell"))
    assert left == ["bell 0", "bell 2", "bell 3"]
    assert (await hall.ask(Recall(npc="greta", text="bell"))).pinned
    hall.restart()
    assert sorted(await texts(hall, "greta", "bell")) == left, "a restart lets the same go"


async def test_minds_that_nobody_asks_are_let_go_and_read_again(hall: Hall) -> None:
    hall.settings = Settings(minds_max=1)
    hall.restart()
    await hall.ask(Note(npc="greta", text="A red door."))
    assert await texts(hall, "greta", "door")
    await texts(hall, "tom", "door")
    reads = hall.log.reads
    assert await texts(hall, "greta", "door")
    assert hall.log.reads == reads + 1
    assert await texts(hall, "greta", "door")
    assert hall.log.reads == reads + 1, "once it is there nothing is read"


async def test_a_happening_is_remembered_by_those_who_stood_there(hall: Hall) -> None:
    await hall.post(EntityUpserted(entity=Item(id="ring", name="gold ring", holder="ash")))
    await hall.post(Happened(verb="gave", actor="ash", target="greta", item="ring", location="inn"))
    assert await texts(hall, "tom", "gold ring", listener="bo") == [
        "Ash gave the gold ring to Greta at the Sleeping Fox."
    ]
    assert not await texts(hall, "fay", "gold ring")


async def test_a_first_meeting_is_remembered_once(hall: Hall) -> None:
    await texts(hall, "greta", "hello")
    await hall.talk("ash", "greta")
    await hall.talk("ash", "greta")
    hall.restart()
    await texts(hall, "greta", "hello")
    await hall.talk("ash", "greta")
    assert len(await texts(hall, "greta", "met first time")) == 1


async def test_a_rumor_goes_from_mouth_to_mouth_with_its_provenance_and_fades(hall: Hall) -> None:
    await hall.post(Happened(verb="killed", actor="ash", target="bo", location="inn"))
    for one, other in (("greta", "fay"), ("fay", "bert")):
        await hall.talk(one, other)
    told = await hall.ask(Recall(npc="bert", text="who killed", listener="ash"))
    (memory,) = told.memories
    assert memory.text.startswith("Ash killed Bo")
    assert memory.provenance == ("greta", "fay")
    assert memory.source == "told_by:fay"
    assert memory.strength == pytest.approx(0.49)
    (origin,) = [
        event.id for event in hall.log.events if isinstance(event.change, Happened) and event.change.verb == "killed"
    ]
    assert memory.links[-1] == origin


async def test_a_rumor_dies_out_and_is_told_once(hall: Hall) -> None:
    await hall.fill(*(Npc(id=f"n{at}", name=f"N{at}") for at in range(6)))
    await hall.post(Happened(verb="died", actor="ash", location="inn"))
    chain = ["greta", *(f"n{at}" for at in range(6))]
    for one, other in itertools.pairwise(chain):
        await hall.talk(one, other)
        await hall.talk(one, other)
    told = [event.change for event in hall.log.events if isinstance(event.change, MemoryNoted) and event.change.told_by]
    assert len(told) == GossipSettings().hops_max
    assert len({noted.id for noted in told}) == len(told)


async def test_a_secret_is_never_gossip_and_the_confidence_travels_when_it_is_told(hall: Hall) -> None:
    secret = await hall.ask(Note(npc="greta", text="Ash stole the crown.", importance=1.0, known_by=("ash", "tom")))
    await hall.talk("greta", "tom")
    assert not await texts(hall, "tom", "crown")
    with pytest.raises(Conflict):
        await hall.ask(Tell(npc="greta", to="fay", ids=(secret.id,)))
    await hall.ask(Tell(npc="greta", to="tom", ids=(secret.id,)))
    assert await texts(hall, "tom", "crown", listener="ash") == ["Ash stole the crown."]
    assert not await texts(hall, "tom", "crown", listener="bo")
    await hall.talk("tom", "bert")
    assert not await texts(hall, "bert", "crown")


async def test_rumors_go_on_after_a_restart_once_the_teller_was_read(hall: Hall) -> None:
    await hall.post(Happened(verb="died", actor="bo", location="inn"))
    hall.restart()
    await texts(hall, "greta", "x")
    await hall.talk("greta", "fay")
    assert await texts(hall, "fay", "died")


async def test_a_restricted_person_is_not_spoken_of(hall: Hall) -> None:
    await hall.ask(Note(npc="greta", text="Ash owes me ten coins.", participants=("ash",)))
    await hall.post(Happened(verb="killed", actor="ash", target="bo", location="inn"))
    await hall.post(SubjectRestricted(subject="ash", restricted=True))
    assert not await texts(hall, "greta", "coins killed")
    await hall.talk("greta", "fay")
    await hall.post(SubjectRestricted(subject="ash", restricted=False))
    assert len(await texts(hall, "greta", "coins killed")) == 2
    assert not await texts(hall, "fay", "killed")


async def test_the_own_thread_is_left_out_on_demand(hall: Hall) -> None:
    line = line_noted(
        hall.world, id="m1", thread="d", speaker="ash", text="I come from Thornwick", heard_by=("greta",), place="inn",
        ai_generated=False,
    )  # fmt: skip
    await hall.post(line)
    assert await texts(hall, "greta", "thornwick", listener="ash")
    assert not await texts(hall, "greta", "thornwick", listener="ash", but_thread="d")
    assert not await texts(hall, "greta", "thornwick", listener="bo")


async def test_what_is_committed_while_a_mind_is_read_is_not_lost(hall: Hall) -> None:
    for at in range(200):
        await hall.ask(Note(npc="greta", text=f"lantern {at}"))
    hall.restart()
    reading = asyncio.create_task(texts(hall, "greta", "lantern"))
    await asyncio.sleep(0)
    await hall.ask(Note(npc="greta", text="lantern late"))
    await reading
    assert hall.minds.describe("t", "w", "greta")["memories"] == 201


async def test_a_world_from_another_process_is_read_again(hall: Hall) -> None:
    await texts(hall, "greta", "x")
    elsewhere = MemoryNoted(id="m", holders=("greta",), source="witnessed", text="A tall ship came.")
    hall.log.modules = []
    await hall.post(elsewhere)
    hall.log.modules = [hall.module]
    assert not await texts(hall, "greta", "ship")
    hall.minds.observe(hall.world, ())
    assert await texts(hall, "greta", "ship")


@pytest.mark.parametrize("seed", range(20))
async def test_after_a_turn_back_the_npc_knows_what_the_log_before_it_says(seed: int) -> None:
    """The log is cut at a random event; the mind must be what a fold over the events that belong gives."""
    rng, hall = random.Random(seed), Hall()
    await hall.fill()
    for at in range(60):
        known = [event.change.id for event in hall.log.events if isinstance(event.change, MemoryNoted)]
        if rng.random() < 0.25 and known:
            await hall.ask(Forget(npc="greta", ids=(rng.choice(known),)))
        else:
            await hall.ask(Note(npc="greta", text=f"bell {at}"))
        if rng.random() < 0.1:
            await texts(hall, "greta", "bell")
    state = hall.world.state
    cut = rng.randrange(9, state.seq)
    state.branches, state.since_seq = ((1, cut),), state.seq + 1
    expected: dict[str, str] = {}
    for event in hall.log.events[:cut]:
        change = event.change
        if isinstance(change, MemoryNoted):
            expected[change.id] = change.text
        elif hasattr(change, "ids"):
            for id in change.ids:
                expected.pop(id, None)
    assert sorted(await texts(hall, "greta", "bell")) == sorted(expected.values())
    await hall.ask(Note(npc="greta", text="bell after"))
    assert sorted(await texts(hall, "greta", "bell")) == sorted([*expected.values(), "bell after"])


async def test_a_rumor_of_what_was_undone_is_not_told_and_what_was_forgotten_since_is_back(hall: Hall) -> None:
    noted = await hall.ask(Note(npc="greta", text="The mill burned down.", importance=0.9))
    await hall.post(WorldSaved(slot="before"))
    await hall.ask(Forget(npc="greta", ids=(noted.id,)))
    await hall.post(Happened(verb="killed", actor="ash", target="bo", location="inn"))
    await hall.talk("greta", "fay")
    assert await texts(hall, "fay", "killed")
    await hall.post(WorldRestored(slot="before"))
    await hall.talk("tom", "bert")
    assert not await texts(hall, "greta", "killed")
    assert not await texts(hall, "fay", "killed")
    assert not await texts(hall, "bert", "killed")
    assert await texts(hall, "greta", "mill burned") == ["The mill burned down."]
    await hall.talk("greta", "fay")
    assert await texts(hall, "fay", "mill burned") == ["The mill burned down."]
    assert not await texts(hall, "fay", "killed")


async def test_the_port_counts_out_who_must_not_hear(hall: Hall) -> None:
    await hall.ask(Note(npc="greta", text="The spring is poisoned.", known_by=("tom",)))
    assert await hall.minds.recall("t", "w", "greta", Cue(text="spring", listener="bo")) == ()
    (memory,) = await hall.minds.recall("t", "w", "greta", Cue(text="spring", listener="tom"))
    assert memory.text == "The spring is poisoned."


async def test_export_and_forget_of_a_person_in_ram(hall: Hall) -> None:
    await hall.ask(Note(npc="greta", text="my dog is called Rex", speaker="ash", known_by=("ash",)))
    await texts(hall, "greta", "dog")
    assert [row["text"] for row in hall.minds.held("t", "w", "ash")["memories"]] == ["my dog is called Rex"]
    hall.minds.forget("t", "w", "ash")
    assert hall.minds.held("t", "w", "ash")["memories"] == []


def test_bounds_are_in_the_messages() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"npc":"g","text":""}', type=Note)


async def test_what_was_made_ready_is_there_without_another_read(hall: Hall) -> None:
    await hall.ask(Note(npc="greta", text="The silver axe lies in the cellar."))
    hall.restart()
    hall.minds.prepare("t", "w", ("greta", "ash", "nobody"))
    assert await texts(hall, "greta", "axe") == ["The silver axe lies in the cellar."]
    hall.minds.prepare("t", "w", ("greta",))
    assert hall.log.reads == 1, "who is no NPC is passed over, and whoever asks meanwhile waits for the same"


async def test_what_comes_while_a_mind_is_read_is_in_it_once(hall: Hall) -> None:
    for number in range(40):
        await hall.ask(Note(npc="greta", text=f"The axe number{number} is sharp."))
    hall.restart()
    asked = asyncio.create_task(texts(hall, "greta", "axe"))
    for number in range(40, 80):
        await hall.ask(Note(npc="greta", text=f"The axe number{number} is sharp."))
        await asyncio.sleep(0)
    await asked
    assert sorted(await texts(hall, "greta", "axe")) == sorted(
        f"The axe number{number} is sharp." for number in range(80)
    )
    assert hall.log.reads == 1


async def test_after_a_restart_gossip_goes_on_and_nobody_is_told_what_they_saw(hall: Hall) -> None:
    await hall.ask(Note(npc="greta", text="The mill burned down.", importance=0.9, known_by=()))
    await hall.post(EntityUpserted(entity=Item(id="ring", name="the ring", holder="ash")))
    await hall.post(Happened(verb="stole", actor="bo", target="greta", item="ring", location="inn"))
    hall.restart()
    await hall.post(Happened(verb="talked", actor="ash", target="bo"))
    for _ in range(200):
        if not hall.minds._openings:
            break
        await asyncio.sleep(0.005)
    await hall.talk("greta", "tom")
    assert "The mill burned down." in await texts(hall, "tom", "mill")
    stolen = await texts(hall, "tom", "stole the ring")
    assert len([text for text in stolen if "stole" in text]) == 1, "Tom stood there"
