"""Overload: what is too much is turned away at once with a time to come again, and the rest is served as ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress

import pytest
import structlog

from app.build import MODULE_SETTINGS, ROOT
from app.control.auth import Authority
from app.control.repeats import Repeats
from app.control.ring import Ring
from app.core.clock import SystemClock
from app.core.errors import Overloaded
from app.core.messages import Reply, Request
from app.core.module import Call, Handler, Module, Scope
from app.core.profile import Profile, layers, load
from app.edge.admission import BURSTS_MAX, Admission, Ticket
from app.edge.elsewhere import Elsewhere
from app.edge.forward import Forwarder
from app.edge.limits import Limits
from app.edge.router import Router
from app.stores.embedded.limiter import EmbeddedLimiter
from app.telemetry.metrics import Metrics
from tests.doubles import AlwaysHere, NoAudit
from tests.servers import Server, connect, running


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes two requests at once."""
    with running(tmp_path_factory.mktemp("narrow"), "--set", "server.requests_max=2") as server:
        assert server.post("/v1/world/create", {"world": "w"})[0] == 200
        assert server.post("/v1/world/upsert", {"world": "w", "entities": [{"type": "npc", "id": "a"}]})[0] == 200
        yield server


async def test_a_frame_too_many_is_told_when_to_come_again(narrow: Server) -> None:
    async with connect(narrow, world="w") as link:
        await link.send_together(
            "world.assert", [{"facts": [{"subject": "a", "predicate": "mood", "value": 1.0}]}] * 40
        )
        replies = [await link.receive() for _ in range(40)]
        later = await link.ask("world.describe", {})
    refused = [reply["error"] for reply in replies if not reply["ok"]]
    assert refused
    assert {error["code"] for error in refused} == {"overloaded"}
    assert all(error["retry_after_s"] > 0 for error in refused)
    assert later["ok"], "what was refused left nothing behind"


@pytest.mark.parametrize("packed", [False, True])
async def test_large_frames_too_many_are_refused_one_by_one_and_the_socket_goes_on(
    narrow: Server, *, packed: bool
) -> None:
    facts = [{"subject": "a", "predicate": f"mood-{n}", "value": 1.0} for n in range(500)]
    async with AsyncExitStack() as open_links:
        links = [await open_links.enter_async_context(connect(narrow, world="w", packed=packed)) for _ in range(6)]
        sent = [await link.send_together("world.assert", [{"facts": facts}] * 10) for link in links]
        replies = [[await link.receive() for _ in range(10)] for link in links]
        later = [await link.ask("world.describe", {}) for link in links]
    for ids, answers in zip(sent, replies, strict=True):
        assert sorted(reply["id"] for reply in answers) == sorted(ids), "each is answered, once"
    refused = [reply["error"] for answers in replies for reply in answers if not reply["ok"]]
    assert refused
    assert all(error["retry_after_s"] > 0 for error in refused)
    assert all(reply["ok"] for reply in later)


async def test_a_request_too_many_gets_503_with_retry_after_and_the_connection_lives(narrow: Server) -> None:
    answers = await asyncio.gather(*(_post_twice(narrow) for _ in range(24)))
    statuses = {status for pair in answers for status, _ in pair}
    assert statuses == {200, 503}
    refused = [head for pair in answers for status, head in pair if status == 503]
    assert all(b"retry-after: 1" in head and b"application/problem+json" in head for head in refused)
    assert narrow.get("/health/ready")[0] == 200


async def test_a_request_canceled_before_it_began_leaves_room(narrow: Server) -> None:
    async with connect(narrow, world="w") as link:
        for _ in range(10):
            id = await link.send("world.describe", {})
            await link.send("cancel", {"id": id})
            first, second = await link.receive(), await link.receive()
            assert {first["id"], second["id"]} >= {id}
        assert (await link.ask("world.describe", {}))["ok"]


async def test_a_burst_is_served_and_a_standing_queue_is_cut() -> None:
    limits, hand = _profile().server, Hand()
    admission = _admission(hand)
    assert await _pass(admission, hand, 100, cost_s=0.0005) == 100, "50 ms of work at once are a burst"
    until_s = hand.s + 1.0
    served: list[int] = []
    while hand.s < until_s:
        served.append(await _pass(admission, hand, 400, cost_s=0.0005))
    small = limits.backlog_ms_max / 0.5
    assert max(served[8:]) <= 2 * small, "more is asked for, time and again, than the loop can do"
    assert min(served) >= 1, "and never idles"
    hand.s += BURSTS_MAX * limits.burst_ms_max / 1000.0
    assert await _pass(admission, hand, 100, cost_s=0.0005) > 2 * small, "a loop that has caught up takes bursts again"


async def test_a_loop_that_does_all_that_is_asked_is_not_overloaded() -> None:
    hand = Hand()
    admission = _admission(hand)
    for _ in range(40):
        assert await _pass(admission, hand, 40, cost_s=0.0005) == 40
        hand.s += 0.005


async def test_a_tenant_that_asks_for_little_gets_in_beside_one_that_asks_for_too_much() -> None:
    hand = Hand()
    admission = _admission(hand)
    let_in = []
    while hand.s < 1.0:
        waiting = _entered(admission, 100, tenant="noisy")
        let_in.append(len(waiting))
        waiting += _entered(admission, 1, tenant="quiet")
        assert len(waiting) == let_in[-1] + 1, "the quiet one is never refused"
        await _work(waiting, hand, cost_s=0.0005)
    assert min(let_in) < 100, "while the noisy one is"


async def test_a_quiet_tenant_s_writes_wait_behind_commits_that_a_noisy_one_has_filled() -> None:
    admission = _admission(behind_s=lambda: 10.0)
    for _ in range(10_000):
        with suppress(Overloaded):
            admission.enter("world.event", writes=True, tenant="noisy").leave()
    admission.enter("world.event", writes=True, tenant="quiet").leave()
    with pytest.raises(Overloaded):
        admission.enter("world.event", writes=True, tenant="noisy")


async def test_writes_are_refused_while_commits_are_behind_and_reads_are_not() -> None:
    behind_s = 0.0
    admission = _admission(behind_s=lambda: behind_s)
    admission.enter("world.event", writes=True).leave()
    behind_s = 10.0
    with pytest.raises(Overloaded) as refused:
        admission.enter("world.event", writes=True)
    assert refused.value.retry_after_s
    admission.enter("world.get").leave()


async def test_a_refused_request_runs_no_handler() -> None:
    ran = 0

    class Ask(Request, frozen=True, kw_only=True):
        op = "test.ask"

    async def run(_call: Call, _request: Ask) -> Reply:
        nonlocal ran
        ran += 1
        return Reply()

    module = Module(name="test", handlers=(Handler(Ask, Reply, run, Scope.WRITE, 100),))
    authority = Authority(clock=SystemClock(), ring=Ring(token_ms=1), pepper=b"", token_minutes=15)
    profile = _profile()
    limiter = EmbeddedLimiter(clock=SystemClock(), keys_max=10)
    router = Router(
        [module], limits=Limits(profile.limits, limiter, addresses=limiter, repeats=Repeats(NoAudit())),
        server=profile.server,
        behind_s=lambda: 10.0,
        elsewhere=Elsewhere(AlwaysHere(), Forwarder(authority=authority, clock=SystemClock(), connections_max=1)),
        clock=SystemClock(), log=structlog.get_logger(), metrics=Metrics(), audit=NoAudit(),
    )  # fmt: skip
    route = router.route("test.ask")
    assert route.writes
    with pytest.raises(Overloaded):
        router.admission.enter(route.op, writes=route.writes)
    assert ran == 0
    assert router.admission.shedding


def _profile() -> Profile:
    return load(layers(ROOT / "profiles", mode=1, file=None, environment={}, flags={}), MODULE_SETTINGS).profile


class Hand:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def _admission(hand: Hand | None = None, *, behind_s: Callable[[], float] = lambda: 0.0) -> Admission:
    log = structlog.get_logger()
    return Admission(_profile().server, behind_s=behind_s, log=log, metrics=Metrics(), now_s=hand or Hand())


async def _pass(admission: Admission, hand: Hand, requests: int, *, cost_s: float) -> int:
    """One pass of the loop in which that many arrive and those that are admitted work for `cost_s` each."""
    tickets = _entered(admission, requests)
    await _work(tickets, hand, cost_s=cost_s)
    return len(tickets)


def _entered(admission: Admission, requests: int, *, tenant: str = "") -> list[Ticket]:
    """The tickets of those that are admitted."""
    tickets = []
    for _ in range(requests):
        with suppress(Overloaded):
            tickets.append(admission.enter("op", tenant=tenant))
    return tickets


async def _work(tickets: list[Ticket], hand: Hand, *, cost_s: float) -> None:
    for ticket in tickets:
        ticket.begin()
        hand.s += cost_s
        ticket.leave()
    await asyncio.sleep(0)


async def _post_twice(server: Server) -> list[tuple[int, bytes]]:
    """(status, head) of two requests on one connection, the second after the first's answer."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = b'{"world":"w","facts":[{"subject":"a","predicate":"mood","value":1.0}]}'
    head = (
        f"POST /v1/world/assert HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    found = []
    for _ in range(2):
        writer.write(head.encode() + body)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.partition(b":")[2]))
        found.append((int(answer[9:12]), answer.lower()))
    writer.close()
    return found
