"""Authored lines: pleasant means fitting, varied, never stale, and the same for the same seed."""

from __future__ import annotations

import re

import msgspec
import pytest

from app.core.errors import EngineDown, Invalid
from app.core.words import Completion, Part
from app.engines.authored import grammar, open_authored
from app.world.entities import Persona
from app.world.scene import Line, News, QuestNote, Scene, Someone, Spot, Ware
from tests.engines.conftest import drain, soon

ENGINE = open_authored()
SCENE = Scene(
    npc=Someone(id="borin", name="Borin", role="blacksmith", place="Old Forge"),
    persona=Persona(),
    listener=Someone(id="p1", name="Robin"),
    intent="greet",
    heard="Hello",
    here=Spot(id="forge", name="Old Forge", reach="here"),
    people=(Someone(id="mira", name="Mira", role="innkeeper", place="Gilded Goose"),),
)
INTENTS = (
    "greet", "ask_quest", "ask_place", "ask_person", "trade", "threaten", "thank", "goodbye", "small_talk", "unknown",
)  # fmt: skip


def scene(**fields: object) -> Scene:
    return msgspec.structs.replace(SCENE, **fields)


@pytest.mark.parametrize("intent", INTENTS)
def test_every_intent_has_an_answer_in_the_barest_scene(intent: str) -> None:
    bare = Scene(npc=SCENE.npc, persona=Persona(), listener=Someone(id="p", name=""), intent=intent)  # type: ignore[arg-type]  # a parameter
    for seed in range(40):
        line = ENGINE.line(bare, seed)
        assert line
        assert not re.search(r"[{}#\[\]]|\s{2}| ,", line), line


@pytest.mark.parametrize("topic", ["time", "work", "life", "weather", "need", "news", "place"])
def test_npcs_open_and_answer_every_topic(topic: str) -> None:
    talk = scene(
        intent="chatter", heard="", listener_is_npc=True, topic=topic, weather="heavy rain", need="tired",
        news=(News(verb="killed", actor="Anna", target="the wolf"),),
    )  # fmt: skip
    opened = ENGINE.line(talk, 1)
    answer = ENGINE.line(
        msgspec.structs.replace(talk, lines=(Line(speaker="p1", name="Robin", text=opened, npc=True, topic=topic),)), 1
    )
    assert opened
    assert answer
    assert opened != answer


def test_same_seed_same_line_and_other_seeds_vary() -> None:
    assert ENGINE.line(SCENE, 5) == ENGINE.line(SCENE, 5)
    assert len({ENGINE.line(SCENE, seed) for seed in range(60)}) > 25


def test_no_line_comes_twice_in_a_row_of_twelve() -> None:
    said: list[str] = []
    for seed in range(12):
        said.append(ENGINE.line(scene(stale=tuple(said)), seed))
    assert len(set(said)) == 12


def test_way_to_a_place_names_its_direction_and_the_next_place() -> None:
    spot = Spot(id="mill", name="Windmill", direction="south", reach="far", via="Stone Bridge")
    lines = {ENGINE.line(scene(intent="ask_place", heard="where is the mill?", spot=spot), seed) for seed in range(30)}
    assert all("south" in line for line in lines)
    assert any("the Stone Bridge" in line for line in lines)


async def test_offered_quest_is_told_with_its_act_before_the_line() -> None:
    quest = QuestNote(id="q1", title="The Lost Hammer", description="My hammer is gone. Find it.", state="offered")
    stream = ENGINE.stream(_completion(scene(intent="ask_quest", quests=(quest,))), soon())
    text, _ = await drain(stream)
    assert text.startswith('{"act":"offer_quest","arguments":{"quest":"q1"}}\n')
    assert "My hammer is gone." in text


def test_question_asked_again_is_answered_again() -> None:
    quest = QuestNote(id="q1", title="The Lost Hammer", description="My hammer is gone. Find it.", state="offered")
    said: list[str] = []
    for seed in range(8):
        said.append(ENGINE.line(scene(intent="ask_quest", quests=(quest,), stale=tuple(said)), seed))
    assert all("ammer" in line for line in said), said


def test_wares_and_prices_are_the_ones_held() -> None:
    wares = (Ware(name="iron axe", price=12.0), Ware(name="nail", price=1.0))
    line = ENGINE.line(scene(intent="trade", wares=wares), 3)
    assert "an iron axe for 12 coins" in line
    assert "a nail for one coin" in line


def test_feelings_change_the_tone() -> None:
    cold = scene(listener=Someone(id="p1", name="Robin", relation=-0.5), intent="goodbye")
    assert "Good riddance." in {ENGINE.line(cold, seed) for seed in range(20)}
    assert "Good riddance." not in {ENGINE.line(scene(intent="goodbye"), seed) for seed in range(40)}


def test_personas_own_lines_come_first_until_they_are_stale() -> None:
    own = scene(persona=Persona(lines={"greet": ("Hammer's up!", "Speak over the bellows.")}))
    first = ENGINE.line(own, 1)
    assert first in ("Hammer's up!", "Speak over the bellows.")
    both = msgspec.structs.replace(own, stale=("Hammer's up!", "Speak over the bellows."))
    assert ENGINE.line(both, 1) not in ("Hammer's up!", "Speak over the bellows.")


async def test_continuation_says_nothing_again() -> None:
    whole, _ = await drain(ENGINE.stream(_completion(SCENE), soon()))
    first = whole.split(". ")[0] + "."
    rest, _ = await drain(ENGINE.stream(_completion(scene(said=(first,))), soon()))
    assert first not in rest


async def test_it_writes_dialogue_only() -> None:
    with pytest.raises(EngineDown, match=r"content\.item"):
        await drain(ENGINE.stream(Completion(task="content.item", parts=(), output_tokens_max=1), soon()))


def test_unknown_language_names_the_known_ones() -> None:
    with pytest.raises(Invalid, match="xx") as caught:
        grammar.load("xx")
    assert "en" in caught.value.hint


def _completion(of: Scene) -> Completion:
    part = Part(trust="system", text="rules")
    return Completion(task="dialogue.reply", parts=(part,), output_tokens_max=100, seed=4, scene=of)
