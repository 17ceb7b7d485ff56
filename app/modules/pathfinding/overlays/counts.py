"""What happened where: event counts on tiles of a map, each event counting half after every half life.

It reads the world's events and knows tiles; what a count says about danger is `danger.py`'s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.core.messages import Event
from app.world.events import Happened

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

TILE = 8
"""Cells on a side of a tile."""
SIDE_CELLS_MAX = 16_384
"""Of a map that is counted; the wire carries cells as int16."""
KINDS = ("death", "ambush", "flee", "stuck", "visit")
"""What is counted: the last axis of every count."""
DEATH, AMBUSH, FLEE, STUCK, VISIT = range(5)
HARMS = (DEATH, AMBUSH)
"""Kinds whose last time is kept."""
VERBS = {"died": "death", "killed": "death", "attacked": "ambush", "moved": "visit"}
"""What the game's verbs count as, unless the event's details name an `incident`."""
WEIGHT_MAX = 1_000.0
REBASE = 32.0
"""Half lives after which stored counts are scaled down, long before float32 could overflow."""
GONE = 1e-6
"""Counts below this are dropped at that time."""


class Incident(NamedTuple):
    """One event as it is counted; `agents` is the class it happened to, empty for a danger to all."""

    map: str
    x: float
    y: float
    kind: int
    weight: float
    agents: str


def incidents(event: Event) -> Sequence[Incident]:
    """What an event of the world's log says about its ground: nothing, or one incident.

    It counts when its details tell `map`, `x` and `y` (cells). `incident` in the details names one of KINDS in
    place of what VERBS has for the verb, `weight` (up to WEIGHT_MAX) how often it counts, `agents` the class it
    is about. Details of a wrong type or range are passed over: the log is never refused for them. A game that tells
    one death as both `killed` and `died` gives the place with one of them.
    """
    change = event.change
    if not isinstance(change, Happened):
        return ()
    told = change.details
    name, x, y = told.get("map"), _number(told.get("x")), _number(told.get("y"))
    kind = told.get("incident", VERBS.get(change.verb, ""))
    weight = _number(told.get("weight", 1.0))
    agents = told.get("agents", "")
    if not isinstance(name, str) or x is None or y is None or kind not in KINDS or not isinstance(agents, str):
        return ()
    if weight is None or not 0.0 < weight <= WEIGHT_MAX:
        return ()
    return (Incident(name, x, y, KINDS.index(str(kind)), weight, agents),)


def _number(value: object) -> float | None:
    """A finite number, or None; true and false are none."""
    right = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if right and isinstance(value, int | float) else None


class SavedTally(msgspec.Struct, frozen=True, kw_only=True):
    """A tally at rest: little-endian float32 counts as of `as_of_s`, and when each tile last saw harm."""

    rows: int
    columns: int
    half_life_s: float
    as_of_s: float
    newest_s: float
    counts: bytes
    harmed_s: bytes


class Tally:
    """Counts of one map for one class of agents: (tile rows, tile columns, kinds) float32.

    Time is the world's, in game seconds. An event older than others counts what is left of it; reading at a time
    before the newest event reads at that event, because a world's clock does not run backward.
    """

    def __init__(self, rows: int, columns: int, half_life_s: float) -> None:
        """Nothing has happened on `rows` x `columns` cells. Raises Invalid before anything is allocated."""
        for name, side in (("rows", rows), ("columns", columns)):
            if not 1 <= side <= SIDE_CELLS_MAX:
                raise Invalid(f"the map has {side!r} {name}", hint=f"expected 1 to {SIDE_CELLS_MAX} cells")
        if not (math.isfinite(half_life_s) and half_life_s > 0.0):
            raise Invalid(f"half_life_s is {half_life_s!r}", hint="expected game seconds above 0")
        self.rows, self.columns, self.half_life_s = rows, columns, half_life_s
        self._shape = (tiles(rows), tiles(columns))
        self.forget()

    def forget(self) -> None:
        """Nothing ever happened."""
        self._counts = np.zeros((*self._shape, len(KINDS)), np.float32)
        self._harmed_s = np.full(self._shape, -np.inf, np.float64)
        self._as_of_s = self._newest_s = -math.inf
        self.recorded = 0
        """Calls that counted something since; what was computed from an older number is stale."""

    def record(self, kind: int, x: float, y: float, at_s: float, weight: float = 1.0) -> None:
        """Count one event in cell (x, y); raises Invalid for what is outside the map or no number."""
        self.record_many(kind, np.array([[x, y]], np.float64), at_s, weight)

    def record_many(self, kind: int, cells: NDArray[np.generic], at_s: float, weight: float = 1.0) -> None:
        """Count one event in each of `cells` (n, 2) of x, y; all or, raising Invalid, none."""
        if not 0 <= kind < len(KINDS):
            raise Invalid(f"kind is {kind!r}", hint=f"expected a place in {KINDS!r}")
        if not math.isfinite(at_s) or not 0.0 < weight <= WEIGHT_MAX:
            raise Invalid(f"an event at {at_s!r} s of weight {weight!r}", hint=f"weights lie in (0, {WEIGHT_MAX:g}]")
        places = np.asarray(cells, np.float64)  # (n, 2)
        inside = (places >= 0.0).all(axis=1) & (places[:, 0] < self.columns) & (places[:, 1] < self.rows)
        if not inside.all():
            wrong = tuple(places[int(np.argmin(inside))].tolist())
            raise Invalid(f"cell {wrong!r} is outside the map", hint=f"the map has {self.columns} x {self.rows} cells")
        if len(places) == 0:
            return
        self._advance(at_s)
        at = places.astype(np.int64) // TILE
        scaled = np.float32(weight * 2.0 ** ((at_s - self._as_of_s) / self.half_life_s))
        np.add.at(self._counts[:, :, kind], (at[:, 1], at[:, 0]), scaled)
        if kind in HARMS:
            np.maximum.at(self._harmed_s, (at[:, 1], at[:, 0]), at_s)
        self.recorded += 1

    def walked(self, waypoints: NDArray[np.generic], at_s: float, weight: float = 1.0) -> None:
        """Count a visit of each tile that a path enters; `waypoints` (n, 2), legs straight or diagonal."""
        self.record_many(VISIT, entered(waypoints), at_s, weight)

    def _advance(self, at_s: float) -> None:
        """Store counts as of a later time where the scale would grow too large."""
        if self._as_of_s == -math.inf:
            self._as_of_s = at_s
        ages = (at_s - self._as_of_s) / self.half_life_s
        if ages > REBASE:
            self._counts *= np.float32(2.0**-ages) if ages < 126.0 else np.float32(0.0)
            self._counts[self._counts < GONE] = 0.0
            self._as_of_s = at_s
        self._newest_s = max(self._newest_s, at_s)

    def decayed(self, at_s: float) -> F32:
        """The counts at that time, (tile rows, tile columns, kinds) float32, the caller's own."""
        if self._as_of_s == -math.inf:
            return self._counts.copy()
        ages = (max(at_s, self._newest_s) - self._as_of_s) / self.half_life_s
        return np.asarray(self._counts * np.float32(2.0**-ages), np.float32)

    def since(self, at_s: float) -> F32:
        """Game seconds since each tile last saw harm, (tile rows, tile columns) float32; infinite where none."""
        return np.maximum(at_s - self._harmed_s, 0.0).astype(np.float32)

    def saved(self) -> SavedTally:
        """All of it as plain values."""
        return SavedTally(
            rows=self.rows, columns=self.columns, half_life_s=self.half_life_s,
            as_of_s=self._as_of_s, newest_s=self._newest_s,
            counts=self._counts.astype("<f4").tobytes(), harmed_s=self._harmed_s.astype("<f8").tobytes(),
        )  # fmt: skip


def restored(saved: SavedTally) -> Tally:
    """The tally that was saved; raises Invalid when its arrays are not of its size."""
    tally = Tally(saved.rows, saved.columns, saved.half_life_s)
    shape = (tiles(saved.rows), tiles(saved.columns))
    cells = shape[0] * shape[1]
    if (len(saved.counts), len(saved.harmed_s)) != (4 * cells * len(KINDS), 8 * cells):
        raise Invalid(
            f"a saved tally has {len(saved.counts)!r} bytes of counts", hint=f"expected {4 * cells * len(KINDS)}"
        )
    tally._counts = np.frombuffer(saved.counts, "<f4").reshape(*shape, len(KINDS)).astype(np.float32)
    tally._harmed_s = np.frombuffer(saved.harmed_s, "<f8").reshape(shape).astype(np.float64)
    tally._as_of_s, tally._newest_s = saved.as_of_s, saved.newest_s
    tally.recorded = int(saved.newest_s > -math.inf)
    return tally


def tiles(cells: int) -> int:
    """Tiles that cover a side of so many cells."""
    return -(-cells // TILE)


def entered(waypoints: NDArray[np.generic]) -> NDArray[np.int64]:
    """The first cell in each tile that a path goes through, in order, (entered, 2) of x, y.

    `waypoints` (n, 2) are corners; between two of them the path goes straight or diagonally.
    """
    corners = np.asarray(waypoints).astype(np.int64).reshape(-1, 2)
    if len(corners) == 0:
        return corners
    legs = np.diff(corners, axis=0)  # (n - 1, 2)
    steps = np.abs(legs).max(axis=1, initial=0)
    moves = np.repeat(np.sign(legs), steps, axis=0)  # (steps, 2)
    cells = np.concatenate([corners[:1], corners[0] + np.cumsum(moves, axis=0)])
    at = cells // TILE
    new = np.concatenate([[True], (at[1:] != at[:-1]).any(axis=1)])
    return np.asarray(cells[new], np.int64)
