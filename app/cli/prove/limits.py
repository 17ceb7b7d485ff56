"""Suite E, limits: a crowd against the rate limits of real servers, over a clock that jumps and a Redis that dies.

Admitted is exactly the limit and never one more, refusals say when to come again, and without the shared server
each process keeps to its own share. The money part of the suite is in app/cli/prove/money.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection
from pathlib import Path

from app.cli.prove import child as children
from app.cli.prove import money
from app.cli.prove.child import Child
from app.cli.prove.crowd import Ask, Tally
from app.cli.prove.crowd import run as crowd
from app.cli.prove.figures import Figure, Gap, Outcome, Plan
from app.cli.prove.key_server import KeyServer, find_program
from app.cli.prove.money import figure
from app.core.errors import StoreDown

CLIENTS = 200
LIMIT = 300
SHARE = 0.5
HOUR_MS = 3_600_000
WORLD = "crowd"
LOCAL_CAP_S_MAX = 1.0
JUMP_S_MAX = 10.0
CLOCK_OFF_S_MIN = 3_000.0
FAKETIME = ("usr/lib/*/faketime/libfaketime.so.1", "usr/lib/faketime/libfaketime.so.1")
OPEN = {"server.half_open_max": "1000", "limits.period_ms": str(100 * HOUR_MS)}
"""A unit takes 20 minutes to come back, so that what is admitted is exactly the limit."""
BY_KEY = {**OPEN, "limits.key_requests_max": str(LIMIT), "limits.key_burst_requests_max": str(LIMIT)}
BY_TENANT = {**OPEN, "limits.tenant_requests_max": str(LIMIT), "limits.tenant_burst_requests_max": str(LIMIT)}


def run(plan: Plan) -> Sequence[Outcome]:
    """The whole suite."""
    return [
        *_one_server(plan),
        *_clock(plan),
        *_with_redis(plan, "limits of two servers", _two_servers),
        *_with_redis(plan, "limits without Redis", _redis_killed),
        *money.run(plan),
        *_with_redis(plan, "budget of two servers", money.run_shared),
    ]


def _one_server(plan: Plan) -> Iterator[Outcome]:
    with children.served(plan.folder / "one", BY_KEY) as child:
        _make_world(child)
        tallies = _flood([child], plan.of(quick=5, full=50))
        plan.told(f"  one server: {tallies[0].admitted + 1} admitted, {tallies[0].refused} refused")
        yield from _held("one server", tallies)


def _two_servers(plan: Plan, redis: KeyServer) -> Iterator[Outcome]:
    with _pair(plan.folder / "two", redis) as both:
        for child in both:
            _make_world(child)
        tallies = _flood(both, plan.of(quick=5, full=50))
        plan.told(f"  two servers: {[tally.admitted + 1 for tally in tallies]} admitted")
        yield from _held("two servers", tallies)


def _redis_killed(plan: Plan, redis: KeyServer) -> Iterator[Outcome]:
    """The shared server dies while a crowd is being served: each process then keeps to its share."""
    with _pair(plan.folder / "killed", redis) as both:
        for child in both:
            _make_world(child)
        before = crowd(both, [[_ASK]] * (LIMIT // 5))
        redis.kill()
        started_s = time.monotonic()
        first = crowd(both, [[_ASK]] * 2)
        noticed_s = time.monotonic() - started_s
        after = _flood(both, plan.of(quick=5, full=50))
        alone = [one.admitted + other.admitted for one, other in zip(first, after, strict=True)]
        plan.told(f"  Redis killed after {sum(tally.admitted for tally in before)}: {alone} admitted alone")
        yield figure("Redis gone: first answers", noticed_s, "s", LOCAL_CAP_S_MAX)
        yield figure("Redis gone: admitted over a server's share", max(alone) - LIMIT * SHARE, "requests", 0)
        yield figure("Redis gone: admitted by the poorer server", min(alone), "requests", 1, least=True)
        yield figure("Redis gone: other answers", sum(tally.failed for tally in [*first, *after]), "requests", 0)


def _clock(plan: Plan) -> Iterator[Outcome]:
    """The wall clock goes an hour ahead, then an hour behind, under a server whose limit is used up."""
    library = next((path for pattern in FAKETIME for path in Path("/").glob(pattern)), None)
    if library is None:
        yield Gap(suite="E", name="clock jumps", lacks="libfaketime; apt-get install faketime")
        return
    offset = plan.folder / "offset"
    offset.write_text("+0")
    environment = {
        "LD_PRELOAD": str(library),
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_TIMESTAMP_FILE": str(offset),
    }
    admitted, seen_s = 0, []
    # An hour that did not pass would give a tenth of the limit back.
    with children.served(
        plan.folder / "clock", {**BY_KEY, "limits.period_ms": str(10 * HOUR_MS)}, environment
    ) as child:
        _make_world(child)
        crowd([child], [[_ASK] * LIMIT] * 2)
        for jump_s in (HOUR_MS // 1000, -HOUR_MS // 1000):
            offset.write_text(f"{jump_s:+d}")
            seen_s.append(_await_clock(child, jump_s))
            admitted += sum(tally.admitted for tally in crowd([child], [[_ASK] * 10] * 2))
    yield figure("clock jumped: admitted past the limit", admitted, "requests", 0)
    yield figure("clock jumped: seconds off, the least", min(seen_s), "s", CLOCK_OFF_S_MIN, least=True)


def _await_clock(child: Child, jump_s: int) -> float:
    """Seconds that the server's clock is off on the jump's side, as soon as it has noticed."""
    until_s = time.monotonic() + JUMP_S_MAX
    while True:
        off_s = _clock_off_s(child) * (1 if jump_s > 0 else -1)
        if off_s > CLOCK_OFF_S_MIN or time.monotonic() > until_s:
            return off_s
        time.sleep(0.1)


def _clock_off_s(child: Child) -> float:
    """How far the server's clock is from ours, by the date of an answer, which is renewed once a second."""
    connection = HTTPConnection("127.0.0.1", child.port, timeout=5.0)
    try:
        connection.request("GET", "/health/live")
        date = connection.getresponse().headers["date"]
        return parsedate_to_datetime(date).timestamp() - time.time()
    finally:
        connection.close()


_ASK = Ask("world.describe", {"world": WORLD})


def _make_world(child: Child) -> None:
    """One request of the limit."""
    child.post("/v1/world/create", {"world": WORLD})


def _flood(servers: Sequence[Child], each: int) -> list[Tally]:
    return crowd(servers, [[_ASK] * each] * CLIENTS)


def _held(name: str, tallies: Sequence[Tally]) -> Iterator[Figure]:
    admitted = sum(tally.admitted for tally in tallies) + len(tallies)
    yield figure(f"{name}: admitted past the limit of {LIMIT}", max(0, admitted - LIMIT), "requests", 0)
    yield figure(f"{name}: of the limit, admitted", admitted, "requests", LIMIT, least=True)
    yield figure(f"{name}: refused", sum(tally.refused for tally in tallies), "requests", 1, least=True)
    yield figure(f"{name}: refused without Retry-After", sum(tally.unexplained for tally in tallies), "requests", 0)
    yield figure(f"{name}: other answers", sum(tally.failed for tally in tallies), "requests", 0)


@contextmanager
def _pair(folder: Path, redis: KeyServer) -> Iterator[list[Child]]:
    settings = {**BY_TENANT, "cache.url": redis.url, "cache.alone_share": str(SHARE)}
    with ExitStack() as stack:
        yield [stack.enter_context(children.served(folder / str(number), settings)) for number in range(2)]


def _with_redis(plan: Plan, name: str, part: Callable[[Plan, KeyServer], Iterator[Outcome]]) -> Iterator[Outcome]:
    try:
        program = find_program()
    except StoreDown as error:
        yield Gap(suite="E", name=name, lacks=error.message)
        return
    server = KeyServer(program, plan.folder, children.free_port())
    server.start()
    try:
        yield from part(plan, server)
    finally:
        server.kill()
