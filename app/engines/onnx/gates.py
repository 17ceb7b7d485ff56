"""What a model must show before it goes live: the answers of its maker, and that no row depends on another.

It knows arrays and a function that computes; where they come from is the caller's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.errors import EngineDown
from app.core.ports import Arrays
from app.engines.onnx import graph, runners, sessions

SIZES = (1, 2, 3, 7, 16, 65, 128, 333, 1_024, 1_500, 3_000)
"""Batches of the whole proof: below, at and beyond vectors, blocks and chunks."""
QUICK_SIZES = (1, 3, 17, 64)
"""Batches of the proof at load, a few hundred microseconds."""
PROBE_ROWS, FREE = 8, 8
"""Rows that a probe asks; free dimensions beside the rows, in probes and proofs."""
TOLERANCE, TOLERANCE_ROUNDED = 1e-3, 2e-2
ROUNDS = frozenset({"QuantizeLinear", "Cast"})
"""Operators of graphs that compute in INT8 or FP16."""
Compute = Callable[[Arrays], Arrays]


@dataclass(frozen=True, slots=True)
class Subject:
    """A network under test: how it computes, its inputs as the runtime tells them, and those that have no rows."""

    name: str
    compute: Compute
    inputs: Sequence[Any]
    shared: frozenset[str] = frozenset()
    given: Arrays = field(default_factory=dict)
    """Real inputs, which are repeated as often as needed."""

    def rows(self, count: int) -> runners.Outputs:
        """What is given; else inputs between 0 and 1, the same on every machine."""
        made = runners.made(self.inputs, count, shared=self.shared, free=FREE, fill=_numbers)
        real = {name: np.resize(array, made[name].shape).astype(made[name].dtype) for name, array in self.given.items()}
        return {**made, **real}

    def part(self, inputs: Arrays, first: int, last: int) -> dict[str, NDArray[Any]]:
        """Rows `first` to `last` of inputs."""
        return {name: array if name in self.shared else array[first:last] for name, array in inputs.items()}


def prove_invariance(subject: Subject, *, sizes: Sequence[int] = SIZES, threads: int = 1) -> None:
    """Prove that a row's answer has the same bits in every batch, at its start, middle and end, and in every thread.

    Raises EngineDown naming the size and the place where it has not.
    """
    most = max(sizes)
    inputs = subject.rows(most)
    whole = subject.compute(inputs)

    def check(size: int) -> None:
        for first in sorted({0, (most - size) // 2, most - size}):
            part = subject.compute(subject.part(inputs, first, first + size))
            for name, found in part.items():
                if found.tobytes() != whole[name][first : first + size].tobytes():
                    raise EngineDown(
                        f"engine {subject.name!r}: {name!r} of rows {first} to {first + size} changes with the batch",
                        hint="quantize statically, and use a provider whose kernels do not depend on the batch",
                    )

    if threads == 1:
        for size in sizes:
            check(size)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(check, [size for size in sizes for _ in range(threads)]))


def probe(subject: Subject) -> tuple[float, ...]:
    """What a network answers to PROBE_ROWS fixed rows: the outputs of each, folded into one number."""
    outputs = subject.compute(subject.rows(PROBE_ROWS))
    flat = [np.asarray(outputs[name], np.float64).reshape(PROBE_ROWS, -1) for name in sorted(outputs)]
    joined = np.concatenate(flat, axis=1)
    weights = 2.0 * _numbers((joined.shape[1],)) - 1.0
    return tuple(float(value) for value in joined @ weights / math.sqrt(joined.shape[1]))


def probe_of(data: bytes, shared: frozenset[str] = frozenset()) -> tuple[float, ...]:
    """What the model in `data` answers on this machine's CPU, as a catalog keeps it: to seven digits."""
    import onnxruntime

    options = sessions.session_options(onnxruntime, sessions.Options())
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    found = probe(Subject("probe", runners.Plain("probe", session).compute, session.get_inputs(), shared))
    return tuple(float(f"{value:.7g}") for value in found)


def tolerance_of(data: bytes) -> float:
    """How far machines may differ on a model: where it rounds to few bits, a last digit is a step of its own."""
    return TOLERANCE_ROUNDED if graph.operators(data) & ROUNDS else TOLERANCE


def compare_probe(subject: Subject, wanted: Sequence[float], tolerance: float) -> None:
    """Raise EngineDown when a network answers its probe otherwise than its maker wrote down.

    Kernels of another machine round otherwise, within `tolerance` of a number or of one; wrong kernels do not.
    """
    found = probe(subject)
    far = [abs(one - other) / (1.0 + abs(other)) for one, other in zip(found, wanted, strict=False)]
    if len(wanted) != PROBE_ROWS or not max(far) <= tolerance:
        raise EngineDown(
            f"engine {subject.name!r} answers its probe with {found!r}, the catalog says {tuple(wanted)!r}",
            hint="this machine computes the network wrongly, or the catalog's `probe` is of another file",
        )


def _numbers(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Numbers in [0, 1) that float32 holds exactly (splitmix64's finalizer, Steele, Lea and Flood 2014)."""
    z = (np.arange(math.prod(shape), dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(40)).astype(np.float64).reshape(shape) / float(1 << 24)
