"""Drafts out of quests: what a quest asks for, as its author would have handed it in.

A quest's ways are whole; a draft's begin with common steps. Ways that share nothing become drafts of their own. What a
draft has no room for (the certificate, progress, texts besides steps and title) stays behind; `quests.verify` proves
the draft anew and `quests.offer` makes it a quest again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from app.modules.quests.draft import Draft, DraftBranch, DraftFailure, DraftReward, DraftStep
from app.modules.quests.planning.domain import PLAYER, Schema, Vocabulary
from app.modules.quests.quest import Goal, Quest, Step
from app.world.events import Happened

MAIN = "main"
"""The name of the way that a quest was made with."""
_ROLES = ("actor", "target", "item", "location", "topic")


@dataclass(frozen=True, slots=True)
class _Way:
    id: str
    text: str
    forbid: tuple[str, ...]
    steps: tuple[DraftStep, ...]


def drafts_of(vocabulary: Vocabulary, quest: Quest) -> tuple[Draft, ...]:
    """One draft, or one for each way where the ways share no step."""
    ways = _ways(vocabulary.schemas, quest)
    shared = tuple(name for name in ways[0].forbid if all(name in way.forbid for way in ways))
    whole = msgspec.structs.replace(_head(quest), forbid=shared)
    if len(ways) == 1:
        return (msgspec.structs.replace(whole, steps=_chained(ways[0].steps, "")),)
    common = _common([way.steps for way in ways])
    if not common:
        return tuple(_alone(whole, way) for way in ways)
    steps = _chained(common, "")
    branches = [_branch(way, common, steps[-1].id, shared) for way in ways]
    if any(not branch.steps for branch in branches):
        branches = []
    return (msgspec.structs.replace(whole, steps=steps, branches=tuple(branches)),)


def _branch(way: _Way, common: Sequence[DraftStep], last: str, shared: Sequence[str]) -> DraftBranch:
    """What a way has beyond the common steps, behind them where it begins with them."""
    own = [step for step in way.steps if not any(_same(step, each) for each in common)]
    named = [msgspec.structs.replace(step, id=f"{way.id}.{step.id}") for step in own]
    follows = all(_same(*pair) for pair in zip(common, way.steps, strict=False))
    steps = _chained(named, last if follows else "")
    forbid = tuple(name for name in way.forbid if name not in shared)
    return DraftBranch(id=way.id, text=way.text, forbid=forbid, steps=steps)


def _head(quest: Quest) -> Draft:
    """Everything but the steps."""
    return Draft(
        id=quest.id,
        title=quest.title or quest.id,
        description=quest.description,
        giver=quest.giver,
        player=quest.player if quest.scope == "solo" else "",
        level=quest.level,
        steps=(),
        requires=quest.requires,
        failures=tuple(_failures(quest)),
        reward=DraftReward(experience=quest.reward.experience, coins=quest.reward.coins, items=quest.reward.items),
        scope=quest.scope,
        guild=quest.guild,
        members_max=quest.members_max,
        credit=quest.credit,
        share=quest.share,
        from_s=quest.from_s,
        until_s=quest.until_s,
        repeat_s=quest.repeat_s,
    )


def _failures(quest: Quest) -> Iterator[DraftFailure]:
    """Each entity once whose fact's end was declared; a fact names first what it is about."""
    seen: set[str] = set()
    for failure in quest.certificate.failures:
        entity = next((term for term in failure.fact[1:] if term and term != PLAYER), "")
        if entity and entity not in seen:
            seen.add(entity)
            yield DraftFailure(entity=entity, text=failure.text)


def _ways(schemas: Mapping[str, Schema], quest: Quest) -> list[_Way]:
    plans = {proof.branch: proof.plan for proof in quest.certificate.branches}
    now = quest.branch or MAIN
    found = [_Way(now, "", quest.forbid, _steps(schemas, quest, quest.goals, quest.steps, quest.certificate.plan))]
    for branch in quest.branches:
        if branch.id != now:
            steps = _steps(schemas, quest, branch.goals, branch.steps, plans.get(branch.id, ()))
            found.append(_Way(branch.id, branch.text, branch.forbid, steps))
    return found


def _steps(
    schemas: Mapping[str, Schema],
    quest: Quest,
    goals: Sequence[Goal],
    steps: Sequence[Step],
    plan: Sequence[tuple[str, ...]],
) -> tuple[DraftStep, ...]:
    """The steps of a way; several that serve one counted goal are one, in the place of the last."""
    wanted = {goal.deed: goal for goal in goals}
    last = {goal.deed: step.id for step in steps if (goal := _goal(wanted, step)) is not None and goal.count > 1}
    found = []
    for step in steps:
        goal = _goal(wanted, step)
        if goal is None or goal.count == 1 or last[goal.deed] == step.id:
            found.append(_step(schemas[step.action], quest, step, goal, plan))
    return tuple(found)


def _goal(wanted: Mapping[tuple[str, ...], Goal], step: Step) -> Goal | None:
    """The goal that a step serves: of its very deed, or a counted one of the same predicate."""
    if not step.goal:
        return None
    if step.deed in wanted:
        return wanted[step.deed]
    return next((goal for deed, goal in wanted.items() if deed[0] == step.deed[0] and goal.count > 1), None)


def _step(schema: Schema, quest: Quest, step: Step, goal: Goal | None, plan: Sequence[tuple[str, ...]]) -> DraftStep:
    values = _values(schema, quest.player or PLAYER, step, plan)
    given = {field: values.get(field, "") for field in schema.takes}
    kind = ""
    if (
        goal is not None and goal.count > 1
    ):  # one that is done once names its thing, so that the certified plan still is one
        if goal.item_kind and given.get("item"):
            kind, given["item"] = goal.item_kind, ""
        elif goal.archetype and given.get("target"):
            kind, given["target"] = goal.archetype, ""
    return DraftStep(
        id=step.id,
        action=step.action,
        kind=kind,
        count=goal.count if goal is not None else 1,
        each=goal.each if goal is not None else False,
        optional=not step.goal,
        text=step.text,
        target=given.get("target", ""),
        item=given.get("item", ""),
        location=given.get("location", ""),
        topic=given.get("topic", ""),
    )


def _values(schema: Schema, player: str, step: Step, plan: Sequence[tuple[str, ...]]) -> dict[str, str]:
    """The arguments of a step's action: those of the plan where it is there, else what its event says."""
    for name, *args in plan:
        if name == schema.name and len(args) == len(schema.params) and _posts(schema, args, player, step.event):
            return dict(zip(schema.params, args, strict=True))
    spec = schema.event
    return {getattr(spec, role): getattr(step.event, role) for role in _ROLES if getattr(spec, role)}


def _posts(schema: Schema, args: Sequence[str], player: str, event: Happened) -> bool:
    """Whether the action with these arguments is completed by the event."""
    return schema.happened(args, player) == event


def _common(ways: Sequence[Sequence[DraftStep]]) -> tuple[DraftStep, ...]:
    """What every way begins with; where they begin differently, what they share."""
    first, *others = ways
    length = 0
    while all(length < len(way) and _same(way[length], first[length]) for way in ways):
        length += 1
        if length == len(first):
            break
    if length:
        return tuple(first[:length])
    return tuple(step for step in first if all(any(_same(step, each) for each in way) for way in others))


def _same(one: DraftStep, other: DraftStep) -> bool:
    alike = msgspec.structs.replace(other, id=one.id, text=one.text, after=one.after)
    return one == alike


def _chained(steps: Sequence[DraftStep], after: str) -> tuple[DraftStep, ...]:
    """The steps in their order, each after the one before it."""
    found = []
    for step in steps:
        found.append(msgspec.structs.replace(step, after=(after,) if after else ()))
        after = step.id
    return tuple(found)


def _alone(whole: Draft, way: _Way) -> Draft:
    """A way as a draft of its own."""
    id = whole.id if way.id == MAIN else f"{whole.id}.{way.id}"
    return msgspec.structs.replace(whole, id=id, steps=_chained(way.steps, ""), forbid=way.forbid)
