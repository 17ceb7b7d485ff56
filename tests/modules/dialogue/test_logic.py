"""The context compiler and what lines mean, without a running module."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.modules.dialogue import intents, logic, messages
from app.world.entities import Persona
from app.world.scene import Known, Line, News, Scene, Someone
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


@given(
    st.lists(WORDS, max_size=30),
    st.lists(WORDS, max_size=30),
    WORDS,
    st.integers(700, 2_000),
)
def test_context_keeps_its_budget_and_never_cuts_rules_persona_or_the_present_line(
    lines: list[str], facts: list[str], heard: str, tokens_max: int
) -> None:
    scene = Scene(
        npc=Someone(id="n", name="Nia"),
        persona=Persona(summary="Keeps bees."),
        listener=Someone(id="p", name="Robin"),
        heard=heard,
        lines=tuple(Line(speaker="p", name="Robin", text=text, npc=False) for text in lines),
        known=tuple(Known(subject_id="x", subject="x", predicate="says", value=fact) for fact in facts),
        news=(News(verb="died", actor="Olaf"),) * 4,
    )
    compiled = logic.compile_context(scene, PROMPT, (), tokens_max=tokens_max, canary="c")
    assert "You speak as one character" in compiled.parts[0].text
    assert "Keeps bees." in compiled.parts[1].text
    if heard:
        assert (compiled.parts[-1].text, compiled.parts[-1].trust) == (heard, "player")
    fixed = logic.compile_context(
        msgspec.structs.replace(scene, lines=(), known=(), news=()), PROMPT, (), tokens_max=0, canary="c"
    )
    assert compiled.tokens <= max(tokens_max, fixed.tokens) + 24
    kept = sum(part.text in lines for part in compiled.parts[3:-2])
    assert kept == len(lines) or any("lines" in cut.what for cut in compiled.cut)


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
