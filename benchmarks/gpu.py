"""The policy on a GPU: FP32 and FP16, with CUDA graphs and without, beside the CPU of the same machine.

Every session's own list of providers is asserted: a figure of a silent fallback is none. Without a GPU each figure
stands with the reason why it was not taken.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from brains.stage import BATCH, CROWD, MODELS, observations, open_policy, turns
from report import Report, interleaved, note, start

from app.core.clock import Deadline, SystemClock
from app.core.errors import EngineDown
from app.engines import catalog
from app.engines.onnx import PROVIDERS, Engine, Options, gpu, open_onnx

WORDS = ("nv_tensorrt_rtx", "tensorrt", "cuda")
LARGEST = 4_096


def open_on(word: str, entry: catalog.Entry, folder: Path, *, graphs: bool) -> Engine:
    """The network on that provider alone; raises EngineDown where it does not run."""
    buckets = (*gpu.BUCKETS, LARGEST)
    with_cpu = Options(providers=(word,), gpu_graphs=graphs, buckets=buckets, cache_folder=folder / "engines")
    engine = open_onnx(name="policy", entry=entry, folder=folder, options=with_cpu, batch_rows_max=LARGEST)
    assert engine.status().provider == word, engine.status()
    return engine


def half_of(entry: catalog.Entry, folder: Path) -> tuple[catalog.Entry | None, str]:
    """The network in FP16, float32 at its ends, written into `folder`; or why there is none."""
    try:
        from app.engines.compiler import graph, precision
    except ModuleNotFoundError as error:
        return None, f"the package {error.name!r} is not installed: uv sync --extra train"
    model = precision.to_fp16(graph.read((MODELS / entry.file).read_bytes(), entry.id), io_half=False)
    data = graph.write(model)
    (folder / "half.onnx").write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    return msgspec.structs.replace(entry, id="half", file="half.onnx", sha256=sha256, probe=()), ""


def measure(report: Report, loop: asyncio.AbstractEventLoop, name: str, engine: Engine, rounds: int) -> None:
    """Rows a second of large runs, microseconds of small ones, and the request's own way through the batcher."""
    large, soon = observations(CROWD), Deadline.after_ms(6e5, SystemClock())
    took = interleaved(
        {str(rows): lambda rows=rows: engine.compute({"obs": large[:rows]}) for rows in (1, 128, BATCH, LARGEST)},
        rounds=rounds,
    )
    report.add(f"{name}.rows_per_s", LARGEST / took[str(LARGEST)], "1/s", "higher")
    for rows in (1, 128, BATCH):
        report.add(f"{name}.us_{rows}", took[str(rows)] * 1e6, "us", "lower")
    whole = turns(loop, {"run": lambda: engine.run({"obs": large}, soon)}, rounds=max(5, rounds // 10))["run"]
    report.add(f"{name}.tick_16384_us", whole * 1e6, "us", "lower")


def names(word: str) -> Sequence[tuple[str, str, bool]]:
    """(figure, precision, with graphs) of a provider."""
    return [
        (f"{word}.{precision}.{'graphs' if graphs else 'plain'}", precision, graphs)
        for precision in ("fp32", "fp16")
        for graphs in (True, False)
    ]


def measure_provider(
    report: Report, loop: asyncio.AbstractEventLoop, word: str, folder: Path, rounds: int, reference: np.ndarray
) -> None:
    """All four forms on one provider; what does not run stands with the runtime's own words."""
    entry = catalog.load(MODELS / "catalog.toml").entry("behavior-open-world")
    (folder / entry.file).write_bytes((MODELS / entry.file).read_bytes())
    half, lacking = half_of(entry, folder)
    for name, precision, graphs in names(word):
        chosen = entry if precision == "fp32" else half
        if chosen is None:
            report.add(f"{name}.rows_per_s", None, "1/s", "higher", why=lacking)
            continue
        began_s = time.perf_counter()
        try:
            engine = open_on(word, chosen, folder, graphs=graphs)
        except EngineDown as error:
            report.add(f"{name}.rows_per_s", None, "1/s", "higher", why=error.message)
            continue
        report.add(f"{name}.open_s", time.perf_counter() - began_s, "s", "lower")
        found = np.asarray(engine.compute({"obs": observations(BATCH)})["logits"])
        agree = float((found[:, :12].argmax(axis=1) == reference[:, :12].argmax(axis=1)).mean())
        report.add(f"{name}.agreement", agree, "share", "higher", goal=0.99, peer="the CPU in FP32", peer_value=1.0)
        measure(report, loop, name, engine, rounds)
        loop.run_until_complete(engine.close())


def main() -> None:
    report = start("gpu")
    rounds = 50 if report.options.quick else 500
    card = gpu.look()
    loop = asyncio.new_event_loop()
    note(f"card: {card}" if card else "no NVIDIA driver on this machine")
    engine = open_policy()
    reference = np.asarray(engine.compute({"obs": observations(BATCH)})["logits"])
    with tempfile.TemporaryDirectory(prefix="innkeeper-gpu-") as place:
        measure(report, loop, "cpu.fp32", engine, rounds)
        for word in WORDS:
            note(f"{word}: {PROVIDERS[word][0]}")
            measure_provider(report, loop, word, Path(place), rounds, reference)
    loop.run_until_complete(engine.close())
    loop.close()
    report.close()


if __name__ == "__main__":
    main()
