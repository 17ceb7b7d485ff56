"""Yarn plays as written: options, gates, jumps, counts, detours, line groups; the rest is refused by name."""

from __future__ import annotations

import pytest

from app.core.errors import Invalid
from tests.modules.dialogue.stories.playing import Facts, Player, fixture, from_yarn


def test_an_option_behind_a_gate_opens_when_its_condition_holds_and_not_before() -> None:
    told = Player(fixture("ferry.yarn"))
    assert told.lines == ["Orso: The river is high today.", "Orso: What do you want?"]
    assert told.beat.lines[0].tags == ("line:a1",)
    assert "Sorry about before." not in told.choices
    told.pick("What is the fare?").pick("That is too much.")
    assert "Sorry about before." not in told.choices, "angry, but the landing was left once only"
    told.pick("Find a coin.")
    assert "Sorry about before." in told.choices
    told.pick("Sorry about before.")
    assert "Sorry about before." not in told.choices


def test_the_fare_is_paid_once() -> None:
    told = Player(fixture("ferry.yarn")).pick("Take me across.")
    assert told.lines == ["The ferry creaks.", "Orso: They say a bell lies under here."]
    told.pick("Say nothing.")
    assert told.lines == ["Orso: There is the bank.", "Here you are, traveler."]
    told.pick("Go back.")
    assert told.lines == ["Orso: The river is high today.", "Orso: Back so soon, traveler?", "Orso: Well?"]
    assert "Take me across." not in told.choices
    told.pick("Find a coin.")
    assert "Take me across." in told.choices


def test_a_node_counts_as_visited_when_it_was_left() -> None:
    told = Player(from_yarn('{visited("Start")} {visited_count("Start")}\n-> on\n    <<jump Start>>'))
    assert told.lines == ["false 0"]
    assert told.pick("on").lines == ["true 1"]
    assert told.pick("on").lines == ["true 2"]


def test_a_detour_comes_back() -> None:
    aside = "title: Aside\n---\nAside.\n<<if $deep>>\n<<return>>\n<<endif>>\nAt its end.\n==="
    told = Player(from_yarn("<<declare $deep = false>>\nBefore.\n<<detour Aside>>\nAfter.", aside))
    assert told.lines == ["Before.", "Aside.", "At its end.", "After."]
    short = Player(from_yarn("<<declare $deep = true>>\nBefore.\n<<detour Aside>>\nAfter.", aside))
    assert short.lines == ["Before.", "Aside.", "After."]


def test_what_is_said_once_is_said_once() -> None:
    body = (
        "<<once>>\nFirst.\n<<else>>\nLater.\n<<endonce>>\nOnly now. <<once>>\n"
        "-> One time <<once>>\n    <<jump Start>>\n-> Any time\n    <<jump Start>>"
    )
    told = Player(from_yarn(body))
    assert (told.lines, told.choices) == (["First.", "Only now."], ["One time", "Any time"])
    told.pick("One time")
    assert (told.lines, told.choices) == (["Later."], ["Any time"])


def test_a_line_group_says_the_most_exact_line_and_then_what_was_said_least() -> None:
    body = (
        "=> Rain again. <<if $rain>>\n=> Hello.\n=> Good day.\n-> on\n    <<jump Start>>\n"
        "-> dry\n    <<set $rain to false>>\n    <<jump Start>>"
    )
    told = Player(from_yarn("<<declare $rain = true>>\n" + body))
    assert told.lines == ["Rain again."]
    first = told.pick("dry").lines[0]
    assert {first, told.pick("on").lines[0]} == {"Hello.", "Good day."}


def test_a_smart_variable_follows_what_it_is_made_of() -> None:
    body = "<<declare $coins = 4>>\n<<declare $rich = $coins > 5>>\n{$rich}\n<<set $coins += 3>>\n{$rich}"
    assert Player(from_yarn(body)).lines == ["false", "true"]


def test_options_none_of_which_is_open_are_passed_over() -> None:
    assert Player(from_yarn("One.\n-> No <<if false>>\n    Never.\nTwo.")).lines == ["One.", "Two."]


def test_gates_read_the_world_and_acts_are_wanted() -> None:
    gate = 'has_item("key") and hour() >= 22'
    story = from_yarn(f'-> Use the key <<if {gate}>>\n    <<give_item item={{fact("npc", "treasure")}}>>\n-> Leave')
    assert Player(story, {("player", "has key"): True}).choices == ["Leave"]
    facts: Facts = {("player", "has key"): True, ("world", "hour"): 23.0, ("npc", "treasure"): "crown"}
    told = Player(story, facts).pick("Use the key")
    assert [(act.action, act.arguments) for act in told.beat.acts] == [("give_item", {"item": "crown"})]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{7 / 2} {7 % 4} {1 + 2 * 3}", "3.5 3 7"),
        ("{true && false} {true xor false} {not false}", "false true true"),
        ('{"a" + "b"} {3 is 3} {2 gte 3} {round(2.6)} {inc(2)} {dec(2.5)}', "ab true false 3 3 2"),
        ("Ann\\: not a name \\{x\\} \\[b\\]", "Ann: not a name {x} [b]"),
        ("Old Ann: hello // a remark", "Old Ann: hello"),
    ],
)
def test_expressions_and_text(text: str, said: str) -> None:
    assert Player(from_yarn(text)).lines == [said]


@pytest.mark.parametrize(
    ("body", "named", "mend"),
    [
        ("<<jump Nowhere>>", ["story.yarn:3", "'Nowhere'"], "Start"),
        ("a\n{$coin}\n<<set $coins to 1>>", ["story.yarn:4", "'$coin'"], "$coins"),
        ("<<wait 2>>", ["story.yarn:3", "'wait'"], ""),
        ("<<if true>>\nx", ["story.yarn:3", "not ended"], "<<endif>>"),
        ("<<endif>>", ["story.yarn:3", "'endif'"], "depth"),
        ("[b]bold[/b]", ["story.yarn:3", "markup"], "\\["),
        ("[[Next]]", ["story.yarn:3", "Yarn 1"], "<<jump"),
        ("<<enum Colors>>", ["story.yarn:3", "'enum'"], "numbers"),
        ("{foo(1)}", ["story.yarn:3", "'foo'"], ""),
        ("{floor()}", ["story.yarn:3", "takes 1"], "many"),
        ('{visited("Nwhere")}', ["story.yarn:3", "'Nwhere'"], "Start"),
        ("->", ["story.yarn:3", "without text"], "says"),
        ("<<give_item>>", ["story.yarn:3", "takes 1 arguments"], "item"),
        ("hi {1 + }", ["story.yarn:3"], ""),
        ("hi <<jump Start>>", ["story.yarn:3", "behind a line"], "<<if"),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_how_to_mend_it(body: str, named: list[str], mend: str) -> None:
    with pytest.raises(Invalid) as caught:
        from_yarn(body)
    assert all(word in caught.value.message for word in named), caught.value.message
    assert caught.value.hint
    assert mend in caught.value.hint


def test_a_node_group_is_refused_and_so_is_a_node_without_an_end() -> None:
    with pytest.raises(Invalid, match="node group"):
        from_yarn("x", "title: A\nwhen: always\n---\nx\n===")
    with pytest.raises(Invalid, match="'===' is missing"):
        from_yarn("x", "title: A\n---\nx")
