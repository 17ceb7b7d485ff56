"""What active quests cost a world's events: a look that finds nothing broken, and a repair where something is.

Each event is applied to a village as the journal would, and what the module makes of it is timed in CPU
milliseconds, records and the worker's longer look included. The village is put back after each.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import msgspec

from app.core.errors import Conflict
from app.core.messages import Change, Event
from app.modules.quests.codec import record
from app.modules.quests.generation.generator import Library, Wish, generate
from app.modules.quests.index import Book
from app.modules.quests.lifecycle.states import PLAYED
from app.modules.quests.logic import accepted, followed, rechecked
from app.modules.quests.planning.facts import View
from app.modules.quests.quest import Quest
from app.modules.quests.settings import Settings
from app.world import reducers
from app.world.events import EntityUpserted, Happened
from app.world.state import State
from benchmarks.questing.villages import village

LIMITS = Settings()
BRIEF = msgspec.structs.replace(LIMITS, operators_max=LIMITS.recheck_operators_max)
EVENTS_MAX = 12
"""Events tried on one quest, each on the village as it was."""


def recheck_and_repair(library: Library, quests: int) -> tuple[list[float], list[float]]:
    """CPU milliseconds of each look at an active quest that an event leaves whole, and of each repair.

    Half of the `quests` are in small villages, half in mid ones; each event names something that its quest depends on.
    """
    looks: list[float] = []
    repairs: list[float] = []
    for number in range(quests):
        state = village("mid" if number % 2 else "small", number).state
        chance = random.Random(f"harm {number}")
        quest = _begun(library, state, chance, number)
        if quest is None:
            continue
        for change in _events(state, quest, chance):
            spent_ms, disturbed = _timed(library, state, quest, change)
            (repairs if disturbed else looks).append(spent_ms)
    return looks, repairs


def _begun(library: Library, state: State, chance: random.Random, seed: int) -> Quest | None:
    view = View(state, LIMITS)
    givers = [id for id, npc in state.npcs.items() if view.person(npc) and not view.hostile(npc, state.players["hero"])]
    try:
        made = generate(library, view, Wish(giver=chance.choice(givers), player="hero", seed=seed, level=0))
    except Conflict:
        return None
    return accepted(made)


def _events(state: State, quest: Quest, chance: random.Random) -> Iterator[Change]:
    """Deaths, thefts, bargains and closed doors among what the quest depends on."""
    terms = dict.fromkeys((*quest.roles.values(), *(term for act in quest.certificate.plan for term in act[1:])))
    found: list[Change] = []
    for id in terms:
        if id in state.npcs:
            found.append(Happened(verb="died", actor=id))
            found.append(Happened(verb="moved", actor=id, location=chance.choice(list(state.locations))))
            held = [item.id for item in state.items.values() if item.holder == id]
            found.extend(Happened(verb="dropped", actor=id, item=item, location="place0") for item in held[:1])
            npc = msgspec.structs.replace(state.npcs[id], name="Somebody")
            found.append(EntityUpserted(entity=npc))
        elif id in state.items:
            found.append(Happened(verb="destroyed", actor="rival", item=id))
            found.append(EntityUpserted(entity=msgspec.structs.replace(state.items[id], value=1.0)))
        elif id in state.locations:
            place = state.locations[id]
            found.append(EntityUpserted(entity=msgspec.structs.replace(place, name="Somewhere")))
            found.append(EntityUpserted(entity=msgspec.structs.replace(place, open=not place.open)))
    chance.shuffle(found)
    return iter(found[:EVENTS_MAX])


def _timed(library: Library, state: State, quest: Quest, change: Change) -> tuple[float, bool]:
    """Milliseconds of CPU time for one event, and whether it broke the quest's way."""
    tables = {name: dict(getattr(state, name)) for name in ("npcs", "items", "locations", "players")}
    book = Book({quest.id: record(quest)}, library.vocabulary)
    book.catch_up(state.game_s)
    reducers.apply(state, Event(seq=state.seq + 1, id="e", wall_ms=0, game_s=state.game_s, change=change))
    began = time.process_time()
    found = followed(library, book, View(state, BRIEF), change)
    for changed in found.changed.values():
        record(changed)
    for id in found.later:
        rechecked(library, View(state, LIMITS), found.changed.get(id) or quest, states_max=LIMITS.states_max)
    spent_ms = (time.process_time() - began) * 1_000
    for name, table in tables.items():
        setattr(state, name, table)
    after = found.changed.get(quest.id)
    moved_on = after is not None and after.state in PLAYED and after.repairs == quest.repairs
    return spent_ms, bool(found.changed or found.later) and not moved_on
