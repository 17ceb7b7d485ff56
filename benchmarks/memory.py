"""What NPCs remember: how much of the evidence comes back, how fast, and to whom it must not.

    uv run python benchmarks/memory.py [--quick] [--json]

The conversations are made (benchmarks/conversations), with questions of which it is known which turns answer them;
the peer is plain BM25 over every turn joined with two neighbors on each side, in the same run. Weights were found on
other seeds (docs/decisions/0040). `recall_p95_ms` is one NPC that holds all 100,000 memories of a world and hears of
something new before every recall, so that nothing kept from the recall before helps. `write_mean_us` is the index of
that NPC alone. `write_p99_ms` is a whole `memory.note` in the process, from the handler to the index, over a log
in RAM, for an NPC that holds some thousands; it leaves the commit out. `ack_p99_ms` is the same note as a client sees
it: over HTTP to a real server that answers after the commit to its SQLite file. `leaks` are memories told to somebody
who must not know them, in 1,000 random worlds of whispers, rumors, factions and conclusions that are lived through the
messages of the module (--quick: 100); the oracle is that of tests/modules/memory/evenings.py.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the server has it; read when numpy is first imported
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

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
from app.modules.memory.messages import Note
from tests.modules.memory.evenings import lived
from tests.modules.memory.hall import Hall
from tests.servers import running

DOMAINS = ("town", "tavern", "station")
SEED = 7
GOALS = {5: 72.0, 10: 80.0, 25: 87.0}
RANKING = Ranking(calendar_start="1970-01-01")
MEMORIES, RECALLS = 100_000, 300
WORLDS = 1_000
NPC, HELD, NOTES, WARM_UP = "greta", 3_000, 2_000, 50


def main() -> None:
    """Take every figure."""
    report = start("memory")
    quick = report.options.quick
    made = sets(DOMAINS, seed=SEED, conversations=3 if quick else 10, sessions=25)
    conversations, _ = parse(made)
    _quality(report, conversations)
    _speed(report, conversations, recalls=100 if quick else RECALLS)
    note("noting")
    noted = asyncio.run(_note_ms(conversations, NOTES // 4 if quick else NOTES))
    report.add("write_p99_ms", float(np.percentile(noted, 99)), "ms", "lower", goal=1)
    acknowledged = _ack_ms(conversations, NOTES // 4 if quick else NOTES)
    report.add("ack_p99_ms", float(np.percentile(acknowledged, 99)), "ms", "lower")
    note("asking for secrets")
    report.add("leaks", asyncio.run(_leaks(WORLDS // 10 if quick else WORLDS)), "memories", "lower", goal=0)
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


async def _note_ms(conversations: Sequence[Conversation], count: int) -> list[float]:
    """What each note costs in the process, over a log in RAM, for an NPC that holds a mind already."""
    hall = Hall(meanings=words(ROOT))
    await hall.fill()
    for request in _notes(conversations, HELD):
        await hall.ask(request)
    await hall.minds.recall("t", "w", NPC, Cue(text="who was here"))
    taken = []
    for request in _notes(conversations, count):
        began = time.perf_counter()
        await hall.ask(request)
        taken.append((time.perf_counter() - began) * 1e3)
    await hall.close()
    return taken


def _ack_ms(conversations: Sequence[Conversation], count: int) -> list[float]:
    """What each acknowledged note costs a client of a real server, over one kept connection, one after another."""
    with TemporaryDirectory() as folder, running(Path(folder)) as server:
        for path, data in (("create", {}), ("upsert", {"entities": [{"type": "npc", "id": NPC}]})):
            server.post(f"/v1/world/{path}", {"world": "w", **data})
        connection = HTTPConnection(server.url.removeprefix("http://"))
        sent = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
        taken = []
        for request in _notes(conversations, count + WARM_UP):
            body = msgspec.json.encode({"world": "w", "npc": NPC, "text": request.text, "thread": request.thread})
            began = time.perf_counter()
            connection.request("POST", "/v1/memory/note", body, sent)
            answer = connection.getresponse()
            answer.read()
            taken.append((time.perf_counter() - began) * 1e3)
            if answer.status != 200:
                raise SystemExit(f"the server answered {answer.status} to a note")
        connection.close()
    return taken[WARM_UP:]


def _notes(conversations: Sequence[Conversation], count: int) -> Iterator[Note]:
    for each in _life(random.Random(SEED), conversations, count):
        yield Note(npc=NPC, text=each.text, thread=each.thread)


async def _leaks(worlds: int) -> int:
    """What got to whom it must not in so many random worlds, through the messages of the module."""
    return sum([len((await lived(seed))[2]) for seed in range(worlds)])


if __name__ == "__main__":
    main()
