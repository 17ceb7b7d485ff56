"""How a quest moves: what an event completes, what it may have broken, and what is left to do then.

Pure and synchronous: a quest and an event in, a quest out. Only deeds that the game reported count;
`talked` is no deed, so no conversation ever moves a quest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from app.core.errors import Conflict
from app.core.messages import Change
from app.modules.quests.codec import LIVE
from app.modules.quests.generation.generator import Library
from app.modules.quests.lifecycle.recast import parts, recast, substitutes, with_what_is_held
from app.modules.quests.messages import Goal, Quest, QuestState, Step
from app.modules.quests.planning.domain import Fact, Vocabulary, deeds_of, ground
from app.modules.quests.planning.facts import Hero, View, foes, hero_of
from app.modules.quests.planning.planner import Outcome, Plan, Unsolvable
from app.modules.quests.prose.writer import Writer
from app.modules.quests.verification.certify import Question, certificate, holds_still, prove, steps_of, texts_of
from app.world.entities import Item, Location, Npc
from app.world.events import EntityRemoved, EntityUpserted, Happened

DISTURBING = frozenset({"took", "gave", "dropped", "traded", "killed", "died", "destroyed", "stole", "crafted"})
"""Verbs that can take something away that a quest still needs. People walking about cannot."""


def progressed(quest: Quest, event: Happened, items: Mapping[str, Item]) -> Quest:
    """The quest after `event`: its goals and steps marked, completed when no goal is left.

    A goal that a stand-in met names that one from then on, so that the same item never counts twice.
    """
    deeds = deeds_of(event, quest.player)
    if quest.state != "active" or not deeds:
        return quest
    goals, steps = list(quest.goals), list(quest.steps)
    for deed in deeds:
        found = _goal_met(goals, deed, items)
        met = deed if found is None else goals[found].deed
        for marked in dict.fromkeys((deed, met)):
            _mark_step(steps, marked)
        if found is not None:
            goals[found] = msgspec.structs.replace(goals[found], deed=deed, done=True)
    if goals == list(quest.goals) and steps == list(quest.steps):
        return quest
    state: QuestState = "completed" if all(goal.done for goal in goals) else "active"
    return msgspec.structs.replace(quest, goals=tuple(goals), steps=tuple(steps), state=state)


def _goal_met(goals: Sequence[Goal], deed: Fact, items: Mapping[str, Item]) -> int | None:
    """The first open goal that the deed meets: exactly, or with another item of the goal's kind."""
    for index, goal in enumerate(goals):
        if not goal.done and goal.deed == deed:
            return index
    item = items.get(deed[1])
    if item is None or not item.item_kind or any(goal.deed == deed for goal in goals):
        return None
    for index, goal in enumerate(goals):
        alike = goal.deed[0] == deed[0] and goal.deed[2:] == deed[2:]
        if not goal.done and alike and goal.item_kind == item.item_kind:
            return index
    return None


def _mark_step(steps: list[Step], deed: Fact) -> None:
    """Mark the first open step with that deed, and the ways that led to it.

    Being somewhere is way-finding, not history: a way counts as gone only where it is the next thing to do,
    or the same place named again later would count as visited before it is due.
    """
    for index, step in enumerate(steps):
        if step.done or step.deed != deed:
            continue
        if step.action == "goto" and not step.goal and _ways_before(steps, index) is None:
            return
        for passed in (*(_ways_before(steps, index) or ()), index):
            steps[passed] = msgspec.structs.replace(steps[passed], done=True)
        return


def _ways_before(steps: Sequence[Step], index: int) -> list[int] | None:
    """The open ways right before a step, or None when other things are still to be done first."""
    before = [number for number in range(index) if not steps[number].done]
    return before if all(steps[number].action == "goto" and not steps[number].goal for number in before) else None


def on_plan(before: Quest, after: Quest) -> bool:
    """Whether a quest moved as its plan foresaw, so that its proof still speaks of the rest.

    It did when steps were done, in their order, and with the very things that the goals name.
    """
    done = [step.done for step in after.steps]
    named = all(old.deed == new.deed for old, new in zip(before.goals, after.goals, strict=True))
    return named and after.steps != before.steps and done == sorted(done, reverse=True)


def disturbed_by(change: Change) -> tuple[str, ...]:
    """The entities whose quests must be looked at again after `change`; empty for nearly all events."""
    match change:
        case Happened() if change.verb in DISTURBING:
            return tuple(id for id in (change.item, change.target, change.actor) if id)
        case EntityRemoved():
            return (change.id,)
        case EntityUpserted(entity=Npc() as npc) if not npc.alive:
            return (npc.id,)
        case EntityUpserted(entity=Item() | Location() as entity):
            return (entity.id,)
        case _:
            return ()


def rechecked(library: Library, view: View, quest: Quest, *, states_max: int) -> Quest:
    """The quest with a way that still works; unchanged if the old one does, failed if there is none.

    A search that hits its cap proves nothing: the quest then goes on as it is.
    """
    hero = hero_of(view, quest.player, quest.giver, quest.level)
    if holds_still(view, hero, _asked(library, view, quest, hero), _rest(quest, library.vocabulary)):
        return quest

    def outcome(cast: Quest) -> Outcome:
        return prove(view, hero, _asked(library, view, cast, hero), states_max=states_max).outcome

    cast = with_what_is_held(quest, view)
    found = outcome(cast)
    if isinstance(found, Unsolvable):
        cast = _replaced(cast, view, outcome)
        found = outcome(cast)
    match found:
        case Plan() as plan:
            return _rerouted(library, view, cast, plan)
        case Unsolvable():
            writer = Writer(library.grammar, view, quest.certificate.seed)
            return closed(quest, "failed", _reason(view, writer, quest))
        case _:
            return quest


def _asked(library: Library, view: View, quest: Quest, hero: Hero) -> Question:
    """What is left to do, as a question for the planner."""
    goals = _open_goals(quest)
    vocabulary = library.vocabulary
    named = [goal[1] for goal in goals if goal[0] == "slain"]
    return Question(
        goals=goals,
        seeds=tuple(dict.fromkeys((*quest.roles.values(), *(term for goal in goals for term in goal[1:])))),
        schemas=vocabulary.story(quest.forbid, goals) if quest.strategy else vocabulary.without(quest.forbid),
        given=(*_deeds_done(quest), *foes(view, named, hero.level)),
    )


def _replaced(quest: Quest, view: View, outcome: Callable[[Quest], Outcome]) -> Quest:
    """The quest with another of its kind for each item that, taken alone, can no more be brought to its goals."""

    def lost(cast: Quest, item: str) -> bool:
        alone = tuple(goal for goal in cast.goals if goal.done or goal.deed[1] == item)
        return isinstance(outcome(msgspec.structs.replace(cast, goals=alone)), Unsolvable)

    for item in parts(quest):
        if lost(quest, item):
            others = ((other, recast(quest, item, by=other)) for other in substitutes(quest, view, item))
            quest = next((cast for other, cast in others if not lost(cast, other)), quest)
    return quest


def _open_goals(quest: Quest) -> tuple[Fact, ...]:
    return tuple(goal.deed for goal in quest.goals if not goal.done)


def _rest(quest: Quest, vocabulary: Vocabulary) -> tuple[tuple[str, ...], ...]:
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


def _deeds_done(quest: Quest) -> tuple[Fact, ...]:
    goals = (goal.deed for goal in quest.goals if goal.done)
    return (*goals, *(step.deed for step in quest.steps if step.done))


def _rerouted(library: Library, view: View, quest: Quest, plan: Plan) -> Quest:
    """The quest with what is done, then the new way; the same quest when the way asks for the same events in turn."""
    writer = Writer(library.grammar, view, quest.certificate.seed)
    goals = _open_goals(quest)
    fresh = steps_of(plan.operators, player=quest.player, goals=goals, writer=writer)
    done = [step for step in quest.steps if step.done]
    left = [step for step in quest.steps if not step.done]
    if _asked_for(fresh) == _asked_for(left):
        return quest
    number = quest.replanned + 1
    renamed = [msgspec.structs.replace(step, id=f"r{number}.{step.id}") for step in fresh]
    old = quest.certificate
    texts = texts_of(plan.operators, writer=writer)
    shown = (goal if goal.text else msgspec.structs.replace(goal, text=texts[goal.deed]) for goal in quest.goals)
    return msgspec.structs.replace(
        quest,
        goals=tuple(shown),
        steps=(*done, *renamed),
        replanned=number,
        certificate=certificate(
            plan.operators,
            goals,
            vocabulary=library.vocabulary,
            view=view,
            seed=old.seed,
            rung=old.rung,
            tries=old.tries,
        ),
    )


def _asked_for(steps: Sequence[Step]) -> list[Happened]:
    """What has to happen, and through whom; a deed does not name who taught or sold. Ways there do not count."""
    return [step.event for step in steps if step.action != "goto"]


def _reason(view: View, writer: Writer, quest: Quest) -> str:
    """Why there is no way any more, in words that the giver can say."""
    open_goals = [goal.deed for goal in quest.goals if not goal.done]
    needed = dict.fromkeys(term for goal in open_goals for term in goal[1:])
    named = dict.fromkeys((*needed, *quest.roles.values(), *_means(quest)))
    spoken = {"player": quest.player}
    for id in named:
        if id in view.npcs and not view.npcs[id].alive:
            return writer.reason("dead", {**spoken, "who": id})
    for id in named:
        if view.entity(id) is None and (id in quest.roles.values() or id in _means(quest)):
            return writer.reason("gone", {**spoken, "who": id})
    return writer.reason("barred", spoken)


def _means(quest: Quest) -> tuple[str, ...]:
    """The entities that open steps need, such as a key or a seller."""
    events = [step.event for step in quest.steps if not step.done]
    roles = (id for event in events for id in (event.actor, event.target, event.item, event.location))
    return tuple(id for id in roles if id and id != quest.player)


def accepted(quest: Quest) -> Quest:
    """An offered quest, now active; raises Conflict when it is past that."""
    if quest.state != "offered":
        raise Conflict(f"quest {quest.id!r} is {quest.state}", hint="only an offered quest can be accepted")
    return msgspec.structs.replace(quest, state="active")


def closed(quest: Quest, state: QuestState, reason: str) -> Quest:
    """A live quest that ends here; raises Conflict when it has ended before."""
    if quest.state not in LIVE:
        raise Conflict(f"quest {quest.id!r} is already {quest.state}", hint="only offered and active quests can end")
    return msgspec.structs.replace(quest, state=state, reason=reason)


def touched_by(quest: Quest) -> tuple[str, ...]:
    """The entities that a quest depends on."""
    goals = (term for goal in quest.goals for term in goal.deed[1:])
    return tuple(dict.fromkeys((*quest.roles.values(), *goals, *_means(quest))))
