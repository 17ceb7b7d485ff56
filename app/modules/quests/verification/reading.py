"""V0 and V1: whether a hand-written quest names things that exist, of the right type, in an order that can be kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from app.core.errors import nearest
from app.modules.quests.draft import Draft, DraftStep
from app.modules.quests.messages import Verdict
from app.modules.quests.planning.domain import Schema, Vocabulary
from app.modules.quests.planning.facts import View

FIELDS = ("target", "item", "location", "topic")
KINDS = {"item": "item", "target": "npc"}
"""Fields in whose place a kind may stand, and what they hold."""


def rejected(check: str, reason: str, *, nearest: Mapping[str, str] | None = None) -> Verdict:
    """A proof that the quest cannot be."""
    return Verdict(verdict="rejected", check=check, reason=reason, nearest=dict(nearest or {}))


def every_step(draft: Draft) -> tuple[DraftStep, ...]:
    """The common steps and those of all branches."""
    return (*draft.steps, *(step for branch in draft.branches for step in branch.steps))


def kind_field(schema: Schema, step: DraftStep) -> str:
    """The field in whose place the step's kind stands; empty where it names none."""
    if not step.kind:
        return ""
    return next((field for field in KINDS if field in schema.takes and not getattr(step, field)), "")


def mistyped(vocabulary: Vocabulary, draft: Draft) -> Verdict | None:
    """V0: known actions, the fields that each takes and no others, nothing that the quest itself forbids, a time."""
    known = vocabulary.schemas
    steps = every_step(draft)
    forbidden = (*draft.forbid, *(word for branch in draft.branches for word in branch.forbid))
    words = (*(step.action for step in steps), *forbidden)
    strange = {word: nearest(word, known) for word in words if word not in known}
    if strange:
        return rejected("V0", f"no such action: {', '.join(map(repr, strange))}", nearest=strange)
    for step in steps:
        wrong = _misfit(known[step.action], step)
        if wrong:
            return rejected("V0", wrong)
    for forbid, some in ((draft.forbid, steps), *((branch.forbid, branch.steps) for branch in draft.branches)):
        for step in some:
            if step.action in forbid:
                return rejected("V0", f"step {step.id!r} is a {step.action}, which the quest itself forbids")
    return _unframed(draft)


def _unframed(draft: Draft) -> Verdict | None:
    """V0: whose a quest is and when it can be done at all."""
    if draft.scope == "guild" and not draft.guild:
        return rejected("V0", "scope 'guild' names no guild; set guild to the faction whose quest it is")
    if draft.until_s is not None and draft.until_s <= draft.from_s:
        return rejected("V0", f"until_s {draft.until_s:g} is not after from_s {draft.from_s:g}: it can never be done")
    return None


def _misfit(schema: Schema, step: DraftStep) -> str:
    given = {field for field in FIELDS if getattr(step, field)}
    open_field = kind_field(schema, step)
    filled = given | {open_field} if open_field else given
    if filled != schema.takes.keys():
        need, shown = ", ".join(schema.takes), ", ".join(sorted(given)) or "none"
        return f"step {step.id!r}: {step.action} takes {need}; given: {shown}"
    if step.kind and not open_field:
        return f"step {step.id!r} names a kind and the very thing; leave one out"
    if step.count > 1 and not step.kind:
        return f"step {step.id!r} has a count of {step.count} and no kind to count"
    return ""


def misreferred(view: View, draft: Draft) -> Verdict | None:
    """V1: every id names an entity of the right type, and somebody or something is of every kind."""
    wrong = [(role, id, table) for role, id, table in _named(view, draft) if id not in table]
    if not wrong:
        return None
    reason = "; ".join(f"{role} {id!r} is not in the world" for role, id, _ in wrong)
    return rejected("V1", reason, nearest={id: nearest(id, table) for _, id, table in wrong})


def _named(view: View, draft: Draft) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    yield "giver", draft.giver, view.npcs
    if draft.player:
        yield "player", draft.player, view.players
    if draft.guild:
        yield "guild", draft.guild, view.factions
    tables: dict[str, Mapping[str, object]] = {"target": view.npcs, "item": view.items, "location": view.locations}
    kinds = {
        "item": dict.fromkeys(item.item_kind for item in view.items.values()),
        "npc": dict.fromkeys(npc.archetype for npc in view.npcs.values()),
    }
    for step in every_step(draft):
        for field, table in tables.items():
            if id := getattr(step, field):
                yield f"{field} of step {step.id!r}", id, table
        if step.kind:
            of_item = not step.item and step.action not in ("kill", "capture", "rescue", "escort")
            yield f"kind of step {step.id!r}", step.kind, kinds["item" if of_item else "npc"]
    for item in draft.reward.items if draft.reward is not None else ():
        yield "reward", item, view.items
    every = {**view.npcs, **view.items, **view.locations, **view.factions}
    for failure in draft.failures:
        yield "declared failure", failure.entity, every


def disordered(draft: Draft) -> Verdict | None:
    """V1: ids are distinct, and on each way `after` names steps without going in a circle."""
    for steps in [(*draft.steps, *branch.steps) for branch in draft.branches] or [draft.steps]:
        found = _tangled(steps)
        if found is not None:
            return found
    ids = [branch.id for branch in draft.branches]
    if len(set(ids)) < len(ids):
        return rejected("V1", f"two branches share an id: {sorted({id for id in ids if ids.count(id) > 1})!r}")
    return None


def _tangled(steps: Sequence[DraftStep]) -> Verdict | None:
    ids = [step.id for step in steps]
    if len(set(ids)) < len(ids):
        return rejected("V1", f"two steps share an id: {sorted({id for id in ids if ids.count(id) > 1})!r}")
    strange = {id: nearest(id, ids) for step in steps for id in step.after if id not in ids}
    if strange:
        return rejected("V1", f"after names no step: {', '.join(map(repr, strange))}", nearest=strange)
    circle = _circle({step.id: step.after for step in steps})
    return rejected("V1", f"steps wait for each other: {' → '.join(circle)}") if circle else None


def unprepared(draft: Draft, others: Sequence[Draft]) -> Verdict | None:
    """V1: of the quests that must come first, none waits for this one; unknown ones are named where any are known."""
    known = {other.id: other.requires for other in others if other.id and other.id != draft.id}
    strange = {id: nearest(id, known) for id in draft.requires if id not in known and id != draft.id}
    if strange and known:
        return rejected("V1", f"requires names no quest: {', '.join(map(repr, strange))}", nearest=strange)
    if draft.id:
        circle = _circle({**known, draft.id: draft.requires})
        if draft.id in circle:
            return rejected("V1", f"quests require each other: {' → '.join(circle)}")
    return None


def _circle(needs: Mapping[str, Iterable[str]]) -> list[str]:
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []
