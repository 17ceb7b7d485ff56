"""Suite G, the chaos matrix: a server whose database, Redis and provider of words break in eight ways each.

A game's traffic runs throughout. Each fault must be named in a second, its answers must stay good and come in
time, nothing else may suffer, nobody may get in who must not, and after it all is as before. What breaks in the
machine itself (disk, clock, descriptors, a stopped process) is in `hardships`.
"""

from __future__ import annotations

import http.client
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.cli.prove import hardships
from app.cli.prove.figures import Gap, Outcome, Plan, percentile
from app.cli.prove.key_server import find_program
from app.cli.prove.ledger import Clients, judge
from app.cli.prove.players import Answer, Players, degraded, let_through, wait_until
from app.cli.prove.proxy import Fault
from app.cli.prove.reckoning import (
    BACK_S,
    DECIDED_P95_MS,
    ERROR_SHARE,
    NOTICED_S,
    SAID_P95_MS,
    figure,
    judged,
    require,
)  # fmt: skip
from app.cli.prove.stage import NPC, WORLD, Peers, Stage, full_stage
from app.core.errors import Broken, StoreDown
from app.stores.cluster import find_tools

WRITERS = 2
FAULTS: tuple[Fault, ...] = ("down", "refuse", "hang", "slow", "reset", "loss", "half_close", "garbage")
QUICK: dict[str, tuple[Fault, ...]] = {
    "database": ("hang", "down", "reset"),
    "redis": ("hang", "down", "reset"),
    "words": ("hang", "garbage"),
}
WORDS_BACK_S = 5.0
WAIT_S_MAX = 30.0
CALM_S = 1.0
CALLS_LEAST = 20
SETTINGS = {"database.retry_ms": "100"}
CHARACTER = ("words", "authored", "bark")
"""Every rung speaks as the NPC."""


@dataclass(slots=True)
class Met:
    """What one fault did."""

    peer: str
    fault: Fault
    noticed_s: float
    back_s: float
    said_ms: list[float]
    """Lines that were asked for during the fault; one that was being spoken when it came had begun to answer."""
    decided_ms: list[float]
    calls: int
    failed: list[str]
    let_through: list[str]


def run(plan: Plan) -> Sequence[Outcome]:
    """The whole suite."""
    return [*_network(plan), *hardships.run(plan)]


def _network(plan: Plan) -> Iterator[Outcome]:
    try:
        peers = Peers(find_tools("initdb"), find_program())
    except StoreDown as error:
        yield Gap(suite="G", name="faults of the database, Redis and words", lacks=error.message)
        return
    with full_stage(plan, peers, SETTINGS) as stage:
        yield from _matrix(plan, stage)


def _matrix(plan: Plan, stage: Stage) -> Iterator[Outcome]:
    clients = Clients(WRITERS, plan.seed)
    clients.open(stage.child)
    players = Players(stage.child)
    require(wait_until(lambda: _healthy(stage, players), timeout_s=WAIT_S_MAX), "the first calls")
    chosen = QUICK if plan.scale == "quick" else dict.fromkeys(stage.lines, FAULTS)
    met = [_meet(plan, stage, players, peer, fault) for peer, faults in chosen.items() for fault in faults]
    players.stop()
    clients.finish()
    if stage.child.stop() != 0:
        raise Broken("the server did not stop well", hint=f"see {stage.child.folder / 'server.log'}")
    for peer in chosen:
        yield from _figures(peer, [one for one in met if one.peer == peer])
    yield from _shared_figures(met)
    yield from judged("network faults", judge(clients, stage.database_url, stage.child.folder), clients)


def _meet(plan: Plan, stage: Stage, players: Players, peer: str, fault: Fault) -> Met:
    """Break one line, watch, heal it, watch."""
    line = stage.lines[peer]
    time.sleep(CALM_S)
    stage.switch(peer, fault)
    began_s = time.monotonic()
    took_s = wait_until(lambda: bool(degraded(stage.child) & line.names), timeout_s=WAIT_S_MAX)
    noticed_s = require(took_s, f"{peer} {fault} to be named") + began_s - (line.proxy.struck_s or began_s)
    time.sleep(plan.of(quick=2, full=5))
    open_doors = let_through(stage.child, stage.reader_key)
    stage.switch(peer, "pass")
    healed_s = time.monotonic()
    back_s = require(wait_until(lambda: _healthy(stage, players), timeout_s=WAIT_S_MAX), f"{peer} after {fault}")
    while not (said := players.between(began_s, healed_s, "say")):
        time.sleep(0.02)
    calls = players.between(began_s, healed_s)
    failed = [f"{one.kind} {one.status}" for one in calls if one.status != http.client.OK or not _in_character(one)]
    met = Met(
        peer=peer,
        fault=fault,
        noticed_s=max(0.0, noticed_s),
        back_s=back_s,
        said_ms=[one.ms for one in said],
        decided_ms=[one.ms for one in calls if one.kind == "decide"],
        calls=len(calls),
        failed=failed,
        let_through=open_doors,
    )
    plan.told(
        f"  {peer} {fault}: named after {met.noticed_s:.2f} s, lines p95 {percentile(met.said_ms, 0.95):.0f} ms, "
        f"{len(failed)} of {met.calls} calls failed, back after {back_s:.2f} s"
    )
    return met


def _healthy(stage: Stage, players: Players) -> bool:
    """Nothing is named, a write is acknowledged, and the newest line was a model's."""
    now_s = time.monotonic()
    said = players.between(now_s - CALM_S, now_s, "say")
    if degraded(stage.child) or not said or said[-1].rung != "words":
        return False
    event = {"verb": "learned", "actor": NPC, "topic": "calm"}
    return stage.child.post("/v1/world/event", {"world": WORLD, "events": [event]})[0] == http.client.OK


def _in_character(answer: Answer) -> bool:
    return answer.kind != "say" or answer.rung in CHARACTER


def _figures(peer: str, met: Sequence[Met]) -> Iterator[Outcome]:
    """The worst of a peer's faults; which one it was stands in what was told."""
    said_ms = max(percentile(one.said_ms, 0.95) for one in met)
    back_s = WORDS_BACK_S if peer == "words" else BACK_S
    yield figure(f"{peer}: worst of {len(met)} faults, named after", max(one.noticed_s for one in met), "s", NOTICED_S)
    yield figure(f"{peer}: worst, lines in character, p95", said_ms, "ms", SAID_P95_MS)
    yield figure(f"{peer}: worst, all as before after", max(one.back_s for one in met), "s", back_s)


def _shared_figures(met: Sequence[Met]) -> Iterator[Outcome]:
    calls, failed = sum(one.calls for one in met), sum(len(one.failed) for one in met)
    decided = list(itertools.chain.from_iterable(one.decided_ms for one in met))
    yield figure("network faults met", len(met), "faults", len(met), least=True)
    yield figure("calls beside the faults", calls, "calls", CALLS_LEAST * len(met), least=True)
    yield figure("of these failed", failed / max(calls, 1), "share", ERROR_SHARE)
    yield figure("behavior.decide beside the faults, p95", percentile(decided, 0.95), "ms", DECIDED_P95_MS)
    yield figure("let in without the right", sum(len(one.let_through) for one in met), "calls", 0)
