"""A player over the real API in a village of greedy rivals, sudden deaths and power cuts; it keeps count of every end.

It knows the game's rules from `villages.py` and the world from a mirror of its own, into which it applies what the
server has acknowledged. A request whose answer was lost is sent again with its key.
"""

from __future__ import annotations

import random
import urllib.error
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

import msgspec

from app.core.messages import Change, Event
from app.modules.quests.lifecycle.states import LIVE, PLAYED
from app.modules.quests.messages import Payout, Quest, Step
from app.world import reducers
from app.world.entities import Player
from app.world.events import Happened
from app.world.state import World
from tests.modules.quests.stage import mishaps_in, way_to
from tests.modules.quests.villages import Hero, friends, village
from tests.servers import Server, start

TURNS_MAX = 120
QUESTS_A_WORLD = 8
GREED = 0.25
"""Chance of a mishap before a step, and of a whim of the player's own."""
WHIM = 0.04
AN_AGE_S = 200_000.0
"""Longer than any quest waits."""


@dataclass
class Tally:
    """How the quests ended, and every payout that was ever told."""

    ends: Counter[str] = field(default_factory=Counter)
    limbo: list[str] = field(default_factory=list)
    undeclared: list[str] = field(default_factory=list)
    """Quests that failed by the player's own doing although their certificates declare no way to lose them."""
    payouts: dict[str, Payout] = field(default_factory=dict)
    doubled: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Quests that told other ends or payouts after a power cut than before."""
    refused: int = 0
    kills: int = 0

    def note(self, world: str, quest: Quest) -> None:
        for owed in quest.payouts:
            id = f"{world} {owed.id}"
            if self.payouts.setdefault(id, owed) != owed:
                self.doubled.append(id)


class Bot:
    """Plays quests one after another; `kill_every` turns the power is cut."""

    def __init__(self, folder: Path, *, seed: int, kill_every: int = 0) -> None:
        self._folder = folder
        self._chance = random.Random(seed)
        self._kill_every = kill_every
        self._seed = seed
        self._sent = 0
        self._clock_s = 0.0
        self.tally = Tally()
        self.server: Server = start(folder)

    def close(self) -> None:
        if self.server.process.poll() is None:
            self.server.stop()

    def run(self, quests: int, told: Callable[[Tally], None] = lambda _tally: None) -> Tally:
        """Play until so many quests have been accepted; ended ones are read once more at the end."""
        worlds = 0
        while sum(self.tally.ends.values()) + len(self.tally.limbo) < quests:
            worlds += 1
            ended = self._world(f"w{worlds}", worlds)
            for quest in ended:
                again = self._get(f"w{worlds}", quest.id)
                self.tally.note(f"w{worlds}", again)
                if again != quest:
                    self.tally.lost.append(quest.id)
            told(self.tally)
        return self.tally

    def _world(self, id: str, number: int) -> list[Quest]:
        world = village(self._seed * 1_000 + number, npcs=18, items=20)
        world.state.players["friend"] = Player(id="friend", location=next(iter(world.state.locations)))
        self._clock_s = 0.0
        self._ask("world.create", {"world": id})
        state = world.state
        tables = (state.locations, state.factions, state.npcs, state.players, state.items)
        entities = [entity for table in tables for entity in table.values()]
        self._ask("world.upsert", {"world": id, "entities": msgspec.to_builtins(entities)})
        facts = [fact for history in state.facts.values() for fact in history]
        if facts:
            self._ask("world.assert", {"world": id, "facts": msgspec.to_builtins(facts)})
        hero = Hero(world)
        return [quest for at in range(QUESTS_A_WORLD) for quest in self._quest(id, world, hero, at)]

    def _quest(self, id: str, world: World, hero: Hero, at: int) -> Iterator[Quest]:
        """One quest from its making to its end, if the village has one to give."""
        givers = friends(world)
        if not givers:
            return
        wish: dict[str, Any] = {"world": id, "giver": self._chance.choice(givers), "player": "hero", "seed": at}
        if at % 4 == 1:
            wish |= {"scope": "party", "members": ["friend"], "share": "split"}
        if at % 6 == 5:
            wish |= {"last_s": 12.0}
        made = self._try("quests.generate", wish)
        accepted = made and self._try("quests.accept", {"world": id, "quest": made["quest"]["id"]})
        if not accepted:
            self.tally.refused += 1
            return
        ended = self._play(id, world, hero, msgspec.convert(accepted["quest"], Quest))
        if ended.state in LIVE:
            self.tally.limbo.append(f"{ended.id} is {ended.state}: {ended.reason}")
            return
        self.tally.ends[ended.state] += 1
        if ended.state == "failed" and not ended.certificate.failures:
            self.tally.undeclared.append(ended.id)
        self.tally.note(id, ended)
        yield ended

    def _play(self, id: str, world: World, hero: Hero, quest: Quest) -> Quest:
        for turn in range(TURNS_MAX):
            if self._kill_every and self._sent % self._kill_every == self._kill_every - 1:
                self._cut()
            if quest.state not in LIVE:
                break
            if turn < 10 and self._chance.random() < GREED:
                self._post(id, world, hero, self._chance.choice(mishaps_in(world)))
            if turn < 10 and self._chance.random() < WHIM and (whims := hero.whims()):
                self._post(id, world, hero, self._chance.choice(whims))
            quest = self._get(id, quest.id)
            self._turn(id, world, hero, quest)
            quest = self._get(id, quest.id)
        return quest

    def _turn(self, id: str, world: World, hero: Hero, quest: Quest) -> None:
        """The next step, where there is one that can be done; else time passes."""
        step = next((step for step in quest.steps if not step.done), None) if quest.state in PLAYED else None
        if step is None:
            self._clock_s += AN_AGE_S if quest.state == "suspended" else 1.0
            self._post(id, world, hero, Happened(verb="attacked", actor="rival"))
            return
        for event in self._acts(world, hero, step):
            self._post(id, world, hero, event)

    def _acts(self, world: World, hero: Hero, step: Step) -> list[Happened]:
        way = way_to(world, hero, step)
        walked = Hero(_after(world, way), hero.player)
        walked.known = set(hero.known)
        return [*way, *(event for event in walked.do(step) if isinstance(event, Happened))]

    def _post(self, id: str, world: World, hero: Hero, event: Happened) -> None:
        self._clock_s += 1.0
        self._sent += 1
        data = {"world": id, "events": [msgspec.to_builtins(event)], "game_s": self._clock_s, "key": f"k{self._sent}"}
        self._ask("world.event", data)
        hero.learn(event)
        seq = world.state.seq + 1
        reducers.apply(world.state, Event(seq=seq, id=str(seq), wall_ms=0, game_s=self._clock_s, change=event))

    def _get(self, id: str, quest: str) -> Quest:
        return msgspec.convert(self._ask("quests.get", {"world": id, "quest": quest})["quest"], Quest)

    def _ask(self, op: str, data: dict[str, Any]) -> dict[str, Any]:
        status, answer = self._sent_until_answered(op, data)
        assert status == 200, (op, data, answer)
        return answer  # type: ignore[no-any-return]  # JSON

    def _try(self, op: str, data: dict[str, Any]) -> dict[str, Any] | None:
        """The answer, or None where the server refuses for a reason of the world."""
        status, answer = self._sent_until_answered(op, data)
        assert status in (200, 404, 409), (op, data, answer)
        return answer if status == 200 else None

    def _sent_until_answered(self, op: str, data: dict[str, Any]) -> tuple[int, Any]:
        path = f"/v1/{op.replace('.', '/')}"
        try:
            return self.server.post(path, data)
        except (urllib.error.URLError, HTTPException, ConnectionError):
            self._restart()
            return self.server.post(path, data)

    def _cut(self) -> None:
        """Cut the power right after an event, whose consequences may or may not be on the disk."""
        self._sent += 1
        self.tally.kills += 1
        self.server.kill()
        self._restart()

    def _restart(self) -> None:
        if self.server.process.poll() is None:
            self.server.kill()
        self.server = start(self._folder)


def _after(world: World, events: list[Change]) -> World:
    """A copy of the world in which these have happened."""
    ahead = World(world.tenant, world.id, state=msgspec.structs.replace(world.state))
    ahead.state.players = dict(world.state.players)
    for number, event in enumerate(events):
        reducers.apply(ahead.state, Event(seq=number, id="", wall_ms=0, game_s=0.0, change=event))
    return ahead
