"""The village to learn in: agent steps a second of the world alone, and of learning in it; the old way in the same run.

The peer of the world is its own slow twin: every pair looked at in numpy, as the tests compare it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from report import ROOT, Report, note, start

sys.path.insert(0, str(ROOT))

VILLAGES, NPCS = 256, 48
ROUNDS = 5


def main() -> None:
    report = start("village")
    rounds = 2 if report.options.quick else ROUNDS
    note("the world")
    _world(report, rounds)
    note("learning")
    _learning(report, rounds)
    report.close()


def _world(report: Report, rounds: int) -> None:
    from app.cli import baselines
    from app.learning.envs.environment import Environment
    from tests.learning import twins

    _, rules = baselines.rules()
    found = {}
    for threads in (1, 2):
        environment = Environment(VILLAGES, NPCS, 1, threads=threads)
        for _ in range(60):
            environment.step(*rules(*environment.observe()))
        found[threads] = max(_rate(environment, rules) for _ in range(rounds))
    village = Environment(1, NPCS, 1).village
    began = time.perf_counter()
    for i in range(NPCS):
        twins.senses(village, 0, i)
    slow = NPCS / (time.perf_counter() - began)
    report.add(
        "village_agent_steps_per_s", found[2], "1/s", "higher", goal=5e6,
        peer="sensing alone, every pair in Python", peer_value=slow,
    )  # fmt: skip
    report.add(
        "village_agent_steps_per_s_one_thread", found[1], "1/s", "higher", peer="two threads", peer_value=found[2]
    )


def _rate(environment: object, rules: Callable[..., tuple[np.ndarray, np.ndarray]], steps: int = 60) -> float:
    """Agent steps a second while everybody lives by the rules, whose deciding is not counted."""
    from app.learning.envs.environment import Environment

    assert isinstance(environment, Environment)
    taken = 0.0
    for _ in range(steps):
        decided = rules(*environment.observe())
        began = time.perf_counter()
        environment.step(*decided)
        taken += time.perf_counter() - began
    return steps * environment.rows / taken


def _learning(report: Report, rounds: int) -> None:
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError:
        report.add(
            "ppo_agent_steps_per_s", None, "1/s", "higher", goal=130_000, why="PyTorch is not installed: --extra train"
        )
        return
    import tempfile

    from app.cli import baselines
    from app.learning.train import ROUND_STEPS, Budget, Course, Run

    seen, rules = baselines.rules()
    rates = {}
    for threads in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            run = Run(Course(seed=1, rules=rules, fingerprint=seen.fingerprint), Path(folder), threads=threads)
            taken: list[float] = []
            marks = [time.perf_counter()]

            def tell(share: float, words: str, taken: list[float] = taken, marks: list[float] = marks) -> None:
                taken.append(time.perf_counter() - marks[-1])
                marks.append(time.perf_counter())

            run.go(Budget(steps=(rounds + 3) * ROUND_STEPS), tell)
            rates[threads] = ROUND_STEPS / min(taken[2:])
    report.add("ppo_agent_steps_per_s", rates[2], "1/s", "higher", goal=130_000, peer="one thread", peer_value=rates[1])


if __name__ == "__main__":
    main()
