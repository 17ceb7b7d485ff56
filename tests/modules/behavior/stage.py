"""A behavior module over a small real world, with networks that answer, fail, hang or lie."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Deadline, SystemClock
from app.core.errors import EngineDown
from app.core.ladder import Watcher
from app.core.messages import Chunk, Reply, Request
from app.core.module import Call, Module
from app.core.ports import After, Arrays, EngineStatus, Network
from app.core.words import Words
from app.modules.behavior import messages, module, schema
from app.modules.behavior.brains import RUNGS
from app.modules.behavior.settings import Settings
from app.world.entities import Npc
from app.world.events import EntityUpserted
from app.world.state import World, Worlds
from tests.doubles import RamJournal, SilentLog
from tests.prompts import registry

LAYOUT = schema.load("open_world")
ROLES = ("guard", "merchant", "villager", "predator", "prey")


@dataclass
class Net:
    """A Network that gives `logits`, or raises, or never returns."""

    fault: str = ""
    roles: str = ",".join(ROLES)
    fingerprint: str = LAYOUT.fingerprint
    runs: int = 0

    @property
    def name(self) -> str:
        return "policy"

    @property
    def metadata(self) -> Mapping[str, str]:
        return {"fingerprint": self.fingerprint, "roles": self.roles}

    def status(self) -> EngineStatus:
        return EngineStatus(name="policy", kind="double", state="ready", provider="double")

    def rows_by(self, deadline: Deadline) -> int:
        return 1 << 30

    async def run(self, inputs: Arrays, deadline: Deadline, *, after: After | None = None) -> Arrays:
        self.runs += 1
        if self.fault == "down":
            raise EngineDown("no")
        if self.fault == "hang":
            await asyncio.sleep(3600)
        obs = inputs["obs"]
        logits = np.tile(np.arange(16, dtype=np.float32) / 8.0, (len(obs), 1))
        logits[:, 3] += 5.0 * obs[:, LAYOUT.columns["is_night"]]
        if self.fault == "nan":
            logits[0] = np.nan
        if after is not None:
            after(0, len(obs), {"logits": logits})
        return {"logits": logits}

    async def close(self) -> None:
        return None


@dataclass
class Watch:
    fell: list[str] = field(default_factory=list)
    rose: list[str] = field(default_factory=list)

    def rung_fell(self, module: str, rung: str, reason: str) -> None:
        self.fell.append(rung)

    def rung_rose(self, module: str, rung: str) -> None:
        self.rose.append(rung)


@dataclass
class Stage:
    """The module, its world and what watched it."""

    module: Module
    world: World
    watch: Watch
    log: SilentLog
    journal: RamJournal
    notes: dict[str, str | int | float] = field(default_factory=dict)

    async def ask(self, request: Request, *, deadline_ms: float = 500.0) -> Reply:
        handler = next(each for each in self.module.handlers if each.request is type(request))
        self.notes = {}
        call = Call(
            "1", "t", "w", Deadline.after_ms(deadline_ms, SystemClock()), self.log, _discard, self.notes
        )  # fmt: skip
        return await handler.run(call, request)


async def _discard(chunk: Chunk) -> None:
    return None


async def stage(
    policy: Network | None = None,
    *,
    npcs: int = 5,
    settings: Settings | None = None,
    rungs: Sequence[str] = RUNGS,
    words: Words | None = None,
    watcher: Watcher | None = None,
) -> Stage:
    worlds = Worlds()
    worlds.add(World("t", "w"))
    journal = RamJournal(worlds)
    people = [Npc(id=f"npc-{index}", archetype=ROLES[index % 5]) for index in range(npcs)]
    await journal.append("t", "w", [EntityUpserted(entity=npc) for npc in people])
    watch, log = Watch(), SilentLog()
    built = module.build(
        settings=settings or Settings(),
        worlds=worlds,
        journal=journal,
        clock=SystemClock(),
        watcher=watcher or watch,
        policy=policy,
        rungs=rungs,
        words=words,
        prompts=registry(),
        log=log,
    )
    assert built.observe is not None
    journal.observers.append(built.observe)
    return Stage(built, worlds.get("t", "w"), watch, log, journal)


async def asked(on: Stage, count: int = 5, *, deadline_ms: float = 500.0, **fields: Any) -> messages.Decided:
    """The reply to a tick of `count` NPCs; what `fields` leave out is plausible."""
    if not {"obs", "obs_b64", "rows", "features"} & set(fields):
        fields["obs"] = observations(count).tobytes()
    if "npcs" not in fields:
        fields.setdefault("handles", handles(count))
    fields.setdefault("tick", 1)
    return cast(messages.Decided, await on.ask(messages.Decide(**fields), deadline_ms=deadline_ms))


def handles(npcs: int) -> bytes:
    return np.arange(npcs, dtype="<u4").tobytes()


def observations(npcs: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Plausible rows (npcs, 64): values in range, one role each."""
    obs = np.random.default_rng(seed).random((npcs, 64), np.float32)
    obs[:, LAYOUT.role_columns] = np.eye(5, dtype=np.float32)[np.arange(npcs) % 5]
    obs[:, LAYOUT.block("told")] = 0.0
    return obs
