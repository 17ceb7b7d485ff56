"""No file, however it is made, crashes or hangs the server: it is refused, or it plays within its bounds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Error
from app.modules.dialogue.stories import ink, machine, yarn
from app.modules.dialogue.stories.limits import Limits
from app.modules.dialogue.stories.model import Story, encoder, runs
from app.modules.dialogue.stories.view import Table

LIMITS = Limits(steps_max=2_000, text_chars=2_000)
INK = (
    "* ", "+ ", "- ", "-- ", "** ", "->", "-> a", "-> DONE", "-> END", "->->", "-> a ->", "<- a", "== a", "== a(x)",
    "= b", "=== function f(x)", "~ ", "~ x++", "~ x = f(x)", "~ return x", "~ temp t = 1", "VAR x = 1", "CONST c = 2",
    "{", "}", "{x}", "{x: y|z}", "{a|b}", "{&a|b}", "{~a|b}", "{!a}", "{f(1)}", "[", "]", "(l)", "<>", "#", "# t", ":",
    "|", "\\", '"', "\n", "\n", "\n", " ", "word", "x", "1", "%s%", "else:", "- else: ", "stopping:", "/*", "*/", "//",
    "INCLUDE a", "LIST q = a", "EXTERNAL f(x)", "TURNS_SINCE(-> a)", "{x:\n", "{\n- x > 1: y\n}", "((((", "- - - ",
)  # fmt: skip
YARN = (
    "title: A\n---\n", "title: B\n---\n", "===\n", "---", "-> ", "=> ", "    ", "\t", "<<if $x>>", "<<else>>",
    "<<endif>>", "<<elseif true>>", "<<set $x to 1>>", "<<set $x += $x>>", "<<declare $x = 1>>",
    "<<declare $y = $y + $x>>", "{$y}",
    "<<jump A>>", "<<jump B>>", "<<detour A>>", "<<return>>", "<<stop>>", "<<once>>", "<<endonce>>", "<<", ">>",
    "{", "}", "{$x}", "{visited(\"A\")}", "Name: hi",
    "#tag", "\\", "\n", "\n", "\n", "word", "[b]", "//", "<<call dice(6)>>",
    "<<give_item x>>", "when: always\n", "<<if", "1 + ", "(", "#line:1", "$x", "::",
)  # fmt: skip


def compiled(compile_: Callable[..., Story], text: str, place: str, limits: Limits = LIMITS) -> Story | None:
    """The story; None for a text that is refused, by a message of readable length with its place and a hint."""
    refused: Error | None = None
    try:
        return compile_(text, "s", limits=limits)
    except Error as error:
        refused = error
    assert refused.message.startswith(place)
    assert len(refused.message) < 400
    assert refused.hint
    return None


def play(story: Story, picks: list[int]) -> None:
    view = Table({})
    beat = machine.step(story, machine.begin(story, seed=1), view, LIMITS)
    for pick in picks:
        assert len(beat.lines) <= LIMITS.lines_max
        assert len(beat.run.choices) <= LIMITS.choices_max
        assert runs.decode(encoder.encode(beat.run)) == beat.run
        if not beat.run.choices:
            break
        beat = machine.choose(story, beat.run, pick % len(beat.run.choices), view, LIMITS)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(INK), max_size=40).map("".join), st.lists(st.integers(0, 9), max_size=6))
def test_any_ink_is_refused_or_plays(text: str, picks: list[int]) -> None:
    story = compiled(ink.compile, text, "s.ink:")
    if story is not None:
        play(story, picks)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(YARN), max_size=40).map("".join), st.lists(st.integers(0, 9), max_size=6))
def test_any_yarn_is_refused_or_plays(text: str, picks: list[int]) -> None:
    story = compiled(yarn.compile, f"title: A\n---\n{text}\n===", "s.yarn:")
    if story is not None:
        play(story, picks)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_at_all_is_refused_or_plays(text: str) -> None:
    for compile_ in (ink.compile, yarn.compile):
        story = compiled(compile_, text, "s.")
        if story is not None:
            play(story, [0, 0])


ENDLESS = {
    "a loop": "-> a\n== a\nround\n-> a",
    "a tunnel into itself": "-> a ->\n== a\n-> a ->\n->->",
    "threads without end": "<- a\n== a\n<- a\n* [x] -> DONE",
    "a function of itself": "{f(1)}\n=== function f(x)\n~ return f(x + 1)",
    "a fallback to itself": "-> a\n== a\n+ -> a",
    "a growing text": 'VAR t = "ab"\n-> a\n== a\n~ t = t + t\n-> a',
    "a growing number": "VAR n = 9\n-> a\n== a\n~ n = n * n\n-> a",
    "a power": "{POW(9, POW(9, 9))}",
    "division by zero": "{1 / 0} {1 % 0}",
    "many blanks": '-> a\n== a\n{" "}<>\n-> a',
}


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS.keys())
def test_what_does_not_end_stops_at_its_bound_and_says_so(text: str) -> None:
    story = ink.compile(text, "s", limits=LIMITS)
    beat = machine.step(story, machine.begin(story), Table({}), LIMITS)
    assert beat.faults or len(beat.lines) == LIMITS.lines_max
    assert beat.run.over == "done"


LARGE: dict[str, Callable[[], str]] = {
    "deep braces": lambda: "{x:" * 5_000 + "}" * 5_000,
    "deep brackets": lambda: "{" + "(" * 50_000 + ")" * 50_000 + "}",
    "a long sum": lambda: "{" + "1+" * 50_000 + "1}",
    "many negations": lambda: "{" + "not " * 50_000 + "1}",
    "deep choices": lambda: "* " * 50_000 + "x",
    "deep dashes": lambda: "- " * 50_000 + "x",
    "many blanks": lambda: "<<declare $x = 1" + " " * 500_000 + "y>>",
    "a huge number": lambda: "{" + "9" * 100_000 + "}",
    "many signs": lambda: "#" * 200_000,
    "many chevrons": lambda: "<<" * 100_000,
    "many equals": lambda: "=" * 500_000,
    "too many bytes": lambda: "x" * 2_000_000,
    "many knots": lambda: "\n".join(f"== k{number}\n-> k{number + 1}" for number in range(6_000)),
}


@pytest.mark.parametrize("make", LARGE.values(), ids=LARGE.keys())
def test_a_file_too_large_for_anybody_is_refused_in_good_time(make: Callable[[], str]) -> None:
    for compile_, text in ((ink.compile, make()), (yarn.compile, f"title: A\n---\n{make()}\n===")):
        story = compiled(compile_, text, "s.", Limits())
        if story is not None:
            play(story, [0])
