"""Suite C, identity: who is let in. Every route and message with every state of a credential, role and tenant.

What is allowed is computed from the permission map. Beside that: how soon a revocation is in force on HTTP and on an
open socket, whether the kinds of refusal can be told apart by their time, refresh tokens used twice, and Wycheproof.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from app.build import ROOT
from app.cli.prove import child as children
from app.cli.prove.child import Child, ask
from app.cli.prove.figures import Figure, Gap, Outcome, Plan, percentile
from app.cli.prove.matrix import Client, Route, Verdicts, ask_all, ask_sockets, marker_of, routes_of, world_of
from app.cli.prove.office import TENANTS, Credential, Office, sign_in
from app.cli.prove.wycheproof import vectors
from app.control.permissions import Role
from app.core.errors import Broken
from app.core.module import Scope

SETTINGS = {"limits.failures_max": "10000000", "server.half_open_max": "1000", "telemetry.log_level": "warning"}
STATES_MIN = 9
REVOKED_S_MAX = 1.0
CLASS_MS_MAX = 5.0
USES = 200
WAIT_S_MAX = 5.0
POLL_S = 0.005
VECTORS = ROOT.parent / "shared" / "data" / "security" / "wycheproof"
PADDING_VECTORS = 2
"""The valid text itself, which the file calls wrong for a padding that is not in it."""
CLASSES = ("unknown key", "wrong secret", "expired key", "revoked key")
TOLD_MAX = 10


def run(plan: Plan) -> Sequence[Outcome]:
    """The whole suite."""
    folder = plan.folder / "office"
    folder.mkdir()
    office = Office(folder)
    office.open()
    with children.served(folder, SETTINGS) as child:
        _make_worlds(child, office)
        strangers = office.strangers(child)
        return [
            *_matrix(plan, child, office, strangers),
            *_revocation(plan, child, office),
            *_classes(plan, child, strangers),
            *_refresh(plan, child, office),
            *_wycheproof(),
        ]


def _make_worlds(child: Child, office: Office) -> None:
    for tenant in TENANTS:
        key = office.keys[tenant, Role.OWNER]
        world, marker = world_of(tenant), marker_of(tenant)
        entities = [{"type": "npc", "id": marker, "name": marker}, {"type": "location", "id": marker, "name": marker}]
        for path, data in (
            ("/v1/world/create", {"world": world}),
            ("/v1/world/upsert", {"world": world, "entities": entities}),
        ):
            status, told = ask(child.port, "POST", path, data, key)
            if status != 200:
                raise Broken(f"{path} was answered with {status}: {told}")


def _matrix(plan: Plan, child: Child, office: Office, strangers: Sequence[Credential]) -> Iterator[Outcome]:
    routes = routes_of(child, plan.folder / "map")
    holders = office.holders(child)
    verdicts = Verdicts()
    for callers in (strangers, holders):
        ask_all(child, routes, callers, verdicts)
        ask_sockets(child, routes, callers, verdicts)
    for surprise in [*verdicts.allowed, *verdicts.denied, *verdicts.seen][:TOLD_MAX]:
        plan.told(f"  {surprise}")
    plan.told(f"  {verdicts.asked} questions: {len(routes)} routes, {len(strangers)} strangers, {len(holders)} holders")
    yield figure("states of a credential", len(strangers) + 2, "states", STATES_MIN, least=True)
    yield figure("routes and messages", len(routes), "routes", 1, least=True)
    yield figure("unexpected allow", len(verdicts.allowed), "answers", 0)
    yield figure("unexpected deny", len(verdicts.denied), "answers", 0)
    yield figure("another tenant's object seen", len(verdicts.seen), "answers", 0)


def _revocation(plan: Plan, child: Child, office: Office) -> Iterator[Outcome]:
    """Keys are revoked from outside; the time runs from the commit to the last answer, and to the socket's close."""
    by_http: list[float] = []
    by_socket: list[float] = []
    for number in range(plan.of(quick=4, full=25)):
        key = office.add(f"doomed {number}")
        _wait(lambda key=key: _status(child, key) == 200, "a new key to be known")  # type: ignore[misc]  # bound now
        token = sign_in(child, key)["access_token"]
        closed = _Closing(child, key)
        revoked_s = office.revoke(key)
        _wait(lambda key=key, token=token: {_status(child, key), _status(child, token)} == {401}, "a revocation")  # type: ignore[misc]  # bound now
        by_http.append(time.monotonic() - revoked_s)
        by_socket.append(closed.at_s() - revoked_s)
    plan.told(f"  revoked: HTTP {max(by_http):.2f} s, sockets {max(by_socket):.2f} s at most")
    yield figure("revoked key refused on HTTP, the latest", max(by_http), "s", REVOKED_S_MAX)
    yield figure("revoked key's socket closed, the latest", max(by_socket), "s", REVOKED_S_MAX)


class _Closing:
    """A socket that waits, in a thread, until the server closes it."""

    def __init__(self, child: Child, key: str) -> None:
        self._child = child
        self._key = key
        self._opened = threading.Event()
        self._at_s = 0.0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        if not self._opened.wait(WAIT_S_MAX):
            raise Broken("no socket was opened", hint="see the server's log")

    def at_s(self) -> float:
        """When it was closed, monotonic; raises Broken when it was not."""
        self._thread.join(WAIT_S_MAX)
        if not self._at_s:
            raise Broken("a socket of a revoked key stayed open", hint="see the server's log")
        return self._at_s

    def _run(self) -> None:
        from websockets.exceptions import ConnectionClosed
        from websockets.sync.client import connect

        with connect(f"ws://127.0.0.1:{self._child.port}/v1/link") as socket:
            socket.send(json.dumps({"id": "0", "op": "hello", "data": {"token": self._key}}))
            socket.recv()
            self._opened.set()
            try:
                socket.recv(timeout=WAIT_S_MAX)
            except ConnectionClosed:
                self._at_s = time.monotonic()
            except TimeoutError:
                return


def _classes(plan: Plan, child: Child, strangers: Sequence[Credential]) -> Iterator[Outcome]:
    """Whether the kinds of key that do not hold can be told apart, by what is answered or by its time."""
    chosen = {each.name: each.authorization for each in strangers if each.name in CLASSES}
    route = Route("get", "/v1/worlds", Scope.READ)
    client = Client(child.port)
    times: dict[str, list[float]] = {name: [] for name in chosen}
    bodies = set()
    for _ in range(plan.of(quick=150, full=2_000)):
        for name, authorization in chosen.items():
            started_s = time.perf_counter()
            bodies.add(client.ask(route, authorization, ""))
            times[name].append((time.perf_counter() - started_s) * 1000.0)
    client.close()
    p95s = [percentile(each, 0.95) for each in times.values()]
    yield figure("kinds of refusal by what they say", len(bodies), "answers", 1)
    yield figure("kinds of refusal apart by time, p95", max(p95s) - min(p95s), "ms", CLASS_MS_MAX)


def _refresh(plan: Plan, child: Child, office: Office) -> Iterator[Outcome]:
    """One refresh token, used by many at once; then nothing that came of it may hold."""
    tokens = sign_in(child, office.keys[TENANTS[0], Role.OWNER])

    def use() -> tuple[int, dict[str, str]]:
        status, told = ask(child.port, "POST", "/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]}, "")
        return status, told

    with ThreadPoolExecutor(32) as pool:
        answers = [each.result() for each in [pool.submit(use) for _ in range(USES)]]
    won = [told for status, told in answers if status == 200]
    other = sum(status not in (200, 401) for status, _ in answers)
    held = sum(_status(child, each["access_token"]) == 200 for each in [tokens, *won])
    held += sum(
        ask(child.port, "POST", "/v1/auth/refresh", {"refresh_token": each["refresh_token"]}, "")[0] == 200
        for each in won
    )
    plan.told(f"  {USES} uses of one refresh token: {len(won)} won")
    yield figure(f"of {USES} uses of one refresh token at once, won", len(won), "uses", 1)
    yield figure("refresh token: uses won, the least", len(won), "uses", 1, least=True)
    yield figure("refresh token: other answers", other, "answers", 0)
    yield figure("tokens that hold after a refresh token was used twice", held, "tokens", 0)


def _wycheproof(folder: Path = VECTORS) -> Iterator[Outcome]:
    if not folder.is_dir():
        yield Gap(suite="C", name="Wycheproof's signed texts", lacks="the vectors, beside the clone in ../shared")
        return
    tried = list(vectors(folder))
    wrong = sum(one.accepted and not one.valid for one in tried)
    yield figure("Wycheproof: signed texts tried", len(tried), "texts", 1, least=True)
    yield figure("Wycheproof: wrong ones accepted", wrong, "texts", PADDING_VECTORS)
    yield figure("Wycheproof: right ones of ours accepted", sum(one.accepted for one in tried) - wrong, "texts", 1,
                 least=True)  # fmt: skip


def _status(child: Child, credential: str) -> int:
    return ask(child.port, "GET", "/v1/worlds", None, credential)[0]


def _wait(holds: Callable[[], bool], what: str) -> None:
    until_s = time.monotonic() + WAIT_S_MAX
    while not holds():
        if time.monotonic() > until_s:
            raise Broken(f"waited {WAIT_S_MAX:.0f} s for {what}", hint="see the server's log")
        time.sleep(POLL_S)


def figure(name: str, value: float, unit: str, bound: float, *, least: bool = False) -> Figure:
    """A figure of this suite."""
    found = Figure(suite="C", name=name, value=round(value, 3), unit=unit, bound=bound)
    return msgspec.structs.replace(found, side="at_least") if least else found
