"""Made-up maps and what lurks on them: rooms, caves and roads; ambushes at narrow places, lairs, bandits that move on.

It draws worlds from a seed and says how dangerous each tile truly is at a time. Who walks there is in `walks.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.learning.envs.walks import way_home

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
I32 = NDArray[np.int32]

TILE = 8
SIDE = 128
"""Cells on a side of a map."""
TILES = SIDE // TILE
TOWNS = 4
LIFE_S = 1_800.0
"""What a time is measured in: the half life with which the games of these worlds forget."""


class Menace(NamedTuple):
    """One source of danger. `shape` (tiles, tiles) in [0, 1] is where, `attack` how likely at its worst place."""

    shape: F32
    attack: float
    kill: float
    """The share of attacks that end in death."""
    begin_s: float
    end_s: float


class Country(NamedTuple):
    """A map, its towns, and what nobody who walks there knows."""

    kind: str
    free: U8
    """(SIDE, SIDE), 1 where one can stand; all in one piece."""
    towns: I32
    """(TOWNS,): cells, row * SIDE + column."""
    menaces: tuple[Menace, ...]
    bugs: F32
    """(tiles, tiles): chance that a visitor gets stuck on bad ground, whoever else is there."""
    crowding: float
    """Chance of getting stuck for each other visitor of a slice, in the narrowest place."""
    walkers: float
    """Walks that begin in a slice, on average."""
    heeded: bool
    """Whether people avoid what the counts tell them."""
    told: frozenset[str]
    """The kinds of events that this game reports."""

    def risk(self, at_s: float) -> tuple[F32, F32]:
        """The chances that a visitor of each tile is attacked, and is killed, (tiles, tiles) each."""
        attack = np.full((TILES, TILES), 0.0005, np.float32)
        death = np.full((TILES, TILES), 0.0001, np.float32)
        for one in self.menaces:
            if one.begin_s <= at_s < one.end_s:
                attack = attack + one.shape * np.float32(one.attack)
                death = death + one.shape * np.float32(one.attack * one.kill)
        most = np.asarray(np.minimum(attack, 0.8), np.float32)
        return most, np.asarray(death * (most / attack), np.float32)


def draw(seed: int, *, slices: int, slice_s: float) -> Country:
    """The country of that seed; its menaces come and go within `slices` of `slice_s` game seconds."""
    random = np.random.default_rng([seed, 0xD4])
    kind = ("rooms", "caves", "roads")[seed % 3]
    free = _map(kind, random)
    cells = np.flatnonzero(free)
    towns = _apart(cells, random)
    told = {"death", *(word for word, odds in REPORTED.items() if random.random() < odds)}
    narrow = narrowness(free)
    traffic = _traffic(free, towns)
    menaces = [_menace(free, narrow, traffic, random, slices * slice_s) for _ in range(random.integers(2, 7))]
    bugs = np.zeros((TILES, TILES), np.float32)
    for _ in range(random.integers(0, 4)):
        y, x = np.unravel_index(random.choice(cells), free.shape)
        bugs[y // TILE, x // TILE] = random.uniform(0.05, 0.4)
    return Country(
        kind, free, towns, tuple(menaces), bugs, float(random.uniform(0.0, 0.02)), float(random.choice(WALKERS)),
        bool(random.random() < 0.5), frozenset(told),
    )  # fmt: skip


REPORTED = {"visit": 0.9, "ambush": 0.75, "flee": 0.5, "stuck": 0.8}
WALKERS = (3.0, 6.0, 12.0, 25.0, 50.0)


def _map(kind: str, random: np.random.Generator) -> U8:
    """A map whose free cells are one piece of at least a quarter of it."""
    while True:
        free = {"rooms": _rooms, "caves": _caves, "roads": _roads}[kind](random)
        free[[0, -1]] = 0
        free[:, [0, -1]] = 0
        start = int(random.choice(np.flatnonzero(free)))
        _, far = way_home(free.astype(np.float32).ravel(), SIDE, start)
        piece = np.isfinite(far).reshape(SIDE, SIDE)
        if piece.mean() > 0.25:
            return piece.astype(np.uint8)


def _rooms(random: np.random.Generator) -> U8:
    """Walls across, each with a few doors of one to four cells."""
    free = np.ones((SIDE, SIDE), np.uint8)
    at = 0
    while (at := at + int(random.integers(12, 28))) < SIDE - 4:
        for line in (free[at], free[:, at]):
            line[:] = 0
            for _ in range(random.integers(4, 10)):
                door = int(random.integers(1, SIDE - 6))
                line[door : door + random.integers(1, 5)] = 1
    return free


def _caves(random: np.random.Generator) -> U8:
    """Noise, smoothed by a cellular automaton."""
    free = random.random((SIDE, SIDE)) < random.uniform(0.54, 0.6)
    for _ in range(4):
        wide = np.pad(free, 1).astype(np.int8)
        around = sum(wide[y : y + SIDE, x : x + SIDE] for y in range(3) for x in range(3))
        free = np.asarray(around >= 5)
    return free.astype(np.uint8)


def _roads(random: np.random.Generator) -> U8:
    """Open land with woods, and a river or ridge with a few passes."""
    free = np.ones((SIDE, SIDE), np.uint8)
    for _ in range(random.integers(20, 60)):
        y, x = random.integers(0, SIDE, 2)
        free[y : y + random.integers(3, 18), x : x + random.integers(3, 18)] = 0
    for _ in range(random.integers(1, 4)):
        across = free if random.random() < 0.5 else free.T
        row = int(random.integers(16, SIDE - 16))
        drift = np.clip(row + np.cumsum(random.integers(-1, 2, SIDE)), 4, SIDE - 8)
        passes = [int(random.integers(4, SIDE - 8)) for _ in range(random.integers(2, 5))]
        for column in range(SIDE):
            if not any(there <= column < there + 3 for there in passes):
                across[drift[column] : drift[column] + 4, column] = 0
            else:
                across[drift[column] - 1 : drift[column] + 5, column] = 1
    return free


def _apart(cells: NDArray[np.intp], random: np.random.Generator) -> I32:
    """Towns, each far from those before it."""
    towns = [int(random.choice(cells))]
    while len(towns) < TOWNS:
        options = random.choice(cells, 12)
        gaps = [min(np.hypot(*np.subtract(divmod(c, SIDE), divmod(t, SIDE))) for t in towns) for c in options.tolist()]
        towns.append(int(options[int(np.argmax(gaps))]))
    return np.array(towns, np.int32)


def narrowness(free: U8) -> F32:
    """How narrow the widest way through each tile is: 1 for one cell, 0 from nine on; 0 where there is none."""
    inside = np.pad(free, 1)
    clear = inside.copy()
    for _ in range(4):
        wide = inside[:, :-2] & inside[:, 1:-1] & inside[:, 2:]
        inside[1:-1, 1:-1] = wide[:-2] & wide[1:-1] & wide[2:]
        clear += inside
    most = clear[1:-1, 1:-1].reshape(TILES, TILE, TILES, TILE).max(axis=(1, 3)).astype(np.float32)
    return np.where(most > 0, np.clip((5.0 - most) / 4.0, 0.0, 1.0), 0.0).astype(np.float32)


def _traffic(free: U8, towns: I32) -> F32:
    """Which tiles lie on the shortest ways between towns, as a share of these ways."""
    found = np.zeros((TILES, TILES), np.float32)
    for town in towns.tolist():
        onward, _ = way_home(free.astype(np.float32).ravel(), SIDE, town)
        for cell in towns.tolist():
            seen = np.zeros((TILES, TILES), np.float32)
            while cell != town and cell >= 0:
                seen[cell // SIDE // TILE, cell % SIDE // TILE] = 1.0
                cell = int(onward[cell])
            found += seen
    return found / max(1.0, float(found.max()))


def _menace(free: U8, narrow: F32, traffic: F32, random: np.random.Generator, total_s: float) -> Menace:
    """An ambush at one narrow place of a road, bandits at all narrow places of a region, or a lair."""
    passable = free.reshape(TILES, TILE, TILES, TILE).max(axis=(1, 3)).astype(np.float32)
    rows, columns = np.mgrid[0:TILES, 0:TILES]
    sort = random.choice(3, p=(0.35, 0.4, 0.25))
    lure = (passable * (0.02 + traffic) * ((0.05 + narrow) ** 2 if sort < 2 else 1.0)).ravel()
    place = int(random.choice(TILES * TILES, p=lure / lure.sum()))
    squared = ((rows - place // TILES) ** 2 + (columns - place % TILES) ** 2).astype(np.float32)
    if sort == 0:
        shape = np.where(squared == 0, 1.0, np.where(squared <= 2, 0.25, 0.0)) * passable
    elif sort == 1:
        shape = (squared <= random.uniform(4.0, 10.0) ** 2) * narrow**2
    else:
        shape = np.exp(-squared / (2.0 * random.uniform(0.8, 2.2) ** 2)) * passable
    begin_s = 0.0 if random.random() < 0.5 else random.uniform(0.0, 0.7) * total_s
    lasts_s = total_s if random.random() < 0.4 else random.exponential(4.0 * LIFE_S) + LIFE_S
    return Menace(
        shape.astype(np.float32), float(random.uniform(0.03, 0.45)), float(random.uniform(0.2, 0.7)),
        begin_s, begin_s + lasts_s,
    )  # fmt: skip
