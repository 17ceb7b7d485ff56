"""Whether a quest can be begun: its giver lives, is somewhere, and the player can get there."""

from __future__ import annotations

from app.modules.quests.draft import Draft
from app.modules.quests.generation.generator import Library
from app.modules.quests.planning.facts import Hero, View
from app.modules.quests.planning.planner import Unsolvable
from app.modules.quests.verification.certify import Question, prove

START_TAG = "start"


def start_of(view: View) -> str:
    """Where newcomers enter the world: the first place with the tag `start`, or empty when the world does not say."""
    return next((id for id, place in view.locations.items() if START_TAG in place.tags), "")


def unfit(library: Library, view: View, draft: Draft, start: str, level: int) -> str:
    """Why nobody can have the quest from its giver, or empty; `start` is where the player is, if that is known."""
    giver = view.npcs[draft.giver]
    if not giver.alive:
        return f"the giver {giver.id!r} is dead"
    place = view.place_of(giver)
    if not place:
        return f"the giver {giver.id!r} is in no known place"
    if not view.person(giver):
        return f"the giver {giver.id!r} is a beast, with whom nobody can speak"
    if start and not reachable(library, view, start, place, level):
        return f"the giver {giver.id!r} is at {place!r}, to which there is no way from {start!r}"
    return ""


def reachable(library: Library, view: View, start: str, place: str, level: int) -> bool:
    """Whether a player can get from `start` to `place`, with keys that can be had on the way; a cap counts as yes."""
    if start == place or (place in view.walk(start) and view.locations[place].open):
        return True
    hero = Hero(id="", place=start, level=level)
    question = Question(goals=(("here", place),), seeds=(place,), schemas=library.vocabulary.without(("escort",)))
    outcome = prove(view, hero, question, states_max=view.settings.states_max).outcome
    return not isinstance(outcome, Unsolvable)
