"""V7: what a quest does to others under way, whether it may pay what it promises, and whether it can be milked.

It compares what quests say and proves nothing: of two quests it names what the one takes from the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.modules.quests.draft import Draft
from app.modules.quests.planning.domain import Fact
from app.modules.quests.planning.facts import View
from app.modules.quests.planning.grounding import Operator
from app.modules.quests.quest import Quest, Reward

LOOP_S = 3_600.0
"""Game seconds; what can be had again sooner must not gain by buying and handing over."""

ENDS = frozenset({"slain"})
NEEDS = frozenset({"delivered", "told", "escorted", "rescued", "captured", "trained"})
"""Deeds after which someone is dead, and those that are done to the living: the last or first of their arguments."""
ERRANDS = frozenset({"goto", "trade", "give"})
"""Actions that cost a player nothing but coins and time."""


class Objections(Protocol):
    """Why a studio's balance does not allow a reward; `generation.balance.objections` is one."""

    def __call__(
        self, view: View, reward: Reward, level: int, *, spent: float = 0.0, repeat_s: float | None = None
    ) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Bound:
    """What a quest binds: whom it ends, whom it needs alive, and the unique items that it hands over or uses up."""

    id: str
    title: str
    ended: frozenset[str]
    living: frozenset[str]
    spent: frozenset[str]
    requires: frozenset[str] = frozenset()


def bound(view: View, id: str, title: str, giver: str, deeds: Sequence[Fact], requires: Sequence[str]) -> Bound:
    """What these deeds bind."""
    needed = {term for deed in deeds if deed[0] in NEEDS for term in deed[1:] if term in view.npcs}
    ended = frozenset(deed[1] for deed in deeds if deed[0] in ENDS)
    given = (deed[1] for deed in deeds if deed[0] == "delivered")
    unique = frozenset(item for item in given if item in view.items and "unique" in view.items[item].tags)
    return Bound(id, title, ended, frozenset({giver, *needed}), unique, frozenset(requires))


def bound_by(view: View, other: Draft | Quest, deeds_of: Callable[[Draft], Sequence[Fact]]) -> Bound:
    """What another quest, live or kept, binds; `deeds_of` reads a draft."""
    if isinstance(other, Draft):
        return bound(view, other.id, other.title, other.giver, deeds_of(other), other.requires)
    deeds = [goal.deed for goal in other.goals if not goal.done]
    return bound(view, other.id, other.title, other.giver, deeds, other.requires)


def clashes(mine: Bound, others: Sequence[Bound]) -> Iterator[str]:
    """How other quests and this one exclude each other; one that must be done before or after is no rival."""
    for other in others:
        if (mine.id and mine.id in (other.id, *other.requires)) or other.id in mine.requires:
            continue
        name = other.title or other.id
        yield from (f"it kills {id!r}, whom {name!r} needs alive" for id in sorted(mine.ended & other.living))
        yield from (f"it needs {id!r} alive, whom {name!r} kills" for id in sorted(mine.living & other.ended))
        yield from (
            f"it hands over {id!r}, and so does {name!r}: there is one" for id in sorted(mine.spent & other.spent)
        )


def unpayable(view: View, draft: Draft) -> str:
    """Why the reward cannot be paid as promised; empty where it can."""
    reward = draft.reward
    if reward is None:
        return ""
    for item in reward.items:
        if view.items[item].holder != draft.giver:
            return f"the reward {item!r} is not with {draft.giver!r}"
    if reward.items and draft.share == "each" and draft.members_max > 1:
        return f"{reward.items[0]!r} cannot be handed to each of {draft.members_max} players"
    return ""


def spent_on(view: View, plan: Sequence[Operator]) -> float:
    """Coins that the plan pays for what it buys."""
    return sum(view.items[operator.args[0]].value for operator in plan if operator.schema.name == "trade")


def milked(view: View, draft: Draft, plan: Sequence[Operator]) -> str:
    """How a player could go round in a circle and gain by it; empty where it cannot."""
    if draft.repeat_s is None or draft.repeat_s >= LOOP_S or draft.reward is None:
        return ""
    names = [operator.schema.name for operator in plan]
    price = spent_on(view, plan)
    if "trade" in names and ERRANDS.issuperset(names) and draft.reward.coins > price:
        return f"what is bought for {price:g} coins is paid with {draft.reward.coins}, again and again"
    spent = {operator.args[0] for operator in plan if operator.schema.name == "give"}
    spent |= {item for operator in plan if operator.schema.name == "craft" for item in operator.args[2:]}
    for item in draft.reward.items:
        if item in spent:
            return f"it hands back {item!r}, which it asked for"
    return ""
