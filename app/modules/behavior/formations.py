"""Where the members of a squad belong around their leader, and who takes which place.

Pure: a squad and numbers in, slots and places out. x is ahead of the leader and y to its left, in cells. It does not
know maps: a place may lie in a wall, and a path finds the way around.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from app.world.entities import Formation, Squad

F64 = NDArray[np.float64]
EXACT_MAX = 8
"""Members up to which the shortest ways are found exactly (Held and Karp's dynamic program, over sets)."""
ROUNDS_MAX = 64
"""Rounds of exchanges for more of them; each shortens the ways, and few are ever needed."""


def offsets(formation: Formation, members: int, spacing_cells: float) -> F64:
    """The places of `members` slots (members, 2) in the leader's frame; slot 0 is the leader's, at (0, 0)."""
    number = np.arange(1, members)
    rank, side = (number + 1) // 2, np.where(number % 2 == 1, 1.0, -1.0)
    if formation == "line":
        rest = np.stack([0.0 * number, side * rank], axis=1)
    elif formation == "wedge":
        rest = np.stack([-1.0 * rank, side * rank], axis=1)
    elif formation == "column":
        rest = np.stack([-1.0 * number, 0.0 * number], axis=1)
    elif formation == "circle":
        radius = max(1.0, (members - 1) / math.tau)
        angle = (number - 1) * (math.tau / max(1, members - 1))
        rest = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    else:
        rest = _box(members)[1:]
    return np.asarray(np.concatenate([np.zeros((1, 2)), rest]) * spacing_cells, np.float64)


def _box(members: int) -> F64:
    """Rows abreast behind each other, the leader in the middle of the first."""
    width = math.ceil(math.sqrt(members))
    abreast = np.arange(width)
    sides = ((abreast + 1) // 2) * np.where(abreast % 2 == 1, 1.0, -1.0)
    number = np.arange(members)
    return np.stack([-1.0 * (number // width), sides[number % width]], axis=1)


def seats(squad: Squad, fallen: Collection[str]) -> dict[str, int]:
    """Living member -> slot. Slots are dealt by role and order to all members, the fallen too; then gaps are filled.

    So when one falls, only the member of the last slot moves, into the gap.
    """
    dealt = _deal(squad)
    living = {member: slot for member, slot in dealt.items() if member not in fallen}
    by_slot = {slot: member for member, slot in living.items()}
    for gap in range(1, len(living)):
        last = max(by_slot)
        if gap not in by_slot and last > gap:
            by_slot[gap] = by_slot.pop(last)
    if 0 not in by_slot and by_slot:  # A squad without its leader forms around the first member that is left.
        by_slot[0] = by_slot.pop(max(by_slot))
    return {member: slot for slot, member in sorted(by_slot.items())}


def _deal(squad: Squad) -> dict[str, int]:
    """Member -> slot for the whole squad: tanks ahead, flanks outside, support behind, the rest in their order."""
    lead = squad.leader or squad.members[0]
    places = offsets(squad.formation, len(squad.members), 1.0)
    free = list(range(1, len(squad.members)))
    wishes = {
        "tank": lambda slot: (-places[slot, 0], slot),
        "flank": lambda slot: (-abs(places[slot, 1]), slot),
        "support": lambda slot: (places[slot, 0], slot),
    }
    dealt = {lead: 0}
    for role in ("tank", "support", "flank", ""):
        for member in squad.members:
            cast = squad.roles.get(member, "")
            if member not in dealt and (cast if cast in wishes else "") == role:
                slot = min(free, key=wishes[role]) if role else free[0]
                free.remove(slot)
                dealt[member] = slot
    return dealt


def placed(places: F64, x: float, y: float, heading_rad: float) -> F64:
    """Places of a frame (n, 2) on the map, for a leader there who faces `heading_rad`."""
    cos, sin = math.cos(heading_rad), math.sin(heading_rad)
    turn = np.array([[cos, sin], [-sin, cos]])
    return np.asarray(places @ turn + (x, y), np.float64)


def by_way(stand: F64, goals: F64) -> list[int]:
    """Which goal each takes (n,), so that the straight ways are shortest in all and therefore do not cross.

    `stand`, `goals` (n, 2). Exact for few; for more, in the order of angles around the middle and then exchanged in
    pairs until no exchange shortens: two ways that cross are always longer than the same two exchanged.
    """
    gaps = np.hypot(stand[:, None, 0] - goals[None, :, 0], stand[:, None, 1] - goals[None, :, 1])
    return _exact(gaps) if len(stand) <= EXACT_MAX else _exchanged(_around(stand, goals), gaps)


def _exact(gaps: F64) -> list[int]:
    """The assignment of least sum, over sets of taken goals."""
    count = len(gaps)
    best: list[tuple[float, tuple[int, ...]]] = [(math.inf, ())] * (1 << count)
    best[0] = (0.0, ())
    for taken in range(1 << count):
        cost, chosen = best[taken]
        if len(chosen) == count:
            continue
        for goal in range(count):
            more = taken | (1 << goal)
            if more != taken and cost + gaps[len(chosen), goal] < best[more][0]:
                best[more] = (cost + float(gaps[len(chosen), goal]), (*chosen, goal))
    return list(best[-1][1])


def _around(stand: F64, goals: F64) -> list[int]:
    def order(points: F64) -> NDArray[np.intp]:
        off = points - points.mean(axis=0)
        return np.argsort(np.arctan2(off[:, 1], off[:, 0]), kind="stable")

    found = np.empty(len(stand), np.intp)
    found[order(stand)] = order(goals)
    return [int(goal) for goal in found]


def _exchanged(chosen: Sequence[int], gaps: F64) -> list[int]:
    """Exchange pairs while that shortens the ways, the best exchange first."""
    goal = np.array(chosen)
    rows = np.arange(len(goal))
    for _ in range(ROUNDS_MAX * len(goal)):
        now = gaps[rows, goal]
        swapped = gaps[:, goal]  # (i, j): i at the goal of j
        gain = now[:, None] + now[None, :] - swapped - swapped.T
        first, second = np.unravel_index(int(gain.argmax()), gain.shape)
        if gain[first, second] <= 1e-9:
            break
        goal[first], goal[second] = goal[second], goal[first]
    return [int(each) for each in goal]
