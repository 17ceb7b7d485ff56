"""The demo's game: ten ticks a second of a village whose minds are elsewhere.

It brings senses, decisions, ways and effects together and counts what happens. It meets the server over
the wire alone; how the process opens, runs and ends is in `play.py`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.cli.demo import save as saving
from app.cli.demo.adventure import Adventurer
from app.cli.demo.client import Link
from app.cli.demo.folk import PERSONS, Seat, newcomer
from app.cli.demo.ledger import Ledger
from app.cli.demo.life import GAME_DAY_S, Life
from app.cli.demo.report import Report
from app.cli.demo.talk import Talks, count_rungs
from app.cli.demo.walk import Walkers
from app.core.errors import Error
from app.modules.behavior import messages as behavior
from app.modules.world import messages as world
from app.world.entities import Fact, Npc
from app.world.events import EntityRemoved, EntityUpserted, FactAsserted, Happened

TICK_S = 0.1
DECIDE_MS = 100
WEATHERS = (("clear", 0.0), ("cloudy", 0.2), ("rain", 0.6), ("storm", 1.0))


@dataclass(slots=True)
class Game:
    """Everything in play."""

    folder: Path
    link: Link
    ledger: Ledger
    life: Life
    walkers: Walkers
    talks: Talks
    generator: np.random.Generator
    handles: NDArray[np.uint32]
    seats: list[Seat] = field(default_factory=list)
    players: list[Adventurer] = field(default_factory=list)
    seed: int = 0
    map_text: str = ""
    """The map file, empty for the map that the seed draws."""
    origins: dict[str, str] = field(default_factory=dict)
    """Item -> who or what held it at first."""
    newcomers: int = 0
    hour: int = -1
    """The hour that was told last."""
    ticks: int = 0
    decisions: int = 0
    missed: int = 0
    rungs: Counter[str] = field(default_factory=Counter)
    engines: dict[str, str] = field(default_factory=dict)
    mode: int = 0
    started_s: float = field(default_factory=time.monotonic)
    tick_ms: deque[float] = field(default_factory=lambda: deque(maxlen=36_000))
    story: deque[str] = field(default_factory=lambda: deque(maxlen=6))
    graves: deque[tuple[float, str]] = field(default_factory=deque)
    _seeking: asyncio.Task[None] | None = None
    _reporting: asyncio.Task[None] | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _disk: threading.Lock = field(default_factory=threading.Lock)

    async def tick(self) -> None:
        """One tenth of a second: sense, decide, walk, act, tell."""
        started_s = time.perf_counter()
        self.life.look()
        await self._decide()
        goals = self.life.aim_all()
        village = self.life.village
        x, y, speed = village.x[0], village.y[0], self.life.goals[0, :, 2]
        self._seek(x, y, goals, speed)
        self.walkers.step(x, y, speed, TICK_S)
        alive = self.life.alive.copy()
        for happened in self.life.pass_time(TICK_S):
            self._tell(happened)
        for row in self.life.risen(alive):
            self.walkers.halt(row)
            self._return(row)
        self._report()
        self.ticks += 1
        self.tick_ms.append((time.perf_counter() - started_s) * 1000.0)

    async def _decide(self) -> None:
        """Ask what everyone should do; whoever gets no answer in time goes on as before."""
        senses = self.life.senses
        request = behavior.Decide(
            tick=self.ticks, handles=self.handles.tobytes(), obs=senses.obs.tobytes(), mask=senses.mask.tobytes()
        )
        try:
            async with asyncio.timeout(DECIDE_MS / 1000.0):
                decided = await self.link.ask(request, behavior.Decided, deadline_ms=DECIDE_MS)
        except (Error, TimeoutError):
            self.missed += 1
            return
        intents = np.frombuffer(decided.intents, np.uint8)
        self.life.obey(intents, np.frombuffer(decided.targets, np.uint8))
        self.decisions += int((intents != 255).sum())
        for index, count in enumerate(np.bincount(np.frombuffer(decided.rung_of, np.uint8)).tolist()):
            if count and index < len(decided.rungs):
                self.rungs[decided.rungs[index]] += count

    def _seek(
        self, x: NDArray[np.float32], y: NDArray[np.float32], goals: NDArray[np.int32], speed: NDArray[np.float32]
    ) -> None:
        """Ask for the ways that are needed, unless a batch is still under way."""
        if self._seeking is not None and not self._seeking.done():
            return
        now_s = time.monotonic()
        wanted = self.walkers.wanted(x, y, goals, speed, now_s)
        if wanted:
            self._seeking = self.own(self.walkers.seek(wanted, x, y, now_s))

    def _report(self) -> None:
        """Tell where everyone stands, unless the last such message is still under way."""
        if self._reporting is not None and not self._reporting.done():
            return
        village = self.life.village
        positions = np.stack((village.x[0], village.y[0]), axis=-1).astype("<f4")  # (n, 2) float32
        request = world.Report(handles=self.handles.tobytes(), positions=positions.tobytes(), game_s=self.life.game_s)
        self._reporting = self.own(self._post_report(request))

    async def _post_report(self, request: world.Report) -> None:
        try:
            await self.link.ask(request, world.Reported, deadline_ms=1_000)
        except Error:
            return

    def own(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """A task that lives no longer than the game."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _tell(self, happened: Happened) -> None:
        self.ledger.tell(happened)
        if happened.verb in ("killed", "died", "attacked"):
            other = f" {self.name(happened.target)}" if happened.target else ""
            self.story.append(f"{self.name(happened.actor)} {happened.verb}{other} at {self.name(happened.location)}")

    def _return(self, row: int) -> None:
        """After a death: another animal of its kind, or someone new who moves into the empty house."""
        npcs = self.ledger.books.state.npcs
        old = npcs.get(self.life.ids[row])
        if old is None:
            return
        if self.seats[row].role in PERSONS:
            self.newcomers += 1
            fresh = newcomer(old, self.newcomers, self.seed)
            self.graves.append((self.life.game_s, old.id))
            self.story.append(f"{fresh.name} moves into the house of {old.name}")
        else:
            fresh = msgspec.structs.replace(old, alive=True, location=old.home)
        self.own(self._welcome(row, fresh))

    async def _welcome(self, row: int, npc: Npc) -> None:
        if await self.ledger.tell(EntityUpserted(entity=npc)):
            self.life.ids[row] = npc.id
            self.seats[row] = msgspec.structs.replace(self.seats[row], npc=npc.id)
            self.handles[row] = self.ledger.books.state.handles[npc.id]

    def name(self, id: str) -> str:
        entity = self.ledger.books.entity(id)
        return entity.name if entity is not None and entity.name else id

    def check(self) -> None:
        """After a lost link: see that the server has everything that it acknowledged."""
        self.own(self.ledger.check())

    def bury(self) -> None:
        """The dead leave the world after a day."""
        while self.graves and self.life.game_s - self.graves[0][0] > GAME_DAY_S:
            self.ledger.tell(EntityRemoved(entity_kind="npc", id=self.graves.popleft()[1]))

    def tell_hour(self) -> None:
        """The hour of the day as a fact, each time that it strikes."""
        hour = int(self.life.hour)
        if hour != self.hour:
            self.hour = hour
            self._assert("hour", float(hour))

    def change_weather(self) -> None:
        """Mostly clear, sometimes not; the server is told as a fact."""
        name, wet = WEATHERS[int(self.generator.choice(len(WEATHERS), p=(0.55, 0.25, 0.15, 0.05)))]
        self.life.village.weather[0] = wet
        self._assert("weather", name)

    def _assert(self, predicate: str, value: str | float) -> None:
        """State a fact about the whole world, true from now on."""
        fact = Fact(subject="world", predicate=predicate, value=value, from_s=self.life.game_s)
        self.ledger.tell(FactAsserted(fact=fact))

    async def save(self) -> None:
        """Write the village to disk, as it is now; the disk is waited for in a thread."""
        body = saving.encode(
            saving.Save(
                seed=self.seed,
                npcs=len(self.life.ids),
                map_text=self.map_text,
                seats=self.seats,
                arrays=saving.pack(self.life.village),
                days=self.life.days,
                newcomers=self.newcomers,
                state=self.ledger.books.state,
                origins=self.origins,
                newest_seq=self.ledger.newest_seq,
            )
        )
        await asyncio.to_thread(self._write, body)

    def _write(self, body: bytes) -> None:
        """In a thread; one at a time, for a write goes on when its task is canceled."""
        with self._disk:
            saving.store(self.folder, body)

    def report(self, state: str) -> Report:
        """Where everything stands."""
        seconds = time.monotonic() - self.started_s
        ms = np.array(self.tick_ms) if self.tick_ms else np.zeros(1)
        hour = self.life.hour
        return Report(
            mode=self.mode,
            ticks=self.ticks,
            decisions=self.decisions,
            missed_deadlines=self.missed,
            paths=self.walkers.paths,
            lines=self.talks.lines,
            quests_completed=sum(player.completed for player in self.players),
            events_acknowledged=self.ledger.acknowledged,
            tick_p50_ms=round(float(np.percentile(ms, 50)), 2),
            tick_p99_ms=round(float(np.percentile(ms, 99)), 2),
            rungs=count_rungs(self.rungs, self.talks.rungs),
            engines=self.engines,
            state=state if self.link.up.is_set() else "waiting for the server",
            clock=f"day {self.life.days + 1}, {int(hour):02d}:{int(hour % 1 * 60):02d}",
            alive=int(self.life.alive.sum()),
            npcs=self.life.count,
            walking=self.walkers.walking,
            doing=self.life.doing(),
            decisions_per_s=round(self.decisions / max(seconds, 1e-3), 1),
            newest_lines=list(self.talks.newest),
            newest_events=list(self.story),
            quests=[f"{self.name(player.player)}: {player.tale}" for player in self.players],
            newest_seq=self.ledger.newest_seq,
            events_waiting=self.ledger.waiting,
            events_refused=self.ledger.refused,
            events_lost=self.ledger.lost,
            reconnects=max(0, self.link.connects - 1),
            seconds=round(seconds, 1),
        )
