"""What lines mean and what NPCs may offer, without a running module."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import strategies as st

from app.modules.dialogue import intents, logic, messages
from tests.modules.dialogue.village import feel, make_world, quest
from tests.prompts import registry

PROMPT = registry().choose("t", logic.TASK)
LEXICON = intents.load("en")
WORDS = st.text("abc dé漢", max_size=80)


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("Hello there!", "greet"),
        ("where's the inn?", "ask_place"),
        ("How do I get to the old mill?", "ask_place"),
        ("Who is Borin?", "ask_person"),
        ("Do you have any work for me?", "ask_quest"),
        ("I need a job", "ask_quest"),
        ("What do you sell?", "trade"),
        ("How much for the axe?", "trade"),
        ("Your money or your life!", "threaten"),
        ("Thanks a lot", "thank"),
        ("Farewell, friend", "goodbye"),
        ("How are you today?", "small_talk"),
        ("Colorless green ideas", "unknown"),
        ("", "unknown"),
    ],
)
def test_line_is_understood(text: str, intent: str) -> None:
    assert LEXICON.read(text).intent == intent


def test_what_is_asked_about_is_left_when_the_small_words_are_gone() -> None:
    assert LEXICON.read("Where can I find the dragon cave, please?").about == ("dragon", "cave")


def test_open_acts_are_those_the_gate_would_allow_now() -> None:
    world = make_world(quests=[quest("q1", giver="anna")])
    acts = logic.open_acts(world, world.npc("anna"), "p1")
    assert [(act.action, act.arguments) for act in acts] == [("offer_quest", {"quest": "q1"})]
    feel(world, "anna", "p1", -0.6)
    assert "attack" in {act.action for act in logic.open_acts(world, world.npc("anna"), "p1")}


def test_requests_refuse_unknown_fields_and_long_lines_on_both_wires() -> None:
    for codec in (msgspec.json, msgspec.msgpack):
        good = codec.encode({"dialogue": "d", "speaker": "p1", "text": "Hi"})
        assert codec.decode(good, type=messages.Say).text == "Hi"
        for bad in (
            {"dialogue": "d", "speaker": "p", "tone": 1},
            {"dialogue": "d", "speaker": "p", "text": "x" * 1_001},
        ):
            with pytest.raises(msgspec.ValidationError):
                codec.decode(codec.encode(bad), type=messages.Say)
