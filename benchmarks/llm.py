"""Words through the OpenAI-compatible door: what a call costs, what it adds, and what becomes of a failing provider.

    uv run python benchmarks/llm.py [--quick] [--json] [--no-peers]

Everything runs over the loopback: a stand-in for the provider in a process of its own (tests/standin), our server as
`manage.py serve` starts it on the embedded default, with a key, a budget and the response cache, and the peers.
LiteLLM's proxy is installed once into `.benchmark-peers/litellm`, an environment of its own, since it asks for other
versions of the SDKs; it runs with its key, its cache in memory, one worker and no database, so without budgets. Both
log warnings only.

CPU is the server process's own (`/proc/PID/stat`, so Linux alone), over requests that no cache has seen except where
the figure says so. `streams_per_s_core` is streams per second of that CPU. `added_p50_ms` is one request at a time
through the door less the same straight to the provider, in turns. `failover_ms` is the time to the first text of the
second provider while the first one is silent. `overspend` counts the calls that a cap with room for three let through
beyond three.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Literal

import uvloop
from gateways import matrix, sdks
from gateways.clients import Found, ask, direct, fresh, press, same
from gateways.servers import FIRST_TOKEN_MS, Gateway, Standins, innkeeper, leave_the_first_core, litellm, standins
from report import Report, note, start

from tests.standin import KEY

NO_PEER = "the peer was left out or does not start here"
ROOM = 3
PARALLEL = 200
CAP_TOKENS = 10_000
HELD_MS = 4_000
"""The provider holds each answer back until every call has asked for its room."""
NANO_USD_PER_TOKEN_OUT = 1_200
"""Of the model that is asked, by models/prices.toml."""


async def measure_cost(report: Report, ours: Gateway, peer: Gateway | None, *, quick: bool) -> None:
    """CPU of a whole answer, of one from the cache, and of a stream, ours and the peer's in turns."""
    rounds, many, few = (1, 400, 40) if quick else (3, 2_000, 100)
    taken: dict[str, list[Found]] = {}
    for gateway in [ours] if peer is None else [ours, peer]:
        await press(gateway, fresh(gateway, stream=False), few, stream=False)
        await press(gateway, fresh(gateway, stream=True), few, stream=True)
        await press(gateway, same(gateway, stream=False), 8, stream=False, in_flight=1)
    for _ in range(rounds):
        for gateway, count in [(ours, many)] if peer is None else [(ours, many), (peer, few)]:
            for name, requests, stream in (
                ("whole", fresh(gateway, stream=False), False),
                ("hit", same(gateway, stream=False), False),
                ("stream", fresh(gateway, stream=True), True),
            ):
                found = await press(gateway, requests, count, stream=stream)
                if found.failed:
                    note(f"{gateway.name}, {name}: {found.failed} of {count} failed")
                taken.setdefault(f"{gateway.name}.{name}", []).append(found)

    def median_ms(name: str) -> float | None:
        good = [found.cpu_ms for found in taken.get(name, ()) if found.ok]
        return statistics.median(good) if good else None

    _add_cost(report, "cpu_ms_per_request", median_ms("innkeeper.whole"), 1.0, median_ms("litellm.whole"))
    _add_cost(report, "cpu_ms_cache_hit", median_ms("innkeeper.hit"), 0.25, median_ms("litellm.hit"))
    mine, theirs = median_ms("innkeeper.stream"), median_ms("litellm.stream")
    report.add(
        "streams_per_s_core", mine and 1_000.0 / mine, "1/s", "higher", goal=800.0,
        peer="litellm" if theirs else None, peer_value=theirs and 1_000.0 / theirs, why="no stream ended well",
    )  # fmt: skip
    walls = [found.ok / found.wall_s for found in taken["innkeeper.stream"]]
    report.add("streams_per_s", statistics.median(walls), "1/s", "higher")
    whole, other = median_ms("innkeeper.whole"), median_ms("litellm.whole")
    _add_ratio(report, "litellm_cpu_ratio", whole, other, "lower")
    _add_ratio(report, "litellm_stream_ratio", theirs, mine, "higher")


def _add_cost(report: Report, id: str, mine: float | None, goal: float, theirs: float | None) -> None:
    peer = "litellm" if theirs else None
    report.add(id, mine, "ms", "lower", goal=goal, peer=peer, peer_value=theirs, why="no request ended well")


def _add_ratio(
    report: Report, id: str, over: float | None, under: float | None, better: Literal["lower", "higher"]
) -> None:
    """CPU of a call, one over the other: ours over the peer's, or the peer's over ours where that is what grows."""
    value = over / under if over and under else None
    report.add(id, value, "ratio", better, ratio=value, why=NO_PEER)


async def measure_added(
    report: Report, upstream: Standins, ours: Gateway, peer: Gateway | None, *, quick: bool
) -> None:
    """One request at a time, straight and through each gateway in turns; the provider is quick, then takes 5 ms."""
    count = 60 if quick else 200
    for suffix, wait_s in (("", 0.0), (".waiting", 0.005)):
        upstream.order(wait_s=wait_s)
        ways = [direct(ours, upstream.first, KEY), ours, *([peer] if peer else [])]
        taken: dict[str, list[float]] = {way.name: [] for way in ways}
        for _ in range(10):
            for way in ways:
                found = await press(way, fresh(way, stream=False), count // 10, stream=False, in_flight=1)
                taken[way.name] += found.ms
        p50 = {name: statistics.median(ms) for name, ms in taken.items() if ms}
        straight = p50["direct"]
        theirs = p50["litellm"] - straight if "litellm" in p50 else None
        mine = p50["innkeeper"] - straight if "innkeeper" in p50 else None
        report.add(
            f"added_p50_ms{suffix}", mine, "ms", "lower", goal=1.0, peer="litellm" if theirs else None,
            peer_value=theirs, why="no request ended well",
        )  # fmt: skip
    upstream.order(wait_s=0.0)


async def measure_failover(
    report: Report, upstream: Standins, ours: Gateway, peer: Gateway | None, *, quick: bool
) -> None:
    """The first text of the second provider while the first one accepts and then is silent."""
    found: dict[str, list[float]] = {}
    for _ in range(2 if quick else 5):
        for gateway in [ours] if peer is None else [ours, peer]:
            upstream.order(fault="none")
            for _ in range(4):
                await ask(gateway, stream=True, give_up_s=10.0)
            upstream.order(fault="hang")
            told = await ask(gateway, stream=True, give_up_s=30.0)
            if told.first_ms is not None and not told.error:
                found.setdefault(gateway.name, []).append(told.first_ms)
    upstream.order(fault="none")
    median = {name: statistics.median(ms) for name, ms in found.items()}
    report.add(
        "failover_ms", median.get("innkeeper"), "ms", "lower", goal=FIRST_TOKEN_MS + 50.0,
        peer="litellm" if "litellm" in median else None, peer_value=median.get("litellm"), why="nothing took over",
    )  # fmt: skip


async def measure_faults(report: Report, upstream: Standins, peer: Gateway | None, *, quick: bool) -> None:
    """False successes over the fault matrix, and how many cells the second provider answered."""
    upstream.order(preset="goes_on")
    mine = await matrix.run(lambda: innkeeper(upstream), upstream, quick=quick)
    theirs = await matrix.run(lambda: nullcontext(peer), upstream, quick=quick) if peer and not quick else None
    upstream.order(preset="eighteen")
    name = "litellm" if theirs else None
    rows: tuple[tuple[str, matrix.Verdict], ...] = (("false_successes", "false"), ("faults_refused", "refused"))
    for id, verdict in rows:
        value, other = float(mine.count(verdict)), float(theirs.count(verdict)) if theirs else None
        report.add(id, value, "cells", "lower", goal=0.0, peer=name, peer_value=other)
    met, cells = float(len(mine.cells)), float(len(mine.cells) + len(mine.unmet))
    report.add("fault_cells", met, "cells", "higher", goal=cells)


async def measure_overspend(report: Report, upstream: Standins) -> None:
    """Many calls at once against a cap with room for a few; the provider answers when all of them have come."""
    cap = int((ROOM + 0.5) * CAP_TOKENS * NANO_USD_PER_TOKEN_OUT)
    with innkeeper(upstream, cap_nano_usd=cap, providers=("first",), first_token_ms=4 * HELD_MS) as ours:
        upstream.order(wait_s=HELD_MS / 1_000.0)
        before = upstream.order()["asked"][0]
        calls = [ask(ours, stream=False, give_up_s=30.0, tokens=CAP_TOKENS) for _ in range(PARALLEL)]
        told = await asyncio.gather(*calls)
        asked = upstream.order(wait_s=0.0)["asked"][0] - before
    answered = sum(1 for each in told if each.status == 200)
    if not answered:
        report.add("overspend", None, "calls", "lower", goal=0.0, why=f"nothing was let through: {told[0].error}")
        return
    report.add("overspend", float(max(0, asked - ROOM)), "calls", "lower", goal=0.0)
    report.add("let_through", float(asked), "calls", "higher", goal=float(ROOM))


async def measure_sdks(report: Report, upstream: Standins, *, quick: bool) -> None:
    """The bare SDKs and HTTP clients, in this process."""
    found = await sdks.measure(upstream, 100 if quick else 500)
    for name, cpu_ms in found.items():
        report.add(f"client_cpu_ms.{name}", cpu_ms, "ms", "lower")


@contextmanager
def gateways(upstream: Standins, *, peers: bool) -> Iterator[tuple[Gateway, Gateway | None]]:
    """Ours and the peer over the same stand-ins."""
    with ExitStack() as stack:
        peer = stack.enter_context(litellm(upstream)) if peers else None
        yield stack.enter_context(innkeeper(upstream)), peer


async def measure(report: Report) -> None:
    quick, peers = report.options.quick, report.options.peers
    with standins("eighteen") as upstream:
        note("the SDKs and bare clients")
        await measure_sdks(report, upstream, quick=quick)
        note("starting the gateways")
        with gateways(upstream, peers=peers) as (ours, peer):
            note("CPU")
            await measure_cost(report, ours, peer, quick=quick)
            note("added time")
            await measure_added(report, upstream, ours, peer, quick=quick)
            note("failover")
            await measure_failover(report, upstream, ours, peer, quick=quick)
            note("the fault matrix")
            await measure_faults(report, upstream, peer, quick=quick)
        note("budgets")
        await measure_overspend(report, upstream)


def main() -> None:
    report = start("llm", peers=True)
    leave_the_first_core()
    uvloop.run(measure(report))
    report.close()


if __name__ == "__main__":
    main()
