"""Who or what else plays a part that is lost: another of its kind in hand or in the world, or an heir of the dead.

It rewrites the open goals of a quest and proves nothing; `repair.py` looks for a way with what it gives.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from app.modules.quests.planning.domain import Fact, own_news, seen_news, slain_news
from app.modules.quests.planning.facts import Hero, View
from app.modules.quests.quest import Goal, Quest
from app.modules.quests.verification.certify import common_kind

IN_HAND = frozenset({"delivered", "used"})
"""Deeds that need no more than the item in hand, however the player came by it."""
HEARD = frozenset({"told", "delivered"})
"""Deeds whose receiver may have an heir: what is brought or reported is as good with the next of kin."""
TOPICS = (own_news, seen_news, slain_news)


def parts(quest: Quest) -> tuple[str, ...]:
    """The items and foes of open goals for one deed that others of their kind may stand in for."""
    kinds = (goal for goal in quest.goals if (goal.item_kind or goal.archetype) and goal.count == 1)
    return tuple(dict.fromkeys(goal.deed[1] for goal in kinds if not goal.done))


def with_what_is_held(quest: Quest, view: View, hero: Hero) -> Quest:
    """The quest with what the player holds instead of what it would have to get only to give it away."""
    for item in parts(quest):
        present = view.items.get(item)
        held = present is not None and present.holder == hero.id
        if held or not all(goal.deed[0] in IN_HAND for goal in _open_with(quest, item)):
            continue
        counted = {goal.deed[1] for goal in quest.goals if goal.done and goal.item_kind}
        spare = [other for other in _alike(quest, view, item) if _holder(view, other) == hero.id]
        if spare:
            quest = recast(quest, item, by=min(spare, key=lambda other: (other not in counted, other)))
    return quest


def substitutes(quest: Quest, view: View, hero: Hero, part: str) -> list[str]:
    """What the player may be sent for instead of `part`: in hand first, then the nearest, by id where equally near."""
    wild = bool(common_kind(view, part))  # an author's own kind may also be of things that do not grow
    alike = [other for other in _alike(quest, view, part) if not wild or common_kind(view, other)]
    return nearest_first(view, hero, alike)[: view.settings.stand_ins_max]


def heirs(quest: Quest, view: View, hero: Hero, lost: str) -> list[str]:
    """Who may take the place of someone dead or gone: of the same faction or house first, then the nearest."""
    before = view.npcs.get(lost)
    playing = {*quest.roles.values(), *(term for goal in quest.goals for term in goal.deed[1:])}
    able = [
        npc.id
        for npc in view.npcs.values()
        if npc.alive and npc.id not in playing and view.person(npc) and not view.hostile(npc, hero.entity)
    ]

    def kin(id: str) -> bool:
        if before is None:
            return False
        npc = view.npcs[id]
        house = bool(before.home) and npc.home == before.home
        return house or (bool(before.faction) and npc.faction == before.faction)

    near = nearest_first(view, hero, able)
    return sorted(near, key=lambda id: not kin(id))[: view.settings.heirs_max]


def nearest_first(view: View, hero: Hero, ids: Iterable[str]) -> list[str]:
    """Items and NPCs by how many steps away they are, those in hand first, by id where equally near."""
    steps = view.walk(hero.place) if hero.place in view.locations else {}

    def distance(id: str) -> tuple[int, str]:
        holder = _holder(view, id)
        place = view.place_of(view.npcs[holder]) if holder in view.npcs else holder
        return -1 if holder == hero.id else steps.get(place, len(view.locations)), id

    return sorted(dict.fromkeys(ids), key=distance)


def recast(quest: Quest, part: str, *, by: str) -> Quest:
    """The quest with `by` in the place of `part` in all that is still open; new texts are left to the way there."""
    roles = {role: by if id == part else id for role, id in quest.roles.items()}
    return msgspec.structs.replace(quest, goals=tuple(_recast(goal, part, by) for goal in quest.goals), roles=roles)


def inherited(quest: Quest, lost: str, *, by: str) -> Quest:
    """The quest with an heir in the place of whoever was to hear or receive something; and as the giver, if so."""
    goals = tuple(
        msgspec.structs.replace(goal, deed=_put(goal.deed, lost, by), text="")
        if not goal.done and goal.deed[0] in HEARD and lost in goal.deed
        else goal
        for goal in quest.goals
    )
    roles = {role: by if id == lost else id for role, id in quest.roles.items()}
    return msgspec.structs.replace(quest, goals=goals, roles=roles, giver=by if quest.giver == lost else quest.giver)


def _recast(goal: Goal, part: str, by: str) -> Goal:
    deed = _put(goal.deed, part, by)
    return goal if goal.done or deed == goal.deed else msgspec.structs.replace(goal, deed=deed, text="")


def _put(deed: Fact, old: str, new: str) -> Fact:
    """The deed about another; what is told of the one is then told of the other."""
    terms = {old: new} | {topic(old): topic(new) for topic in TOPICS}
    return (deed[0], *(terms.get(term, term) for term in deed[1:]))


def _holder(view: View, id: str) -> str:
    return view.items[id].holder if id in view.items else id


def _open_with(quest: Quest, part: str) -> list[Goal]:
    return [
        goal
        for goal in quest.goals
        if not goal.done and (goal.item_kind or goal.archetype) and goal.count == 1 and goal.deed[1] == part
    ]


def _alike(quest: Quest, view: View, part: str) -> list[str]:
    """Others of the same kind that no open goal names and whose deeds have not been counted yet."""
    wanted = _open_with(quest, part)
    taken = {goal.deed[1] for goal in quest.goals if not goal.done}
    done = {goal.deed for goal in quest.goals if goal.done} | {step.deed for step in quest.steps if step.done}
    kind, archetype = wanted[0].item_kind, wanted[0].archetype
    items = [id for id, item in view.items.items() if kind and item.item_kind == kind and "unique" not in item.tags]
    npcs = [npc.id for npc in view.npcs.values() if not kind and npc.alive and npc.archetype == archetype]
    return [
        other
        for other in (*items, *npcs)
        if other not in taken and done.isdisjoint(_put(goal.deed, part, other) for goal in wanted)
    ]
