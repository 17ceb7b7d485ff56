"""The whole proof of a quest whose ways have plans: V3 to V6 in one certificate.

It is given plans and questions, and knows neither drafts nor strategies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from app.modules.quests.planning.domain import Fact, Vocabulary
from app.modules.quests.planning.facts import Hero, View
from app.modules.quests.planning.planner import Plan
from app.modules.quests.quest import BranchProof, Certificate, Failure, Knockout
from app.modules.quests.verification.certify import Question, certificate
from app.modules.quests.verification.greed import exposed, renewing
from app.modules.quests.verification.knockout import Course, fragility, knockouts
from app.modules.quests.verification.players import players_through
from app.modules.quests.verification.softlock import Aim, Locks, locks_of

Tell = Callable[[Fact], str]
"""How the giver puts it that a fact is no longer true."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the end: what was asked, its plan, and the deeds of its goals. The main way's id is empty."""

    id: str
    question: Question
    plan: Plan
    deeds: tuple[Fact, ...]
    """The goals as the quest names them; they enter the plan's hash."""

    @property
    def names(self) -> tuple[tuple[str, ...], ...]:
        return tuple(operator.name for operator in self.plan.operators)


def silent(_fact: Fact) -> str:
    """For a quest without words."""
    return ""


def certified(
    vocabulary: Vocabulary,
    view: View,
    hero: Hero,
    ways: Sequence[Way],
    *,
    seed: int,
    rung: str,
    tries: int = 1,
    members_max: int = 1,
    shared: bool = False,
    rest: Question | None = None,
    tell: Tell = silent,
    locks: Locks | None = None,
) -> Certificate:
    """The certificate of a quest with these ways, the main one first.

    Each way's plan has been found by `certify.prove(view, hero, way.question)` and replays. What is returned names
    every way to lose the quest (`failures`), every knockout, and how many of `members_max` players can go through it.
    With `shared` what one member does counts for all but what `rest` asks of each further one. `locks` is what `locked`
    found, where that is known already. `checks` are those that were made to the end; V4 is missing where
    a cap was hit, and then what only may lose the quest is among the failures too.
    """
    main = ways[0]
    found = certificate(
        main.plan.operators, main.deeds, vocabulary=vocabulary, view=view, seed=seed, rung=rung, tries=tries
    )
    lost = locks if locks is not None else locked(vocabulary, view, hero, ways)
    courses = [Course(way.question, way.names) for way in ways]
    struck = knockouts(view, hero, courses)
    alone = shared and rest is None
    most = members_max if alone else players_through(view, hero, courses[0], most=members_max, rest=rest)
    checks = (*found.checks, "V3", *(("V4",) if lost.exact else ()), "V5", "V6")
    return msgspec.structs.replace(
        found,
        checks=checks,
        branches=tuple(_proof(vocabulary, way) for way in ways[1:]),
        failures=tuple(_failures(lost, struck, tell)),
        knockouts=struck,
        fragility=fragility(struck),
        players_max=most,
    )


def locked(vocabulary: Vocabulary, view: View, hero: Hero, ways: Sequence[Way]) -> Locks:
    """V4: the acts by which a player can lose every way."""
    deeds = tuple(dict.fromkeys(deed for way in ways for deed in way.deeds))
    terms = dict.fromkeys(term for way in ways for action in way.names for term in action[1:])
    task = exposed(vocabulary, view, hero, [way.question for way in ways], tuple(terms), deeds)
    if task.capped or task.unreachable:
        return Locks((), exact=False)
    aims = [Aim(way.deeds, frozenset(schema.name for schema in way.question.schemas)) for way in ways]
    ids = dict.fromkeys(term for fact in task.numbers for term in fact[1:])
    return locks_of(task, aims, renewed=renewing(view, tuple(ids)), states_max=view.settings.lock_states_max)


def _failures(lost: Locks, struck: Sequence[Knockout], tell: Tell) -> Iterator[Failure]:
    """Every declared end, each fact once for each cause."""
    for fact in dict.fromkeys(loss.fact for loss in lost.losses):
        yield Failure(fact=fact, cause="player", text=tell(fact))
    ended = {"death": "alive", "loss": "exists", "closing": "open"}
    for knockout in struck:
        if knockout.outcome == "fails":
            fact = (ended[knockout.harm], knockout.entity)
            yield Failure(fact=fact, cause="world", text=tell(fact))


def _proof(vocabulary: Vocabulary, way: Way) -> BranchProof:
    packed = msgspec.msgpack.encode((vocabulary.version, way.names, way.deeds))
    return BranchProof(branch=way.id, plan=way.names, plan_sha256=hashlib.sha256(packed).hexdigest())
