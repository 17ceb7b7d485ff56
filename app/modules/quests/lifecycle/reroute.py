"""What is left to do of a quest as a question for the planner, and a plan found for it as the quest's new way.

Nothing here decides whether a new way is wanted; `repair.py` does.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import cached_property

import msgspec

from app.modules.quests.generation.generator import Library
from app.modules.quests.lifecycle.credit import actor_of, takers
from app.modules.quests.lifecycle.recast import nearest_first
from app.modules.quests.lifecycle.states import PLAYED
from app.modules.quests.planning.domain import PLAYER, Fact, Vocabulary, ground
from app.modules.quests.planning.facts import Hero, View, foes, hero_of
from app.modules.quests.planning.planner import Plan
from app.modules.quests.prose.grammar import grammar_for
from app.modules.quests.prose.writer import Writer
from app.modules.quests.quest import Goal, Quest, Step
from app.modules.quests.verification.certify import Question, certificate, steps_of, texts_of
from app.world.events import Happened


def hero_for(view: View, quest: Quest) -> Hero:
    """Whoever the way is looked for: of several the first who still has to do something that each must."""
    there = [member for member in takers(quest) if member in view.players]
    waiting = [goal for goal in quest.goals if goal.each and not goal.done]
    behind = [member for member in there if any(goal.by.count(member) < goal.count for goal in waiting)]
    first = next(iter((*behind, *there, *takers(quest))), PLAYER)
    return hero_of(view, first, quest.giver, quest.level)


def seen_by(view: View, quest: Quest, hero: Hero) -> View:
    """The world as members see it who hand one another what they have: all of it is in the hero's hands."""
    others = {member for member in takers(quest) if member != hero.id}
    held = {id: item for id, item in view.items.items() if item.holder in others} if others else {}
    if not held:
        return view
    hands = {id: msgspec.structs.replace(item, holder=hero.id) for id, item in held.items()}
    return altered(view, items=view.items | hands)


def altered(view: View, **tables: object) -> View:
    """The view with other tables; what a view derives from them is derived anew."""
    other = View.__new__(View)
    derived = {name for name, value in vars(View).items() if isinstance(value, cached_property)}
    vars(other).update({name: value for name, value in vars(view).items() if name not in derived} | tables)
    return other


def asked(library: Library, view: View, quest: Quest, hero: Hero) -> Question | None:
    """What is left to do, as a question for the planner; None where too few things of a kind are left for it."""
    wanted = wanted_of(quest, view, hero)
    if wanted is None:
        return None
    goals = tuple(dict.fromkeys(wanted))
    vocabulary = library.vocabulary
    named = [goal[1] for goal in goals if goal[0] in ("slain", "captured")]
    skills = {goal[1] for goal in goals if goal[0] == "trained"}
    teachers = [id for id, npc in view.npcs.items() if skills & set(view.skills_of(npc))] if skills else []
    terms = (term for goal in goals for term in goal[1:])
    return Question(
        goals=goals,
        seeds=tuple(dict.fromkeys((*quest.roles.values(), *terms, *teachers))),
        schemas=vocabulary.story(quest.forbid, goals) if quest.strategy else vocabulary.without(quest.forbid),
        given=(*_deeds_done(quest), *foes(view, named, hero.level)),
    )


def wanted_of(quest: Quest, view: View, hero: Hero) -> list[Fact] | None:
    """The deeds that are still to do; of a goal for several, as many others of its kind as it lacks."""
    wanted: list[Fact] = []
    for goal in quest.goals:
        if goal.done:
            continue
        lacking = 1 if goal.count == 1 else max(1, goal.count - _got(goal, hero))
        found = [goal.deed] if goal.count == 1 else _candidates(quest, view, hero, goal)[:lacking]
        if len(found) < lacking:
            return None
        wanted.extend(found)
    return wanted


def _got(goal: Goal, hero: Hero) -> int:
    return goal.by.count(hero.id) if goal.each else goal.got


def _candidates(quest: Quest, view: View, hero: Hero, goal: Goal) -> list[Fact]:
    """Deeds that a goal for several could count next: what is easiest to come by first, then what the steps name."""
    named = {step.deed[1] for step in quest.steps if not step.done and _shaped(goal, step.deed)}
    things = nearest_first(view, hero, (goal.deed[1], *named, *_of_kind(view, goal)))
    fresh = [thing for thing in things if thing not in goal.counted and _there(view, goal, thing)]
    reached = view.walk(hero.place) if hero.place in view.locations else view.locations
    fresh.sort(key=lambda thing: (_trouble(view, hero, reached, thing), thing not in named))
    return [(goal.deed[0], thing, *goal.deed[2:]) for thing in fresh]


def _trouble(view: View, hero: Hero, reached: Container[str], thing: str) -> int:
    """How far out of reach a thing is: in hand, lying or standing there, with somebody, barred, another player's."""
    item = view.items.get(thing)
    holder = item.holder if item is not None else ""
    if holder in view.players:
        return 0 if holder == hero.id else 4
    someone = view.npcs.get(holder or thing)
    place = view.place_of(someone) if someone is not None else holder
    if place not in reached:
        return 3
    return 2 if holder in view.npcs else 1


def _shaped(goal: Goal, deed: Fact) -> bool:
    return deed[0] == goal.deed[0] and deed[2:] == goal.deed[2:]


def _of_kind(view: View, goal: Goal) -> list[str]:
    if goal.item_kind:
        return [item.id for item in view.items.values() if item.item_kind == goal.item_kind]
    return [npc.id for npc in view.npcs.values() if goal.archetype and npc.archetype == goal.archetype]


def _there(view: View, goal: Goal, thing: str) -> bool:
    """Whether it can still be done to that thing, as far as the thing alone tells."""
    if goal.archetype or thing in view.npcs:
        return thing in view.npcs and (view.npcs[thing].alive or goal.deed[0] == "looted")
    return not goal.item_kind or thing in view.items


def open_deeds(quest: Quest) -> tuple[Fact, ...]:
    """The goals that are not met yet."""
    return tuple(goal.deed for goal in quest.goals if not goal.done)


def stranded(quest: Quest) -> bool:
    """Whether every step is done and a goal is not, so that nothing says what is left for those who are left."""
    return quest.state in PLAYED and all(step.done for step in quest.steps)


def _deeds_done(quest: Quest) -> tuple[Fact, ...]:
    goals = [goal.deed for goal in quest.goals if goal.done]
    several = [(goal.deed[0], thing, *goal.deed[2:]) for goal in quest.goals if not goal.each for thing in goal.counted]
    again = {goal.deed for goal in quest.goals if not goal.done} if stranded(quest) else set[Fact]()
    return (*goals, *several, *(step.deed for step in quest.steps if step.done and step.deed not in again))


def rest_of(quest: Quest, vocabulary: Vocabulary) -> tuple[tuple[str, ...], ...]:
    """The part of the certificate's plan that the open steps ask for, without ways to what is behind the player.

    Plan and steps are matched from their ends: steps of an earlier plan come first, and places passed through
    have no step of their own but belong to the next. A deed alone would not tell, since the same may be due twice.
    """
    known = vocabulary.schemas  # an older version's plan may name actions that are gone
    last_done = max((number for number, step in enumerate(quest.steps) if step.done), default=-1)
    number = len(quest.steps)
    rest: list[tuple[str, ...]] = []
    for name, *args in reversed(quest.certificate.plan):
        deed = ground(known[name].deed, args) if name in known else ()
        if number and quest.steps[number - 1].deed == deed:
            number -= 1
        behind = name == "goto" and number < last_done
        if number == len(quest.steps) or not (quest.steps[number].done or behind):
            rest.append((name, *args))
    return tuple(reversed(rest))


def rerouted(library: Library, view: View, quest: Quest, plan: Plan, goals: Sequence[Fact]) -> Quest:
    """The quest with what is done, then the new way; the same quest when the way asks for the same events in turn."""
    writer = Writer(grammar_for(quest.language), view, quest.certificate.seed)
    fresh = steps_of(plan.operators, player=actor_of(quest), goals=goals, writer=writer)
    done = [step for step in quest.steps if step.done]
    left = [step for step in quest.steps if not step.done]
    if _asked_for(fresh) == _asked_for(left):
        return quest
    number = quest.replanned + 1
    renamed = [msgspec.structs.replace(step, id=f"r{number}.{step.id}") for step in fresh]
    old = quest.certificate
    texts = texts_of(plan.operators, writer=writer)
    proved = certificate(
        plan.operators, goals, vocabulary=library.vocabulary, view=view, seed=old.seed, rung=old.rung, tries=old.tries
    )
    return msgspec.structs.replace(
        quest,
        goals=tuple(_worded(goal, texts) for goal in quest.goals),
        steps=(*done, *renamed),
        replanned=number,
        certificate=msgspec.structs.replace(
            proved,
            checks=old.checks,
            failures=old.failures,
            knockouts=old.knockouts,
            fragility=old.fragility,
            branches=old.branches,
            players_max=old.players_max,
        ),
    )


def _worded(goal: Goal, texts: dict[Fact, str]) -> Goal:
    return goal if goal.text else msgspec.structs.replace(goal, text=texts.get(goal.deed, ""))


def _asked_for(steps: Sequence[Step]) -> list[Happened]:
    """What has to happen, and through whom; a deed does not name who taught or sold. Ways there do not count."""
    return [step.event for step in steps if step.action != "goto"]
