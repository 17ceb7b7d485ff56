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
from app.modules.quests.generation.generator import Library, Wish, generate
from app.modules.quests.module import load_library
from app.modules.quests.planning.facts import View
from app.modules.quests.settings import Settings
from benchmarks import quests_prose
from benchmarks.questing import oracle
from benchmarks.questing.harm import recheck_and_repair
from benchmarks.questing.journeys import Brief, Traits, brief, journey
from benchmarks.questing.villages import village
from tests.modules.quests.markets import loops, market
from tests.modules.quests.worlds import NAMES

SEEDS = 10_000
DAMAGED = 560
BATCH = 50


@cache
def library() -> Library:
    return load_library()


def batch(name: str, first: int, count: int) -> list[Brief]:
    return [brief(journey(library(), name, seed)) for seed in range(first, first + count)]


def verdicts(first: int, count: int) -> list[oracle.Judged]:
    return [oracle.judged(library(), seed) for seed in range(first, first + count)]


def journeys(seeds: int) -> list[Brief]:
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
    for size, goal, count in (("small", 20.0, 400 if quick else 4_000), ("mid", 150.0, 100 if quick else 1_000)):
        told.add(f"generate_p95_ms.{size}", p95(generation_ms(size, count)), "ms CPU", "lower", goal=goal)
    if told.options.peers:
        raced(told)
    looks, repairs = recheck_and_repair(library(), 60 if quick else 600)
    told.add("recheck_p95_ms", p95(looks), "ms CPU", "lower", goal=1.0)
    told.add("repair_p95_ms", p95(repairs), "ms CPU", "lower", goal=100.0)
    ran = journeys(SEEDS // 100 if quick else SEEDS)
    made = [one.quest for one in ran if one.quest is not None]
    told.add("completable_share", sum(not one.why for one in ran if one.quest) / len(made), "", "higher", goal=1.0)
    told.add("soft_lock_free_share", sum(not one.lost for one in ran if one.quest) / len(made), "", "higher", goal=1.0)
    report.note(f"{len(made)} quests of {len(ran)} seeds in {len(NAMES)} worlds; where a giver cannot be reached, none")
    for one in ran:
        if one.why or one.lost:
            report.note(f"{one.world} {one.seed}: {one.why or one.lost}")
    covered(told, made)
    paid(told, made, markets=2 if quick else 12)
    worded(told)
    if told.options.peers:
        crossed(told, damaged(40 if quick else DAMAGED))
    told.close()


def crossed(told: report.Report, both: Sequence[oracle.Judged]) -> None:
    """What the other planner proves to be broken, and what it finds a plan for."""
    broken = [one for one in both if one.theirs is False]
    sound = [one for one in both if one.theirs]
    report.note(f"{len(both)} damaged worlds: {len(broken)} quests broken, {len(sound)} sound by Fast Downward")
    rejected = sum(one.ours == "unsolvable" for one in broken) / len(broken)
    told.add("broken_rejected_share", rejected, "", "higher", goal=1.0)
    told.add("false_rejects", float(sum(one.ours == "unsolvable" for one in sound)), "", "lower", goal=0.0)


def raced(told: report.Report) -> None:
    """Both planners on the same problems about whole small worlds, in turns; ours grounds and searches, too."""
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


def covered(told: report.Report, made: Sequence[Traits]) -> None:
    """Which motives, strategies and actions come up at all."""
    kinds = library()
    motives = {quest.motive for quest in made} - {""}
    full = {strategy.id for strategy in kinds.strategies.strategy if strategy.rung == "strategy"}
    strategies = {quest.strategy for quest in made} & full
    actions = frozenset[str]().union(*(quest.actions for quest in made))
    told.add("motivations", float(len(motives)), "of 9", "higher", goal=9.0)
    told.add("strategies", float(len(strategies)), f"of {len(full)}", "higher", goal=float(len(full)))
    told.add("actions", float(len(actions)), f"of {len(kinds.vocabulary.schemas)}", "higher", goal=20.0)


def paid(told: report.Report, made: Sequence[Traits], *, markets: int) -> None:
    """How pay follows effort inside each level, and whether any order of quests pays for nothing."""
    levels: dict[int, list[Traits]] = {}
    for quest in made:
        levels.setdefault(quest.level, []).append(quest)
    many = {level: quests for level, quests in levels.items() if len(quests) >= 30}
    ordered = [
        statistics.correlation(ranks([quest.effort for quest in quests]),
                               ranks([quest.coins for quest in quests]))
        for quests in many.values()
    ]  # fmt: skip
    spread = [
        statistics.stdev(coins) / statistics.fmean(coins)
        for coins in ([quest.coins for quest in quests] for quests in many.values())
    ]
    told.add("reward_effort_spearman", min(ordered), "worst level", "higher", goal=0.8)
    told.add("reward_spread", statistics.fmean(spread), "coefficient of variation", "higher", goal=None)
    found = sum(1 for seed in range(markets) for _ in loops(market(seed), (), 3, forgets=False))
    told.add("exploit_loops", float(found), "", "lower", goal=0.0)


def worded(told: report.Report) -> None:
    """How varied the grammar's texts are, and what is left of what a lying model writes."""
    english, german = (quests_prose.figures(language) for language in ("en", "de"))
    for id, value in english.items():
        if id.startswith("words"):
            continue
        goal = {"distinct_2.description": 0.6, "distinct_2.objective": 0.55}.get(id)
        ceiling = {"self_bleu_4.description": 0.2, "self_bleu_4.objective": 0.25}.get(id)
        better = "higher" if id.startswith("distinct") else "lower"
        told.add(id, value, "", better, goal=goal or ceiling)
        told.add(f"{id}.de", german[id], "", better, goal=goal or ceiling)
    told.add("grounded_share", quests_prose.grounded(), "", "higher", goal=1.0)


def ranks(values: Sequence[float]) -> list[float]:
    """Each value's mean rank, ties sharing theirs."""
    ordered = sorted(values)
    first = {value: number for number, value in reversed(list(enumerate(ordered)))}
    last = {value: number for number, value in enumerate(ordered)}
    return [(first[value] + last[value]) / 2 for value in values]


if __name__ == "__main__":
    main()
