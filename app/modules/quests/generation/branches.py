"""Other ways to the end: the same story worked out again with an action forbidden that the main way uses.

First the strategy's own methods, with the same cast where it fits; then other strategies of the motive. What it
proposes has been proved like the main way.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.core.ids import stable_hash
from app.modules.quests.generation.casting import Stage, castings, turn
from app.modules.quests.generation.proving import Course, course
from app.modules.quests.generation.strategies import GIVER, Plot, StrategyFile
from app.modules.quests.planning.domain import Vocabulary

AVOIDABLE = ("kill", "steal", "spy", "capture")
"""Actions that a player may not want to do, in the order in which ways without them are looked for."""
BARGAIN = 0.5
"""Share of the main way's effort below which another way would be the only one that anybody takes."""
PROOFS_MAX = 4
"""Casts that are proved for one branch."""


def branches(
    vocabulary: Vocabulary, strategies: StrategyFile, stage: Stage, main: Course, forbid: frozenset[str]
) -> dict[str, Course]:
    """Branch id, such as `no_kill` -> another way without that action, for each that the main way uses."""
    found: dict[str, Course] = {}
    for action in AVOIDABLE:
        if action in main.actions and len(found) < stage.view.settings.branches_max:
            known = [main, *found.values()]
            other = _without(vocabulary, strategies, stage, main, forbid | {action}, known)
            if other is not None:
                found[f"no_{action}"] = other
    return found


def _without(
    vocabulary: Vocabulary,
    strategies: StrategyFile,
    stage: Stage,
    main: Course,
    forbid: frozenset[str],
    known: list[Course],
) -> Course | None:
    proofs = 0
    for plot in _plots(strategies, stage, main, forbid):
        kept = {role: id for role, id in main.cast.items() if role != GIVER}
        for cast in castings(stage, plot, bindings_max=1, candidates_max=stage.view.settings.candidates_max, kept=kept):
            other = course(vocabulary, stage, plot, cast, forbid)
            proofs += 1
            if other is not None and _differs(other, main, known):
                return other
        if proofs >= PROOFS_MAX:
            return None
    return None


def _plots(strategies: StrategyFile, stage: Stage, main: Course, forbid: frozenset[str]) -> Iterator[Plot]:
    """The strategy's own plots without what is forbidden, then those of the motive's others that do no harm."""
    story = main.plot.strategy
    for plot in strategies.plots[story.id]:
        if plot.needs.isdisjoint(forbid):
            yield plot
    others = [found for found in strategies.strategy if found.motive == story.motive and found.id != story.id]
    for other in sorted(others, key=lambda found: turn(stable_hash(stage.seed, "branch", found.id), 1.0)):
        plot = strategies.plots[other.id][0]
        if not plot.needs:
            yield plot


def _differs(other: Course, main: Course, known: list[Course]) -> bool:
    """Whether a way is another one and no bargain: none of its goals' sets is part of a known one or holds it."""
    mine = set(other.goals)
    apart = all(not mine <= set(way.goals) and not mine >= set(way.goals) for way in known)
    return apart and other.plan.cost >= BARGAIN * main.plan.cost


def renamed(branch: str, cast: dict[str, str], roles: dict[str, str]) -> dict[str, str]:
    """The roles that a branch adds to a quest's: under its own name where another plays the part."""
    return {
        (role if role not in roles else f"{branch}.{role}"): id for role, id in cast.items() if roles.get(role) != id
    }
