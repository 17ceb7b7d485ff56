"""The game process: opens the village on the server, keeps its tasks running, saves, and ends in order.

Started by the supervisor as `python -m app.cli.demo.play CONFIG`. It writes one report a line to standard
output and ends with SIGTERM, with its standard input, or when its time is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import secrets
import signal
import sys
import time
from collections.abc import Callable
from itertools import chain, repeat
from pathlib import Path

import msgspec
import numpy as np

from app.cli.demo import save as saving
from app.cli.demo.adventure import Adventurer, restock
from app.cli.demo.chart import Chart, draw, survey
from app.cli.demo.client import Link, call_http
from app.cli.demo.folk import MAP, Folk, Seat, settle, side_for
from app.cli.demo.game import TICK_S, Game
from app.cli.demo.ledger import Ledger
from app.cli.demo.life import Life, begin, over
from app.cli.demo.report import Config
from app.cli.demo.talk import Talks
from app.cli.demo.walk import Walkers
from app.core.errors import DeadlineExceeded, Error
from app.modules.world import messages as world
from app.world.entities import Item, Npc, Player
from app.world.events import EntityUpserted, FactAsserted
from app.world.state import World

WORLD = "village"
REPORT_S = 0.5
SAVE_S = 10.0
HEALTH_S = 5.0
RESTOCK_S = 20.0
WEATHER_S = 60.0
HOUR_S = 1.0
START_S_MAX = 120.0
"""Longest time to wait for the server, its kernels included."""
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
    proposals: asyncio.Queue[world.ProposalPushed] = asyncio.Queue(64)
    link = Link(Path(config.folder), WORLD, on_push=lambda op, data: _pushed(proposals, op, data))
    async with asyncio.TaskGroup() as group:
        linking = group.create_task(link.run())
        orphaned = group.create_task(_parent_gone(stop))
        game = await _open(config, link, group)
        if config.seconds:
            loop.call_later(config.seconds, stop.set)
        game.started_s = time.monotonic()
        chores = [
            group.create_task(work)
            for work in (
                _tick_on(game),
                game.talks.run(),
                *(player.run() for player in game.players),
                _every(REPORT_S, lambda: _write_report(game, "running")),
                _save_on(game),
                _every(RESTOCK_S, lambda: _restock(game)),
                _every(WEATHER_S, game.change_weather),
                _every(HOUR_S, game.tell_hour),
                _watch_health(game),
                _settle_proposals(game, proposals),
            )
        ]
        await stop.wait()
        for chore in chores:
            chore.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S_MAX):
                await game.ledger.drain()
        await game.save()
        _write_report(game, "ended")
        for task in (linking, orphaned, game.telling):
            task.cancel()


async def _open(config: Config, link: Link, group: asyncio.TaskGroup) -> Game:
    """The village on the server: the saved one where it goes on, else a new one."""
    saved = saving.load(link.folder)
    if saved is not None:
        seed, npcs, map_text = saved.seed, saved.npcs, saved.map_text
    else:
        seed, npcs = config.seed, config.npcs
        map_text = await asyncio.to_thread(Path(config.map_file).read_text) if config.map_file else ""
    chart = survey(map_text, seed) if map_text else draw(seed, side_for(npcs))
    await _until_ready(link)
    await link.insist(world.Create(world=WORLD), world.Created)
    described = await link.insist(world.Describe(), world.Described)
    if MAP not in described.maps:
        text = chart.ground.text.encode()
        await asyncio.to_thread(call_http, link.folder, "PUT", f"/v1/worlds/{WORLD}/maps/{MAP}?format=movingai", text)
    books = World("", WORLD)
    run_id = secrets.token_hex(4)
    life: Life
    ledger = Ledger(link, books, run_id, game_s=lambda: life.game_s)
    if saved is not None:
        life = over(chart, saved.seats, saving.unpack(saved.arrays))
        life.days = saved.days
        books.state = saved.state
        ledger.newest_seq = saved.newest_seq
    else:
        folk = settle(chart, npcs=npcs, seed=seed)
        life = begin(chart, folk.seats, seed=seed)
    telling = group.create_task(ledger.run())
    if saved is not None:
        await ledger.check()
        await _catch_up(ledger)
        seats, origins = saved.seats, saved.origins
    else:
        await _populate(ledger, folk)
        seats, origins = list(folk.seats), {item.id: item.holder for item in folk.items}
    game = _assemble(chart, seats, link, ledger, life, telling)
    game.seed, game.map_text, game.origins = seed, map_text, origins
    game.newcomers = saved.newcomers if saved is not None else 0
    link.on_connect = game.check
    _warm(life)
    return game


def _assemble(
    chart: Chart, seats: list[Seat], link: Link, ledger: Ledger, life: Life, telling: asyncio.Task[None]
) -> Game:
    generator = np.random.default_rng()
    handles = ledger.books.state.handles
    game = Game(
        folder=link.folder,
        seats=seats,
        link=link,
        ledger=ledger,
        life=life,
        walkers=Walkers(link, MAP, chart.ground.walkable, len(seats)),
        talks=Talks(link, life, lambda id: game.name(id), ledger.books.entity, generator),
        players=[],
        generator=generator,
        handles=np.array([handles[id] for id in life.ids], "<u4"),
        telling=telling,
    )
    for player in ledger.books.state.players.values():
        at = next((place.cell for place in chart.places if place.id == player.location), chart.places[0].cell)
        game.players.append(
            Adventurer(player.id, chart, link, ledger, life, game.talks, generator, at, on_story=game.story.append)
        )
    return game


async def _until_ready(link: Link) -> None:
    """Wait for the link, and for the server's kernels to be compiled."""
    try:
        async with asyncio.timeout(START_S_MAX):
            await link.up.wait()
            for pause_s in chain((0.0,), repeat(0.2)):
                await asyncio.sleep(pause_s)
                health = await asyncio.to_thread(call_http, link.folder, "GET", "/health/ready")
                if health.get("warm"):
                    return
    except TimeoutError as error:
        raise DeadlineExceeded(f"the server was not ready within {START_S_MAX:g} s") from error


async def _populate(ledger: Ledger, folk: Folk) -> None:
    for entity in folk.entities():
        ledger.tell(EntityUpserted(entity=entity))
    for fact in folk.facts:
        ledger.tell(FactAsserted(fact=fact))
    await ledger.drain()


async def _catch_up(ledger: Ledger) -> None:
    """Take from the server what it knows of our entities: it may have gone on after our last save."""
    state = ledger.books.state
    tables: tuple[dict[str, Npc] | dict[str, Item] | dict[str, Player], ...] = (state.npcs, state.items, state.players)

    async def read(id: str) -> None:
        got = await ledger.link.insist(world.Get(id=id), world.Got)
        match got.entity:
            case Npc():
                state.npcs[id] = got.entity
            case Item():
                state.items[id] = got.entity
            case Player():
                state.players[id] = got.entity

    async with asyncio.TaskGroup() as group:
        for table in tables:
            for id in table:
                group.create_task(read(id))
    described = await ledger.link.insist(world.Describe(), world.Described)
    ledger.newest_seq = max(ledger.newest_seq, described.seq)


def _warm(life: Life) -> None:
    """Load or compile the kernels before the clock starts; a tick of no time changes nothing."""
    life.look()
    life.aim_all()
    life.pass_time(0.0)
    # What start-up made lives as long as the process; the collector need never pause a tick to look at it.
    gc.collect()
    gc.freeze()


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
