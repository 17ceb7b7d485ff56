"""Which other item plays a part when any of its kind does: one that the player holds, or one that is left in the world.

It rewrites the open goals of a quest and proves nothing; `logic.py` looks for a way with what it gives.
"""

from __future__ import annotations

import msgspec

from app.modules.quests.messages import Goal, Quest
from app.modules.quests.planning.domain import Fact
from app.modules.quests.planning.facts import View
from app.modules.quests.verification.certify import common_kind

IN_HAND = frozenset({"delivered", "used"})
"""Deeds that need no more than the item in hand, however the player came by it."""


def parts(quest: Quest) -> tuple[str, ...]:
    """The items of open goals that others of their kind may stand in for."""
    return tuple(dict.fromkeys(goal.deed[1] for goal in quest.goals if goal.item_kind and not goal.done))


def with_what_is_held(quest: Quest, view: View) -> Quest:
    """The quest with what the player holds instead of what it would have to get only to give it away."""
    for item in parts(quest):
        present = view.items.get(item)
        held = present is not None and present.holder == quest.player
        if held or not all(goal.deed[0] in IN_HAND for goal in _open_with(quest, item)):
            continue
        counted = {goal.deed[1] for goal in quest.goals if goal.done and goal.item_kind}
        spare = [other for other in _alike(quest, view, item) if view.items[other].holder == quest.player]
        if spare:
            quest = recast(quest, item, by=min(spare, key=lambda other: (other not in counted, other)))
    return quest


def substitutes(quest: Quest, view: View, item: str) -> list[str]:
    """What the player may be sent for instead of `item`: in hand first, then the nearest, by id where equally near."""
    player = view.players.get(quest.player)
    steps = view.walk(player.location) if player is not None and player.location in view.locations else {}

    def distance(other: str) -> tuple[int, str]:
        holder = view.items[other].holder
        place = view.place_of(view.npcs[holder]) if holder in view.npcs else holder
        return -1 if holder == quest.player else steps.get(place, len(view.locations)), other

    alike = [other for other in _alike(quest, view, item) if common_kind(view, other)]
    return sorted(alike, key=distance)[: view.settings.stand_ins_max]


def recast(quest: Quest, item: str, *, by: str) -> Quest:
    """The quest with `by` in the place of `item` in all that is still open; new texts are left to the way there."""
    goals = (
        goal if goal.done or goal.deed[1] != item else msgspec.structs.replace(goal, deed=_with(goal.deed, by), text="")
        for goal in quest.goals
    )
    roles = {role: by if id == item else id for role, id in quest.roles.items()}
    return msgspec.structs.replace(quest, goals=tuple(goals), roles=roles)


def _open_with(quest: Quest, item: str) -> list[Goal]:
    return [goal for goal in quest.goals if not goal.done and goal.item_kind and goal.deed[1] == item]


def _alike(quest: Quest, view: View, item: str) -> list[str]:
    """Items of the same kind that no open goal names and whose deeds have not been counted yet."""
    wanted = _open_with(quest, item)
    taken = {goal.deed[1] for goal in quest.goals if not goal.done}
    done = {goal.deed for goal in quest.goals if goal.done} | {step.deed for step in quest.steps if step.done}
    return [
        other.id
        for other in view.items.values()
        if other.item_kind == wanted[0].item_kind
        and other.id not in taken
        and done.isdisjoint(_with(goal.deed, other.id) for goal in wanted)
    ]


def _with(deed: Fact, item: str) -> Fact:
    return (deed[0], item, *deed[2:])
