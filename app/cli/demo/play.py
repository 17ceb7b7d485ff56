"""The game process: keeps the village's tasks running, saves, and ends in order.

Started by the supervisor as `python -m app.cli.demo.play CONFIG`. It writes one report a line to standard
output and ends with SIGTERM, with its standard input, or when its time is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import msgspec

from app.cli.demo.adventure import restock
from app.cli.demo.client import Link, call_http
from app.cli.demo.game import TICK_S, Game
from app.cli.demo.opening import WORLD, open_game
from app.cli.demo.report import Config
from app.core.errors import Error
from app.modules.world import messages as world

REPORT_S = 0.5
SAVE_S = 10.0
HEALTH_S = 5.0
RESTOCK_S = 20.0
WEATHER_S = 60.0
HOUR_S = 1.0
PROPOSALS_MAX = 64
DRAIN_S_MAX = 3.0
"""Longest time at the end to get the last events acknowledged."""
LAG_S_MAX = 1.0
"""A game that fell further behind than this lets the lost ticks go."""


def main() -> None:
    """Run the game that the first argument describes."""
    config = msgspec.json.decode(sys.argv[1], type=Config)
    asyncio.run(play(config))


async def play(config: Config) -> None:
    """The game from start to end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    proposals: asyncio.Queue[world.ProposalPushed] = asyncio.Queue(PROPOSALS_MAX)
    link = Link(Path(config.folder), WORLD, on_push=lambda op, data: _pushed(proposals, op, data))
    async with asyncio.TaskGroup() as group:
        lasting = [group.create_task(link.run()), group.create_task(_parent_gone(stop))]
        game = await open_game(config, link)
        game.started_s = time.monotonic()
        lasting.append(group.create_task(game.ledger.run()))
        if config.seconds:
            loop.call_later(config.seconds, stop.set)
        chores = [group.create_task(work) for work in _chores(game, proposals)]
        await stop.wait()
        for chore in chores:
            chore.cancel()
        await _finish(game)
        for task in lasting:
            task.cancel()


def _chores(game: Game, proposals: asyncio.Queue[world.ProposalPushed]) -> Iterator[Coroutine[object, object, None]]:
    """Everything that goes on at once, none of which waits for another."""
    yield _tick_on(game)
    yield game.talks.run()
    yield from (player.run() for player in game.players)
    yield _every(REPORT_S, lambda: _write_report(game, "running"))
    yield _every(RESTOCK_S, lambda: _restock(game))
    yield _every(WEATHER_S, game.change_weather)
    yield _every(HOUR_S, game.tell_hour)
    yield _save_on(game)
    yield _watch_health(game)
    yield _settle_proposals(game, proposals)


async def _finish(game: Game) -> None:
    """Get the last events acknowledged, save, and report once more."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S_MAX):
            await game.ledger.drain()
    await game.save()
    _write_report(game, "ended")


async def _tick_on(game: Game) -> None:
    """Ticks on a fixed beat."""
    next_s = time.monotonic()
    while True:
        await game.tick()
        next_s += TICK_S
        wait_s = next_s - time.monotonic()
        if wait_s < -LAG_S_MAX:
            next_s = time.monotonic()
        await asyncio.sleep(max(0.0, wait_s))


async def _every(seconds: float, work: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        work()


async def _save_on(game: Game) -> None:
    while True:
        await asyncio.sleep(SAVE_S)
        await game.save()


def _restock(game: Game) -> None:
    idle = {player.player for player in game.players if not player.quest}
    restock(game.ledger, game.origins, idle)
    game.bury()


async def _watch_health(game: Game) -> None:
    """Which mode and engines the server really runs."""
    while True:
        with contextlib.suppress(Error):
            health = await asyncio.to_thread(call_http, game.link.folder, "GET", "/health/ready", timeout_s=2.0)
            game.mode = int(health.get("mode", 0))
            game.engines = {
                engine["name"]: engine.get("provider") or engine.get("state", "") for engine in health["engines"]
            }
        await asyncio.sleep(HEALTH_S)


async def _settle_proposals(game: Game, proposals: asyncio.Queue[world.ProposalPushed]) -> None:
    """The game's verdict on what NPCs offer in talk: quests are welcome, the rest is declined."""
    while True:
        proposal = await proposals.get()
        taken = proposal.action == "offer_quest"
        reason = "" if taken else "the demo plays quests only"
        request = world.Confirm(proposal=proposal.id, accepted=taken, reason=reason, key=proposal.id)
        with contextlib.suppress(Error):
            await game.link.insist(request, world.Acknowledged)


def _pushed(proposals: asyncio.Queue[world.ProposalPushed], op: str, data: msgspec.Raw) -> None:
    if op == world.ProposalPushed.op and not proposals.full():
        proposals.put_nowait(msgspec.msgpack.decode(data, type=world.ProposalPushed))


async def _parent_gone(stop: asyncio.Event) -> None:
    """The supervisor holds our standard input open; when it is gone, so are we."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    stop.set()


def _write_report(game: Game, state: str) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(game.report(state)) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
