"""Ink plays as written: weaves, gates, counts, tunnels, threads, functions; the rest is refused by name."""

from __future__ import annotations

import pytest

from app.core.errors import Invalid
from tests.modules.dialogue.stories.playing import Player, fixture, from_ink


def test_a_choice_behind_a_gate_opens_when_its_condition_holds_and_not_before() -> None:
    told = Player(fixture("miller.ink"))
    assert '"May I come in?"' not in told.choices, "nobody trusts a stranger"
    told.pick('"A friend."').pick("Bow")
    assert '"May I come in?"' in told.choices
    rude = Player(fixture("miller.ink")).pick("Push the door").pick('"A friend."').pick("Bow")
    assert '"May I come in?"' not in rude.choices, "what was done closes it for good"


def test_money_is_counted_and_a_choice_that_it_cannot_pay_is_gone() -> None:
    told = Player(fixture("miller.ink"))
    assert "Pay 3 coins" in told.choices
    told.pick("Pay 3 coins")
    assert told.lines[:2] == ["You pay. You have 2 coins left, and she knows it.", '"Hm."']
    assert "Pay 3 coins" not in told.choices
    assert told.beat.run.variables["coins"] == 2


def test_a_choice_is_offered_once_and_a_sticky_one_again() -> None:
    told = Player(from_ink("- (top)\n* once -> top\n+ again -> top\n* -> END"))
    assert told.choices == ["once", "again"]
    told.pick("once")
    assert told.choices == ["again"]
    told.pick("again")
    assert told.choices == ["again"]


def test_a_tunnel_comes_back_and_its_threads_offer_together() -> None:
    told = Player(fixture("miller.ink")).pick('"A friend."').pick("Bow").pick('"May I come in?"')
    assert told.choices == ['"Tell me of the flood."', "Buy flour for 3", "Look around", "Leave"]
    told.pick("Look around")
    assert told.lines == ["Sacks, a scale, a cat."]
    assert "Look around again" in told.choices
    told.pick("Leave")
    assert told.lines[:2] == ['"Mind the step."', "The door falls shut behind you."]


def test_what_was_learned_opens_what_only_the_learned_may_say() -> None:
    told = Player(fixture("miller.ink")).pick('"A friend."').pick("Bow").pick('"May I come in?"')
    assert '"I am sorry."' not in told.choices
    told.pick('"Tell me of the flood."')
    assert told.lines[1] == '"The river took the old bridge, and my husband."'
    told.pick('"I am sorry."')
    assert told.lines[1:] == ["She nods.", '"Take this."']
    assert told.beat.lines[1].tags == ("soft",)
    assert (told.beat.run.variables["trust"], told.beat.run.variables["coins"]) == (3, 6)


@pytest.mark.parametrize(
    ("facts", "open_"),
    [
        ({}, ["Leave"]),
        ({("player", "has key"): True}, ["Use the key", "Leave"]),
        ({("npc", "relation"): 0.6}, ["Ask a favor", "Leave"]),
        ({("q7", "quest"): "active"}, ["Speak of the quest", "Leave"]),
        ({("world", "hour"): 23.0}, ["Whisper", "Leave"]),
        ({("mayor", "mood"): "glad"}, ["Mention the mayor", "Leave"]),
    ],
)
def test_gates_read_the_world(facts: dict[tuple[str, str], object], open_: list[str]) -> None:
    story = from_ink(
        'EXTERNAL fact(a, b)\n* {has_item("key")} [Use the key]\n* {relation() > 0.5} [Ask a favor]\n'
        '* {quest_state("q7") == "active"} [Speak of the quest]\n* {hour() >= 22 or hour() < 4} [Whisper]\n'
        '* {fact("mayor", "mood") == "glad"} [Mention the mayor]\n+ [Leave]\n- -> DONE'
    )
    assert Player(story, facts).choices == open_  # type: ignore[arg-type]  # values of facts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{1 + 2 * 3} {7 / 2} {7 % 4} {-7 / 2} {7.0 / 2}", "7 3 3 -3 3.5"),
        ('{"a" + 1} {"tavern" ? "ave"} {1 == 1.0} {not true}', "a1 true true false"),
        ("{MAX(3, 9)} {FLOOR(2.7)} {POW(2, 8)}", "9 2 256"),
        ("one <>\n two", "one two"),
        ("a {true:b|c} {false:b|c} {false:gone}", "a b c"),
        ("\\{ \\| \\# \\<>", "{ | # <>"),
        ("{TURNS()} {CHOICE_COUNT()}", "0 0"),
    ],
)
def test_expressions_and_text(text: str, said: str) -> None:
    assert Player(from_ink(text)).lines == [said]


def test_sequences_take_turns() -> None:
    text = "- (top) {one|two|three} {&a|b} {!x|y} {~p}\n+ [on] -> top"
    told = Player(from_ink(text))
    said = [told.lines[0], *(told.pick("on").lines[0] for _ in range(3))]
    assert said == ["one a x p", "two b y p", "three a p", "three b p"]


def test_a_shuffle_says_each_part_before_any_again_and_the_same_for_the_same_seed() -> None:
    text = "- (top) {~a|b|c|d}\n+ [on] -> top"

    def says(seed: int) -> list[str]:
        told = Player(from_ink(text), seed=seed)
        return [told.lines[0], *(told.pick("on").lines[0] for _ in range(7))]

    assert says(3) == says(3)
    assert all(sorted(says(seed)[:4]) == sorted(says(seed)[4:]) == list("abcd") for seed in range(20))
    assert len({tuple(says(seed)) for seed in range(20)}) > 5


def test_functions_have_values_text_and_an_end() -> None:
    story = from_ink(
        "{twice(4)} and {shout()}!\n~ nod()\n=== function twice(n)\n~ return n * 2\n"
        "=== function shout\nhey\n=== function nod\nShe nods."
    )
    assert Player(story).lines == ["8 and hey!", "She nods."]


def test_acts_are_wanted_and_never_done() -> None:
    told = Player(from_ink('# act: give_item item=sword\nHere.\n~ open_door("cellar")\n* [Go] -> END'))
    assert [(act.action, act.arguments) for act in told.beat.acts] == [
        ("give_item", {"item": "sword"}),
        ("open_door", {"location": "cellar"}),
    ]
    assert told.beat.lines[0].tags == ()


@pytest.mark.parametrize(
    ("text", "named", "mend"),
    [
        ("Hi\n-> nowhree\n== nowhere\n-> END", ["story.ink:2", "'nowhree'"], "nowhere"),
        ("LIST a = b, c", ["story.ink:1", "is a list"], "VAR"),
        ("Hi\n{trsut > 1: x}\nVAR trust = 0", ["story.ink:2", "'trsut'"], "trust"),
        ("INCLUDE ../up.ink", ["story.ink:1", "../up.ink"], "here"),
        ("INCLUDE missing.ink", ["story.ink:1", "missing.ink"], "beside"),
        ("EXTERNAL explode(a)", ["story.ink:1", "explode"], ""),
        ("== f(ref x)\n-> END", ["story.ink:1", "'ref x'"], "return"),
        ("~ give_item()", ["story.ink:1", "give_item", "1 arguments, not 0"], "item"),
        ("# act: destroy_world", ["story.ink:1", "destroy_world"], ""),
        ("{1 +}", ["story.ink:1", "missing", "1 +"], ""),
        ("Hi {name", ["story.ink:1", "'{'"], "}"),
        ("* [open", ["story.ink:1", "'[open'"], "]"),
        ("= alone", ["story.ink:1", "outside of any knot"], "==="),
        ("== a\n-> END\n== a\n-> END", ["story.ink:3", "'a'"], "another name"),
        ("-> f\n== function f\n~ return 1", ["story.ink:1", "is a function"], "call"),
        ("== function f\n* no", ["story.ink:2", "function"], "tunnel"),
        ("-> k\n== k(a, b)\n-> END", ["story.ink:1", "takes 2 values, not 0"], "many"),
        ("{x:\n- - a: b\n}\nVAR x = 1", ["story.ink"], ""),
        ("~ x = 1", ["story.ink", "'x'"], ""),
        ("~ return 1", ["story.ink:1", "outside of a function"], "->->"),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_how_to_mend_it(text: str, named: list[str], mend: str) -> None:
    with pytest.raises(Invalid) as caught:
        from_ink(text)
    assert all(word in caught.value.message for word in named), caught.value.message
    assert caught.value.hint
    assert mend in caught.value.hint
