"""To a listener, a mind that holds secrets is the mind that never held them."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Broken
from app.core.memory import Cue, Recollection
from app.modules.memory.index import Mind, Ranking, Words
from app.modules.memory.index.vectors import decoded, encoded

WORDS = ("gold", "wolf", "bridge", "miller", "flour", "Ann", "Bob", "yesterday", "storm", "secret?", "I", "silver")
EARS = ("ann", "bob", "cid", "npc")


def table() -> Words:
    rows = np.random.default_rng(3).normal(size=(len(WORDS), 8)).astype(np.float32)
    rows[0] = rows[-1] + 0.1 * rows[1]  # gold is like silver
    return decoded(encoded([word.lower() for word in WORDS], rows))


TABLE = table()
memories = st.builds(
    dict,
    text=st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join),
    speaker=st.sampled_from(("", "ann", "bob")),
    known_by=st.lists(st.sampled_from(EARS), max_size=2).map(tuple),
    thread=st.sampled_from(("", "t1", "t2")),
    place=st.sampled_from(("", "mill")),
    importance=st.floats(0, 1, width=32),
    pinned=st.booleans(),
    until_s=st.sampled_from((None, 5.0, 500.0)),
)
cues = st.builds(
    Cue,
    text=st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join),
    listener=st.sampled_from(("ann", "bob", "stranger")),
    place=st.sampled_from(("", "mill")),
    but_thread=st.sampled_from(("", "t2")),
)
weighed = st.sampled_from((Ranking(), Ranking(weighed_rows_max=3, kin_likeness_min=0.1)))


def held(notes: list[dict[str, object]]) -> list[Recollection]:
    return [
        Recollection(id=str(at), seq=at, source="witnessed", game_s=float(at), **note)  # type: ignore[arg-type]  # drawn
        for at, note in enumerate(notes)
    ]


@settings(max_examples=300, deadline=None)
@given(st.lists(memories, max_size=25), st.sets(st.integers(0, 24)), cues, weighed)
def test_what_a_listener_may_not_know_leaves_no_trace(
    notes: list[dict[str, object]], forgotten: set[int], cue: Cue, ranking: Ranking
) -> None:
    full, bare = Mind(ranking, TABLE), Mind(ranking, TABLE)
    for memory in held(notes):
        full.add(memory)
        late = memory.until_s is not None and memory.until_s <= 30.0
        told = not memory.known_by or cue.listener in memory.known_by
        if told and not late and int(memory.id) not in forgotten:
            bare.add(memory)
    full.remove([str(each) for each in forgotten])
    found, wanted = (mind.rank(cue, now_s=30.0, day_s=10.0, most=8) for mind in (full, bare))
    assert found == wanted
    for memory in found:
        assert not memory.known_by or cue.listener in memory.known_by
        assert not memory.pinned
        assert not cue.but_thread or memory.thread != cue.but_thread


def test_a_table_of_words_is_read_as_it_was_written_and_a_damaged_one_is_refused() -> None:
    assert "gold" in TABLE
    assert "silver" in TABLE.kin("gold", likeness_min=0.5, most=3)[0]
    damaged = b"X" + encoded(["a"], np.ones((1, 2), np.float32))[1:]
    for data in (damaged, damaged[:5], struct.pack("<8sIII", b"INKWORDS", 9, 9, 9)):
        with pytest.raises(Broken, match="no table of words"):
            decoded(data)
