"""Opens the engines that a profile names; one that this machine cannot run is left out, visibly.

It reads keys from the environment and imports each vendor's code only when the profile names it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, cast

from app.core.engines import Onnx
from app.core.errors import Broken, EngineDown
from app.core.ports import Engine, EngineStatus, Network
from app.core.profile import Profile

if TYPE_CHECKING:
    from app.engines.onnx import Engine as OnnxEngine
    from app.modules.pathfinding.grids.batch_fields import FieldEngine

E = TypeVar("E", bound=Engine)


class Engines:
    """The engines that run, and why the others do not."""

    def __init__(self) -> None:
        self._running: list[Engine] = []
        self._lacking: list[EngineStatus] = []

    def add(self, engine: E) -> E:
        """Keep a running engine, to be told of and closed."""
        self._running.append(engine)
        return engine

    def running(self, name: str) -> Engine | None:
        """The engine of that name, where it runs."""
        return next((engine for engine in self._running if engine.name == name), None)

    def lack(self, name: str, kind: str, detail: str, mend: str, *, asked: bool = False) -> None:
        """Note an engine that does not run. `asked`: the mode counts on it, so the server is degraded without."""
        state: Literal["degraded", "missing"] = "degraded" if asked else "missing"
        self._lacking.append(EngineStatus(name=name, kind=kind, state=state, detail=detail, mend=mend))

    def statuses(self) -> tuple[EngineStatus, ...]:
        """What each engine is at this moment."""
        return (*(engine.status() for engine in self._running), *self._lacking)

    async def close(self) -> None:
        """Close in reverse order."""
        for engine in reversed(self._running):
            await engine.close()


def open_or_lack(name: str, engines: Engines, opening: Callable[[], E]) -> E | None:
    """What `opening` opens; None, and noted, where an ONNX engine that the profile asks for cannot be opened."""
    try:
        return engines.add(opening())
    except ModuleNotFoundError as error:
        engines.lack(name, "onnx", f"the package {error.name!r} is not installed", "uv sync --extra cpu", asked=True)
    except (EngineDown, Broken) as error:
        engines.lack(name, "onnx", error.message, error.hint, asked=True)
    return None


def open_engine(name: str, spec: Onnx, *, root: Path) -> OnnxEngine:
    """The ONNX engine of that table; raises EngineDown, or ModuleNotFoundError without a runtime."""
    from app.engines import catalog
    from app.engines.onnx import Options, open_onnx, own

    folder = root / "models"
    options = Options(
        providers=spec.providers,
        threads=spec.threads,
        gpu_memory_bytes_max=spec.gpu_memory_bytes_max,
        gpu_graphs=spec.gpu_graphs,
        buckets=spec.gpu_buckets,
        cache_folder=Path(spec.cache_folder) if spec.cache_folder else None,
    )
    entry = own.entry_of(Path(spec.file)) if spec.file else catalog.load(folder / "catalog.toml").entry(spec.model)
    return open_onnx(
        name=name,
        entry=entry,
        folder=folder,
        options=options,
        batch_rows_max=spec.batch_rows_max,
        queue_rows_max=spec.queue_rows_max,
        workers_max=spec.workers_max,
        window_us=spec.window_us,
    )


def open_network(name: str, profile: Profile, engines: Engines, *, root: Path) -> Network | None:
    """The ONNX network of that engine table; None where the profile has none or this machine cannot run it."""
    spec = profile.engines.get(name)
    if not isinstance(spec, Onnx) or not (spec.file or spec.model):
        return None
    return open_or_lack(name, engines, lambda: open_engine(name, spec, root=root))


def open_on_gpu(name: str, profile: Profile, engines: Engines, *, root: Path) -> FieldEngine | None:
    """The same, for a network that pays on a GPU only; None where the CPU would run it."""
    network = open_network(name, profile, engines, root=root)
    if network is None or network.status().provider == "cpu":
        return None
    return cast("FieldEngine", network)
