"""Quests: how many can be completed, what they cost, what they cover, how they read and what they pay.

The eight worlds are files of the tests; their quests are judged by a checker that shares no code with us, walked by
the greedy, and compared with Fast Downward's answers, which is also the peer for speed. `--quick` takes a hundredth of
them.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import report

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.core.errors import Conflict
from app.modules.quests.generation.casting import load_strategies
from app.modules.quests.generation.generator import Library, Wish, generate
from app.modules.quests.messages import Quest
from app.modules.quests.planning.domain import load_vocabulary
from app.modules.quests.planning.facts import View
from app.modules.quests.prose.writer import load_grammar
from app.modules.quests.settings import Settings
from benchmarks.questing import oracle
from benchmarks.questing.journeys import Journey, journey
from benchmarks.questing.villages import village
from tests.modules.quests.worlds import NAMES

SEEDS = 10_000
DAMAGED = 560
BATCH = 50


@cache
def library() -> Library:
    return Library(load_vocabulary(), load_strategies(), load_grammar())


def batch(name: str, first: int, count: int) -> list[Journey]:
    return [journey(library(), name, seed) for seed in range(first, first + count)]


def verdicts(first: int, count: int) -> list[oracle.Judged]:
    return [oracle.judged(library(), seed) for seed in range(first, first + count)]


def journeys(seeds: int) -> list[Journey]:
    """The quests of every seed in every world, on all cores; they are counted, not timed."""
    count = min(BATCH, seeds)
    with ProcessPoolExecutor() as pool:
        jobs = [pool.submit(batch, name, first, count) for name in NAMES for first in range(0, seeds, count)]
        return [one for job in report.tracked(jobs, "quests of eight worlds") for one in job.result()]


def damaged(worlds: int) -> list[oracle.Judged]:
    """Both planners' answers about that many damaged worlds."""
    with ProcessPoolExecutor() as pool:
        jobs = [pool.submit(verdicts, first, 8) for first in range(0, worlds, 8)]
        return [one for job in report.tracked(jobs, "damaged worlds") for one in job.result()]


def generation_ms(size: str, count: int) -> list[float]:
    """CPU milliseconds of generating and proving a quest in a fresh view of a world of that size."""
    taken: list[float] = []
    for seed in range(count):
        world = village(size, seed % 40)
        givers = [id for id, npc in world.state.npcs.items() if npc.archetype not in ("wolf", "bandit")]
        wish = Wish(giver=givers[seed % len(givers)], player="hero", seed=seed, level=0)
        began = time.process_time()
        try:
            generate(library(), View.snapshot(world.state, Settings()), wish)
        except Conflict:
            continue
        taken.append(1e3 * (time.process_time() - began))
    return taken


def p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def main() -> None:
    told = report.start("quests", peers=True)
    quick = told.options.quick
    ran = journeys(SEEDS // 100 if quick else SEEDS)
    made = [one.quest for one in ran if one.quest is not None]
    told.add("completable_share", sum(not one.why for one in ran if one.quest) / len(made), "", "higher", goal=1.0)
    told.add("soft_lock_free_share", sum(not one.lost for one in ran if one.quest) / len(made), "", "higher", goal=1.0)
    report.note(f"{len(made)} quests of {len(ran)} seeds in {len(NAMES)} worlds; where a giver cannot be reached, none")
    if told.options.peers:
        crossed(told, damaged(40 if quick else DAMAGED))
    covered(told, made)
    for size, goal, count in (("small", 20.0, 400 if quick else 4_000), ("mid", 150.0, 100 if quick else 1_000)):
        told.add(f"generate_p95_ms.{size}", p95(generation_ms(size, count)), "ms CPU", "lower", goal=goal)
    told.close()


def crossed(told: report.Report, both: Sequence[oracle.Judged]) -> None:
    """What the other planner proves to be broken, and what it finds a plan for."""
    broken = [one for one in both if one.theirs is False]
    sound = [one for one in both if one.theirs]
    report.note(f"{len(both)} damaged worlds: {len(broken)} quests broken, {len(sound)} sound by Fast Downward")
    rejected = sum(one.ours == "unsolvable" for one in broken) / len(broken)
    told.add("broken_rejected_share", rejected, "", "higher", goal=1.0)
    told.add("false_rejects", float(sum(one.ours == "unsolvable" for one in sound)), "", "lower", goal=0.0)
    pairs = list(oracle.timed(library(), 5))
    ours, theirs = (1e3 * statistics.median(column) for column in zip(*pairs, strict=True))
    told.add(
        "planner_ratio.small",
        ours / theirs,
        "",
        "lower",
        peer="Fast Downward, ms",
        peer_value=theirs,
        ratio=ours / theirs,
    )


def covered(told: report.Report, made: Sequence[Quest]) -> None:
    """Which motives, strategies and actions come up at all."""
    kinds = library()
    motives = {quest.motive for quest in made} - {""}
    strategies = {quest.strategy for quest in made}
    actions = {action[0] for quest in made for action in quest.certificate.plan}
    told.add("motivations", float(len(motives)), "of 9", "higher", goal=9.0)
    every = len(kinds.strategies.strategy)
    told.add("strategies", float(len(strategies)), f"of {every}", "higher", goal=float(every))
    told.add("actions", float(len(actions)), f"of {len(kinds.vocabulary.schemas)}", "higher", goal=20.0)


if __name__ == "__main__":
    main()
