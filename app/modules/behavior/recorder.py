"""Takes decided ticks and feedback off the event loop into files, without ever slowing a tick.

It bounds what waits: a tick that finds the queue full is not recorded, which is said once and counted. The writing
is done by `scribe.py` in a thread; this file knows no disk.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Clock
from app.core.errors import Broken, Conflict, Error, Overloaded, StoreDown
from app.core.ports import Log
from app.modules.behavior.brains import Brains
from app.modules.behavior.leads import Led
from app.modules.behavior.recent import Kept
from app.modules.behavior.recordings import Context
from app.modules.behavior.schema import U8, Schema
from app.modules.behavior.scribe import Moment, Reward, Scribe
from app.modules.behavior.settings import Recording
from app.modules.behavior.trees.memory import packed

BATCH_MAX = 64
"""Entries that share one wait for the disk."""
LOOK_S = 0.02
"""How often the thread looks for ticks: waking it for each would cost the loop more than handing the tick over."""
REST_S = 1.0
"""After a fault of the disk no tick is tried for so long."""
CLOSE_S = 10.0
ROW_BYTES = 12
"""Of an NPC, beside what it saw and might do."""


class _Seen(NamedTuple):
    """A decided tick with what the brains were, as references."""

    place: tuple[str, str]
    kept: Kept
    flags: U8
    game_s: float
    wall_ms: int
    dropped: int
    brains: _Portrait
    size: int


class _Portrait(NamedTuple):
    """What may change about brains between two ticks."""

    schema: Schema
    rungs: tuple[str, ...]
    passes: str
    provider: str
    metadata: Mapping[str, str]
    taste_share: float


class _Asked(NamedTuple):
    """Feedback whose sender waits."""

    reward: Reward
    answer: asyncio.Future[bool]
    loop: asyncio.AbstractEventLoop
    size: int


_Entry = _Seen | _Asked


class Recorder:
    """Records the play of all worlds below `root`; owned by one event loop."""

    def __init__(self, settings: Recording, root: Path, *, clock: Clock, log: Log) -> None:
        self._settings, self._clock, self._log = settings, clock, log
        self._scribe = Scribe(settings, root, clock)
        self._queue: deque[_Entry] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._put_bytes = 0
        self._done_bytes = 0  # by the thread alone, as the other by the loop alone, so neither needs a lock
        self._dropped: dict[tuple[str, str], int] = {}
        """Ticks of each world that were lost since the last one taken."""
        self._behind = False
        self._fault = ""
        self._rests_until_s = 0.0
        self._full_ticks = 0
        self._failed_ticks = 0  # by the thread alone, as above

    @property
    def dropped_ticks(self) -> int:
        """Ticks that were not recorded, for want of room or of a disk that works."""
        return self._full_ticks + self._failed_ticks

    def offer(
        self, place: tuple[str, str], kept: Kept, brains: Brains, *, flags: U8, game_s: float, taste_share: float
    ) -> None:
        """Record a tick of the world `place` (tenant, world), or drop it; takes microseconds and never raises."""
        dropped = self._dropped.get(place, 0)
        size = kept.obs.nbytes + kept.mask.nbytes + ROW_BYTES * len(flags)
        if self._put_bytes - self._done_bytes + size > self._settings.queue_bytes_max:
            self._dropped[place] = dropped + 1
            self._full_ticks += 1
            self._fall_behind()
            return
        if dropped:
            del self._dropped[place]
        picture = _portrait(brains, taste_share, kept.rungs)
        self._put(_Seen(place, kept, flags, game_s, self._clock.wall_ms(), dropped, picture, size))

    async def reward(self, reward: Reward) -> bool:
        """Record feedback; whether its key is new. Returns when it is on the disk with every tick taken before it.

        Raises Conflict for a key of another request, Overloaded when too much waits, StoreDown when the disk fails.
        """
        if self._put_bytes - self._done_bytes + reward.nbytes > self._settings.queue_bytes_max:
            raise Overloaded("too much waits to be recorded", retry_after_s=1.0)
        loop = asyncio.get_running_loop()
        asked = _Asked(reward, loop.create_future(), loop, reward.nbytes)
        self._put(asked)
        self._wake.set()
        return await asked.answer

    def _put(self, entry: _Entry) -> None:
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
            self._thread.start()
        self._put_bytes += entry.size
        self._queue.append(entry)

    def _fall_behind(self) -> None:
        if not self._behind:
            self._behind = True
            self._log.warning("recorder.fell_behind", bytes=self._put_bytes - self._done_bytes)

    async def close(self) -> None:
        """Write what waits and end the thread; a disk that hangs is left behind, not waited for. Safe to call twice."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._closing = True
        self._wake.set()
        await asyncio.to_thread(thread.join, CLOSE_S)
        if self.dropped_ticks or thread.is_alive():
            self._log.warning("recorder.closed", entries=self.dropped_ticks, reason=self._fault)

    # The rest runs in the thread.

    def _work(self) -> None:
        while not self._closing or self._queue:
            if not self._queue:
                self._wake.wait(LOOK_S)
                self._wake.clear()
            self._write(self._next())
        self._sync(all_files=True)

    def _next(self) -> list[_Entry]:
        return [self._queue.popleft() for _ in range(min(BATCH_MAX, len(self._queue)))]

    def _write(self, entries: list[_Entry]) -> None:
        """Write the entries, and answer whoever waits once they are on the disk."""
        answers: list[tuple[_Asked, bool | Error]] = []
        for entry in entries:
            if isinstance(entry, _Asked):
                answers.append((entry, self._reward(entry.reward)))
            else:
                self._take(entry)
        fault = self._sync(all_files=False)
        for asked, said in answers:
            _answer(asked, fault if fault is not None and not isinstance(said, Error) else said)
        self._done_bytes += sum(entry.size for entry in entries)
        if self._behind and not self._queue:
            self._behind = False
            self._tell(lambda: self._log.info("recorder.caught_up", entries=self.dropped_ticks))

    def _take(self, seen: _Seen) -> None:
        """Write a tick; one that meets a fault, or the rest after it, is lost."""
        if self._clock.monotonic_s() < self._rests_until_s:
            self._failed_ticks += 1
            return
        try:
            self._scribe.write(_moment(seen))
            self._rose()
        except (OSError, Broken) as error:
            self._failed_ticks += 1
            self._fell(error)

    def _reward(self, reward: Reward) -> bool | Error:
        """Write feedback; whether it is new, or what is wrong."""
        try:
            new = self._scribe.reward(reward)
            self._rose()
            return new
        except OSError as error:
            return self._fell(error)
        except Conflict as refused:
            return refused

    def _sync(self, *, all_files: bool) -> StoreDown | None:
        try:
            self._scribe.sync(all_files=all_files)
        except OSError as error:
            return self._fell(error)
        return None

    def _fell(self, error: OSError | Broken) -> StoreDown:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        self._rests_until_s = self._clock.monotonic_s() + REST_S
        if not self._fault:
            self._fault = reason
            self._tell(lambda: self._log.error("recorder.failed", reason=reason))
        return StoreDown(f"the recording cannot be written: {reason}", hint="see modules.behavior.recording.folder")

    def _rose(self) -> None:
        if self._fault:
            self._fault = ""
            self._tell(lambda: self._log.info("recorder.recovered", entries=self.dropped_ticks))

    def _tell(self, say: Callable[[], object]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(say)


def _answer(asked: _Asked, said: bool | Error) -> None:
    """Hand the answer to whoever waits, unless nobody does any more."""

    def settle() -> None:
        if asked.answer.done():
            return
        if isinstance(said, Error):
            asked.answer.set_exception(said)
        else:
            asked.answer.set_result(said)

    if not asked.loop.is_closed():
        asked.loop.call_soon_threadsafe(settle)


def context_of(brains: Brains, taste_share: float, rungs: tuple[str, ...] = (), led: tuple[Led, ...] = ()) -> Context:
    """What the brains are, as the file keeps it; `rungs` are by default their own."""
    return _context(_portrait(brains, taste_share, rungs or brains.names), led)


def _portrait(brains: Brains, taste_share: float, rungs: tuple[str, ...]) -> _Portrait:
    metadata = brains.policy.metadata if brains.policy is not None else {}
    return _Portrait(brains.schema, rungs, brains.passes.name, brains.provider, metadata, taste_share)


def _context(brains: _Portrait, led: tuple[Led, ...]) -> Context:
    schema, metadata = brains.schema, brains.metadata
    return Context(
        schema=schema.name, fingerprint=schema.fingerprint, features=schema.feature_names,
        intents=schema.intent_names, slots=schema.slots, rungs=brains.rungs, passes=brains.passes,
        taste_share=brains.taste_share, model=metadata.get("sha256", ""), provider=brains.provider,
        runtime=metadata.get("runtime", ""),
        programs=tuple(f"{each.name}@{each.program.digest.hex()}" for each in led),
    )  # fmt: skip


def _moment(seen: _Seen) -> Moment:
    kept, choice = seen.kept, seen.kept.choice
    return Moment(
        *seen.place, _context(seen.brains, kept.led), kept.tick, seen.game_s, seen.wall_ms, kept.taste.seed,
        kept.led[0].dt_s if kept.led else 0.0, seen.dropped, seen.flags, kept.mask,
        {
            "handles": kept.handles, "rung_of": kept.rung_of, "intents": choice.intents,
            "targets": choice.targets, "confidence": choice.confidence, "obs": kept.obs,
            **_led_arrays(kept),
            **({} if kept.bonus is None else {"bonus": kept.bonus}),
            **({} if kept.remembered is None else {"remembered": kept.remembered}),
        },
    )  # fmt: skip


def _led_arrays(kept: Kept) -> dict[str, NDArray[Any]]:
    """Which program led each row, and what it remembered; nothing where none led anybody."""
    if not kept.led:
        return {}
    rows = [packed(led.before) for led in kept.led]
    program = np.full(len(kept.handles), -1, np.int16)
    memory = np.zeros((len(kept.handles), max(row.shape[1] for row in rows)), np.uint8)
    for number, (led, row) in enumerate(zip(kept.led, rows, strict=True)):
        program[led.rows] = number
        memory[led.rows, : row.shape[1]] = row
    return {"program": program, "memory": memory}


def open_recorder(settings: Recording, data: Path, *, clock: Clock, log: Log) -> Recorder | None:
    """The recorder that the settings ask for, below the folder `data`; None where they ask for none."""
    if not settings.enabled:
        return None
    return Recorder(settings, data / settings.folder, clock=clock, log=log)
