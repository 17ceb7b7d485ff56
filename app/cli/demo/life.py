"""The bodies of a village: what each NPC senses, wants, does and suffers, as arrays that kernels change in place.

It knows the rules of the village and what of it is worth telling. It asks nobody: decisions come in, goals
and happenings go out; walking is done elsewhere. Importing it imports numba.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.cli.demo.chart import Chart
from app.cli.demo.folk import Seat
from app.cli.demo.ground import Cell
from app.learning.envs.effects import aim, goals, resolve
from app.learning.envs.sensing import Senses
from app.learning.envs.village import (
    ATTACK,
    EAT,
    FLEE,
    GUARD,
    HOME,
    INTENTS,
    KILLS,
    PATROL,
    PREDATOR,
    REACH_CELLS,
    REST,
    ROLES,
    TALK,
    TRADE,
    VILLAGER,
    WANDER,
    WORK,
    Village,
    allocate,
    populate,
)
from app.world.events import Happened

DAY_S = 240.0
"""Real seconds of one day of the village."""
MORNING = 0.27
"""Where the first day begins: half past six."""
GAME_DAY_S = 86_400.0
"""Game seconds of one day, as the server is told them."""
SETTLED_S = 1.5
"""How long someone must stay in the bounds of a place before the server is told."""
QUIET_S = 15.0
"""How long the same attack is not told again."""
DEAL_GOODS = 2.0
"""Goods that change hands before a trade is told."""
PACE = 1.5
"""How much faster everyone is than the rules say: this village is wide, and its day is short."""
HUNGRY, TIRED = 0.55, 0.3
WATCH_HOURS = 3.0
"""How long a guard walks the rounds, or stands, at a stretch."""


@dataclass(slots=True)
class Life:
    """All bodies of one village; row i belongs to the i-th seat."""

    chart: Chart
    ids: list[str]
    village: Village
    places: list[str]
    zones: NDArray[np.int32]
    intents: NDArray[np.int8]
    slots: NDArray[np.int8]
    senses: Senses
    goals: NDArray[np.float32]
    snap_any: NDArray[np.int32]
    snap_town: NDArray[np.int32]
    snap_wild: NDArray[np.int32]
    tables: NDArray[np.float32]
    """(n, 2) where each NPC eats when away from home."""
    zone_of: NDArray[np.int32]
    """(n,) the place that the server was told last."""
    days: int = 0
    led: dict[int, Cell] = field(default_factory=dict)
    """Who is led by a player just now, and where to."""
    _candidate: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    _candidate_s: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    _quiet_until_s: dict[tuple[int, int], float] = field(default_factory=dict)
    _dealt: dict[tuple[int, int], float] = field(default_factory=dict)
    _slain: set[int] = field(default_factory=set)
    _age_s: float = 0.0

    @property
    def count(self) -> int:
        return len(self.ids)

    @property
    def alive(self) -> NDArray[np.int8]:
        alive: NDArray[np.int8] = self.village.alive[0]
        return alive

    @property
    def game_s(self) -> float:
        """The clock that the server is told: 0 at the first midnight, 86,400 seconds a day."""
        return (self.days + float(self.village.clock_s[0]) / DAY_S) * GAME_DAY_S

    @property
    def hour(self) -> float:
        return float(self.village.clock_s[0]) / DAY_S * 24.0

    def cell(self, row: int) -> Cell:
        return int(self.village.x[0, row]), int(self.village.y[0, row])

    def cells(self) -> NDArray[np.int32]:
        """(n, 2) int32 cells."""
        return np.stack((self.village.x[0], self.village.y[0]), axis=-1).astype(np.int32)

    def look(self) -> None:
        """Bring the senses up to date; then `senses` holds what to decide upon."""
        self._direct()
        self._lay_tables()
        self.senses.look(self.village)

    def obey(self, intents: NDArray[np.uint8], targets: NDArray[np.uint8]) -> None:
        """Take decisions (n,) and (n,): 255 means none, and keeps what was intended before."""
        told = intents != 255
        self.intents[0, told] = intents[told].astype(np.int8)
        self.slots[0, told] = np.where(targets[told] == 255, -1, targets[told]).astype(np.int8)

    def aim_all(self) -> NDArray[np.int32]:
        """(n, 2) int32: the walkable cell that each NPC heads for; `goals[0, :, 2]` is its speed in cells/s."""
        goals(self.village, self.intents, self.slots, self.senses.targets, self.goals)
        self.goals[0, :, 2] *= PACE
        for row, cell in self.led.items():
            self.goals[0, row] = (cell[0] + 0.5, cell[1] + 0.5, 4.0)
        x = self.goals[0, :, 0].astype(np.int32)
        y = self.goals[0, :, 1].astype(np.int32)
        intent, role = self.intents[0], self.village.role[0]
        strolls = (intent == WANDER) | (intent == PATROL)
        found = self.snap_any[y, x]  # (n, 2) int32
        outside = strolls | (intent == FLEE)
        tame = outside & (role <= VILLAGER)
        wild = strolls & (role >= PREDATOR)
        found[tame] = self.snap_town[y[tame], x[tame]]
        found[wild] = self.snap_wild[y[wild], x[wild]]
        # A stroll ends where its way point was moved to, not where the kernel drew it.
        self.village.way_x[0, strolls] = found[strolls, 0] + 0.5
        self.village.way_y[0, strolls] = found[strolls, 1] + 0.5
        return found

    def pass_time(self, dt: float) -> list[Happened]:
        """Let `dt` seconds of what everyone intends happen; returns what is worth telling."""
        village = self.village
        alive, kills = village.alive[0].copy(), village.tally[0, :, KILLS].copy()
        stock, clock_s = village.stock[0].copy(), float(village.clock_s[0])
        resolve(village, self.intents, self.slots, self.senses.targets, dt)
        self._age_s += dt
        if float(village.clock_s[0]) < clock_s:
            self.days += 1
        return [*self._deaths(alive, kills), *self._attacks(), *self._deals(stock), *self._moves(dt)]

    def risen(self, alive_before: NDArray[np.int8]) -> list[int]:
        """Rows that came back to life since `alive_before` (n,)."""
        return [int(row) for row in np.flatnonzero((alive_before == 0) & (self.alive == 1))]

    def slay(self, row: int) -> None:
        """Strike someone down, as a player does; the player tells of it, so the next deaths leave it out."""
        self.village.hp[0, row] = -1.0  # below what a tick of healing could mend
        self._slain.add(row)

    def neighbors(self, reach_cells: float) -> Iterator[tuple[int, int]]:
        """Pairs of living persons that stand near each other and have leisure to talk."""
        village = self.village
        intent = self.intents[0]
        free = (village.role[0] <= VILLAGER) & (self.alive == 1) & ~np.isin(intent, (FLEE, ATTACK))
        rows = np.flatnonzero(free & ((intent != REST) | (village.energy[0] > 0.6)))
        xy = np.stack((village.x[0, rows], village.y[0, rows]), axis=-1)
        apart = np.hypot(*np.moveaxis(xy[:, None] - xy[None], -1, 0))
        ones, others = np.nonzero(np.triu(apart <= reach_cells, 1))
        for one, other in zip(rows[ones].tolist(), rows[others].tolist(), strict=True):
            yield (other, one) if intent[other] == TALK else (one, other)

    def doing(self) -> dict[str, int]:
        """Intent -> how many of the living follow it."""
        counts = np.bincount(self.intents[0, self.alive == 1], minlength=len(INTENTS))
        return {name: int(count) for name, count in zip(INTENTS, counts, strict=True) if count}

    def _direct(self) -> None:
        """The village's daily round: what custom tells each person to do at this hour, spread over an hour each."""
        village = self.village
        rows = np.arange(self.count)
        hour = (self.hour + (rows * 7 % 13 - 6) / 10.0) % 24.0
        role = village.role[0]
        told = np.full(self.count, -1, np.int8)
        told[((hour >= 7.5) & (hour < 12.0)) | ((hour >= 13.5) & (hour < 17.0))] = WORK
        told[(hour >= 12.0) & (hour < 13.5)] = EAT
        told[(hour >= 17.0) & (hour < 18.5)] = TRADE
        told[(hour >= 18.5) & (hour < 20.5)] = TALK
        night = (hour >= 20.5) | (hour < 6.0)
        away = np.hypot(village.x[0] - village.home_x[0], village.y[0] - village.home_y[0]) > 2.5
        told[night] = np.where(away[night], HOME, REST)
        guard = role == GUARD
        on_watch = (hour // WATCH_HOURS + rows) % 3 != 0
        told[guard] = np.where(on_watch[guard], PATROL, -1)
        # Custom gives way to need, and animals know no custom.
        told[((village.hunger[0] > HUNGRY) & ~night) | ((village.energy[0] < TIRED) & guard)] = -1
        told[role > VILLAGER] = -1
        village.told[0] = told
        village.told_s[0] = 1.0

    def _lay_tables(self) -> None:
        """Everyone eats at home or where their job eats, whichever is nearer just now."""
        village = self.village
        x, y = village.x[0], village.y[0]
        home_x, home_y = village.home_x[0], village.home_y[0]
        out_x, out_y = self.tables[:, 0], self.tables[:, 1]
        inside = np.hypot(home_x - x, home_y - y) < np.hypot(out_x - x, out_y - y)
        village.food_x[0] = np.where(inside, home_x, out_x)
        village.food_y[0] = np.where(inside, home_y, out_y)

    def _deaths(self, alive: NDArray[np.int8], kills: NDArray[np.float32]) -> Iterator[Happened]:
        killers = np.flatnonzero(self.village.tally[0, :, KILLS] > kills)
        for row in np.flatnonzero((alive == 1) & (self.alive == 0)).tolist():
            self.led.pop(row, None)
            if row in self._slain:
                self._slain.remove(row)
                continue
            killer = next((each for each in killers.tolist() if self._target(each) == row), None)
            where = self._place(row)
            if killer is None:
                yield Happened(verb="died", actor=self.ids[row], location=where)
            else:
                yield Happened(verb="killed", actor=self.ids[killer], target=self.ids[row], location=where)

    def _attacks(self) -> Iterator[Happened]:
        for row in np.flatnonzero((self.intents[0] == ATTACK) & (self.alive == 1)).tolist():
            target = self._target(row)
            if target < 0 or not self._within_reach(row, target) or self.alive[target] == 0:
                continue
            if self._quiet_until_s.get((row, target), 0.0) <= self._age_s:
                self._quiet_until_s[row, target] = self._age_s + QUIET_S
                place = self._place(row)
                yield Happened(verb="attacked", actor=self.ids[row], target=self.ids[target], location=place)

    def _deals(self, stock: NDArray[np.float32]) -> Iterator[Happened]:
        """Trades of which enough has changed hands."""
        village = self.village
        for row in np.flatnonzero((self.intents[0] == TRADE) & (self.alive == 1)).tolist():
            target = self._target(row)
            if target < 0 or not self._within_reach(row, target):
                continue
            seller, buyer = (row, target) if village.role[0, row] == VILLAGER else (target, row)
            sold = float(stock[seller] - village.stock[0, seller])
            if sold <= 0.0:
                continue
            dealt = self._dealt.pop((seller, buyer), 0.0) + sold
            if dealt < DEAL_GOODS:
                self._dealt[seller, buyer] = dealt
                continue
            yield Happened(
                verb="traded",
                actor=self.ids[seller],
                target=self.ids[buyer],
                location=self._place(row),
                quantity=round(dealt, 1),
                details={"goods": "produce"},
            )

    def _moves(self, dt: float) -> Iterator[Happened]:
        """Who has come to another place and stayed there a moment."""
        x, y = self.cells().T
        zone = self.zones[y, x]
        changed = zone != self._candidate
        self._candidate_s[changed] = 0.0
        self._candidate[:] = zone
        self._candidate_s += dt
        there = (zone != self.zone_of) & (zone >= 0) & (self._candidate_s >= SETTLED_S) & (self.alive == 1)
        for row in np.flatnonzero(there).tolist():
            self.zone_of[row] = zone[row]
            yield Happened(verb="moved", actor=self.ids[row], location=self.places[zone[row]])

    def _target(self, row: int) -> int:
        return int(aim(self.senses.targets[0, row], int(self.slots[0, row])))

    def _within_reach(self, row: int, other: int) -> bool:
        village = self.village
        apart = np.hypot(village.x[0, row] - village.x[0, other], village.y[0, row] - village.y[0, other])
        return bool(apart <= REACH_CELLS)

    def _place(self, row: int) -> str:
        zone = int(self.zone_of[row])
        return self.places[zone] if zone >= 0 else ""


def begin(chart: Chart, seats: Sequence[Seat], *, seed: int) -> Life:
    """The village at half past six of its first morning, with everyone at home."""
    count = len(seats)
    village = allocate(1, count)
    village.role[0] = [ROLES.index(seat.role) for seat in seats]
    generator = np.random.Generator(np.random.PCG64([seed, 3]))
    populate(village, generator)
    for x, y, cells in (
        (village.home_x, village.home_y, [seat.home for seat in seats]),
        (village.work_x, village.work_y, [seat.work for seat in seats]),
    ):
        x[0], y[0] = (np.array(cells, np.float32) + 0.5).T  # (2, n) float32
    village.x[:], village.y[:] = village.home_x, village.home_y
    village.day_s[:], village.clock_s[:] = DAY_S, MORNING * DAY_S
    village.size[0] = chart.ground.width, chart.ground.height
    village.draws[:] = generator.integers(0, 1 << 63, 1, dtype=np.uint64)
    return over(chart, seats, village)


def over(chart: Chart, seats: Sequence[Seat], village: Village) -> Life:
    """A life over bodies that exist already."""
    ids = [seat.npc for seat in seats]
    count = len(ids)
    ground = chart.ground
    outdoors = ground.walkable & ~chart.indoors
    wild = outdoors & ~chart.town
    town = outdoors & chart.town if chart.town.any() else outdoors
    zones = ground.zones([place.cell for place in chart.places])
    x, y = village.x[0].astype(np.int32), village.y[0].astype(np.int32)
    return Life(
        chart=chart,
        ids=ids,
        village=village,
        places=[place.id for place in chart.places],
        zones=zones,
        intents=village.intent.copy(),
        slots=np.full((1, count), -1, np.int8),
        senses=Senses(1, count),
        goals=np.zeros((1, count, 3), np.float32),
        snap_any=ground.nearest(ground.walkable),
        snap_town=ground.nearest(town),
        snap_wild=ground.nearest(wild if wild.any() else outdoors),
        tables=np.array([seat.food for seat in seats], np.float32) + 0.5,
        zone_of=zones[y, x].copy(),
        _candidate=zones[y, x].copy(),
        _candidate_s=np.zeros(count, np.float32),
    )
