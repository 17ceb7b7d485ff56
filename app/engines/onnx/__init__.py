"""A network on ONNX Runtime: opened, verified, warmed and proved, then answering requests that are joined.

Another model takes its place without a request lost or mixed. It knows no module; what rows mean is the caller's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.clock import Deadline
from app.core.errors import EngineDown
from app.core.ports import After, Arrays, EngineStatus
from app.engines import catalog, costs
from app.engines.batching import Batcher, Model
from app.engines.onnx import gates, graph, runners, sessions, weights
from app.engines.onnx.sessions import PROVIDERS, Opened, Options

TYPES = {"float32": "tensor(float)", "float16": "tensor(float16)", "uint8": "tensor(uint8)", "int64": "tensor(int64)"}
STATE = "state_in"
"""The input of a recurrent network in which a row's memory comes back to it."""
__all__ = ["PROVIDERS", "Engine", "Options", "open_onnx"]


@dataclass(slots=True, eq=False)
class Loaded:
    """A model that has shown that it works, and the session that it is."""

    entry: catalog.Entry
    opened: Opened
    runner: runners.Plain | runners.Buckets
    metadata: Mapping[str, str]
    model: Model

    def free(self) -> None:
        """Let go of the session, its buffers and what it shares; for when nothing runs on it any more."""
        del self.opened, self.runner, self.model


class Engine:
    """A live network; `run` joins concurrent requests. Use `open_onnx` to make one."""

    def __init__(self, name: str, loaded: Loaded, loader: _Loader, batcher: Batcher) -> None:
        self._name, self._live, self._loader, self._batcher = name, loaded, loader, batcher
        self._swapping = asyncio.Lock()

    @property
    def name(self) -> str:
        return self._name

    @property
    def metadata(self) -> Mapping[str, str]:
        """The live model file's own metadata, and under `state` how wide a recurrent network's memory is."""
        return self._live.metadata

    @property
    def row_us(self) -> float:
        """Microseconds that a row costs at present."""
        cost = self._live.model.cost
        return cost.pace * cost.row_us

    def status(self) -> EngineStatus:
        """What runs, beside what was asked; degraded when a provider before it is missing, or a run hangs."""
        opened, hung_s = self._live.opened, self._batcher.hung_s
        mends = sorted({PROVIDERS[word][1] for word, _ in opened.missing})
        details = [reason for _, reason in opened.missing]
        if hung_s:
            details.append(f"a run hangs for {hung_s:.0f} s")
        return EngineStatus(
            name=self._name,
            kind="onnx",
            state="degraded" if details else "ready",
            asked=self._loader.options.providers,
            provider=opened.provider,
            detail="; ".join(details),
            mend=" or ".join(mends) or ("restart the server" if hung_s else ""),
        )

    def rows_by(self, deadline: Deadline) -> int:
        """See app.core.ports.Network."""
        return self._batcher.rows_by(deadline)

    async def run(self, inputs: Arrays, deadline: Deadline, *, after: After | None = None) -> Arrays:
        """See app.core.ports.Network."""
        return await self._batcher.run(inputs, deadline, after=after)

    def compute(self, inputs: Arrays) -> Arrays:
        """One run in this thread, past the queue; raises EngineDown with the runtime's own words when it fails."""
        return self._live.runner.compute(inputs)

    async def swap(self, entry: catalog.Entry) -> None:
        """Answer with another model from now on; returns when the one before has answered its last request.

        Raises EngineDown when the new one does not load, prove itself or take and give the same arrays in the same
        layout: nothing has changed then.
        """
        async with self._swapping:
            before = self._live
            loaded = await asyncio.to_thread(self._loader.load, entry)
            _check_fit(self._name, before, loaded)
            drained = self._batcher.use(loaded.model).drained
            self._live = loaded
            await drained.wait()
            before.free()

    async def close(self) -> None:
        """Stop the workers; safe to call twice."""
        await self._batcher.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loader:
    """From an entry of the catalog to a model that has proved itself; for any thread."""

    name: str
    folder: Path
    options: Options
    rows_max: int
    shelf: weights.Shelf

    def load(self, entry: catalog.Entry) -> Loaded:
        """Verify, open, warm, probe and prove; raises EngineDown and frees everything when a step fails."""
        data = catalog.read_verified(entry, self.folder)
        graph.refuse_dynamic(self.name, data)
        shared = self.shelf.borrow(data) if self.options.providers[:1] == ("cpu",) else []
        opened = sessions.open_session(data, name=self.name, entry=entry, options=self.options, shared=shared)
        _check_shapes(self.name, entry, opened.session)
        runner = self._runner(entry, opened)
        inputs, fixed = opened.session.get_inputs(), frozenset(put.name for put in entry.inputs if put.shared)
        cost = self._warm(runner, inputs, fixed)
        subject = gates.Subject(self.name, runner.compute, inputs, fixed)
        if entry.probe:
            gates.compare_probe(subject, entry.probe, entry.probe_tolerance)
        gates.prove_invariance(subject, sizes=[size for size in gates.QUICK_SIZES if size <= self.rows_max])
        metadata = dict(opened.session.get_modelmeta().custom_metadata_map)
        state = [put.shape[1] for put in entry.inputs if put.name == STATE]
        import onnxruntime

        metadata |= {"sha256": entry.sha256, "runtime": f"onnxruntime {onnxruntime.__version__}"}
        metadata |= {"state": str(state[0])} if state else {}
        metadata["inputs"] = ",".join(put.name for put in entry.inputs)
        model = Model(runner.compute, cost, inline=opened.provider == "cpu")
        return Loaded(entry, opened, runner, metadata, model)

    def _runner(self, entry: catalog.Entry, opened: Opened) -> runners.Plain | runners.Buckets:
        """Fixed buffers on a device where the network allows them."""
        if opened.provider == "cpu" or not sessions.has_fixed_rows(entry):
            return runners.Plain(self.name, opened.session)
        import onnxruntime

        pinned = runners.host_memory(onnxruntime, PROVIDERS[opened.provider][0])
        return runners.Buckets(self.name, opened.session, self.options.buckets, device="cuda", host=pinned)

    def _warm(
        self, runner: runners.Plain | runners.Buckets, inputs: Sequence[Any], shared: frozenset[str]
    ) -> costs.Cost:
        """Run every size that a device is prepared for, then see what rows cost, each size at its quickest."""
        if isinstance(runner, runners.Buckets):
            for rows in self.options.buckets:
                for _ in range(2):  # The first allocates, the second is captured.
                    runner.compute(runners.zeros(inputs, rows, shared=shared, free=gates.FREE))
        timings = []
        for rows in sorted({1, max(1, self.rows_max // 8), self.rows_max}):
            zeros = runners.zeros(inputs, rows, shared=shared, free=gates.FREE)
            took_s = []
            for _ in range(4):
                began_s = time.perf_counter()
                runner.compute(zeros)
                took_s.append(time.perf_counter() - began_s)
            timings.append((rows, min(took_s) * 1e6))
        return costs.calibrated(timings)


def open_onnx(
    *, name: str, entry: catalog.Entry, folder: Path, providers: Sequence[str] = ("cpu",), batch_rows_max: int = 1_024,
    threads: int = 1, queue_rows_max: int = 65_536, workers_max: int = 2, window_us: float = 0.0,
    options: Options | None = None, shelf: weights.Shelf | None = None,
) -> Engine:  # fmt: skip
    """Load `entry` of `folder`; importing onnxruntime happens here.

    `providers` is an order of preference out of PROVIDERS; one that is missing or does not take the network is
    reported in the status, and the next is used; `options` says more about devices and then names the order itself.
    `workers_max` threads share the rows of a large run on the CPU. Engines with one `shelf` hold equal weights once.
    Raises EngineDown when the file, its shapes, its proofs or every provider fails, ModuleNotFoundError when
    onnxruntime is not installed.
    """
    opening = options if options is not None else Options(providers=tuple(providers), threads=threads)
    loader = _Loader(
        name=name, folder=folder, options=opening, rows_max=batch_rows_max,
        shelf=shelf if shelf is not None else weights.Shelf(),
    )  # fmt: skip
    loaded = loader.load(entry)
    on_cpu = loaded.opened.provider == "cpu"
    batcher = Batcher(
        loaded.model, name=name, rows_max=batch_rows_max, queue_rows_max=queue_rows_max,
        workers=sessions.workers(loaded.opened.provider, workers_max), window_us=0.0 if on_cpu else window_us,
    )  # fmt: skip
    return Engine(name, loaded, loader, batcher)


def _check_shapes(name: str, entry: catalog.Entry, session: Any) -> None:
    for side, declared, found in (
        ("input", entry.inputs, session.get_inputs()),
        ("output", entry.outputs, session.get_outputs()),
    ):
        real = [(put.name, put.type, tuple(d if isinstance(d, int) else -1 for d in put.shape)) for put in found]
        said = [(put.name, TYPES.get(put.type, put.type), put.shape) for put in declared]
        if real != said:
            raise EngineDown(
                f"engine {name!r}: {side}s are {real!r}, the catalog says {said!r}", hint="mend models/catalog.toml"
            )


def _check_fit(name: str, before: Loaded, after: Loaded) -> None:
    """Raise EngineDown unless both take and give the same arrays, learned from the same schema."""
    old, new = before.entry, after.entry
    if (old.inputs, old.outputs, old.fingerprint) != (new.inputs, new.outputs, new.fingerprint):
        raise EngineDown(
            f"engine {name!r}: model {new.id!r} takes or gives other arrays, or another schema, than {old.id!r}",
            hint="open it as an engine of its own",
        )
    if before.opened.provider != after.opened.provider:
        raise EngineDown(
            f"engine {name!r}: model {new.id!r} runs on {after.opened.provider!r} only, not {before.opened.provider!r}",
            hint="see `manage.py doctor`",
        )
