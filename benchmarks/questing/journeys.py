"""Quests of the eight worlds by the thousand: made, checked by the checker of the tests, and left to the greedy.

A greedy walk does anything that the player may do, harm first, and then asks whether the quest can still be completed
by one of its ways, or has lost something that its certificate declares.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

import msgspec

from app.core.errors import Conflict
from app.modules.quests.generation.generator import Library, Wish, generate
from app.modules.quests.messages import Quest
from app.modules.quests.planning.domain import PLAYER, Fact, deeds_of
from app.modules.quests.planning.facts import View, compiled, focus, foes, hero_of
from app.modules.quests.planning.grounding import Problem, grounded
from app.modules.quests.planning.planner import Plan, solve
from app.modules.quests.settings import Settings
from app.world.state import State
from tests.modules.quests.checker import Wrong, check
from tests.modules.quests.worlds import load

LIMITS = Settings()
STRIDES = 6


@dataclass(frozen=True, slots=True)
class Journey:
    """What became of one seed in one world; `quest` is None where no quest was returned."""

    world: str
    seed: int
    quest: Quest | None
    why: str = ""
    """What the checker found wrong."""
    lost: str = ""
    """A greedy walk after which the quest was lost and nothing declared it."""


@cache
def _world(name: str) -> State:
    return load(name).state


def journey(library: Library, name: str, seed: int) -> Journey:
    """One quest by a giver drawn from the seed, for a player whose place and level are drawn as well."""
    chance = random.Random(f"{name} {seed}")
    state = _world(name)
    hero = state.players["hero"]
    spots = [id for id, place in state.locations.items() if place.open]
    state.players["hero"] = msgspec.structs.replace(
        hero, location=chance.choice(spots), level=max(1, hero.level + chance.randint(-1, 3))
    )
    try:
        return _journey(library, state, name, seed, chance)
    finally:
        state.players["hero"] = hero


def _journey(library: Library, state: State, name: str, seed: int, chance: random.Random) -> Journey:
    view = View(state, LIMITS)
    hero = state.players["hero"]
    givers = [id for id, npc in state.npcs.items() if view.person(npc) and not view.hostile(npc, hero)]
    wish = Wish(giver=chance.choice(givers), player="hero", seed=seed, level=0)
    try:
        quest = generate(library, view, wish)
    except Conflict:
        return Journey(name, seed, None)
    try:
        check(state, msgspec.to_builtins(quest))
    except Wrong as why:
        return Journey(name, seed, quest, why=str(why))
    return Journey(name, seed, quest, lost=walked(library, view, quest, chance))


def walked(library: Library, view: View, quest: Quest, chance: random.Random) -> str:
    """A greedy walk; empty when the quest is still to be had or its loss is declared, else what was done.

    It is judged by the deeds that events leave, as progress is; a declared end counts only if it came about.
    """
    problem = legal(library, view, quest, chance)
    task = grounded(problem, operators_max=200_000)
    harmful = [operator for operator in task.operators if operator.schema.delete and operator.schema.name != "goto"]
    state, ended, done = task.init, 0, []
    deeds: dict[Fact, None] = {}
    for _ in range(STRIDES):
        able = [op for op in task.operators if state & op.pre_mask == op.pre_mask]
        harm = [op for op in harmful if state & op.pre_mask == op.pre_mask]
        if not able:
            break
        taken = chance.choice(harm if harm and chance.random() < 0.7 else able)
        before = state
        found = dict.fromkeys(deeds_of(taken.schema.happened(taken.args, PLAYER), PLAYER))
        state = taken.after(state) | sum(1 << task.numbers[deed] for deed in found if deed in task.numbers)
        deeds.update(found)
        ended |= before & ~state
        done.append(taken.name)
    facts = tuple(dict.fromkeys((*(fact for fact, at in task.numbers.items() if state >> at & 1), *deeds)))
    over = {fact for fact, at in task.numbers.items() if ended & ~state & 1 << at}
    if any(failure.fact in over for failure in quest.certificate.failures):
        return ""
    return "" if still(library, quest, problem, facts) else f"{quest.id} of {quest.giver}: {done}"


def legal(library: Library, view: View, quest: Quest, chance: random.Random) -> Problem:
    """Everything that its player may do with what the quest speaks of, and a few others drawn by chance."""
    hero = hero_of(view, quest.player, quest.giver, quest.level)
    goals = tuple(goal.deed for goal in quest.goals)
    plan = quest.certificate.plan
    seeds = (*quest.roles.values(), *(term for action in plan for term in action[1:]))
    others = [chance.choice(list(ids)) for ids in (view.npcs, view.npcs, view.items, view.locations)]
    named = [goal[1] for goal in goals if goal[0] in ("slain", "captured")]
    return compiled(
        view,
        hero,
        about=focus(view, hero, (*seeds, *others)),
        schemas=library.vocabulary.without(()),
        goals=goals,
        given=foes(view, named, hero.level),
    )


def still(library: Library, quest: Quest, problem: Problem, facts: tuple[Fact, ...]) -> bool:
    """Whether one of the quest's ways can be gone from here, without what the way forbids."""
    for way in (quest, *quest.branches):
        goals = tuple(goal.deed for goal in way.goals)
        allowed = tuple(schema for schema in problem.schemas if schema.name not in way.forbid)
        asked = Problem(init=facts, goals=goals, schemas=allowed, weights={})
        if isinstance(solve(asked, states_max=20_000, operators_max=200_000), Plan):
            return True
    return False


@dataclass(frozen=True, slots=True)
class Traits:
    """What is counted of a quest."""

    motive: str
    strategy: str
    actions: frozenset[str]
    level: int
    effort: float
    coins: float


@dataclass(frozen=True, slots=True)
class Brief:
    """What is counted of a journey; eighty thousand whole quests would not fit."""

    world: str
    seed: int
    quest: Traits | None
    why: str
    lost: str


def brief(one: Journey) -> Brief:
    """A journey without its quest's texts and plans."""
    return Brief(one.world, one.seed, traits(one.quest) if one.quest is not None else None, one.why, one.lost)


def traits(quest: Quest) -> Traits:
    """A quest in brief."""
    return Traits(
        motive=quest.motive,
        strategy=quest.strategy,
        actions=frozenset(action[0] for action in quest.certificate.plan),
        level=quest.level,
        effort=quest.reward.effort,
        coins=float(quest.reward.coins),
    )
