"""How well danger is foreseen, and how many lives that saves: made-up countries lived through under a judge of danger.

It is given the eyes that turn events into features and costs, since it knows no module. It knows no network: a judge
is a function. Needs no extra.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from app.learning.envs import roads, walks
from app.learning.envs.roads import SIDE, TILE, TILES, TOWNS, Country

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

SLICE_S = 300.0
"""Game seconds between two looks at the tallies."""
SLICES = 36
HORIZON = 6
"""Slices ahead for which danger is foreseen: one half life."""
LOOKS = (2, 4, 7, 11, 16, 22, 29)
"""Slices at which lessons are taken."""
TILES_ENTERED_MAX = 120
FLEE_SHARE = 0.6


class Seen(Protocol):
    """What there is to judge: `rows` (n, features) of the tiles `chosen` (n,), and what counts say of all tiles."""

    @property
    def rows(self) -> F32: ...
    @property
    def chosen(self) -> NDArray[np.intp]: ...
    @property
    def counted(self) -> F32: ...


class Watching(Protocol):
    """A map that is watched: events in, danger and cost out."""

    def record(self, kind: str, cells: NDArray[np.generic], at_s: float) -> None: ...
    def look(self, at_s: float) -> Seen: ...
    def risk(self, logits: F32 | None) -> F32: ...
    def cost(self, risk: F32) -> F32: ...


Eyes = Callable[[NDArray[np.generic]], Watching]
"""Free cells (rows, columns) -> the watched map."""
Judge = Callable[[F32], F32]
"""Rows (n, features) -> logits (n, 2) of a death and of getting stuck, for each visit."""


class Slice(NamedTuple):
    """What happened within SLICE_S, by tile (tiles * tiles,), and how risky each tile was."""

    visits: F64
    deaths: F64
    stucks: F64
    death_risk: F32
    stuck_risk: F32
    walks: int
    steps: int


class Lesson(NamedTuple):
    """Looks at one country, joined: rows (n, features), and what became of a visit in the time after, (n, 2) each.

    `risk` are the true chances of death and of getting stuck, `counted` those that the counts gave; `visits` (n,) were
    paid and `ended` (n, 2) of them so.
    """

    rows: F32
    counted: F32
    risk: F32
    visits: F32
    ended: F32


def live(country: Country, watched: Watching, plan: Callable[[float], F32 | None], seed: int) -> Iterator[Slice]:
    """Live through SLICES of a country. `plan` gives the cost of each cell at a time, or None for plain ground."""
    random = np.random.default_rng([seed, 0x1F])
    narrow = roads.narrowness(country.free)
    cells = np.flatnonzero(country.free).astype(np.int32)
    crowd = np.zeros(TILES * TILES)
    for index in range(SLICES):
        at_s = index * SLICE_S
        attack, death = (layer.ravel() for layer in country.risk(at_s))
        stuck = np.minimum(0.5, country.bugs.ravel() + country.crowding * crowd * narrow.ravel()).astype(np.float32)
        cost = plan(at_s)
        base = country.free.astype(np.float32) * (cost if cost is not None else np.float32(1.0))
        happened, paths, steps = [], 0, 0
        for town in country.towns.tolist():
            whim = np.exp(random.normal(0.0, 0.15, (TILES, TILES))).astype(np.float32)
            onward, _ = walks.way_home((base * np.kron(whim, np.ones((TILE, TILE), np.float32))).ravel(), SIDE, town)
            count = int(random.poisson(country.walkers / TOWNS))
            coins, places = random.random(count), (random.choice(country.towns, count), random.choice(cells, count))
            starts = np.where(coins < 0.5, *places)
            dice = random.random((count, TILES_ENTERED_MAX, 2), np.float32)
            events, went = walks.walk(onward, SIDE, starts.astype(np.int32), attack, death, stuck, dice)
            happened.append(events)
            paths, steps = paths + count, steps + went
        events = np.concatenate(happened)
        _tell(country, watched, events, at_s + SLICE_S / 2.0, random)
        visits, killed, halted = (_by_tile(events, sort) for sort in (walks.VISITED, walks.KILLED, walks.STUCK))
        crowd = visits
        yield Slice(visits, killed, halted, death, stuck, paths, steps)


def _tell(
    country: Country, watched: Watching, events: NDArray[np.int32], at_s: float, random: np.random.Generator
) -> None:
    """Report what this game reports."""
    spots = np.stack([events[:, 0] % SIDE, events[:, 0] // SIDE], axis=1)
    attacked = spots[events[:, 1] == walks.ATTACKED]
    away = attacked + random.integers(-TILE, TILE + 1, attacked.shape)
    flights = np.clip(away, 0, SIDE - 1)[random.random(len(attacked)) < FLEE_SHARE]
    reports = {
        "visit": spots[events[:, 1] == walks.VISITED], "death": spots[events[:, 1] == walks.KILLED],
        "stuck": spots[events[:, 1] == walks.STUCK], "ambush": attacked, "flee": flights,
    }  # fmt: skip
    for kind, where in reports.items():
        if kind in country.told and len(where):
            watched.record(kind, where, at_s)


def _by_tile(events: NDArray[np.int32], sort: int) -> F64:
    cells = events[events[:, 1] == sort, 0]
    return np.bincount(cells // SIDE // TILE * TILES + cells % SIDE // TILE, minlength=TILES * TILES).astype(np.float64)


def learn(seed: int, eyes: Eyes) -> Lesson:
    """The lesson of one country, whose people heed the counts where it says so."""
    country = roads.draw(seed, slices=SLICES, slice_s=SLICE_S)
    watched = eyes(country.free)
    sights: list[Seen] = []

    def plan(at_s: float) -> F32 | None:
        sights.append(watched.look(at_s))
        return watched.cost(watched.risk(None)) if country.heeded else None

    slices = list(live(country, watched, plan, seed))
    parts = []
    for look in LOOKS:
        sight, ahead = sights[look], slices[look : look + HORIZON]
        risk = np.stack([np.mean([s.death_risk for s in ahead], 0), np.mean([s.stuck_risk for s in ahead], 0)], axis=1)
        ended = np.stack([np.sum([s.deaths for s in ahead], 0), np.sum([s.stucks for s in ahead], 0)], axis=1)
        visits = np.sum([s.visits for s in ahead], 0)
        parts.append(
            (sight.rows, sight.counted.reshape(-1, 2)[sight.chosen], risk[sight.chosen], visits[sight.chosen],
             ended[sight.chosen])
        )  # fmt: skip
    return Lesson(*(np.concatenate(part).astype(np.float32) for part in zip(*parts, strict=True)))


class Foresight(NamedTuple):
    """How well deaths were foreseen over all visits that were paid: lower is better."""

    brier: float
    log_loss: float
    miss: float
    """Mean squared distance from the true chance, times 10^6: the part of the Brier score that can be avoided."""


def foresight(lessons: Sequence[Lesson], judge: Judge | None) -> Foresight:
    """The scores of a judge, or without one those of the counts."""
    said = np.clip(np.concatenate([_said(lesson, judge) for lesson in lessons]).astype(np.float64), 1e-5, 0.95)
    visits, died, true = (
        np.concatenate(part).astype(np.float64)
        for part in zip(*((one.visits, one.ended[:, 0], one.risk[:, 0]) for one in lessons), strict=True)
    )  # fmt: skip
    paid = visits.sum()
    brier = (died * (1.0 - said) ** 2 + (visits - died) * said**2).sum() / paid
    log_loss = -(died * np.log(said) + (visits - died) * np.log1p(-said)).sum() / paid
    return Foresight(float(brier), float(log_loss), float(1e6 * (visits * (said - true) ** 2).sum() / paid))


def _said(lesson: Lesson, judge: Judge | None) -> F32:
    """The chance of a death on each tile of a lesson, (n,)."""
    if judge is None:
        return lesson.counted[:, 0]
    return np.asarray(1.0 / (1.0 + np.exp(-judge(lesson.rows)[:, 0])), np.float32)


class Toll(NamedTuple):
    """What a country cost: deaths and cells walked, by walk."""

    deaths: float
    cells: float


def toll(seed: int, eyes: Eyes, judge: Judge | None, *, heed: bool = True) -> Toll:
    """Live through a country whose people plan by the judge, by the counts (None), or without `heed` by neither."""
    country = roads.draw(seed, slices=SLICES, slice_s=SLICE_S)
    watched = eyes(country.free)

    def plan(at_s: float) -> F32 | None:
        if not heed:
            return None
        sight = watched.look(at_s)
        return watched.cost(watched.risk(judge(sight.rows) if judge is not None else None))

    slices = list(live(country, watched, plan, seed))
    paths = max(1, sum(one.walks for one in slices))
    return Toll(sum(float(one.deaths.sum()) for one in slices) / paths, sum(one.steps for one in slices) / paths)
