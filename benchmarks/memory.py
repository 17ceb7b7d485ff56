"""What NPCs remember: how much of the evidence comes back, how fast, and to whom it must not.

    uv run python benchmarks/memory.py [--quick] [--json]

The conversations are made (benchmarks/conversations), with questions of which it is known which turns answer them;
the peer is plain BM25 over every turn joined with two neighbors on each side, in the same run. Weights were found on
other seeds (docs/decisions/0040). `recall_p95_ms` is one NPC that holds all 100,000 memories of a world and hears of
something new before every recall, so that nothing kept from the recall before helps. `leaks` are memories told to
somebody who must not know them, or any answer that differs from that of a mind which never held the rest.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
from conversations.generate import sets
from report import Report, note, start

from app.build import ROOT
from app.build.meanings import words
from app.cli.recall.files import DAY_S, Conversation, parse
from app.cli.recall.judge import in_mind, judge, memory
from app.core.memory import Cue, Recollection
from app.modules.memory.index import Mind, Ranking

DOMAINS = ("town", "tavern", "station")
SEED = 7
GOALS = {5: 72.0, 10: 80.0, 25: 87.0}
RANKING = Ranking(calendar_start="1970-01-01")
MEMORIES, RECALLS = 100_000, 300
WORLDS = 1_000


def main() -> None:
    """Take every figure."""
    report = start("memory")
    quick = report.options.quick
    made = sets(DOMAINS, seed=SEED, conversations=3 if quick else 10, sessions=25)
    conversations, _ = parse(made)
    _quality(report, conversations)
    _speed(report, conversations, recalls=100 if quick else RECALLS)
    note("asking for secrets")
    leaks = sum(_leaks(random.Random(f"{SEED} {number}"), conversations) for number in range(WORLDS))
    report.add("leaks", leaks, "memories", "lower", goal=0)
    report.close()


def _quality(report: Report, conversations: Sequence[Conversation]) -> None:
    note("playing conversations")
    verdict = asyncio.run(judge(conversations, in_mind(RANKING, words(ROOT)), tick=lambda: None))
    total, hops = verdict.total, verdict.categories["multi-hop"]
    for depth, goal in GOALS.items():
        report.add(
            f"recall_at_{depth}", total.ours[depth], "%", "higher", goal=goal,
            peer="plain BM25 ±2", peer_value=total.plain[depth],
        )  # fmt: skip
    report.add(
        "multi_hop_at_10", hops.ours[10], "%", "higher", goal=48, peer="plain BM25 ±2", peer_value=hops.plain[10]
    )
    report.add("bm25_ratio_at_10", total.ours[10] / total.plain[10], "ratio", "higher", goal=1)
    for name, recall in verdict.categories.items():
        report.add(
            f"recall_at_10.{name}", recall.ours[10], "%", "higher", peer="plain BM25 ±2", peer_value=recall.plain[10]
        )


def _speed(report: Report, conversations: Sequence[Conversation], *, recalls: int) -> None:
    note(f"remembering {MEMORIES:,} memories")
    rng = random.Random(SEED)
    cues = [question.text for conversation in conversations for question in conversation.questions]
    mind = Mind(RANKING, words(ROOT))
    writes, reads = [], []
    for each in _life(rng, conversations, MEMORIES):
        began = time.perf_counter()
        mind.add(each)
        writes.append(time.perf_counter() - began)
    now_s = MEMORIES * 30.0
    for number, each in enumerate(_life(rng, conversations, recalls)):
        mind.add(msgspec.structs.replace(each, id=f"late {number}"))
        cue = Cue(text=rng.choice(cues), listener="player 7")
        began = time.perf_counter()
        mind.rank(cue, now_s=now_s, day_s=DAY_S, most=cue.most)
        reads.append(time.perf_counter() - began)
    report.add("write_p99_ms", float(np.percentile(writes, 99)) * 1e3, "ms", "lower", goal=1)
    report.add("recall_p95_ms", float(np.percentile(reads, 95)) * 1e3, "ms", "lower", goal=5)
    report.add("recall_p50_ms", float(np.percentile(reads, 50)) * 1e3, "ms", "lower")
    report.add("write_mean_us", float(np.mean(writes)) * 1e6, "us", "lower", goal=50)


def _life(rng: random.Random, conversations: Sequence[Conversation], count: int) -> Iterator[Recollection]:
    """Memories in dialogues of twenty lines, a third of them private, with words of their own in each."""
    turns = [turn for conversation in conversations for turn in conversation.turns]
    for number in range(count):
        turn = rng.choice(turns)
        own = " ".join(f"w{int(rng.paretovariate(0.6)) % 20_000}" for _ in range(3))
        yield msgspec.structs.replace(
            memory(turn), id=str(number), text=f"{turn.words} {own}", thread=str(number // 20), game_s=number * 30.0,
            known_by=(f"player {number // 20 % 50}",) if number % 3 == 0 else (),
        )  # fmt: skip


def _leaks(rng: random.Random, conversations: Sequence[Conversation]) -> int:
    """What gets to whom it must not in one random world of secrets, asked for by their own words."""
    turns = rng.sample(rng.choice(conversations).turns, 40)
    people = [f"player {number}" for number in range(rng.randint(2, 5))]
    told = [
        msgspec.structs.replace(
            memory(turn), thread=str(rng.randint(0, 3)), known_by=tuple(rng.sample(people, rng.randint(0, 2)))
        )
        for turn in turns
    ]
    ranking = msgspec.structs.replace(RANKING, weighed_rows_max=rng.choice((8, 1_024)))
    full = Mind(ranking, words(ROOT))
    for each in told:
        full.add(each)
    leaks = 0
    for listener in people:
        bare = Mind(ranking, words(ROOT))
        for each in told:
            if not each.known_by or listener in each.known_by:
                bare.add(each)
        secret = rng.choice(told)
        cue = Cue(text=secret.text, listener=listener)
        found, wanted = (mind.rank(cue, now_s=2e9, day_s=DAY_S, most=8) for mind in (full, bare))
        leaks += sum(bool(each.known_by) and listener not in each.known_by for each in found)
        leaks += found != wanted
    return leaks


if __name__ == "__main__":
    main()
