"""Settles a village: its people and animals, their homes and work, their things, and what is known.

The same chart, seed and count give the same folk. It makes plain entities as any game would send them,
and a seat for each NPC: the cells that its life turns around.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources

import msgspec
import numpy as np

from app.cli.demo.chart import Chart, Place
from app.cli.demo.ground import Cell, neighbors
from app.world.entities import AnyEntity, Fact, Faction, Item, Location, Npc, Persona, Player

MAP = "village"
"""The name under which the map is stored."""
SHARES = {"villager": 0.66, "guard": 0.10, "merchant": 0.09, "predator": 0.05, "prey": 0.10}
FACTIONS = {"villager": "village", "guard": "watch", "merchant": "guild", "predator": "wild", "prey": "herd"}
LEVELS = {"villager": 1, "guard": 4, "merchant": 2, "predator": 3, "prey": 1}
GUARD_POSTS = ("west_gate", "south_gate", "east_gate", "square", "guardhouse")
PERSONS = ("villager", "guard", "merchant")
WILD_KINDS = frozenset({"herb", "ore", "wood", "plant"})
"""Things that grow where they lie, for anyone to gather."""


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A way of life; see village.toml."""

    name: str
    role: str
    share: float
    work: str
    food: str
    summary: str
    voice: str
    goals: tuple[str, ...]
    home: str = ""
    names: tuple[str, ...] = ()
    """Names for animals; people draw theirs from the village's lists."""
    lines: dict[str, tuple[str, ...]] = {}


class Thing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of item: `at` is a place, or a job whose people hold it."""

    id: str
    name: str
    kind: str
    at: str
    value: float
    count: int
    opens: str = ""
    tags: tuple[str, ...] = ()


class Lore(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fact; `known_by` is a job whose people alone know it, or empty for common knowledge."""

    subject: str
    predicate: str
    value: str
    known_by: str = ""


class Book(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that village.toml says."""

    first_names: tuple[str, ...]
    bynames: tuple[str, ...]
    traits: tuple[str, ...]
    jobs: tuple[Job, ...]
    items: tuple[Thing, ...]
    facts: tuple[Lore, ...]


class Seat(msgspec.Struct, frozen=True):
    """The cells around which the life of one NPC turns, and its role."""

    npc: str
    role: str
    home: Cell
    work: Cell
    food: Cell


@dataclass(frozen=True, slots=True)
class Folk:
    """Everyone and everything; `seats[i]` belongs to `npcs[i]`."""

    factions: tuple[Faction, ...]
    locations: tuple[Location, ...]
    npcs: tuple[Npc, ...]
    seats: tuple[Seat, ...]
    items: tuple[Item, ...]
    players: tuple[Player, ...]
    facts: tuple[Fact, ...]

    def entities(self) -> tuple[AnyEntity, ...]:
        """All entities, those that others name first."""
        return (*self.factions, *self.locations, *self.npcs, *self.items, *self.players)


def side_for(npcs: int) -> int:
    """The side in cells of a map with room for that many."""
    return 80 if npcs <= 60 else 128 if npcs <= 400 else 192


def read_book() -> Book:
    """The shipped village."""
    text = (resources.files("app.cli.demo") / "village.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Book)


def settle(chart: Chart, *, npcs: int, seed: int) -> Folk:
    """The folk of a village of `npcs` heads."""
    book = read_book()
    settler = _Settler(chart, book, np.random.Generator(np.random.PCG64([seed, 1])))
    people = [settler.npc(number, job) for number, job in enumerate(_jobs(book, npcs))]
    everyone = tuple(npc for npc, _ in people)
    return Folk(
        factions=_factions(),
        locations=_locations(chart),
        npcs=everyone,
        seats=tuple(seat for _, seat in people),
        items=tuple(_items(book, everyone)),
        players=tuple(_players()),
        facts=tuple(_facts(book, everyone)),
    )


def newcomer(old: Npc, number: int, seed: int) -> Npc:
    """Someone new who takes over the house and the work of one who died."""
    book = read_book()
    generator = np.random.Generator(np.random.PCG64([seed, 2, number]))
    name = f"{_pick(generator, book.first_names)} {_pick(generator, book.bynames)}"
    return msgspec.structs.replace(old, id=f"newcomer-{number}", name=name, alive=True, location=old.home)


def _jobs(book: Book, npcs: int) -> Iterator[Job]:
    """One job a head: every role gets its share, every job of a role its part, largest remainder first."""
    counts = _portions(list(SHARES.values()), npcs)
    for role, heads in zip(SHARES, counts, strict=True):
        jobs = [job for job in book.jobs if job.role == role]
        for job, count in zip(jobs, _portions([job.share for job in jobs], heads), strict=True):
            yield from [job] * count


def _portions(shares: Sequence[float], whole: int) -> list[int]:
    exact = np.array(shares) / sum(shares) * whole
    counts = np.floor(exact).astype(int)
    for index in np.argsort(counts - exact, kind="stable")[: whole - int(counts.sum())]:
        counts[index] += 1
    return [int(count) for count in counts]


class _Settler:
    def __init__(self, chart: Chart, book: Book, generator: np.random.Generator) -> None:
        self._places = {place.id: place for place in chart.places}
        self._homes = chart.homes
        self._book = book
        self._generator = generator
        self._nearest_in = chart.ground.nearest(chart.ground.walkable & chart.indoors)
        self._nearest_out = chart.ground.nearest(chart.ground.walkable & ~chart.indoors)
        self._indoors = chart.indoors
        self._names: set[str] = set()

    def npc(self, number: int, job: Job) -> tuple[Npc, Seat]:
        person = job.role in PERSONS
        house, lane = self._homes[int(self._generator.integers(0, len(self._homes)))]
        home = house if person else self._place(job.home).cell
        work = self._place(GUARD_POSTS[number % len(GUARD_POSTS)] if job.role == "guard" else job.work)
        home_id = lane if person else self._place(job.home).id
        npc = Npc(
            id=f"{job.name}-{number}",
            name=self._name() if person else self._call(job),
            archetype=job.role,
            tags=(job.name,),
            faction=FACTIONS[job.role],
            location=home_id,
            home=home_id,
            work=work.id,
            level=LEVELS[job.role],
            persona=self._persona(job, home_id) if person else Persona(summary=job.summary, voice=job.voice),
        )
        loose = 1.5 if person else 8.0
        seat = Seat(
            npc.id,
            job.role,
            self._near(home, loose),
            self._near(work.cell, 4.0 if person else 14.0),
            self._near(self._place(job.food).cell, 3.0 if person else 10.0),
        )
        return npc, seat

    def _persona(self, job: Job, home: str) -> Persona:
        return Persona(
            summary=job.summary.format(home=self._places[home].name),
            voice=job.voice,
            traits=(_pick(self._generator, self._book.traits), job.name),
            goals=job.goals,
            lines=job.lines,
        )

    def _call(self, job: Job) -> str:
        """The next of an animal's names; when they are used up, what it is."""
        free = (name for name in job.names if name not in self._names)
        name = next(free, job.name)
        self._names.add(name)
        return name

    def _name(self) -> str:
        while True:
            name = f"{_pick(self._generator, self._book.first_names)} {_pick(self._generator, self._book.bynames)}"
            if name not in self._names:
                self._names.add(name)
                return name

    def _place(self, id: str) -> Place:
        """The place of that id, or the square on a map that has none of it."""
        return self._places.get(id) or self._places["square"]

    def _near(self, cell: Cell, loose: float) -> Cell:
        """A cell scattered around `cell` that stays under the same roof, or under the sky."""
        height, width = self._indoors.shape
        under_roof = bool(self._indoors[cell[1], cell[0]])
        scatter = self._generator.normal(0.0, min(loose, 1.2) if under_roof else loose, 2)
        x = int(np.clip(cell[0] + round(scatter[0]), 0, width - 1))
        y = int(np.clip(cell[1] + round(scatter[1]), 0, height - 1))
        found = (self._nearest_in if under_roof else self._nearest_out)[y, x]
        return int(found[0]), int(found[1])


def _pick(generator: np.random.Generator, words: Sequence[str]) -> str:
    return words[int(generator.integers(0, len(words)))]


def _factions() -> tuple[Faction, ...]:
    kind = {"village": 0.6, "watch": 0.6, "guild": 0.4, "wild": -0.8}
    return (
        Faction(id="village", name="the village", relations=kind),
        Faction(id="watch", name="the watch", relations=kind),
        Faction(id="guild", name="the traders' guild", relations=kind),
        Faction(id="wild", name="the wolves", relations={"village": -0.8, "watch": -0.8, "guild": -0.8, "herd": -1.0}),
        Faction(id="herd", name="deer and hares", relations={"wild": -1.0}),
    )


def _locations(chart: Chart) -> tuple[Location, ...]:
    touching = neighbors(chart.ground.zones([place.cell for place in chart.places]), len(chart.places))
    return tuple(
        Location(
            id=place.id,
            name=place.name,
            tags=("wilderness",) if place.wild else ("town",),
            map=MAP,
            x=float(place.cell[0]),
            y=float(place.cell[1]),
            connects=tuple(sorted(chart.places[index].id for index in near)),
            open=place.open,
        )
        for place, near in zip(chart.places, touching, strict=True)
    )


def _items(book: Book, npcs: Sequence[Npc]) -> Iterator[Item]:
    by_job = _by_job(npcs)
    for thing in book.items:
        holders = by_job.get(thing.at) or [thing.at]
        if thing.at in {job.name for job in book.jobs} and thing.at not in by_job:
            continue
        for number in range(thing.count):
            yield Item(
                id=f"{thing.id}-{number + 1}",
                name=thing.name,
                tags=(*thing.tags, *(("wild",) if thing.kind in WILD_KINDS else ())),
                attributes={"opens": thing.opens} if thing.opens else {},
                item_kind=thing.kind,
                holder=holders[number % len(holders)],
                value=thing.value,
            )


def _facts(book: Book, npcs: Sequence[Npc]) -> Iterator[Fact]:
    by_job = _by_job(npcs)
    for lore in book.facts:
        knowers = tuple(by_job.get(lore.known_by, ()))[:4]
        if lore.known_by and not knowers:
            continue
        yield Fact(subject=lore.subject, predicate=lore.predicate, value=lore.value, known_by=knowers)
    yield Fact(subject="world", predicate="weather", value="clear")


def _players() -> Iterator[Player]:
    for id, name in (("player-1", "Robin"), ("player-2", "Sorrel")):
        yield Player(id=id, name=name, faction="village", location="square", level=4)


def _by_job(npcs: Sequence[Npc]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for npc in npcs:
        found.setdefault(npc.tags[0], []).append(npc.id)
    return found
