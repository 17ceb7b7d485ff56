"""Quests that shut each other out: doing one first leaves a world in which the other cannot be done any more.

Only what a quest changes whatever its player does is held against it: the deeds of its own steps, not those of its
plan. Quests of one chain are no rivals; their order is known, and `judge.py` has followed it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from app.modules.quests.auditing.chains import Chains
from app.modules.quests.auditing.entry import Entry, Judged
from app.modules.quests.auditing.judge import Judge
from app.modules.quests.auditing.past import Past, after
from app.modules.quests.draft import Draft, DraftStep
from app.modules.quests.report import Found
from app.world.events import Happened

Change = tuple[str, str, str]
"""(verb, entity, to whom or where): what a step does to the world for good."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What one quest leaves behind may cost the other: `number` is asked whether it survives `changes` of `by`."""

    number: int
    by: int
    changes: tuple[Change, ...]


def pairs(
    judge: Judge, entries: Sequence[Entry], chains: Chains, judged: Mapping[int, Judged], *, pairs_max: int
) -> tuple[list[Pair], bool]:
    """Those that are worth a proof, and whether there were more than `pairs_max` of them.

    A quest is asked once for each set of changes, however many others make them.
    """
    users: dict[str, list[int]] = {}
    for number in sorted(judged):
        for id in dict.fromkeys(term for way in judged[number].ways[:1] for deed in way for term in deed[1:]):
            users.setdefault(id, []).append(number)
    kin = {number: {number, *chains.before(number)} for number in chains.order}
    found: list[Pair] = []
    asked: set[tuple[int, tuple[Change, ...]]] = set()
    for by in sorted(judged):
        if not judged[by].sound:
            continue
        changes = _lasting(judge, entries[by])
        touched = dict.fromkeys(number for change in changes for number in users.get(change[1], ()))
        for number in sorted(touched):
            own = tuple(change for change in changes if number in users.get(change[1], ()))
            if number in kin[by] or by in kin[number] or (number, own) in asked or _apart(entries[number], entries[by]):
                continue
            asked.add((number, own))
            found.append(Pair(number, by, own))
    return found[:pairs_max], len(found) > pairs_max


def survives(judge: Judge, entries: Sequence[Entry], past: Past, pair: Pair) -> Found | None:
    """None where it can still be done after the other, and what stands against it where it cannot."""
    entry, other = entries[pair.number], entries[pair.by]
    events = [_event(change, judge.player) for change in pair.changes]
    examined, unfit = judge.tried(entry, after(judge.view, judge.base, past, events, pair.by))
    verdict = examined.verdict
    if not unfit and verdict.verdict != "rejected":
        return None
    told = ", ".join(_told(change) for change in pair.changes)
    step = verdict.unreachable[0] if verdict.unreachable and not unfit else ""
    return Found(
        check="V7",
        fault="rivals",
        weight="fault",
        quests=(entry.key, other.key),
        reason=f"once {other.key!r} is done ({told}) it cannot be done any more: {unfit or verdict.reason}",
        step=step,
        missing=() if unfit else verdict.missing,
        where=entry.at(step),
    )


def rivals(
    judge: Judge,
    entries: Sequence[Entry],
    pasts: Callable[[int], Past],
    asked: Sequence[Pair],
    told: Callable[[], None],
) -> list[tuple[Pair, Found]]:
    """The pairs of which one cannot be done after the other, in order; `told` hears of each and may raise to stop."""
    found: list[tuple[Pair, Found]] = []
    for pair in asked:
        problem = survives(judge, entries, pasts(pair.number), pair)
        if problem is not None:
            found.append((pair, problem))
        told()
    return found


def _apart(one: Entry, other: Entry) -> bool:
    """Whether the windows of time of the two never meet with the first open at or after the second's."""
    first, second = one.draft, other.draft
    return first is not None and second is not None and first.until_s is not None and first.until_s <= second.from_s


def _lasting(judge: Judge, entry: Entry) -> tuple[Change, ...]:
    """What its own steps do to the world, whichever plan is followed; what respawns is not changed."""
    draft = entry.draft
    steps = draft.steps if draft is not None else ()
    changes = (_change(judge, draft, step) for step in steps if draft is not None and not step.optional)
    return tuple(dict.fromkeys(change for change in changes if change is not None))


def _change(judge: Judge, draft: Draft, step: DraftStep) -> Change | None:
    view = judge.view
    npc, item = view.npcs.get(step.target), view.items.get(step.item)
    if step.action in ("kill", "capture") and npc is not None and not view.respawns(npc):
        return ("killed" if step.action == "kill" else "captured", npc.id, "")
    if step.action == "escort" and npc is not None:
        return "moved", npc.id, step.location
    if step.action == "give" and item is not None and not view.respawns(item):
        return "gave", item.id, step.target
    return None


def _event(change: Change, player: str) -> Happened:
    verb, id, to = change
    if verb == "gave":
        return Happened(verb="gave", actor=player, target=to, item=id)
    if verb == "moved":
        return Happened(verb="moved", actor=id, location=to)
    return Happened(verb=verb, actor=player, target=id)  # type: ignore[arg-type]  # a verb of the closed list


def _told(change: Change) -> str:
    verb, id, to = change
    words = {"killed": "{0} is dead", "captured": "{0} is captive", "moved": "{0} is at {1}", "gave": "{1} has {0}"}
    return words[verb].format(id, to)
