"""What a game event moves in a quest: its goals and steps, on every way, whoever of its members did it.

Pure: a quest, an event and the state after it in, a quest out. Only deeds that the game reported count; `talked` is no
deed, so no conversation ever moves a quest. Whether the rest can still be done is not asked here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from app.modules.quests.lifecycle.credit import OPEN, each_done, joined, may_join, takers
from app.modules.quests.lifecycle.states import COUNTING, early
from app.modules.quests.planning.domain import Fact, deeds_of
from app.modules.quests.planning.facts import View
from app.modules.quests.quest import Goal, Quest, Step
from app.world.entities import Item, Npc, Player
from app.world.events import Happened


def progressed(quest: Quest, event: Happened, view: View) -> Quest:
    """The quest after `event`, its goals and steps marked; the same one where nothing in it counts.

    A simple goal that a stand-in met names that one from then on, so that the same thing never counts twice. In a
    quest of a guild or of the server who may join does so by the first deed that counts.
    """
    if quest.state not in COUNTING or early(quest, view.game_s):
        return quest
    for doer in dict.fromkeys((event.actor, event.target)):
        if not _acts(quest, doer, view):
            continue
        moved = _done_by(quest, doer, deeds_of(event, doer), view)
        if doer in takers(quest) or moved.contributions != quest.contributions:  # nobody joins by passing by
            quest = joined(moved, doer, view)
    return quest


def _acts(quest: Quest, doer: str, view: View) -> bool:
    return bool(doer) and (doer in takers(quest) or (quest.scope in OPEN and not may_join(quest, doer, view)))


def _done_by(quest: Quest, doer: str, deeds: Sequence[Fact], view: View) -> Quest:
    if not deeds:
        return quest
    who = takers(quest) if doer in takers(quest) else (*takers(quest), doer)
    scene = _Scene(doer, who, view.items, view.npcs, view.players)
    main = _Way(list(quest.goals), list(quest.steps))
    others = [_Way(list(way.goals), list(way.steps)) for way in quest.branches]
    counted = 0
    for way in (main, *others):
        way.named = way.asks_for(deeds)
    for deed in deeds:
        marks = [way.mark(deed, scene) for way in (main, *others)]
        counted += any(marks)
    branches = tuple(
        msgspec.structs.replace(before, goals=tuple(way.goals), steps=tuple(way.steps))
        for before, way in zip(quest.branches, others, strict=True)
    )
    if main.goals == list(quest.goals) and main.steps == list(quest.steps) and branches == quest.branches:
        return quest
    contributions = quest.contributions
    if counted:
        contributions = {**contributions, doer: contributions.get(doer, 0) + 1}
    return msgspec.structs.replace(
        quest, goals=tuple(main.goals), steps=tuple(main.steps), branches=branches, contributions=contributions
    )


@dataclass(frozen=True, slots=True)
class _Scene:
    """Who does it, for whom it counts, and what there is in the world."""

    doer: str
    members: tuple[str, ...]
    items: Mapping[str, Item]
    npcs: Mapping[str, Npc]
    players: Mapping[str, Player]

    def alike(self, goal: Goal, deed: Fact) -> bool:
        """Whether the deed is the goal's, done to another of its kind."""
        if goal.deed[0] != deed[0] or goal.deed[2:] != deed[2:]:
            return False
        item, npc = self.items.get(deed[1]), self.npcs.get(deed[1])
        if goal.item_kind:
            return item is not None and item.item_kind == goal.item_kind
        return bool(goal.archetype) and npc is not None and npc.archetype == goal.archetype


@dataclass(slots=True)
class _Way:
    """One way's goals and steps, while they are marked."""

    goals: list[Goal]
    steps: list[Step]
    named: bool = False
    """Whether an open step asks for what happened by name: then it stands for no other of its kind."""

    def asks_for(self, deeds: Sequence[Fact]) -> bool:
        """Whether an open step, other than a way, asks for one of the deeds of an event."""
        return any(not step.done and step.action != "goto" and step.deed in deeds for step in self.steps)

    def mark(self, deed: Fact, scene: _Scene) -> bool:
        """Mark what the deed meets; whether it counts as someone's part in the quest."""
        index = self._met(deed, scene)
        if index is None:
            return self._mark_step(deed)
        goal = self.goals[index]
        if goal.count > 1 or goal.each:
            self.goals[index] = advanced = _advanced(goal, deed, scene)
            if advanced.done or not goal.each:
                self._mark_step(deed) or self.named or self._mark_like(goal, scene)
            return True
        for marked in dict.fromkeys((deed, goal.deed)):
            self._mark_step(marked)
        self.goals[index] = msgspec.structs.replace(goal, deed=deed, done=True)
        return True

    def _met(self, deed: Fact, scene: _Scene) -> int | None:
        """The first open goal that the deed meets: exactly, or with another of the goal's kind."""
        for index, goal in enumerate(self.goals):
            if not goal.done and goal.deed == deed and _fresh(goal, deed, scene.doer):
                return index
        if any(goal.deed == deed for goal in self.goals):
            return None
        for index, goal in enumerate(self.goals):
            if not goal.done and scene.alike(goal, deed) and _fresh(goal, deed, scene.doer):
                return index
        return None

    def _mark_like(self, goal: Goal, scene: _Scene) -> bool:
        """Mark the first open step that asks for another of the goal's kind."""
        for step in self.steps:
            if not step.done and step.goal and (step.deed == goal.deed or scene.alike(goal, step.deed)):
                return self._mark_step(step.deed)
        return False

    def _mark_step(self, deed: Fact) -> bool:
        """Mark the first open step with that deed, and the ways that led to it; whether it was more than a way.

        Being somewhere is way-finding, not history: a way counts as gone only where it is the next thing to do,
        or the same place named again later would count as visited before it is due.
        """
        for index, step in enumerate(self.steps):
            if step.done or step.deed != deed:
                continue
            if step.action == "goto" and not step.goal and self._ways_before(index) is None:
                return False
            for passed in (*(self._ways_before(index) or ()), index):
                self.steps[passed] = msgspec.structs.replace(self.steps[passed], done=True)
            return step.goal or step.action != "goto"
        return False

    def _ways_before(self, index: int) -> list[int] | None:
        """The open ways right before a step, or None when other things are still to be done first."""
        before = [number for number in range(index) if not self.steps[number].done]
        way = all(self.steps[number].action == "goto" and not self.steps[number].goal for number in before)
        return before if way else None


def _fresh(goal: Goal, deed: Fact, doer: str) -> bool:
    """Whether a deed has not counted for that goal yet; where each has to do it, for that one."""
    if goal.each:
        pairs = zip(goal.by, goal.counted, strict=True)
        return goal.by.count(doer) < goal.count and (doer, deed[1]) not in pairs
    return deed[1] not in goal.counted


def _advanced(goal: Goal, deed: Fact, scene: _Scene) -> Goal:
    more = msgspec.structs.replace(goal, by=(*goal.by, scene.doer), counted=(*goal.counted, deed[1]), got=goal.got + 1)
    done = each_done(more, scene.members, scene.players) if goal.each else more.got >= goal.count
    return msgspec.structs.replace(more, done=done)


def on_plan(before: Quest, after: Quest) -> bool:
    """Whether a quest moved as its plan foresaw, so that its proof still speaks of the rest.

    It did when steps were done, in their order, and with the very things that the goals name.
    """
    done = [step.done for step in after.steps]
    named = all(old.deed == new.deed for old, new in zip(before.goals, after.goals, strict=True))
    return named and after.steps != before.steps and done == sorted(done, reverse=True)
