"""An independent judge of a world with people in it: reads the state alone and shares no code with the module.

`faults` names everything about `people` that cannot be so, as sentences.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.world.entities import Npc
from app.world.state import World

TIES = ("spouse", "rival", "friend", "mother", "father", "captain", "employer")
CHILD_WORDS = (
    "child",
    "second_child",
    "third_child",
    "fourth_child",
    "fifth_child",
    "sixth_child",
    "seventh_child",
    "eighth_child",
)
NEEDS = ("knowledge", "comfort", "reputation", "serenity", "protection", "conquest", "wealth", "ability", "equipment")
TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")


def faults(world: World, people: Sequence[str], before: World) -> list[str]:
    """What is wrong with the people of these ids, who came into `before` and are now in `world`."""
    return [fault for id in people for fault in _of(world, world.state.npcs[id], before)]


def _of(world: World, npc: Npc, before: World) -> Iterator[str]:
    yield from _body(npc)
    yield from _name(world, npc)
    yield from _places(world, npc)
    yield from _kin(world, npc)
    yield from _post(world, npc)
    yield from _facts(world, npc, before)


def _body(npc: Npc) -> Iterator[str]:
    shares = [npc.attributes[name] for name in (*TRAITS, *(f"need_{need}" for need in NEEDS))]
    if not all(isinstance(share, float) and 0 <= share <= 1 for share in shares):
        yield f"{npc.id}: a share outside 0 to 1"
    if npc.level < 1 or not 1 <= _age(npc) <= 110:
        yield f"{npc.id}: level {npc.level}, age {_age(npc)}"
    if npc.archetype != "child" and _age(npc) < 15:
        yield f"{npc.id}: works at {_age(npc)}"
    if not (npc.persona.summary and npc.persona.voice and npc.persona.goals and npc.persona.lines["greet"]):
        yield f"{npc.id}: a persona with holes"
    if "{" in " ".join((npc.persona.summary, *npc.persona.goals)):
        yield f"{npc.id}: a slot was left open"


def _age(npc: Npc) -> float:
    return float(npc.attributes["age"])


def _name(world: World, npc: Npc) -> Iterator[str]:
    first = npc.name.split()[0].casefold()
    for table in (world.state.npcs, world.state.players):
        for other in table.values():
            if other.id != npc.id and other.alive and other.name and other.name.split()[0].casefold() == first:
                yield f"{npc.id}: {other.id} has the same first name"


def _way(world: World, start: str, end: str) -> bool:
    places, seen, todo = world.state.locations, set(), [start]
    while todo:
        here = todo.pop()
        if here in seen or here not in places or not places[here].open:
            continue
        seen.add(here)
        todo += places[here].connects
    return end in seen


def _at_odds(world: World, one: str, other: str) -> bool:
    factions = world.state.factions
    if one == other or one not in factions or other not in factions:
        return False
    return factions[one].relations.get(other, 0) <= -0.3 or factions[other].relations.get(one, 0) <= -0.3


def _places(world: World, npc: Npc) -> Iterator[str]:
    places = world.state.locations
    for place in (npc.home, npc.work, npc.location):
        if not place:
            continue
        if place not in places or not places[place].open:
            yield f"{npc.id}: {place} is no open place"
            continue
        if not _way(world, npc.home, place):
            yield f"{npc.id}: no way from {npc.home} to {place}"
        if _at_odds(world, npc.faction, str(places[place].attributes.get("faction", ""))):
            yield f"{npc.id}: {place} is the enemy's"
    if not npc.home:
        yield f"{npc.id}: no home"
    beds = places[npc.home].attributes.get("beds", 8)
    living = [one for one in world.state.npcs.values() if one.alive and one.home == npc.home]
    if len(living) > float(beds):
        yield f"{npc.id}: {len(living)} people in {beds} beds of {npc.home}"
    if npc.faction and npc.faction not in world.state.factions:
        yield f"{npc.id}: no faction {npc.faction}"


def _value(world: World, subject: str, predicate: str) -> str:
    fact = world.fact(subject, predicate)
    return str(fact.value) if fact is not None else ""


def _kin(world: World, npc: Npc) -> Iterator[str]:
    state = world.state
    for kind in (*TIES, *CHILD_WORDS):
        other = state.npcs.get(id) if (id := _value(world, npc.id, kind)) else None
        if not id:
            continue
        if other is None or other.id == npc.id:
            yield f"{npc.id}: {kind} {id} is nobody"
            continue
        if kind in ("spouse", "rival", "friend") and _value(world, id, kind) != npc.id:
            yield f"{npc.id}: {id} is not its {kind} too"
        if kind in ("spouse", "rival", "friend", "captain", "employer") and not other.alive:
            yield f"{npc.id}: {kind} {id} is dead"
        if kind in ("spouse", "friend", "captain", "employer") and _at_odds(world, npc.faction, other.faction):
            yield f"{npc.id}: {kind} {id} is an enemy"
        if kind == "captain" and other.faction != npc.faction:
            yield f"{npc.id}: captain of another faction"
        if kind == "spouse":
            married = [one for one in state.npcs if _value(world, one, "spouse") == id]
            if married != [npc.id] or min(_age(npc), _age(other)) < 18:
                yield f"{npc.id}: marriage of {married}"
            if {npc.id, id} & {_value(world, one, kind) for one in (npc.id, id) for kind in ("mother", "father")}:
                yield f"{npc.id}: married to a parent"
        if kind in ("mother", "father"):
            if npc.id not in [_value(world, id, word) for word in CHILD_WORDS]:
                yield f"{npc.id}: {kind} {id} does not know the child"
            gap = _age(other) - _age(npc)
            if not 16 <= gap <= (50 if kind == "mother" else 70):
                yield f"{npc.id}: {kind} is {gap} years older"
        if kind in CHILD_WORDS and npc.id not in (_value(world, id, "mother"), _value(world, id, "father")):
            yield f"{npc.id}: {id} has other parents"


def _post(world: World, npc: Npc) -> Iterator[str]:
    if npc.archetype == "captain":
        same = [
            one.id
            for one in world.state.npcs.values()
            if one.alive and one.archetype == "captain" and (one.faction or one.work) == (npc.faction or npc.work)
        ]
        if same != [npc.id]:
            yield f"{npc.id}: captains {same}"


def _facts(world: World, npc: Npc, before: World) -> Iterator[str]:
    for key, history in world.state.facts.items():
        subject, predicate = key.split("\x1f")
        fact, old = world.fact(subject, predicate), before.fact(subject, predicate)
        if len({one.value for one in history if one.until_s is None}) > 1:
            yield f"{key!r} has two values"
        if fact is None or subject == npc.id or npc.id not in fact.known_by:
            continue
        if subject in world.state.npcs and subject not in before.state.npcs:
            continue  # a secret that one of them told another
        if old is None or old.value != fact.value:
            yield f"{npc.id}: knows of {subject} {predicate} what is not so"
        elif subject in world.state.players or any(id in world.state.players for id in old.known_by):
            yield f"{npc.id}: knows a player's secret"
        elif subject not in (npc.home, npc.work):
            yield f"{npc.id}: cannot know {predicate} of {subject}"
        else:
            there = {one.id for one in world.state.npcs.values() if one.alive and subject in (one.home, one.work)}
            if not there & set(old.known_by):
                yield f"{npc.id}: nobody at {subject} could have told {predicate}"
