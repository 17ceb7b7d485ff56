"""Players over the real API among greedy rivals, sudden deaths and power cuts, and their own books of every end.

They know the game's rules from `villages.py` and the world from a mirror of their own, into which the bot applies what
the server has acknowledged. A request whose answer was lost is sent again with its key. Calm players are disturbed by
nobody, and disturb nobody themselves.
"""

from __future__ import annotations

import random
import urllib.error
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

import msgspec

from app.core.messages import Change, Event
from app.modules.quests.lifecycle.states import LIVE, PLAYED
from app.modules.quests.messages import Quest, Step
from app.world import reducers
from app.world.entities import Faction, Player
from app.world.events import Happened
from app.world.state import World
from tests.modules.quests.commissions import SCOPES, draft, shared
from tests.modules.quests.ledger import Crew, Tally
from tests.modules.quests.stage import happened, mishaps_in, way_to
from tests.modules.quests.villages import Hero, friends, village
from tests.modules.quests.worlds import NAMES, load
from tests.servers import Server, start

TURNS_MAX = 120
STORMY_TURNS_MAX = 10
"""Turns of each quest in which something may go wrong."""
QUESTS_A_WORLD = 10
GREED = 0.4
"""Chance of a mishap before a step, every other one aimed at what the quest needs."""
WHIM = 0.06
"""Chance of a whim of the player's own."""
TREASON = 0.05
"""Chance that a player destroys what the quest declares that it cannot do without."""
DOOR = 0.06
"""Chance that a place closes."""
COMING = 0.1
"""Chance that a member leaves, another joins, or one dies."""
AN_AGE_S = 200_000.0
"""Longer than any quest waits."""
HARMFUL = ("killed", "destroyed", "gave", "used", "dropped", "traded", "stole", "took")
PEOPLE = ("hero", "friend", "mate", "kin")
ENTITIES_MAX = 100
"""Entities sent at once."""


class Guest(Hero):
    """A player in any world, where not only wolves and bandits are foes."""

    def _seizes(self, event: Happened) -> str:
        return "somebody holds it" if "captive" in self.world.state.npcs[event.target].tags else ""


class Bot:
    """Plays quests one after another; each `kill_every` events the power is cut, `cuts_max` times at most."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        kill_every: int = 0,
        cuts_max: int = 1_000,
        calm: bool = False,
        a_world: int = QUESTS_A_WORLD,
    ) -> None:
        self._folder = folder
        self._chance = random.Random(seed)
        self._kill_every = kill_every
        self._cuts_max = cuts_max
        self._calm = calm
        self._a_world = a_world
        self._seed = seed
        self._sent = 0
        self._next_cut = kill_every
        self._clock_s = 0.0
        self._world = World("", "")
        self._heroes: dict[str, Hero] = {}
        self.tally = Tally()
        self.server: Server = start(folder)

    def close(self) -> None:
        if self.server.process.poll() is None:
            self.server.kill()  # nothing is to be read from it any more, and on a busy machine a calm end takes long

    def run(self, quests: int, told: Callable[[Tally], None] = lambda _tally: None) -> Tally:
        """Play until so many quests have been accepted; ended ones are read once more at the end."""
        worlds = 0
        while sum(self.tally.ends.values()) + len(self.tally.limbo) < quests:
            self._enter(worlds)
            ended = [quest for at in range(self._a_world) for quest in self._quest(worlds + at)]
            for quest in ended:
                again = self._get(quest.id)
                self.tally.note(self._world.id, again)
                if again != quest:
                    self.tally.lost.append(quest.id)
            told(self.tally)
            worlds += 1
        return self.tally

    def _enter(self, number: int) -> None:
        """A world of its own on the server: one of the eight, or a village drawn from the seed."""
        name = (*NAMES, "")[number % (len(NAMES) + 1)]
        drawn = load(name) if name else village(self._seed * 1_000 + number, npcs=18, items=20)
        self._world = World("bot", f"w{number}", state=drawn.state)
        state = self._world.state
        hero = state.players["hero"]
        guild = hero.faction or "band"
        state.factions.setdefault(guild, Faction(id=guild, name="the Band"))
        for id in PEOPLE:
            state.players[id] = msgspec.structs.replace(hero, id=id, name=id.title(), faction=guild)
        state.players["rival"] = Player(id="rival", location=hero.location)
        self._heroes = {id: Guest(self._world, id) for id in PEOPLE}
        self._heroes["rival"] = Guest(self._world, "rival")
        for other in self._heroes.values():
            other.known = self._heroes["hero"].known  # they tell one another everything
        self._clock_s = 0.0
        self._ask("world.create", {"world": self._world.id})
        tables = (state.locations, state.factions, state.npcs, state.players, state.items)
        self._put(*(entity for table in tables for entity in table.values()))
        facts = [fact for history in state.facts.values() for fact in history]
        if facts:
            self._ask("world.assert", {"world": self._world.id, "facts": msgspec.to_builtins(facts)})

    def _put(self, *entities: Any) -> None:
        for first in range(0, len(entities), ENTITIES_MAX):
            some = msgspec.to_builtins(entities[first : first + ENTITIES_MAX])
            self._ask("world.upsert", {"world": self._world.id, "entities": some})

    def _quest(self, number: int) -> Iterator[Quest]:
        """One quest from its making to its end, if the world has one to give."""
        begun = self._begun(number)
        if begun is None:
            self.tally.refused += 1
            return
        crew = Crew(list(begun.members or (begun.player,)), begun)
        ended = self._play(crew, begun)
        if ended.state in LIVE:
            self.tally.limbo.append(f"{self._world.id} {ended.id} is {ended.state}: {ended.reason}; {_next(ended)}")
            return
        self.tally.kinds[ended.scope] += 1
        self.tally.kinds["written"] += not ended.strategy
        self.tally.end(ended, crew)
        self.tally.note(self._world.id, ended)
        yield ended

    def _begun(self, number: int) -> Quest | None:
        givers = friends(self._world)
        if not givers:
            return None
        giver, scope = self._chance.choice(givers), SCOPES[number % len(SCOPES)]
        how = shared(self._chance, scope, self._world.state.players["hero"].faction)
        if self._chance.random() < 0.3:
            asked = "quests.offer", {"quest": draft(self._world, self._heroes["hero"], giver, self._chance, how)}
        else:
            if scope == "party":
                how["members"] = list(PEOPLE[1 : 1 + self._chance.randint(1, 3)])
            if not self._calm and self._chance.random() < 0.1:
                how["last_s"] = 3.0
            asked = "quests.generate", {"giver": giver, "player": "hero", "seed": number, **how}
        made = self._try(asked[0], asked[1])
        accepted = made and self._try("quests.accept", {"quest": made["quest"]["id"]})
        return msgspec.convert(accepted["quest"], Quest) if accepted else None

    def _play(self, crew: Crew, quest: Quest) -> Quest:
        for turn in range(TURNS_MAX):
            if self._kill_every and self._sent >= self._next_cut and self.tally.kills < self._cuts_max:
                self._cut()
            if quest.state not in LIVE:
                return quest
            if not self._calm and turn < STORMY_TURNS_MAX:
                self._storm(crew, quest)
                quest = self._get(quest.id)
                if quest.state not in LIVE:
                    return quest
            quest = self._turn(crew, quest, turn)
        return quest

    def _storm(self, crew: Crew, quest: Quest) -> None:
        """What may go wrong before a step, by others and by the players."""
        if self._chance.random() < GREED and (mishap := self._mishap(quest)) is not None:
            if mishap.actor == "rival":  # in a quest of the whole server whoever does a part of it takes part
                self._acted(crew, quest, "rival", [mishap])
            else:
                self._post(mishap)
        doer = self._chance.choice(crew.members or ["hero"])
        if self._chance.random() < WHIM and (whims := self._heroes[doer].whims()):
            self._acted(crew, quest, doer, [self._chance.choice(whims)])
        if self._chance.random() < TREASON:
            self._betray(crew, quest, doer)
        if self._chance.random() < DOOR:
            self._door(open=False)
        if quest.scope != "solo" and self._chance.random() < COMING:
            self._come_and_go(crew, quest, doer)

    def _mishap(self, quest: Quest) -> Happened | None:
        """Half of them hit what the quest needs; none is left where everyone is dead and everything taken."""
        every = mishaps_in(self._world)
        if not every:
            return None
        events = [step.event for step in quest.steps if not step.done]
        needed = {id for event in events for id in (event.actor, event.target, event.item) if id}
        aimed = [event for event in every if event.item in needed or (event.verb == "died" and event.actor in needed)]
        return self._chance.choice(aimed if aimed and self._chance.random() < 0.5 else every)

    def _betray(self, crew: Crew, quest: Quest, doer: str) -> None:
        """A member kills or destroys what the certificate names as a way to lose the quest."""
        state = self._world.state
        named = sorted({term for failure in quest.certificate.failures for term in failure.fact[1:]})
        hurt = [happened("killed", doer, target=id) for id in named if id in state.npcs and state.npcs[id].alive]
        hurt += [happened("destroyed", doer, item=id) for id in named if id in state.items]
        if hurt:
            self._acted(crew, quest, doer, [self._chance.choice(hurt)])

    def _come_and_go(self, crew: Crew, quest: Quest, member: str) -> None:
        others = [id for id in PEOPLE if id not in crew.members]
        match self._chance.choice(("join", "leave", "die")):
            case "join" if others and self._try("quests.join", {"quest": quest.id, "player": others[0]}):
                crew.members.append(others[0])
            case "leave" if len(crew.members) > 1 and self._try("quests.leave", {"quest": quest.id, "player": member}):
                crew.left(member)
            case "die" if len(crew.members) > 1:
                self._post(happened("died", member))
                if self._try("quests.leave", {"quest": quest.id, "player": member}):
                    crew.left(member)
                self._heal(member)

    def _heal(self, member: str) -> None:
        """The game lets a player rise again."""
        risen = msgspec.structs.replace(self._world.state.players[member], alive=True)
        self._put(risen)
        self._world.state.players[member] = risen

    def _door(self, *, open: bool) -> None:
        """A place closes, other than where players are; or all that are shut open."""
        state = self._world.state
        here = {state.players[id].location for id in PEOPLE}
        places = [place for place in state.locations.values() if place.open != open and place.id not in here]
        for place in places if open else places and [self._chance.choice(places)]:
            entity = msgspec.structs.replace(place, open=open)
            self._put(entity)
            state.locations[place.id] = entity

    def _turn(self, crew: Crew, quest: Quest, turn: int) -> Quest:
        """The next step, where there is one that can be done; else time passes. The quest after it."""
        step = _next(quest) if quest.state in PLAYED else None
        if step is None:
            if quest.state == "suspended" and self._chance.random() < 0.5:
                self._door(open=True)
            else:
                self._clock_s += AN_AGE_S if quest.state == "suspended" else 1.0
                self._post(Happened(verb="attacked", actor="rival"))
            return self._get(quest.id)
        doer = self._doer(crew, quest, step, turn)
        for able in dict.fromkeys((doer, *crew.members)):
            if events := self._acts(able, quest, step):
                return self._acted(crew, quest, able, events)
        assert not self._calm, f"{self._world.id} {quest.id} ({quest.scope}, {quest.state}): nobody can do {step}"
        self._door(open=True)
        return self._get(quest.id)

    def _doer(self, crew: Crew, quest: Quest, step: Step, turn: int) -> str:
        """Members take turns; what each has to do, one does who has not."""
        if quest.scope in ("guild", "server") and (not crew.members or (turn % 3 == 2 and self._chance.random() < 0.5)):
            return self._chance.choice(PEOPLE)
        for goal in quest.goals:
            if goal.each and not goal.done and goal.deed[0] == step.deed[0]:
                behind = [member for member in crew.members if goal.by.count(member) < goal.count]
                return (behind or crew.members)[0]
        return crew.members[turn % len(crew.members)]

    def _handed(self, members: Sequence[str], doer: str, step: Step) -> list[Happened]:
        """What another member has and the step needs changes hands first."""
        items = self._world.state.items
        needed = [step.event.item] if step.action != "craft" else list(items)
        others = [(id, items[id].holder) for id in needed if id in items and items[id].holder in self._heroes]
        gifts = [happened("gave", holder, item=id, target=doer) for id, holder in others if holder != doer]
        return [gift for gift in gifts if gift.actor in members and doer in members]

    def _acts(self, doer: str, quest: Quest, step: Step) -> list[Happened]:
        """The step's event as `doer` brings it about, with the way there; none where that one cannot."""
        names = {quest.player, "player"} - {""}
        told = {role: doer for role in ("actor", "target") if getattr(step.event, role) in names}
        step = msgspec.structs.replace(step, event=msgspec.structs.replace(step.event, **told))
        handed = self._handed(quest.members, doer, step)
        world = _after(self._world, handed)
        way = way_to(world, Guest(world, doer), step)
        walked = Guest(_after(world, way), doer)
        walked.known = set(self._heroes[doer].known)
        if walked.problem(step.event):
            return []
        return [event for event in (*handed, *way, *walked.do(step)) if isinstance(event, Happened)]

    def _acted(self, crew: Crew, quest: Quest, doer: str, events: Sequence[Happened]) -> Quest:
        """Post what a member does, and write down whether it counted. The quest after it."""
        before = self._get(quest.id)
        for event in events:
            self._post(event)
            if doer in crew.members and event.verb in HARMFUL:
                crew.harmed |= {event.target, event.item} - {""}
        after = self._get(quest.id)
        if _counted(before, after):
            if doer not in crew.members:
                crew.members.append(doer)
            crew.deeds.add(doer)
        players = self._world.state.players
        told = [event.location for event in events if event.location]  # a rival takes things from afar
        place = told[-1] if told else players[doer].location
        crew.present = {id for id in crew.members if players[id].alive and players[id].location == place}
        return after

    def _post(self, event: Happened) -> None:
        self._clock_s += 1.0
        self._sent += 1
        told = {"events": [msgspec.to_builtins(event)], "game_s": self._clock_s, "key": f"k{self._sent}"}
        self._ask("world.event", told)
        for hero in self._heroes.values():
            hero.learn(event)
        state = self._world.state
        seq = state.seq + 1
        reducers.apply(state, Event(seq=seq, id=str(seq), wall_ms=0, game_s=self._clock_s, change=event))

    def _get(self, quest: str) -> Quest:
        return msgspec.convert(self._ask("quests.get", {"quest": quest})["quest"], Quest)

    def _ask(self, op: str, data: dict[str, Any]) -> dict[str, Any]:
        status, answer = self._sent_until_answered(op, {"world": self._world.id} | data)
        assert status == 200, (op, data, answer)
        return answer  # type: ignore[no-any-return]  # JSON

    def _try(self, op: str, data: dict[str, Any]) -> dict[str, Any] | None:
        """The answer, or None where the server refuses for a reason of the world, or has no time."""
        status, answer = self._sent_until_answered(op, {"world": self._world.id} | data)
        assert status in (200, 404, 409, 504), (op, data, answer)
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
        self._next_cut = self._sent + self._kill_every
        self.tally.kills += 1
        self.server.kill()
        self._restart()

    def _restart(self) -> None:
        if self.server.process.poll() is None:
            self.server.kill()
        self.server = start(self._folder)


def _after(world: World, events: Sequence[Change]) -> World:
    """A copy of the world in which these have happened."""
    ahead = World(world.tenant, world.id, state=msgspec.structs.replace(world.state))
    ahead.state.players = dict(world.state.players)
    ahead.state.items = dict(world.state.items)
    for number, event in enumerate(events):
        reducers.apply(ahead.state, Event(seq=number, id="", wall_ms=0, game_s=0.0, change=event))
    return ahead


def _counted(before: Quest, after: Quest) -> bool:
    """Whether more of the quest's own deeds are done, on any of its ways; getting somewhere on the way is none."""
    return _done(after) > _done(before)


def _next(quest: Quest) -> Step | None:
    return next((step for step in quest.steps if not step.done), None)


def _done(quest: Quest) -> int:
    ways = (quest, *quest.branches)
    goals = {(goal.deed[0], number) for way in ways for number, goal in enumerate(way.goals) if goal.done}
    steps = {step.deed for way in ways for step in way.steps if step.done and (step.goal or step.action != "goto")}
    return len(goals) + len(steps) + sum(goal.got for way in ways for goal in way.goals)
