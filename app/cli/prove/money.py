"""Suite E, money: lines of a paid provider against budgets of real servers, and the bill against the log.

The provider is a stand-in that counts its calls and charges the worst (app/cli/prove/paid.py). With money for three
calls, 200 turns at once make exactly three; everybody gets a line all the same.
"""

from __future__ import annotations

import asyncio
import http.client
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from app.build import ROOT
from app.build.access import DEFAULT_TENANT
from app.cli.prove import child as children
from app.cli.prove.child import Child
from app.cli.prove.crowd import Ask, Tally
from app.cli.prove.crowd import run as crowd
from app.cli.prove.figures import Figure, Outcome, Plan
from app.cli.prove.key_server import KeyServer
from app.cli.prove.paid import Provider, provider
from app.core.errors import Broken
from app.stores.database import open_database
from app.stores.replay import check_world
from app.stores.usage import read_usage
from app.world.usage import Used, summary

TURNS = 200
HEARD = 20
CUT_OFF = 10
NPCS = 20
AFFORDED = 3
BUDGET_CALLS = 3.5
"""The budget in calls at the worst price: room to reserve three at once, and for no fourth when they are paid."""
THINKS_S = 1.0
HANGS_S = 60.0
WAIT_S_MAX = 20.0
LINE_S_MAX = 10.0
NEW_SERVER_S = 3.0
"""Longer than replicas take to tell a new server what was spent."""
KEY_NAMES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AZURE_OPENAI_API_KEY")
PATIENT = {
    "modules.dialogue.first_token_ms": "15000",
    "engines.openai.first_token_ms": "15000",
    "server.half_open_max": "1000",
    "responses.ttl_ms": "0",  # every line is asked for, and so every call can be counted
}


def run(plan: Plan) -> Iterator[Outcome]:
    """One server: the bill against the log, then the budget."""
    with provider() as paid:
        call_nano_usd = yield from _bill(plan, paid)
        plan.told(f"  a call costs {call_nano_usd} nano-dollars")
        cap = int(call_nano_usd * BUDGET_CALLS)
        with _served(plan.folder / "budget", paid, {"budgets.tenant.day_nano_usd_max": str(cap)}) as child:
            tallies, calls = _speak([child], paid)
            yield from _kept("budget", [child], tallies, calls, cap)
        yield figure("budget: price of a call", call_nano_usd, "nano-dollars", 1, least=True)


def run_shared(plan: Plan, redis: KeyServer) -> Iterator[Outcome]:
    """Two servers of one tenant and one budget; then the server that they share dies."""
    with provider() as paid:
        with _served(plan.folder / "price", paid, {}) as child:
            call_nano_usd = _said(_turns([child], 1)).replies[0]["cost_usd"] * 1e9
        cap = int(call_nano_usd * BUDGET_CALLS)
        settings = {
            "budgets.tenant.month_nano_usd_max": str(cap),
            "cache.url": redis.url,
            "cache.alone_share": "0.5",
        }
        with (
            _served(plan.folder / "left", paid, settings) as left,
            _served(plan.folder / "right", paid, settings) as right,
        ):
            both = [left, right]
            _turns(both, 2)  # the first call begins the account; until replicas have told it all, nobody spends
            time.sleep(NEW_SERVER_S)
            tallies, calls = _speak(both, paid)
            yield from _kept("budget of two servers", both, tallies, calls, cap)
            redis.kill()
            before = paid.calls
            tally = _said(_turns(both, HEARD))
            yield figure("Redis gone: paid calls of one replica of two", paid.calls - before, "calls", 0)
            yield figure("Redis gone: lines heard", tally.admitted, "lines", HEARD, least=True)


def _bill(plan: Plan, paid: Provider) -> Generator[Outcome, None, float]:
    """Turns that are heard, then a kill in the middle of others; returns what a call costs."""
    folder = plan.folder / "bill"
    with _served(folder, paid, {}) as child:
        tally = _said(_turns([child], HEARD))
        billed = paid.tokens_in, paid.tokens_out
        paid.delay_s = HANGS_S
        calls = paid.calls
        _leave(child, paid, calls + CUT_OFF)
        child.kill()
        paid.delay_s = 0.0
    logged, faults = _read(folder)
    with _served(folder, paid, {}) as child:
        told = _totals([child])
    heard = sum(1 for reply in tally.replies if reply["rung"] == "words")
    yield figure("lines heard of a paid model", heard, "lines", HEARD, least=True)
    yield figure("after SIGKILL: tokens billed and not logged", billed[0] + billed[1] - _tokens(logged), "tokens", 0)
    yield figure("after SIGKILL: tokens logged and not billed", _tokens(logged) - billed[0] - billed[1], "tokens", 0)
    yield figure("after SIGKILL: usage that is told otherwise", abs(told.cost_nano_usd - logged.cost_nano_usd),
                  "nano-dollars", 0)  # fmt: skip
    yield figure("after SIGKILL: replay differs from state", faults, "worlds", 0)
    return logged.cost_nano_usd / max(1, logged.calls)


def _kept(name: str, servers: Sequence[Child], tallies: Sequence[Tally], calls: int, cap: int) -> Iterator[Figure]:
    tally = _said(tallies)
    heard = sum(1 for reply in tally.replies if reply["text"])
    yield figure(f"{name}: paid calls past the {AFFORDED} afforded", calls - AFFORDED, "calls", 0)
    yield figure(f"{name}: paid calls", calls, "calls", AFFORDED, least=True)
    yield figure(f"{name}: spent over it", max(0, _totals(servers).cost_nano_usd - cap), "nano-dollars", 0)
    yield figure(f"{name}: lines heard of {TURNS}", heard, "lines", TURNS, least=True)
    yield figure(f"{name}: slowest line", tally.slowest_s, "s", LINE_S_MAX)


def _speak(servers: Sequence[Child], paid: Provider) -> tuple[list[Tally], int]:
    """All turns at once, while the provider thinks; and how many calls it got."""
    paid.delay_s = THINKS_S
    before = paid.calls
    tallies = _turns(servers, TURNS)
    paid.delay_s = 0.0
    return tallies, paid.calls - before


def _turns(servers: Sequence[Child], turns: int) -> list[Tally]:
    """So many players each begin a dialogue; then all say a line at once."""
    for number, child in enumerate(servers):
        _people(child, _world(number))
    homes = [_world(number % len(servers)) for number in range(turns)]
    opened = crowd(
        servers,
        [
            [Ask("dialogue.open", {"world": home, "npc": f"n{number % NPCS}", "participants": [f"p{number}"]})]
            for number, home in enumerate(homes)
        ],
        sockets=False,
    )
    waiting = [[(reply["dialogue"], *reply["participants"]) for reply in tally.replies] for tally in opened]
    if sum(map(len, waiting)) != turns:
        raise Broken(f"{turns - sum(map(len, waiting))} dialogues were not opened", hint="see the server's log")
    lines = []
    for number, home in enumerate(homes):
        dialogue, player = waiting[number % len(servers)].pop()
        lines.append([Ask("dialogue.say", {"world": home, "dialogue": dialogue, "speaker": player, "text": "Hello"})])
    return crowd(servers, lines)


def _world(number: int) -> str:
    return f"money{number}"


def _people(child: Child, world: str) -> None:
    child.post("/v1/world/create", {"world": world})
    entities = [{"type": "npc", "id": f"n{number}"} for number in range(NPCS)]
    entities += [{"type": "player", "id": f"p{number}"} for number in range(TURNS)]
    child.post("/v1/world/upsert", {"world": world, "entities": entities})


def _leave(child: Child, paid: Provider, calls: int) -> None:
    """Begin turns that will never be heard, and come back once the provider is thinking about all of them."""

    def say(player: str) -> None:
        with suppress(OSError, http.client.HTTPException, ValueError):
            _, opened = child.post("/v1/dialogue/open", {"world": _world(0), "npc": "n0", "participants": [player]})
            line = {"world": _world(0), "dialogue": opened["dialogue"], "speaker": player, "text": "Hello"}
            child.post("/v1/dialogue/say", line)

    for number in range(CUT_OFF):
        threading.Thread(target=say, args=(f"p{number}",), daemon=True).start()
    until_s = time.monotonic() + WAIT_S_MAX
    while paid.calls < calls:
        if time.monotonic() > until_s:
            raise Broken(f"{calls - paid.calls} calls never came", hint=f"see {child.folder / 'server.log'}")
        time.sleep(0.01)


def _read(folder: Path) -> tuple[Used, int]:
    """(what the log says was used, worlds whose replay differs)."""

    async def read() -> tuple[Used, int]:
        database = open_database("", folder=folder, migrations=ROOT / "migrations")
        try:
            total = await database.run(
                DEFAULT_TENANT, lambda c: summary(read_usage(c, DEFAULT_TENANT, _world(0)))["total"]
            )
            found = await database.run(
                DEFAULT_TENANT, lambda c: check_world(c, DEFAULT_TENANT, _world(0), lambda _steps: None)
            )
            return total, len(found.faults)
        finally:
            await database.close()

    return asyncio.run(read())


def _totals(servers: Sequence[Child]) -> Used:
    """What the servers tell of all their worlds."""
    total = Used()
    for child in servers:
        _, told = child.get("/v1/usage")
        for world in told["worlds"].values():
            total = total.plus(msgspec.convert(world["total"], Used))
    return total


def _said(tallies: Sequence[Tally]) -> Tally:
    """One tally of all."""
    whole = Tally()
    for tally in tallies:
        whole.admitted += tally.admitted
        whole.slowest_s = max(whole.slowest_s, tally.slowest_s)
        whole.replies += tally.replies
    return whole


def _tokens(used: Used) -> int:
    return used.tokens_in + used.tokens_out


@contextmanager
def _served(folder: Path, paid: Provider, settings: Mapping[str, str]) -> Iterator[Child]:
    """A server whose only provider is the stand-in."""
    environment = {**dict.fromkeys(KEY_NAMES, ""), "OPENAI_API_KEY": "stand-in"}
    more = {**PATIENT, **settings, "engines.openai.base_url": paid.url}
    with children.served(folder, more, environment) as child:
        yield child


def figure(name: str, value: float, unit: str, bound: float, *, least: bool = False) -> Figure:
    """A figure of this suite."""
    found = Figure(suite="E", name=name, value=round(value, 3), unit=unit, bound=bound)
    return msgspec.structs.replace(found, side="at_least") if least else found
