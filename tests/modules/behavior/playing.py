"""A behavior module that records its play into a folder of a test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from app.core.clock import Clock, SystemClock
from app.core.ports import Network
from app.modules.behavior import messages, module
from app.modules.behavior.recorder import Recorder
from app.modules.behavior.recordings import SUFFIX, Played, Reader, Rewarded
from app.modules.behavior.settings import Recording, Settings
from app.world.entities import Npc
from app.world.events import EntityUpserted
from app.world.state import World, Worlds
from tests.doubles import RamJournal, SilentLog
from tests.modules.behavior.stage import ROLES, Stage, Watch, handles, observations
from tests.prompts import registry


@asynccontextmanager
async def recording(
    folder: Path,
    *,
    npcs: int = 5,
    policy: Network | None = None,
    clock: Clock | None = None,
    leads: dict[str, str] | None = None,
    **settings: Any,
) -> AsyncIterator[Stage]:
    """The module over one world; when the block ends, everything is written."""
    chosen = Recording(enabled=True, **{"npc_share": 1.0, **settings})
    worlds, clock, log = Worlds(), clock or SystemClock(), SilentLog()
    worlds.add(World("t", "w"))
    journal = RamJournal(worlds)
    people = [Npc(id=f"npc-{index}", archetype=ROLES[index % 5]) for index in range(npcs)]
    await journal.append("t", "w", [EntityUpserted(entity=npc) for npc in people])
    recorder, watch = Recorder(chosen, folder, clock=clock, log=log), Watch()
    built = module.build(
        settings=Settings(recording=chosen, leads=leads or {}), worlds=worlds, journal=journal, clock=clock,
        watcher=watch, policy=policy, words=None, prompts=registry(), log=log, recorder=recorder,
    )  # fmt: skip
    assert built.observe is not None
    journal.observers.append(built.observe)
    try:
        yield Stage(built, worlds.get("t", "w"), watch, log, journal)
    finally:
        assert built.close is not None
        await built.close()


async def decide(on: Stage, count: int = 5, *, tick: int = 1, seed: int = 0, **fields: Any) -> messages.Decided:
    fields = {"handles": handles(count), "obs": observations(count, seed=seed).tobytes(), **fields}
    return cast(messages.Decided, await on.ask(messages.Decide(tick=tick, **fields)))


async def reward(on: Stage, **fields: Any) -> messages.FeedbackRecorded:
    request = messages.Feedback(**{"tick": 1, "npcs": ("npc-0",), "rewards": (1.0,), **fields})
    return cast(messages.FeedbackRecorded, await on.ask(request, deadline_ms=5_000))


def ticks(folder: Path) -> list[Played]:
    return [record for record in Reader(folder) if isinstance(record, Played)]


def rewards(folder: Path) -> list[Rewarded]:
    return [record for record in Reader(folder) if isinstance(record, Rewarded)]


def files(folder: Path) -> list[Path]:
    """The segments, oldest first."""
    return sorted(folder.rglob(f"*{SUFFIX}"))
