"""Barks: many and different, for the event, the mood and the relation, and said by dialogue, the closest first."""

from __future__ import annotations

import re

import msgspec
import pytest

from app.modules.content.barks.grammar import GAME_SLOTS, RELATIONS, load_grammars
from app.modules.content.barks.making import Maker, Wanted, distinct_2
from app.modules.dialogue import messages as dialogue
from app.world.barks import MOODS, intent_of, intents, relation_of
from app.world.entities import Persona
from app.world.events import Verb
from tests.modules.dialogue.village import feel, make_stage

GRAMMARS = load_grammars()
FAMILIES = [(tag, family) for tag, grammar in GRAMMARS.items() for family in grammar.families]
EVENTS = [(tag, event) for tag, grammar in GRAMMARS.items() for event in grammar.events()]


@pytest.mark.parametrize(("tag", "family"), FAMILIES)
def test_a_family_has_two_hundred_lines_that_differ(tag: str, family: str) -> None:
    for seed in (1, 2, 3):
        lines = Maker(GRAMMARS[tag], seed).lines(Wanted(family), 200)
        assert len(set(lines)) == 200
        assert distinct_2(lines) >= 0.6


@pytest.mark.parametrize(("tag", "event"), EVENTS)
def test_there_are_lines_for_every_event_mood_and_relation(tag: str, event: str) -> None:
    maker = Maker(GRAMMARS[tag], 3)
    for mood in ("", *MOODS):
        for relation in ("", *RELATIONS):
            lines = maker.lines(Wanted(event, mood, relation, trade="smith"), 4)
            assert len(lines) == 4, (mood, relation)
            for line in lines:
                assert set(re.findall(r"\{(\w+)\}", line)) <= GAME_SLOTS
                assert line[0].isupper() or line[0] == "{"
                assert line[-1] in ".!?"


def test_every_verb_of_the_world_has_a_family() -> None:
    for grammar in GRAMMARS.values():
        assert [verb for verb in Verb.__args__ if not grammar.family(verb)] == []


def test_the_same_seed_makes_the_same_lines_and_another_seed_others() -> None:
    one, same, other = (Maker(GRAMMARS["en"], seed).lines(Wanted("stole", "angry"), 30) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_a_trade_shows_in_the_lines() -> None:
    lines = " ".join(Maker(GRAMMARS["en"], 1).lines(Wanted("idle", trade="smith"), 60)).casefold()
    assert "riveting" in lines
    assert "threshing" not in lines


def test_intents_go_from_the_closest_to_the_most_general() -> None:
    assert intents("stole", "angry", "foe", "inn rumor")[0] == "bark_stole.angry.foe.inn rumor"
    assert intents("stole", "angry", "foe")[:4] == (
        "bark_stole.angry.foe", "bark_stole.angry", "bark_stole.foe", "bark_stole",
    )  # fmt: skip
    assert intents("stole") == (intent_of("stole"),)
    assert [relation_of(felt) for felt in (0.5, 0.0, -0.5)] == ["friend", "stranger", "foe"]


async def test_dialogue_says_the_closest_lines_first_and_none_twice_in_a_row() -> None:
    stage = make_stage()
    lines = {
        "bark_attacked.angry.foe": ("You, {actor}!", "Again you, {actor}!"),
        "bark_attacked.angry": ("Enough of this!",),
        "bark_attacked.friend": ("Friend, stop!",),
        "bark_attacked": ("A fight!",),
        "bark_attacked.inn rumor": ("It is about the cellar!",),
    }
    stage.world.state.npcs["anna"] = msgspec.structs.replace(stage.world.npc("anna"), persona=Persona(lines=lines))
    feel(stage.world, "anna", "p2", -0.8)

    async def bark(**more: str) -> str:
        barked = await stage.ask(dialogue.Bark(npc="anna", event="attacked", **more))
        assert isinstance(barked, dialogue.Barked)
        assert barked.event == "attacked"
        return barked.text

    said = [await bark(actor="p2", mood="angry") for _ in range(4)]
    assert set(said[:2]) == {"You, Sly!", "Again you, Sly!"}
    assert said[2:] == ["Enough of this!", "A fight!"]
    feel(stage.world, "anna", "p1", 0.8)
    assert await bark(actor="p1") == "Friend, stop!"
    assert await bark(topic="inn rumor") == "It is about the cellar!"
