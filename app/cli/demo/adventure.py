"""A simulated player: asks a villager for work, walks to where each step leads, and does it.

A step is done by telling the server the event that the step names; whether the quest moves on is the
server's to say. It plays fair: it walks real ways and posts nothing before it is there.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
import numpy as np

from app.cli.demo.chart import Chart
from app.cli.demo.client import Link
from app.cli.demo.folk import MAP
from app.cli.demo.ground import Cell
from app.cli.demo.ledger import Ledger
from app.cli.demo.life import Life
from app.cli.demo.talk import Talks
from app.cli.demo.walk import find
from app.core.errors import Error, Refused, Unavailable
from app.modules.quests import messages
from app.world.entities import Npc
from app.world.events import EntityUpserted, Happened

RIDE_CELLS_S = 9.0
"""A player rides, so that a newcomer sees a quest through within a minute."""
REACH_CELLS = 2.5
FIGHT_S = 2.0
STEP_S_MAX = 90.0
"""Longest time for one step; then the quest is given up."""
FOLLOW_POLLS_MAX = 100
"""How often, five times a second, one looks round for who is led before going on alone."""
REST_S = 2.0
WAITS_MAX = 5
"""How often one looks again after a quest that waits for the world."""
PLAYED: tuple[messages.QuestState, ...] = ("active", "repaired")
"""States in which a quest's steps can be done."""
GIVERS_NEAR = 12
ASK = "Good day! Do you have any work for me?"
THANKS = "Thank you, I will see to it."


class Stuck(Exception):
    """There is no way to where a step leads, or it takes too long."""


@dataclass(slots=True)
class Adventurer:
    """One player and its quests. `completed` counts them, `tale` is what it does now, in words."""

    player: str
    chart: Chart
    link: Link
    ledger: Ledger
    life: Life
    talks: Talks
    generator: np.random.Generator
    cell: Cell
    completed: int = 0
    given_up: int = 0
    tale: str = "looks around"
    quest: str = ""
    """The quest in hand, empty between two."""
    past: deque[str] = field(default_factory=lambda: deque(maxlen=4))
    on_story: Callable[[str], None] = lambda _text: None
    _asked: deque[str] = field(default_factory=lambda: deque(maxlen=8))

    async def run(self) -> None:
        """One quest after another, forever."""
        await self._resume()
        while True:
            await self.link.up.wait()
            try:
                quest = await self._seek()
                if quest is not None:
                    await self._play(quest)
            except (Error, Stuck, TimeoutError) as error:
                await self._give_up(str(error))
            self.quest = ""
            await asyncio.sleep(REST_S)

    async def _resume(self) -> None:
        """Go on with a quest that an earlier run of the game left in hand; turn down what it left open."""
        offered = messages.List(player=self.player, state="offered")
        for quest in (await self.link.insist(offered, messages.Listed)).quests:
            with suppress(Refused):
                await self.link.insist(messages.Abandon(quest=quest.id), messages.QuestReply)
        begun = [quest for state in PLAYED for quest in await self._listed(state)]
        if not begun:
            return
        self.quest = begun[0].id
        try:
            await self._play(begun[0])
        except (Error, Stuck, TimeoutError) as error:
            await self._give_up(str(error))
        self.quest = ""

    async def _listed(self, state: messages.QuestState) -> tuple[messages.Quest, ...]:
        request = messages.List(player=self.player, state=state)
        return (await self.link.insist(request, messages.Listed)).quests

    async def _seek(self) -> messages.Quest | None:
        """Ride to a villager nearby and ask for work; the accepted quest, or None when there is none."""
        giver = self._giver()
        if giver is None:
            return None
        self.tale = f"rides to {giver.name} to ask for work"
        self._asked.append(giver.id)
        await self._chase(giver.id)
        request = messages.Generate(giver=giver.id, player=self.player)
        try:
            offered = await self.link.ask(request, messages.QuestReply, deadline_ms=3_000)
            await self.talks.ask(giver.id, self.player, ASK)
            accept = messages.Accept(quest=offered.quest.id)
            accepted = await self.link.insist(accept, messages.QuestReply)
        except Refused:
            return None
        self.quest = accepted.quest.id
        self.on_story(f"{giver.name} gives {self._name(self.player)} a quest: {accepted.quest.title}")
        return accepted.quest

    async def _play(self, quest: messages.Quest) -> None:
        """Do what is still to do, in the quest's own order, until the server says how it ended."""
        while quest.state in (*PLAYED, "suspended"):
            if quest.state == "suspended":
                quest = await self._waited(quest)
                continue
            step = next((step for step in quest.steps if not step.done), None)
            if step is None:
                raise Stuck(f"{quest.title!r} is active but has nothing left to do")
            self.tale = f"{quest.title}: {step.text}"
            async with asyncio.timeout(STEP_S_MAX):
                await self._do(step)
            got = await self.link.insist(messages.Get(quest=quest.id), messages.QuestReply)
            quest = got.quest
        self.past.append(f"{quest.title} ({quest.state})")
        if quest.state == "completed":
            self.completed += 1
            self.on_story(f"{self._name(self.player)} completes {quest.title} for {quest.reward.coins} coins")
            await self.talks.ask(quest.giver, self.player, THANKS)

    async def _waited(self, quest: messages.Quest) -> messages.Quest:
        """A quest that has no way for the moment, a while later; raises Stuck where it still has none."""
        self.tale = f"{quest.title}: waits"
        for _ in range(WAITS_MAX):
            await asyncio.sleep(REST_S)
            quest = (await self.link.insist(messages.Get(quest=quest.id), messages.QuestReply)).quest
            if quest.state != "suspended":
                return quest
        raise Stuck(f"{quest.title!r} waits for too long: {quest.reason}")

    async def _do(self, step: messages.Step) -> None:
        event = step.event
        other = next((id for id in (event.target, event.actor) if id in self.ledger.books.state.npcs), "")
        escort = event.verb == "escorted"
        if other:
            await self._chase(other)
        if event.location:
            await self._ride_to(event.location, leading=other if escort else "")
        if event.verb == "killed":
            await self._fight(other)
        kept = await self.ledger.tell(event)
        if not kept:
            raise Stuck(f"the server refused {event.verb!r} of step {step.text!r}")

    async def _fight(self, npc: str) -> None:
        await asyncio.sleep(FIGHT_S)
        if npc in self.life.ids:
            self.life.slay(self.life.ids.index(npc))

    async def _ride_to(self, place: str, *, leading: str = "") -> None:
        """Ride to a place, with someone at one's heels."""
        target = next(known.cell for known in self.chart.places if known.id == place)
        row = self.life.ids.index(leading) if leading in self.life.ids else -1
        await self._ride(target, row)
        state = self.ledger.books.state
        if state.players[self.player].location != place:
            await self.ledger.tell(Happened(verb="moved", actor=self.player, location=place))
        for _ in range(FOLLOW_POLLS_MAX):
            if row < 0 or not self.life.alive[row] or self._far(self.life.cell(row)) <= REACH_CELLS:
                break
            await asyncio.sleep(0.2)
        self.life.led.pop(row, None)

    async def _chase(self, npc: str) -> None:
        """Ride until within reach of someone who may be walking, and enter the place where they are."""
        row = self.life.ids.index(npc) if npc in self.life.ids else -1
        async with asyncio.timeout(STEP_S_MAX):
            while row >= 0 and self._far(self.life.cell(row)) > REACH_CELLS:
                await self._ride(self.life.cell(row), -1, cells_max=24.0)
        zone = int(self.life.zones[self.cell[1], self.cell[0]])
        place = self.life.places[zone]
        if self.ledger.books.state.players[self.player].location != place:
            await self.ledger.tell(Happened(verb="moved", actor=self.player, location=place))

    async def _ride(self, goal: Cell, led: int, *, cells_max: float = math.inf) -> None:
        """Along the server's way, cell by cell; at most `cells_max` before one looks up again."""
        if goal == self.cell:
            return
        for cell in await self._way(goal):
            far = math.dist(self.cell, cell)
            if led >= 0:
                self.life.led[led] = cell
            await asyncio.sleep(far / (RIDE_CELLS_S if led < 0 else RIDE_CELLS_S / 2.0))
            self.cell = cell
            cells_max -= far
            if cells_max <= 0.0:
                return

    async def _way(self, goal: Cell) -> list[Cell]:
        """The server's way to `goal`, asked for until the server is there; raises Stuck where there is none."""
        while True:
            await self.link.up.wait()
            try:
                (way,) = await find(self.link, MAP, [(self.cell, goal)])
            except Unavailable:
                await asyncio.sleep(0.2)
                continue
            if not way:
                raise Stuck(f"there is no way from {self.cell!r} to {goal!r}")
            return way

    async def _give_up(self, reason: str) -> None:
        self.given_up += 1
        if not self.quest:
            return
        self.past.append(f"gave up: {reason}"[:80])
        self.life.led.clear()
        with suppress(Refused):
            await self.link.insist(messages.Abandon(quest=self.quest), messages.QuestReply)

    def _giver(self) -> Npc | None:
        """One of the villagers nearby who was not asked of late and is awake to answer."""
        npcs = self.ledger.books.state.npcs
        rows = [
            row
            for row, id in enumerate(self.life.ids)
            if id in npcs and npcs[id].persona.lines and self.life.alive[row] and id not in self._asked
        ]
        rows.sort(key=lambda row: self._far(self.life.cell(row)))
        near = rows[:GIVERS_NEAR]
        return npcs[self.life.ids[near[int(self.generator.integers(0, len(near)))]]] if near else None

    def _far(self, cell: Cell) -> float:
        return math.dist(self.cell, cell)

    def _name(self, id: str) -> str:
        entity = self.ledger.books.entity(id)
        return entity.name if entity is not None else id


def restock(ledger: Ledger, origins: dict[str, str], idle: set[str]) -> int:
    """Let what was taken grow again and shelves fill up: things go back to where they came from.

    `origins` is item -> first holder, `idle` the players without a quest in hand. Returns how many.
    """
    state = ledger.books.state
    wanted = [
        item
        for item in state.items.values()
        if item.id in origins and item.holder != origins[item.id]
        if item.holder not in state.players or item.holder in idle
        if origins[item.id] in state.locations or origins[item.id] in state.npcs
    ]
    for item in wanted:
        ledger.tell(EntityUpserted(entity=msgspec.structs.replace(item, holder=origins[item.id])))
    return len(wanted)
