"""Vectors as they were known at given moments, for training: never a value from the future.

A label names an entity, a game second `at_s` and, where it came from an event, that event's `seq`. It sees
the newest row with (row.at_s, row.seq) < (label.at_s, label.seq), compared as a pair: at the same second,
only what was logged before the label's own event. A label without a seq (0) sees only earlier seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, NotFound
from app.stores.features.view import View

if TYPE_CHECKING:
    import pyarrow as pa

LABEL_COLUMNS = ("kind", "entity", "at_s", "seq")
SQL = """
SELECT labels.place, history.seq AS row_seq, history.present, history.at_s AS row_at_s, {slots}
FROM labels ASOF LEFT JOIN history
  ON labels.kind = history.kind AND labels.entity = history.entity
  AND row(labels.at_s, labels.seq) > row(history.at_s, history.seq)
ORDER BY labels.place
"""
"""DuckDB's ASOF join takes one inequality; a pair makes equal seconds one question with an answer."""


def join(view: View, files: Sequence[Path], labels: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(row seqs (labels,), features (labels, features) float32) in the labels' order.

    A seq is 0, and the vector NaN, where the entity was not there yet or is gone. Raises Invalid for labels
    without the columns kind, entity and at_s, NotFound when there is no history.
    """
    import duckdb
    import pyarrow as pa

    lacking = [name for name in LABEL_COLUMNS[:3] if name not in labels.column_names]
    if lacking:
        raise Invalid(f"the labels lack {', '.join(lacking)}", hint=f"columns: {', '.join(LABEL_COLUMNS)}")
    if not files:
        raise NotFound(f"no history of {view.name!r}", hint="write it with manage.py features materialize")
    count = labels.num_rows
    seqs = labels.column("seq") if "seq" in labels.column_names else pa.array(np.zeros(count, np.int64))
    placed = pa.table(
        {
            "place": pa.array(np.arange(count)),
            "kind": labels.column("kind"),
            "entity": labels.column("entity"),
            "at_s": labels.column("at_s").cast(pa.float64()),
            "seq": seqs,
        }
    )
    slots = ", ".join(f'history."{name}"' for name in view.slot_names)
    with duckdb.connect() as connection:
        connection.register("labels", placed)
        connection.read_parquet([str(path) for path in files], hive_partitioning=False).create_view("history")
        found = connection.sql(SQL.format(slots=slots)).to_arrow_table()
    return _finished(view, found, np.asarray(placed.column("at_s")))


def _finished(view: View, found: pa.Table, now_s: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    slots = np.column_stack([_numbers(found, name) for name in view.slot_names]).astype(np.float32)  # (labels, slots)
    at_s = np.where(np.asarray(found.column("present").fill_null(False)), _numbers(found, "row_at_s"), np.nan)
    return np.asarray(found.column("row_seq").fill_null(0)), view.finish(slots, at_s, now_s)


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    return np.asarray(table.column(name).cast("float64").fill_null(0.0))
