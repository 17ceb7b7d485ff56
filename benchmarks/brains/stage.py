"""What the behavior benchmarks share: a module over a world, the shipped policy, and ticks for them."""

from __future__ import annotations

import asyncio
import statistics
import time
import tomllib
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from report import ROOT

from app.control.prompts.registry import Registry
from app.core.clock import Deadline, SystemClock
from app.core.messages import Change, Chunk, Event
from app.core.module import Call, Module
from app.core.ports import After, Arrays, EngineStatus, Network
from app.core.prompts import PromptLimits
from app.engines import catalog
from app.engines.onnx import Engine, open_onnx
from app.modules.behavior import messages, module, schema
from app.modules.behavior.recorder import Recorder
from app.modules.behavior.settings import Settings
from app.world.entities import Npc
from app.world.events import EntityUpserted
from app.world.reducers import apply
from app.world.state import World, Worlds

BATCH = 1_024
CROWD = 16_384
"""The most NPCs in one tick."""
LAYOUT = schema.load("open_world")
MODELS = ROOT / "models"
LIMITS = msgspec.convert(tomllib.loads((ROOT / "profiles" / "base.toml").read_text())["prompts"], PromptLimits)


class Quiet:
    """A log, a watcher and a journal for which nothing needs to be told."""

    def debug(self, event: str, **fields: object) -> None: ...
    def info(self, event: str, **fields: object) -> None: ...
    def warning(self, event: str, **fields: object) -> None: ...
    def error(self, event: str, **fields: object) -> None: ...
    def rung_fell(self, module: str, rung: str, reason: str) -> None: ...
    def rung_rose(self, module: str, rung: str) -> None: ...
    async def append(self, *args: Any, **more: Any) -> list[Event]:
        return []


class Hung:
    """A network that never answers."""

    name = "policy"
    metadata: Mapping[str, str] = {"fingerprint": LAYOUT.fingerprint}

    def status(self) -> EngineStatus:
        return EngineStatus(name="policy", kind="onnx", state="ready")

    def rows_by(self, deadline: Deadline) -> int:
        return 1 << 30

    async def run(self, inputs: Arrays, deadline: Deadline, *, after: After | None = None) -> Arrays:
        await asyncio.sleep(3_600)
        return {}

    async def close(self) -> None: ...


def open_policy(id: str = "behavior-open-world") -> Engine:
    entry = catalog.load(MODELS / "catalog.toml").entry(id)
    return open_onnx(name="policy", entry=entry, folder=MODELS, batch_rows_max=BATCH)


def bare_session(id: str = "behavior-open-world") -> onnxruntime.InferenceSession:
    """The same network with the same options, without us."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    file = catalog.load(MODELS / "catalog.toml").entry(id).file
    return onnxruntime.InferenceSession(str(MODELS / file), options, providers=["CPUExecutionProvider"])


def observations(npcs: int) -> NDArray[np.float32]:
    obs = np.random.default_rng(1).random((npcs, 64), np.float32)
    obs[:, LAYOUT.role_columns] = np.eye(5, dtype=np.float32)[np.arange(npcs) % 5]
    return obs


def compose(policy: Network | None, npcs: int, recorder: Recorder | None = None) -> Module:
    worlds, quiet = Worlds(), Quiet()
    world = World("t", "w")
    worlds.add(world)
    for index in range(npcs):
        change: Change = EntityUpserted(entity=Npc(id=f"npc-{index}"))
        apply(world.state, Event(seq=index + 1, id=str(index), wall_ms=0, game_s=0.0, change=change))
    built = module.build(
        settings=Settings(npcs_max=200_000),
        worlds=worlds,
        journal=quiet,
        clock=SystemClock(),
        watcher=quiet,
        policy=policy,
        recorder=recorder,
        words=None,
        prompts=Registry({}, LIMITS, quiet),
        log=quiet,
    )
    assert built.warm is not None
    built.warm()
    return built


async def _discard(chunk: Chunk) -> None: ...


def ask(built: Module, request: messages.Decide, *, deadline_ms: float) -> Callable[[], Any]:
    """A coroutine function that decides one tick."""

    async def once() -> messages.Decided:
        call = Call("1", "t", "w", Deadline.after_ms(deadline_ms, SystemClock()), Quiet(), _discard)
        reply = await built.handlers[0].run(call, request)
        assert isinstance(reply, messages.Decided)
        return reply

    return once


def turns(
    loop: asyncio.AbstractEventLoop, works: dict[str, Callable[[], Coroutine[Any, Any, object]]], *, rounds: int
) -> dict[str, float]:
    """Like `interleaved`, on a loop that runs already, as a server's does: starting one is no part of the work."""
    taken: dict[str, list[float]] = {name: [] for name in works}

    async def all_rounds() -> None:
        for _ in range(rounds):
            for name, work in works.items():
                began = time.perf_counter()
                await work()
                taken[name].append(time.perf_counter() - began)

    loop.run_until_complete(all_rounds())
    return {name: statistics.median(values) for name, values in taken.items()}


def tick_of(npcs: int, number: int = 1) -> messages.Decide:
    handles = np.arange(npcs, dtype="<u4").tobytes()
    mask = np.ones((npcs, 12), np.uint8).tobytes()
    return messages.Decide(tick=number, handles=handles, obs=observations(npcs).tobytes(), mask=mask)
