"""What was asked in other words: found, refused, measured, and said only where the measure allows it."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.words import Completion, Trace
from app.engines.responses.cache import Responses
from app.engines.responses.semantic.index import Index, Row
from app.engines.responses.semantic.trials import Trials, same_answer
from app.engines.responses.semantic.vectors import COLUMNS, Hashed
from app.engines.responses.semantic.verifier import differs
from tests.engines.responses.kept import Writer, ask, cache_over, limits, said

THINGS = ("miller", "smith", "hunter", "bishop", "fiddler", "tanner", "potter", "weaver", "fisher", "cooper", "mason")
PAIRS = [
    (f"Have you seen the {thing} here lately", f"Have you seen the {thing} here lately, please") for thing in THINGS
]
"""Inputs that differ in a word that changes nothing."""


def nobody(_text: str) -> tuple[str, ...]:
    return ()


def steady(completion: Completion, _number: int) -> str:
    """A model that answers the same in other words with the same."""
    assert completion.keep is not None
    return f"No sign of the {completion.keep.said.split()[4]} since yesterday."


def fickle(_completion: Completion, number: int) -> str:
    """A model whose every answer is about something else."""
    return " ".join(f"{word}{number * 7919 % 1000}" for word in ("alder", "brook", "cinder", "dale", "elm"))


async def play(cache: Responses, pairs: int = len(PAIRS), *, tenant: str = "studio") -> None:
    for one, other in PAIRS[:pairs]:
        await said(cache, ask(one, tenant=tenant))
        await said(cache, ask(other, player="p2", tenant=tenant))


# The verifier


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        ("I want 3 loaves", "I want 4 loaves", "numbers"),
        ("I want three loaves", "I want four loaves", "numbers"),
        ("Where is Mira now?", "Where is Borin now?", "names"),
        ("Did Mira hit Borin?", "Did Borin hit Mira?", "names"),
        ("tell me of Valdris please", "tell me of Kestrel please", "capitals"),
        ("I did take the ring", "I did not take the ring", "negation"),
        ("You don't know him", "You know him", "negation"),
        ("Ich habe Geld", "Ich habe kein Geld", "negation"),
        ("Where is the mill?", "When is the mill?", "question"),
        ("The mill is open", "The mill is open?", "question"),
        ("the word is 'mellon' they say", "the word is 'melon' they say", "quotes"),
        ("Will you buy a sword", "Will you sell a sword", "opposites"),
        ("Is the gate open", "Is the gate closed", "opposites"),
        ("Have you seen the smith lately", "Have you seen the miller lately", "words"),
        ("Have you seen the smith lately", "have you seen the smiths lately, please", ""),
    ],
)
def test_the_verifier_refuses_small_differences_that_are_large(one: str, other: str, why: str) -> None:
    people = {"Mira": "mira", "Borin": "borin"}

    def names(text: str) -> tuple[str, ...]:
        return tuple(people[word.strip("?.,")] for word in text.split() if word.strip("?.,") in people)

    assert differs(one, other, names) == differs(other, one, names) == why


@given(st.text(max_size=60))
def test_a_text_differs_from_itself_in_nothing(text: str) -> None:
    assert differs(text, text, nobody) == ""


@given(st.text("abcde fgh?!.,", max_size=50), st.integers(0, 10**6), st.integers(0, 10**6))
def test_numbers_never_pass_for_one_another(text: str, one: int, other: int) -> None:
    assert (differs(f"{text} {one}", f"{text} {other}", nobody) == "") == (one == other)


# Vectors and the index


@settings(max_examples=100)
@given(st.text(max_size=100))
def test_vectors_have_one_length_and_texts_are_most_like_themselves(text: str) -> None:
    vector = Hashed().vector(text)
    assert vector.shape == (COLUMNS,)
    assert vector.dtype == np.float32
    length = float(np.linalg.norm(vector))
    assert length == pytest.approx(1.0, abs=1e-5) or length == 0.0


def test_the_same_in_other_words_is_nearer_than_something_else() -> None:
    vector = Hashed().vector
    question = vector("Where can I find the blacksmith?")
    assert question @ vector("where could I find a blacksmith") > 0.6
    assert question @ vector("Tell me about the old war.") < 0.3


def test_the_index_is_bounded_and_forgets_a_player() -> None:
    index = Index(key_rows_max=3, rows_max=8)
    for key in range(5):
        for number in range(4):
            index.add("studio", f"k{key}", Row("said", f"p{number}", f"{key}-{number}", np.ones(4, np.float32)))
    assert len(index) <= 8
    index.forget("studio", "p3")
    rows = [row for key in range(5) for row in index.nearest("studio", f"k{key}", np.ones(4, np.float32), 0.0)]
    assert rows
    assert all(row.player != "p3" for row in rows)
    assert len(index) == len(rows)


# Shadow and serving


@pytest.mark.parametrize("mode", ["shadow", "off"])
@pytest.mark.parametrize("write", [steady, fickle])
async def test_in_shadow_nothing_is_ever_said_for_other_words(mode: str, write: object) -> None:
    """However good the measure is: every input is written by the model."""
    writer = Writer(write=write)  # type: ignore[arg-type]  # a function of the two
    cache = cache_over(
        writer, semantic_mode=mode, semantic_shadow_min=1, semantic_false_hits_max=1.0, semantic_likeness_min=0.0
    )
    await play(cache)
    assert len(writer.asked) == 2 * len(PAIRS)
    measured = cache.counts("studio").tasks
    assert bool(measured) == (mode == "shadow")
    assert not any(task.serving for task in measured)


async def test_the_shadow_counts_true_and_false_hits_by_the_rule() -> None:
    told: list[str] = []
    cache = cache_over(Writer(write=steady), told=told)
    await play(cache)
    (measured,) = cache.counts("studio").tasks
    assert (measured.true_hits, measured.false_hits) == (len(PAIRS), 0)
    assert told.count("shadow_true") == len(PAIRS)
    cache = cache_over(Writer(write=fickle))
    await play(cache)
    (measured,) = cache.counts("studio").tasks
    assert (measured.true_hits, measured.false_hits) == (0, len(PAIRS))


async def test_serving_begins_after_enough_comparisons_and_says_that_it_is_a_hit() -> None:
    writer, trace = Writer(write=steady), Trace()
    cache = cache_over(writer, semantic_mode="serve", semantic_shadow_min=8, semantic_recheck_share=0.0)
    await play(cache, 8)
    assert len(writer.asked) == 16
    one, other = PAIRS[8]
    first = await said(cache, ask(one))
    assert await said(cache, ask(other, player="p2", trace=trace)) == first
    assert len(writer.asked) == 17
    assert (trace.cache, trace.engine) == ("hit", "writer")
    assert cache.counts("studio").hits == 1


async def test_one_tenant_s_measure_lets_nothing_be_said_to_another() -> None:
    writer = Writer(write=steady)
    cache = cache_over(writer, semantic_mode="serve", semantic_shadow_min=8, semantic_recheck_share=0.0)
    await play(cache, 8)
    await play(cache, 8, tenant="rival")
    assert len(writer.asked) == 32


async def test_too_many_false_hits_let_it_fall_back_into_the_shadow_by_itself() -> None:
    writer = Writer(write=steady)
    cache = cache_over(
        writer, semantic_mode="serve", semantic_shadow_min=4, semantic_false_hits_max=0.2, semantic_recheck_share=1.0
    )
    await play(cache, 6)
    assert cache.counts("studio").tasks[0].serving
    writer.write = fickle
    await play(cache)
    (measured,) = cache.counts("studio").tasks
    assert measured.false_hits > 0
    assert not measured.serving


async def test_part_of_what_could_be_said_is_written_anew_and_compared() -> None:
    trials = Trials(limits(semantic_mode="serve", semantic_recheck_share=0.25).semantic)
    assert sum(trials.rechecks() for _ in range(400)) == 100


@settings(max_examples=200)
@given(st.lists(st.booleans(), max_size=60), st.integers(1, 30), st.floats(0.0, 1.0))
def test_serving_needs_the_measure_whatever_the_order(seen: list[bool], least: int, share: float) -> None:
    shipped = limits(semantic_mode="serve", semantic_shadow_min=least, semantic_false_hits_max=share).semantic
    trials = Trials(shipped)
    for right in seen:
        trials.note("studio", "task", right=right)
    allowed = len(seen) >= least and seen.count(False) <= share * len(seen)
    assert trials.may_serve("studio", "task") == allowed
    shadow = Trials(msgspec.structs.replace(shipped, mode="shadow"))
    for right in seen:
        shadow.note("studio", "task", right=right)
    assert not shadow.may_serve("studio", "task")


def test_the_rule_takes_no_answer_for_another_that_differs_in_a_number() -> None:
    same = same_answer("It costs 3 coins, friend.", "It costs 4 coins, friend.", Hashed(), nobody, 0.5)
    assert not same
    assert same_answer("It costs 3 coins, friend.", "it costs 3 coins, friend", Hashed(), nobody, 0.99)


async def test_a_purged_line_is_no_guess() -> None:
    writer = Writer(write=steady)
    cache = cache_over(
        writer, semantic_mode="serve", semantic_shadow_min=1, semantic_false_hits_max=1.0, semantic_recheck_share=0.0
    )
    await play(cache, 2)
    one, other = PAIRS[5]
    await said(cache, ask(one))
    cache.purge("studio", "vale", "npc:mira")
    asked = len(writer.asked)
    await said(cache, ask(other, player="p2"))
    assert len(writer.asked) == asked + 1
