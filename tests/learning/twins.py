"""The slow way to sense a village: every pair looked at, in plain numpy and Python; the kernels must equal it."""

from __future__ import annotations

import numpy as np

from app.learning.envs import village as life
from app.learning.envs.village import Village

HUNTED = {(life.GUARD, life.PREDATOR)} | {(life.PREDATOR, role) for role in (0, 1, 2, 4)}
PEOPLE = {life.GUARD, life.MERCHANT, life.VILLAGER}


def trades(village: Village, v: int, i: int, j: int) -> bool:
    """Whether one of the two has goods and the other the room and the gold for them."""
    seller, buyer = (j, i) if village.role[v, i] == life.MERCHANT else (i, j)
    if (village.role[v, seller], village.role[v, buyer]) != (life.VILLAGER, life.MERCHANT):
        return False
    has, room = village.stock[v, seller] > 0.5, village.stock[v, buyer] < life.STOCK_MAX - 0.5
    return bool(has and room and village.gold[v, buyer] > 1.0)


def senses(village: Village, v: int, i: int) -> tuple[list[int], list[int]]:
    """The four targets of one NPC (-1 = none), and its counts of guards, partners, hunters and quarry in sight."""
    foes, friends, counts = [], [], [0, 0, 0, 0]
    mine = int(village.role[v, i])
    for j in range(village.x.shape[1]):
        if j == i or not village.alive[v, j]:
            continue
        theirs = int(village.role[v, j])
        dx, dy = village.x[v, j] - village.x[v, i], village.y[v, j] - village.y[v, i]
        square = np.float32(dx * dx + dy * dy)
        seen = square <= life.SIGHT_CELLS**2
        deal = bool(village.alive[v, i]) and trades(village, v, i, j)
        hunter, hunted = (theirs, mine) in HUNTED, (mine, theirs) in HUNTED
        if deal:
            friends.append((np.float32(0.06) * square, j))
        if not seen:
            continue
        kin = theirs == mine or {mine, theirs} <= PEOPLE
        if hunter or hunted:
            foes.append((square, j))
        elif kin and not deal:
            friends.append((square, j))
        for at, holds in enumerate((theirs == life.GUARD, deal, hunter, hunted)):
            counts[at] += holds
    targets = [j for _, j in sorted(foes)[:2]], [j for _, j in sorted(friends)[:2]]
    return [j for side in targets for j in [*side, -1, -1][:2]], counts
