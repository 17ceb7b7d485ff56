"""History: whole files, once each row, and reads that never see the future."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Conflict, Invalid, NotFound
from app.core.messages import Event
from app.stores.features.history import History, day_of, folder_of
from app.stores.features.pointintime import join
from app.world.events import Happened
from tests.stores.features import stage
from tests.stores.features.stage import DAY_MS, PEOPLE

Label = tuple[str, float, int]
_labels = st.lists(
    st.tuples(st.sampled_from([*stage.EVERYONE, "nobody"]), stage.moments, st.integers(0, 40)), min_size=1, max_size=20
)


def written(folder: Path, events: Sequence[Event]) -> History:
    history = History(folder, PEOPLE)
    history.lock()
    history.append(stage.history_rows(PEOPLE, events))
    history.unlock()
    return history


def labels_table(labels: Sequence[Label]) -> pa.Table:
    ids, at_s, seqs = ([label[i] for label in labels] for i in range(3))
    return pa.table({"kind": [stage.kind_of(id) for id in ids], "entity": ids, "at_s": at_s, "seq": seqs})


def visible(events: Sequence[Event], at_s: float, seq: int) -> list[Event]:
    """The events that were known before (at_s, seq), by the rule of pointintime.py."""
    known, clock_s = [], 0.0
    for event in events:
        clock_s = max(clock_s, event.game_s)
        if (clock_s, event.seq) < (at_s, seq):
            known.append(event)
    return known


@settings(max_examples=40, deadline=None)
@given(stage.logs(), _labels)
def test_a_point_in_time_read_equals_a_world_that_ended_there(log: list[Event], labels: list[Label]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        history = written(Path(folder), log)
        seqs, vectors = join(PEOPLE, history.files(), labels_table(labels))
    for (id, at_s, seq), row_seq, vector in zip(labels, seqs, vectors, strict=True):
        before = visible(log, at_s, seq)
        expected = stage.twin(PEOPLE, stage.PEOPLE_FEATURES, before, id, at_s)
        np.testing.assert_array_equal(vector, expected, err_msg=f"{id} at ({at_s}, {seq})")
        assert row_seq <= (before[-1].seq if before else 0)


def test_at_equal_seconds_a_label_sees_only_what_was_logged_before_it(tmp_path: Path) -> None:
    talk = Happened(verb="talked", actor="ann")
    log = stage.events_of([(stage.arrive("ann"), 1.0), (talk, 5.0), (talk, 5.0), (talk, 5.0)])
    labels = labels_table([("ann", 5.0, 0), ("ann", 5.0, 2), ("ann", 5.0, 3), ("ann", 5.0, 4), ("ann", 6.0, 0)])
    seqs, vectors = join(PEOPLE, written(tmp_path, log).files(), labels)
    assert list(seqs) == [1, 1, 2, 3, 4]
    assert list(vectors[:, PEOPLE.names.index("talks")]) == [0.0, 0.0, 1.0, 2.0, 3.0]


def test_a_label_without_a_seq_sees_only_earlier_seconds(tmp_path: Path) -> None:
    log = stage.events_of([(stage.arrive("ann"), 1.0), (Happened(verb="talked", actor="ann"), 5.0)])
    labels = labels_table([("ann", 5.0, 9)]).drop_columns(["seq"])
    seqs, _vectors = join(PEOPLE, written(tmp_path, log).files(), labels)
    assert list(seqs) == [1]


def test_rows_lie_in_files_of_their_day_in_order_of_seq(tmp_path: Path) -> None:
    log = stage.events_of([(stage.arrive(id), 0.0) for id in stage.EVERYONE], wall_step_ms=DAY_MS // 2)
    history = written(tmp_path, log)
    found = [(path.parent.name, path.stem) for path in history.files()]
    assert found == [
        ("1970-01-01", "000000000001-000000000001"),
        ("1970-01-02", "000000000002-000000000003"),
        ("1970-01-03", "000000000004-000000000004"),
    ]
    assert day_of(0) == "1970-01-01"


def test_a_row_that_is_written_already_is_not_written_again(tmp_path: Path) -> None:
    log = stage.events_of([(stage.arrive("ann"), float(i)) for i in range(10)])
    rows = stage.history_rows(PEOPLE, log)
    history = written(tmp_path, log[:4])
    history.append(rows)
    history.append(rows)
    seqs = [seq for path in history.files() for seq in pq.read_table(path).column("seq").to_pylist()]
    assert seqs == list(range(1, 11))
    assert history.through() == 10


def test_a_file_that_a_kill_left_half_written_is_removed_and_never_read(tmp_path: Path) -> None:
    history = written(tmp_path, stage.events_of([(stage.arrive("ann"), 0.0)]))
    torn = tmp_path / "1970-01-01" / "000000000002-000000000009.part"
    torn.write_bytes(b"PAR1")
    assert history.through() == 1
    history.lock()
    history.unlock()
    assert not torn.exists()


def test_two_writers_of_one_history_cannot_be(tmp_path: Path) -> None:
    first, second = History(tmp_path, PEOPLE), History(tmp_path, PEOPLE)
    first.lock()
    with pytest.raises(Conflict, match="another process"):
        second.lock()
    first.unlock()
    second.lock()
    second.unlock()


@pytest.mark.parametrize("id", ["..", "a/b", "with space", "Ünï=+%", "x" * 128, "𝔘" * 128, "CON?*[x]{y}"])
def test_any_id_is_one_folder_below_the_root(tmp_path: Path, id: str) -> None:
    folder = folder_of(tmp_path, id, id, PEOPLE)
    folder.mkdir(parents=True)
    assert folder.resolve().parent.parent.parent == (tmp_path / "features").resolve()
    history = written(folder, stage.events_of([(stage.arrive("ann"), 0.0)]))
    seqs, _vectors = join(PEOPLE, history.files(), labels_table([("ann", 1.0, 0)]))
    assert list(seqs) == [1]


def test_long_ids_that_begin_alike_lie_apart(tmp_path: Path) -> None:
    ids = ["𝔘" * 100, "𝔘" * 101]
    assert len({folder_of(tmp_path, "t", id, PEOPLE) for id in ids}) == 2


def test_the_same_rows_give_the_same_file(tmp_path: Path) -> None:
    log = stage.events_of([(stage.arrive("ann"), 0.0)])
    one, two = (written(tmp_path / name, log).files()[0].read_bytes() for name in ("a", "b"))
    assert one == two


def test_a_read_without_history_or_columns_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as missing:
        join(PEOPLE, [], labels_table([("ann", 1.0, 0)]))
    assert "materialize" in missing.value.hint
    with pytest.raises(Invalid, match="lack entity, at_s"):
        join(PEOPLE, [], pa.table({"kind": ["npc"]}))
