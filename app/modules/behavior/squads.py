"""What a squad does to its members' decisions: one foe for all who attack, and how its spirit breaks.

Pure, over arrays and plain values; who is in which squad is told in numbers. It does not know worlds or brains.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from app.modules.behavior.schema import F32, U8
from app.world.entities import Squad

UNKNOWN = 0xFFFF_FFFF
"""The handle that stands for nobody."""


def gather(
    targets: U8, intents: U8, attack: int, candidates: NDArray[np.uint32], may: U8, threat: F32,
    squads: NDArray[np.int32], focus: NDArray[np.uint32], chosen: NDArray[np.uint32],
) -> None:  # fmt: skip
    """Turn each squad's attackers to one foe, in place; write whom into `chosen` (squads,), UNKNOWN for nobody.

    Of n rows: `targets` (n,) index of a candidate or NONE, `intents` (n,) of which `attack` counts, `candidates`
    (n, k) handles, `may` (n, k) 1 where the row may aim, `threat` (n, k), `squads` (n,) or -1. `focus` (squads,) is
    whom the author wants, UNKNOWN for nobody. Where no attacker can aim at that one, the foe that most of them want
    counts, of these the most threatening, of these the lowest handle: the order of rows makes no difference.
    A member that cannot aim at the squad's foe keeps its own.
    """
    rows = np.flatnonzero((squads >= 0) & (intents == attack))
    chosen[:] = UNKNOWN
    if not len(rows):
        return
    mine = squads[rows]
    here, open_ = candidates[rows], may[rows] != 0
    wanted = focus[mine]
    seen = ((here == wanted[:, None]) & open_).any(axis=1) & (wanted != UNKNOWN)
    chosen[mine[seen]] = wanted[seen]
    _vote(targets[rows], here, threat[rows], mine, chosen)
    hit = open_ & (here == chosen[mine][:, None]) & (chosen[mine] != UNKNOWN)[:, None]
    turned = hit.any(axis=1)
    targets[rows[turned]] = hit[turned].argmax(axis=1)


def _vote(
    targets: U8, candidates: NDArray[np.uint32], threat: F32, squads: NDArray[np.int32], chosen: NDArray[np.uint32]
) -> None:
    """Fill `chosen` of squads that have nobody yet by what their attackers want."""
    voters = np.flatnonzero((targets < candidates.shape[1]) & (chosen[squads] == UNKNOWN))
    at = targets[voters].astype(np.intp)
    foe, danger, squad = candidates[voters, at], threat[voters, at], squads[voters]
    known = foe != UNKNOWN
    foe, danger, squad = foe[known], danger[known], squad[known]
    if not len(foe):
        return
    pairs, which, votes = np.unique(
        np.stack([squad, foe.astype(np.int64)]), axis=1, return_inverse=True, return_counts=True
    )
    worst = np.full(len(votes), -np.inf, np.float32)
    np.maximum.at(worst, which.ravel(), danger)
    order = np.lexsort((pairs[1], -worst, -votes, pairs[0]))
    first = np.unique(pairs[0][order], return_index=True)[1]
    best = order[first]
    chosen[pairs[0][best]] = pairs[1][best]


def is_shaken(squad: Squad, fallen: Collection[str]) -> bool:
    """Whether the leader, or more than half of the members, are among the fallen."""
    return squad.leader in fallen or 2 * len(fallen) > len(squad.members)
