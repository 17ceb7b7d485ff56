"""The history of a view in Parquet: every vector as each event left it, files per world and day, only appended.

Rows of a world are in the order of seq, and so is `at_s`, since both come from the world's clock as it was
known then. It knows files; what a row means is the view's. pyarrow is imported when rows are written or read.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Conflict, Invalid, StoreDown
from app.core.ids import stable_hash
from app.stores.features.view import View

if TYPE_CHECKING:
    import pyarrow as pa

NAME_CHARACTERS_MAX = 120
"""An id longer than this in a path is cut and marked with its hash; file systems allow 255."""
KEYS = ("kind", "entity", "seq", "at_s", "wall_ms", "event_id", "present")


class Row(NamedTuple):
    """An entity's slots (slots,) float32 after an event; `at_s` is the world's clock then."""

    kind: str
    entity: str
    seq: int
    at_s: float
    wall_ms: int
    event_id: str
    present: bool
    slots: NDArray[np.float32]


class History:
    """The files of one world and view, with one writer at a time."""

    def __init__(self, folder: Path, view: View) -> None:
        self.folder = folder
        self._view = view
        self._lock: IO[bytes] | None = None

    def files(self) -> list[Path]:
        """Every finished file, oldest rows first."""
        return sorted(self.folder.glob("????-??-??/*-*.parquet"), key=lambda path: path.name)

    def span(self, path: Path) -> tuple[int, int]:
        """The seqs of a file's first and last row."""
        first, _, last = path.stem.partition("-")
        return int(first), int(last)

    def through(self) -> int:
        """The seq of the newest row that is written; 0 when there is none."""
        return max((self.span(path)[1] for path in self.files()), default=0)

    def lock(self) -> None:
        """Become the writer until `unlock`; raises Conflict while another process is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = (self.folder / "writer.lock").open("ab")
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                handle.close()
                raise Conflict(
                    f"another process writes the features in {str(self.folder)!r}", hint="stop that server first"
                ) from error
        self._lock = handle
        for left in self.folder.glob("????-??-??/*.part"):
            left.unlink()

    def unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def append(self, rows: Sequence[Row]) -> None:
        """Write rows that follow the last ones; every file is whole and synced before it has its name.

        Raises StoreDown when the disk fails; what was written until then stays and is not written again.
        """
        rows = [row for row in rows if row.seq > self.through()]
        try:
            for day, group in groupby(rows, key=lambda row: day_of(row.wall_ms)):
                self._write(self.folder / day, list(group))
        except OSError as error:
            raise StoreDown(f"features in {str(self.folder)!r}: {error}", hint="free disk space") from error

    def clear(self) -> None:
        """Remove every file; the log can make them again."""
        for path in self.files():
            path.unlink()

    def _write(self, folder: Path, rows: list[Row]) -> None:
        import pyarrow.parquet as pq

        folder.mkdir(exist_ok=True)
        name = f"{rows[0].seq:012d}-{rows[-1].seq:012d}"
        part, final = folder / f"{name}.part", folder / f"{name}.parquet"
        with part.open("wb") as file:
            pq.write_table(table_of(rows, self._view), file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        part.rename(final)


def folder_of(root: Path, tenant: str, world: str, view: View) -> Path:
    """Where a world's vectors of this very version of the view lie."""
    return root / "features" / _name(tenant) / _name(world) / f"{view.name}-{view.fingerprint:016x}"


def day_of(wall_ms: int) -> str:
    """The UTC day of a moment, as in 2026-11-21."""
    return datetime.fromtimestamp(wall_ms / 1000.0, UTC).date().isoformat()


def table_of(rows: Sequence[Row], view: View) -> pa.Table:
    """The rows as an Arrow table: the keys, then one float32 column a slot."""
    import pyarrow as pa

    slots = np.stack([row.slots for row in rows])  # (rows, slots) float32
    kinds = (pa.string(), pa.string(), pa.int64(), pa.float64(), pa.int64(), pa.string(), pa.bool_())
    keys = {
        name: pa.array([row[i] for row in rows], kind) for i, (name, kind) in enumerate(zip(KEYS, kinds, strict=True))
    }
    values = {name: pa.array(np.ascontiguousarray(slots[:, i])) for i, name in enumerate(view.slot_names)}
    schema = {"innkeeper.view": view.name, "innkeeper.fingerprint": f"{view.fingerprint:016x}"}
    return pa.table({**keys, **values}).replace_schema_metadata(schema)


def require(module: str) -> None:
    """Raise Invalid when the extra that brings `module` is not installed."""
    from importlib.util import find_spec

    extra = "spark" if module == "pyspark" else "features"
    if find_spec(module) is None:
        raise Invalid(f"the package {module!r} is not installed", hint=f"uv sync --extra {extra}")


def worlds_in(root: Path, view: View) -> Iterator[Path]:
    """The folders of every world that has files of this view."""
    yield from sorted((root / "features").glob(f"*/*/{view.name}-{view.fingerprint:016x}"))


def _name(id: str) -> str:
    """An id as a folder's name. Quoting never writes '+', so a cut id cannot be mistaken for a whole one."""
    quoted = quote(id, safe=" ").replace(".", "%2E")
    return quoted if len(quoted) <= NAME_CHARACTERS_MAX else f"{quoted[:80]}+{stable_hash(id):016x}"
