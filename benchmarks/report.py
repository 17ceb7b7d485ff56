"""What all benchmarks share: how a figure is written down, compared, shown and handed on.

It knows the contract (one table for people, with --json one object on the last line); it measures nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from rich.console import Console
from rich.progress import track

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
"""Published test data, where the checkout has it beside itself."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One number. `ratio` is ours / peer on the same work in the same run; `why` says what kept a value away."""

    id: str
    value: float | None
    unit: str
    better: Literal["higher", "lower"]
    goal: float | None = None
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    why: str | None = None


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What it ran on, and how busy that was at the start: the load of the last minute."""

    cpu: str
    cores: int
    load: float


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one benchmark."""

    benchmark: str
    commit: str
    machine: Machine
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """The command line: `quick` stays under a minute; `peers` are installed and run beside ours."""

    quick: bool
    json: bool
    peers: bool = True


@dataclass(slots=True)
class Report:
    """Gathers the figures of one run."""

    benchmark: str
    options: Options
    machine: Machine
    figures: list[Figure] = field(default_factory=list)

    def add(
        self,
        id: str,
        value: float | None,
        unit: str,
        better: Literal["higher", "lower"],
        *,
        goal: float | None = None,
        peer: str | None = None,
        peer_value: float | None = None,
        ratio: float | None = None,
        why: str | None = None,
    ) -> None:
        """Add a figure; the ratio is value / peer_value unless it is given. A missing value needs a `why`."""
        assert value is not None or why, f"figure {id!r} has neither a value nor a why"
        if ratio is None and value is not None and peer_value:
            ratio = value / peer_value
        self.figures.append(
            Figure(
                id=id, value=value, unit=unit, better=better, goal=goal,
                peer=peer, peer_value=peer_value, ratio=ratio, why=why,
            )
        )  # fmt: skip

    def close(self) -> None:
        """Print the table and, where asked for, the object."""
        print(f"{self.benchmark} at {_commit()}, {self.machine.cpu}, load {self.machine.load:.2f}")
        for figure in self.figures:
            print(_line(figure))
        if self.options.json:
            result = Result(
                benchmark=self.benchmark, commit=_commit(), machine=self.machine, figures=tuple(self.figures)
            )
            print(msgspec.json.encode(result).decode())


def start(benchmark: str, *, peers: bool = False) -> Report:
    """Read the command line and note the machine before the work disturbs it; `peers` may be left out where it says."""
    parser = argparse.ArgumentParser(prog=f"benchmarks/{benchmark}.py")
    parser.add_argument("--quick", action="store_true", help="stay under a minute")
    parser.add_argument("--json", action="store_true", help="end with one JSON object on the last line")
    if peers:
        parser.add_argument("--no-peers", action="store_true", help="install no peer and run ours alone")
    arguments = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else -1.0
    machine = Machine(cpu=_cpu(), cores=os.cpu_count() or 1, load=round(load, 2))
    options = Options(quick=arguments.quick, json=arguments.json, peers=not getattr(arguments, "no_peers", False))
    return Report(benchmark, options, machine)


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def interleaved(works: dict[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """The median seconds of each work, taken in turns so that a busy moment falls on all of them."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            taken[name].append(seconds(work))
    return {name: statistics.median(values) for name, values in taken.items()}


def note(text: str) -> None:
    """Tell a person who waits, without disturbing the output."""
    print(text, file=sys.stderr, flush=True)


def tracked(jobs: Sequence[T], what: str) -> Iterator[T]:
    """The jobs one by one, with a bar on a person's terminal."""
    yield from track(jobs, description=what, console=Console(stderr=True), disable=not sys.stderr.isatty())


def _line(figure: Figure) -> str:
    value = f"{figure.value:,.4g} {figure.unit}" if figure.value is not None else f"not taken: {figure.why}"
    goal = f"goal {'>=' if figure.better == 'higher' else '<='} {figure.goal:,g}" if figure.goal is not None else ""
    peer = f"{figure.peer} {figure.peer_value:,.4g}" if figure.peer_value is not None else ""
    ratio = f"ratio {figure.ratio:.4g}" if figure.ratio is not None else ""
    return "  ".join(part for part in (f"  {figure.id:34}", value, goal, peer, ratio) if part)


def _commit() -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown"
    command = [git, "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
