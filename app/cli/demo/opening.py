"""Opens a village on the server: the saved one where it goes on, else a new one with its map and its folk.

It knows what must be there before the clock starts; what goes on afterwards is in `play.py`.
"""

from __future__ import annotations

import asyncio
import gc
import secrets
from itertools import chain, repeat
from pathlib import Path

import numpy as np

from app.cli.demo import save as saving
from app.cli.demo.adventure import Adventurer
from app.cli.demo.chart import Chart, draw, survey
from app.cli.demo.client import Link, call_http
from app.cli.demo.folk import MAP, Folk, settle, side_for
from app.cli.demo.game import Game
from app.cli.demo.ledger import Ledger
from app.cli.demo.life import Life, begin, over
from app.cli.demo.report import Config
from app.cli.demo.save import Save
from app.cli.demo.talk import Talks
from app.cli.demo.walk import Walkers
from app.core.errors import DeadlineExceeded
from app.modules.world import messages as world
from app.world.entities import Item, Npc, Player
from app.world.events import EntityUpserted, FactAsserted
from app.world.state import World

WORLD = "village"
START_S_MAX = 120.0
"""Longest time to wait for the server, its kernels included."""


async def open_game(config: Config, link: Link) -> Game:
    """The game, ready for its first tick; raises DeadlineExceeded when the server is not, Invalid for a bad map."""
    await _until_ready(link)
    saved = saving.load(link.folder)
    game = await (_found(config, link) if saved is None else _go_on(saved, link))
    link.on_connect = game.check
    # In a thread: a first run compiles for a while, and the link must answer its pings.
    await asyncio.to_thread(_warm, game.life)
    return game


async def _found(config: Config, link: Link) -> Game:
    """A new village on a drawn map, or on a map of the user's."""
    map_text = await asyncio.to_thread(Path(config.map_file).read_text) if config.map_file else ""
    chart = _chart(map_text, config.seed, config.npcs)
    folk = settle(chart, npcs=config.npcs, seed=config.seed)
    life = begin(chart, folk.seats, seed=config.seed)
    ledger = Ledger(link, World("", WORLD), secrets.token_hex(4), game_s=lambda: life.game_s)
    await _lay_ground(link, chart)
    await _populate(ledger, folk)
    game = _assemble(link, ledger, life)
    game.seats = list(folk.seats)
    game.seed, game.map_text = config.seed, map_text
    game.origins = {item.id: item.holder for item in folk.items}
    return game


async def _go_on(saved: Save, link: Link) -> Game:
    """The village of an earlier run, checked against what the server has of it."""
    chart = _chart(saved.map_text, saved.seed, saved.npcs)
    life = over(chart, saved.seats, saving.unpack(saved.arrays))
    life.days = saved.days
    ledger = Ledger(link, World("", WORLD, saved.state), secrets.token_hex(4), game_s=lambda: life.game_s)
    ledger.newest_seq = saved.newest_seq
    await _lay_ground(link, chart)
    await ledger.check()
    await _catch_up(ledger)
    game = _assemble(link, ledger, life)
    game.seats = saved.seats
    game.seed, game.map_text = saved.seed, saved.map_text
    game.origins, game.newcomers = saved.origins, saved.newcomers
    return game


def _chart(map_text: str, seed: int, npcs: int) -> Chart:
    return survey(map_text, seed) if map_text else draw(seed, side_for(npcs))


async def _lay_ground(link: Link, chart: Chart) -> None:
    """Make the world and upload the map, where they are not there yet."""
    await link.insist(world.Create(world=WORLD), world.Created)
    described = await link.insist(world.Describe(), world.Described)
    if MAP not in described.maps:
        path = f"/v1/worlds/{WORLD}/maps/{MAP}?format=movingai"
        await asyncio.to_thread(call_http, link.folder, "PUT", path, chart.ground.text.encode())


def _assemble(link: Link, ledger: Ledger, life: Life) -> Game:
    """The game over its parts; the folk's handles and players come from the books."""
    chart, state = life.chart, ledger.books.state
    generator = np.random.default_rng()
    talks = Talks(link, life, ledger.books, generator)
    game = Game(
        folder=link.folder,
        link=link,
        ledger=ledger,
        life=life,
        walkers=Walkers(link, MAP, chart.ground.walkable, life.count),
        talks=talks,
        generator=generator,
        handles=np.array([state.handles[id] for id in life.ids], "<u4"),
    )
    for player in state.players.values():
        at = next((place.cell for place in chart.places if place.id == player.location), chart.places[0].cell)
        game.players.append(
            Adventurer(player.id, chart, link, ledger, life, talks, generator, at, on_story=game.story.append)
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
    await ledger.flush()


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
