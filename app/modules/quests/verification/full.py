"""The whole proof of a quest whose ways have plans: V3 to V6 in one certificate.

It is given plans and questions, and knows neither drafts nor strategies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from app.modules.quests.planning.domain import Fact, Vocabulary
from app.modules.quests.planning.facts import Hero, View
from app.modules.quests.planning.planner import Plan
from app.modules.quests.quest import BranchProof, Certificate
from app.modules.quests.verification.certify import Question, certificate

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
    tell: Tell = silent,
) -> Certificate:
    """The certificate of a quest with these ways, the main one first.

    Each way's plan has been found by `certify.prove(view, hero, way.question)` and replays. What is returned names
    every way to lose the quest (`failures`), every knockout, and how many of `members_max` players can go through it.
    Its `checks` are those that were made to the end; V4 is missing where a cap was hit, and then nothing is claimed.
    """
    main = ways[0]
    found = certificate(
        main.plan.operators, main.deeds, vocabulary=vocabulary, view=view, seed=seed, rung=rung, tries=tries
    )
    branches = tuple(_proof(vocabulary, way) for way in ways[1:])
    return msgspec.structs.replace(found, branches=branches, checks=(*found.checks, "V3"))


def _proof(vocabulary: Vocabulary, way: Way) -> BranchProof:
    names = tuple(operator.name for operator in way.plan.operators)
    packed = msgspec.msgpack.encode((vocabulary.version, names, way.deeds))
    return BranchProof(branch=way.id, plan=names, plan_sha256=hashlib.sha256(packed).hexdigest())
