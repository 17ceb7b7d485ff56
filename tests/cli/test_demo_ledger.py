"""The demo's ledger: told in order, told again until acknowledged, and what is wrong costs only itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.cli.demo.ledger import Ledger
from app.core.errors import NotFound
from app.modules.world import messages
from app.world.entities import Item, Location, Player
from app.world.events import EntityUpserted, Happened
from app.world.state import World


class Told:
    """Stands in for the link: keeps what was told and acknowledges it, but refuses events of `bad` verbs."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.bad: set[str] = set()
        self.seq = 0

    async def insist(self, request: Any, _reply: type[Any], *, deadline_ms: int = 0) -> Any:
        self.requests.append(request)
        await asyncio.sleep(0)
        if isinstance(request, messages.Upsert):
            self.seq += len(request.entities)
            return messages.Upserted(seq=self.seq, handles={})
        if isinstance(request, messages.Describe):
            return messages.Described(world="w", seq=self.seq, game_s=0.0, counts={}, maps={})
        if any(event.verb in self.bad for event in request.events):
            raise NotFound("no such thing")
        self.seq += len(request.events)
        return messages.Acknowledged(seq=self.seq, events=len(request.events))


@pytest.fixture
async def told() -> Told:
    return Told()


@pytest.fixture
async def ledger(told: Told) -> AsyncIterator[Ledger]:
    made = Ledger(told, World("", "w"), "run", game_s=lambda: 5.0)  # type: ignore[arg-type]  # a double of the link
    running = asyncio.create_task(made.run())
    made.tell(EntityUpserted(entity=Player(id="p", location="a")))
    made.tell(EntityUpserted(entity=Location(id="a")))
    made.tell(EntityUpserted(entity=Item(id="apple", holder="a")))
    yield made
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_changes_of_one_kind_travel_together_and_in_order(ledger: Ledger, told: Told) -> None:
    taken = ledger.tell(Happened(verb="took", actor="p", item="apple", location="a"))
    await ledger.drain()
    assert [type(request) for request in told.requests] == [messages.Upsert, messages.Post]
    assert len(told.requests[0].entities) == 3
    assert taken.result() is True
    assert (ledger.acknowledged, ledger.newest_seq) == (4, 4)


async def test_books_follow_what_is_told_at_once(ledger: Ledger) -> None:
    ledger.tell(Happened(verb="took", actor="p", item="apple", location="a"))
    assert ledger.books.state.items["apple"].holder == "p"


async def test_a_wrong_event_costs_only_itself(ledger: Ledger, told: Told) -> None:
    await ledger.drain()
    told.bad = {"talked"}
    first = ledger.tell(Happened(verb="moved", actor="p", location="a"))
    wrong = ledger.tell(Happened(verb="talked", actor="p"))
    last = ledger.tell(Happened(verb="explored", actor="p", location="a"))
    await ledger.drain()
    assert [first.result(), wrong.result(), last.result()] == [True, False, True]
    assert (ledger.acknowledged, ledger.refused) == (5, 1)


async def test_what_the_books_refuse_is_never_sent(ledger: Ledger, told: Told) -> None:
    await ledger.drain()
    before = len(told.requests)
    assert await ledger.tell(Happened(verb="took", actor="nobody", item="apple")) is False
    await ledger.drain()
    assert len(told.requests) == before


async def test_every_message_has_a_key_of_its_own(ledger: Ledger, told: Told) -> None:
    ledger.tell(Happened(verb="moved", actor="p", location="a"))
    await ledger.drain()
    keys = [request.key for request in told.requests]
    assert len(set(keys)) == len(keys)
    assert all(key.startswith("run-") for key in keys)


async def test_an_acknowledged_event_that_is_gone_is_noticed(ledger: Ledger, told: Told) -> None:
    await ledger.drain()
    await ledger.check()
    assert ledger.lost == 0
    told.seq -= 2
    await ledger.check()
    assert ledger.lost == 2
