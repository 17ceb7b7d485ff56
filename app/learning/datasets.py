"""From recorded ticks and rewards to trajectories: who saw what, did what, and what came of it.

It knows arrays alone: whoever reads files puts records into a `Collector`. Rewards that are no numbers, and NPCs whose
rewards are beyond all others, are left out here and counted. Pure numpy.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Bools = NDArray[np.bool_]

NONE = 255
ABSURD = 1e6
"""A reward so many times the median one (of those that are not 0) is a mistake, not a lesson."""
GAPS = 4
"""An NPC that was silent for longer than so many usual gaps begins a new trajectory."""
NEGLIGIBLE = 1e-12
"""A discount below this ends a sum."""


class LeftOut(msgspec.Struct, kw_only=True):
    """What was not used, by reason."""

    other_schema_rows: int = 0
    broken_rows: int = 0
    """Rows that were not finite, had nothing to choose from, or decided nothing."""
    oldest_rows: int = 0
    """Beyond `rows_max`."""
    repeated_feedback: int = 0
    """Records with a key that an earlier one has."""
    not_finite_rewards: int = 0
    unmatched_rewards: int = 0
    """Rewards of NPCs that were not recorded, or long after their last decision."""
    absurd_npcs: int = 0
    absurd_rows: int = 0


@dataclass(frozen=True, slots=True)
class Plays:
    """N decisions, those of one NPC side by side in the order of time."""

    world: NDArray[np.int32]
    """(N,) index into `worlds`"""
    npc: NDArray[np.uint32]
    """(N,) handles"""
    tick: I64
    obs: F32
    """(N, features)"""
    mask: U8
    """(N, intents), 1 = allowed"""
    intent: U8
    target: U8
    """(N,) slots, NONE where the intent aimed at nothing"""
    confidence: F32
    rung: U8
    """(N,) index into `rungs`"""
    reward: F32
    """(N,) the sum of what was rewarded up to the NPC's next decision"""
    ends: Bools
    """(N,) whether nothing later counts for this decision"""
    trajectory: I64
    """(N,) ascending"""
    worlds: tuple[str, ...]
    rungs: tuple[str, ...]
    rewarded: int
    """Rewards that were joined."""
    left_out: LeftOut

    def __len__(self) -> int:
        return len(self.tick)

    def at(self, rows: Bools) -> Plays:
        """Those decisions alone; whole trajectories, or their ends move."""
        arrays = {name: getattr(self, name)[rows] for name in ARRAYS}
        return replace(self, **arrays)

    @property
    def last(self) -> Bools:
        """(N,) where a trajectory has its last row."""
        return np.append(self.trajectory[1:] != self.trajectory[:-1], [True] if len(self) else []).astype(bool)


ARRAYS = (
    "world", "npc", "tick", "obs", "mask", "intent", "target", "confidence", "rung", "reward", "ends", "trajectory",
)  # fmt: skip
"""The columns of Plays."""


@dataclass(slots=True)
class Collector:
    """Takes records of one schema in the order of time, and keeps the newest `rows_max` decisions."""

    fingerprint: str
    rows_max: int = 4_000_000
    left_out: LeftOut = field(default_factory=LeftOut)
    _ticks: deque[dict[str, NDArray[Any]]] = field(default_factory=deque)
    _rewards: list[tuple[int, int, NDArray[np.uint32], F32, bool]] = field(default_factory=list)
    _worlds: dict[str, int] = field(default_factory=dict)
    _rungs: dict[str, int] = field(default_factory=dict)
    _keys: set[tuple[int, str]] = field(default_factory=set)
    _rows: int = 0

    def tick(
        self, world: str, tick: int, fingerprint: str, *, handles: NDArray[np.uint32], obs: F32, mask: U8, intents: U8,
        targets: U8, confidence: F32, rungs: tuple[str, ...], rung_of: U8, broken: Bools,
    ) -> None:  # fmt: skip
        """Take a tick of n NPCs; rows that are `broken` (n,) or decided nothing teach nothing."""
        if fingerprint != self.fingerprint:
            self.left_out.other_schema_rows += len(handles)
            return
        fine = ~broken & (intents != NONE)
        self.left_out.broken_rows += int(len(fine) - fine.sum())
        number = self._worlds.setdefault(world, len(self._worlds))
        names = np.array([self._rungs.setdefault(rung, len(self._rungs)) for rung in rungs], np.uint8)
        rows = int(fine.sum())
        self._ticks.append(
            {
                "world": np.full(rows, number, np.int32), "npc": handles[fine], "tick": np.full(rows, tick, np.int64),
                "obs": obs[fine], "mask": mask[fine], "intent": intents[fine], "target": targets[fine],
                "confidence": confidence[fine], "rung": names[rung_of[fine]],
            }
        )  # fmt: skip
        self._rows += rows
        while self._rows > self.rows_max and len(self._ticks) > 1:
            gone = len(self._ticks.popleft()["npc"])
            self._rows -= gone
            self.left_out.oldest_rows += gone

    def reward(
        self, world: str, tick: int, *, handles: NDArray[np.uint32], reward: F32, ends: bool, key: str = ""
    ) -> None:
        """Take feedback; a second record with the same key counts for nothing."""
        number = self._worlds.setdefault(world, len(self._worlds))
        if key and (number, key) in self._keys:
            self.left_out.repeated_feedback += 1
            return
        if key:
            self._keys.add((number, key))
        finite = np.isfinite(reward)
        self.left_out.not_finite_rewards += int(len(finite) - finite.sum())
        self._rewards.append((number, tick, handles[finite], reward[finite], ends))

    def plays(self) -> Plays:
        """Everything joined and in order."""
        rows = _in_order(_joined(list(self._ticks)))
        npcs, group = _groups(rows["world"], rows["npc"])
        gap_ticks = _usual_gap(rows["tick"], group) * GAPS
        reward, ends, rewarded = self._join(rows["tick"], npcs, group, gap_ticks)
        absurd = _absurd(reward, group, len(npcs))
        self.left_out.absurd_npcs, self.left_out.absurd_rows = len(np.unique(group[absurd])), int(absurd.sum())
        kept = ~absurd
        rows = {name: array[kept] for name, array in rows.items()}
        group, ends = group[kept], ends[kept]
        begins = np.ones(len(group), np.int64)
        begins[1:] = (group[1:] != group[:-1]) | (np.diff(rows["tick"]) > gap_ticks) | ends[:-1]
        return Plays(
            **rows, reward=reward[kept].astype(np.float32), ends=ends, trajectory=np.cumsum(begins) - 1,
            worlds=tuple(self._worlds), rungs=tuple(self._rungs), rewarded=rewarded, left_out=self.left_out,
        )  # fmt: skip

    def _join(self, ticks: I64, npcs: I64, group: I64, gap_ticks: int) -> tuple[F64, Bools, int]:
        """(N,) what each decision earned, whether it ended a story, and how many rewards found their decision.

        A reward belongs to the NPC's decision of that tick, or else to the last one before it.
        """
        reward, ends, found = np.zeros(len(ticks)), np.zeros(len(ticks), bool), 0
        if not self._rewards:
            return reward, ends, found
        world = np.concatenate([np.full(len(part[2]), part[0], np.int64) for part in self._rewards])
        tick = np.concatenate([np.full(len(part[2]), part[1], np.int64) for part in self._rewards])
        npc = np.concatenate([part[2] for part in self._rewards])
        worth = np.concatenate([part[3] for part in self._rewards]).astype(np.float64)
        over = np.concatenate([np.full(len(part[2]), part[4], bool) for part in self._rewards])
        _, rank = np.unique(np.concatenate([ticks, tick]), return_inverse=True)
        who = _pair(world, npc)
        at_npc = np.searchsorted(npcs, who).clip(0, max(0, len(npcs) - 1))
        known = npcs[at_npc] == who if len(npcs) else np.zeros(len(who), bool)
        own = (group << 32) | rank[: len(ticks)]
        row = np.searchsorted(own, (at_npc << 32) | rank[len(ticks) :], side="right") - 1
        at = row.clip(0)
        fits = known & (row >= 0)
        fits[fits] &= (group[at[fits]] == at_npc[fits]) & (tick[fits] - ticks[at[fits]] <= gap_ticks)
        np.add.at(reward, at[fits], worth[fits])
        ends[at[fits & over]] = True
        self.left_out.unmatched_rewards = int(len(fits) - fits.sum())
        return reward, ends, int(fits.sum())


def _joined(ticks: list[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    if not ticks:
        empty = np.zeros(0)
        names = ("world", "npc", "tick", "intent", "target", "confidence", "rung")
        return {**{name: empty.astype(np.int64) for name in names}, "obs": empty[:, None], "mask": empty[:, None]}
    return {name: np.concatenate([tick[name] for tick in ticks]) for name in ticks[0]}


def _in_order(rows: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Sorted by world, NPC and tick; of an NPC that decided twice in one tick the last decision stays."""
    order = np.lexsort((rows["tick"], rows["npc"], rows["world"]))  # stable: equal ones stay in their order
    keys = [rows[name][order] for name in ("world", "npc", "tick")]
    again = np.all([key[1:] == key[:-1] for key in keys], axis=0)
    order = order[np.append(~again, [True] if len(order) else []).astype(bool)]
    return {name: array[order] for name, array in rows.items()}


def _pair(world: NDArray[Any], npc: NDArray[Any]) -> I64:
    return (world.astype(np.int64) << 32) | npc.astype(np.int64)


def _groups(world: NDArray[Any], npc: NDArray[Any]) -> tuple[I64, I64]:
    """The NPCs, ascending, and the index of each row's (N,)."""
    npcs, group = np.unique(_pair(world, npc), return_inverse=True)
    return npcs, group.astype(np.int64)


def _usual_gap(ticks: I64, group: I64) -> int:
    """The median of the ticks between two decisions of an NPC, at least 1."""
    same = group[1:] == group[:-1]
    return max(1, int(np.median(np.diff(ticks)[same]))) if same.any() else 1


def _absurd(reward: F64, group: I64, npcs: int) -> Bools:
    """(N,) the rows of NPCs that have a reward beyond all measure; what the others earned sets the measure."""
    size = np.abs(reward)
    earned = size[size > 0.0]
    if not len(earned):
        return np.zeros(len(reward), bool)
    beyond = np.zeros(npcs, bool)
    beyond[group[size > ABSURD * np.median(earned)]] = True
    found: Bools = beyond[group]
    return found


def discounted(values: F64, trajectory: I64, discount: float) -> F64:
    """(N,) sums of `values` from each row to the end of its trajectory, by powers of `discount`.

    Sums over 1, 2, 4, … rows are put together, so that no loop runs over rows.
    """
    total, step, factor = values.astype(np.float64), 1, discount
    while step < len(total) and factor > NEGLIGIBLE:
        same = trajectory[step:] == trajectory[:-step]
        if not same.any():
            break
        total[:-step] += factor * np.where(same, total[step:], 0.0)
        step, factor = 2 * step, factor * factor
    return total


def advantages(plays: Plays, values: F64, *, discount: float, trace: float) -> F64:
    """(N,) generalized advantages (Schulman et al. 2016) under `values` (N,) of the states.

    Where a trajectory breaks off without an end its last row only lends its value; its own advantage is 0.
    """
    cut = plays.last & ~plays.ends
    following = np.append(values[1:], 0.0)
    following[plays.ends] = 0.0
    surprise = plays.reward.astype(np.float64) + discount * following - values
    surprise[cut] = 0.0
    return discounted(surprise, plays.trajectory, discount * trace)


def held_out(plays: Plays, share: float, seed: int) -> Bools:
    """(N,) the rows of a share of the trajectories, drawn by who lived them and when, not by what else there is."""
    first = np.flatnonzero(np.append([True] if len(plays) else [], plays.last[:-1]).astype(bool))
    mixed = _pair(plays.world[first], plays.npc[first]).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= (plays.tick[first].astype(np.uint64) + np.uint64(seed)) * np.uint64(0xD1B54A32D192ED03)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    chosen = ((mixed >> np.uint64(40)).astype(np.float64) / float(1 << 24)) < share
    found: Bools = chosen[plays.trajectory]
    return found
