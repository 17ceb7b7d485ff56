"""An encoder's ranking beside that of the words: fused by rank, behind the same filter, gone with its memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.memory import Cue, Recollection
from app.modules.memory.index import Mind, Ranking
from app.modules.memory.index.embedded import Meant, fused, quantized
from tests.modules.memory.index.test_ears import TABLE, cues, held, memories
from tests.modules.memory.index.test_mind import DAY_S, note

DIMENSIONS = 6


def meant(*numbers: float) -> Meant:
    found = quantized(np.array(numbers, np.float32))
    assert found is not None
    return found


def of(text: str) -> Meant:
    """What a text means, for these tests: any numbers, the same for the same text."""
    seed = int.from_bytes(text.encode().ljust(8, b"-")[:8], "little") + len(text)
    return meant(*np.random.default_rng(seed).normal(size=DIMENSIONS))


def recalled(mind: Mind, text: str, sought: Meant | None, **cue: object) -> list[str]:
    asked = Cue(text=text, **cue)  # type: ignore[arg-type]  # test data
    return [memory.id for memory in mind.rank(asked, now_s=0.0, day_s=DAY_S, most=5, meant=sought)]


def test_what_means_the_like_is_recalled_though_no_word_is_shared() -> None:
    mind = Mind()
    mind.add(note("a", "The healer came at dawn."))
    mind.add(note("b", "The miller sold flour."))
    mind.embed("a", meant(1, 0))
    mind.embed("b", meant(0, 1))
    assert recalled(mind, "Who saw a physician?", None) == []
    assert recalled(mind, "Who saw a physician?", meant(1, 0.1)) == ["a"]


def test_a_memory_without_a_vector_is_ranked_by_words_alone() -> None:
    mind = Mind()
    mind.add(note("a", "The healer came at dawn."))
    mind.add(note("late", "A physician is a rare sight."))
    mind.embed("a", meant(1, 0))
    mind.embed("never there", meant(1, 0))
    assert set(recalled(mind, "Who saw a physician?", meant(1, 0))) == {"a", "late"}


def test_pinned_lines_at_hand_and_what_only_others_may_hear_stay_out_of_it() -> None:
    mind = Mind()
    mind.add(note("pinned", "One.", pinned=True))
    mind.add(note("current", "Two.", thread="now"))
    mind.add(note("secret", "Three.", known_by=("ann",)))
    for id in ("pinned", "current", "secret"):
        mind.embed(id, meant(1, 0))
    assert recalled(mind, "x", meant(1, 0), listener="bob", but_thread="now") == []
    assert recalled(mind, "x", meant(1, 0), listener="ann", but_thread="now") == ["secret"]


def test_vectors_outlive_the_writing_anew_of_a_mind_and_go_with_their_memory() -> None:
    mind = Mind()
    for at in range(300):
        mind.add(note(str(at), f"word{at}"))
        mind.embed(str(at), meant(*np.eye(7)[at % 7]))
    mind.remove([str(at) for at in range(300) if at not in (4, 290)])
    assert len(mind.embedded) == 2
    for _ in range(200):  # a mind may write itself anew bit by bit, with each thing that happens to it
        mind.remove(("never there",))
        assert recalled(mind, "x", meant(*np.eye(7)[4])) == ["4"]
    assert recalled(mind, "x", meant(*np.eye(7)[4])) == ["4"]
    assert recalled(mind, "x", meant(*np.eye(7)[3])) == ["290"]
    mind.add(note("4", "another"))
    assert recalled(mind, "x", meant(*np.eye(7)[4])) == []


def test_ranks_are_fused_as_published() -> None:
    one, two, three = (note(id, id) for id in "abc")
    found = fused([one, two], [(three, 0.9), (one, 0.8)], constant=60.0, most=3)
    assert [(memory.id, pytest.approx(memory.score)) for memory in found] == [
        ("a", 1 / 61 + 1 / 62), ("c", 1 / 61), ("b", 1 / 62),
    ]  # fmt: skip
    assert found[0].why["likeness"] == 0.8


@pytest.mark.parametrize("numbers", [[0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_a_vector_without_a_direction_is_none(numbers: list[float]) -> None:
    assert quantized(np.array(numbers, np.float32)) is None


@pytest.mark.parametrize("dimensions", [384, 1_024, 1_536])
def test_a_byte_for_each_number_keeps_the_cosine(dimensions: int) -> None:
    numbers = np.random.default_rng(5)
    one, other = numbers.normal(size=(2, dimensions)).astype(np.float32)
    other = (one + other).astype(np.float32)
    mind = Mind()
    mind.add(note("a", "one"))
    mind.embed("a", meant(*one))
    (found,) = mind.rank(Cue(text="x"), now_s=0.0, day_s=DAY_S, most=1, meant=meant(*other))
    true = float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
    assert found.why["likeness"] == pytest.approx(true, abs=0.01)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(memories, max_size=25),
    st.sets(st.integers(0, 24)),
    st.sets(st.integers(0, 24)),
    cues,
    st.sampled_from((Ranking(), Ranking(likeness_min=-1.0, fused_max=3), Ranking(weighed_rows_max=3))),
)
def test_with_vectors_too_what_a_listener_may_not_know_leaves_no_trace(
    notes: list[dict[str, object]], forgotten: set[int], bare_of: set[int], cue: Cue, ranking: Ranking
) -> None:
    """`bare_of` are memories that have no vector yet."""
    full, bare = Mind(ranking, TABLE), Mind(ranking, TABLE)

    def learn(mind: Mind, memory: Recollection) -> None:
        mind.add(memory)
        if int(memory.id) not in bare_of:
            mind.embed(memory.id, of(memory.text))

    for memory in held(notes):
        learn(full, memory)
        late = memory.until_s is not None and memory.until_s <= 30.0
        told = not memory.known_by or cue.listener in memory.known_by
        if told and not late and int(memory.id) not in forgotten:
            learn(bare, memory)
    full.remove([str(each) for each in forgotten])
    sought = of(cue.text)
    found, wanted = (mind.rank(cue, now_s=30.0, day_s=10.0, most=8, meant=sought) for mind in (full, bare))
    assert found == wanted
    for memory in found:
        assert not memory.known_by or cue.listener in memory.known_by
        assert not memory.pinned
        assert not cue.but_thread or memory.thread != cue.but_thread
