"""What shows only when all quests are held side by side: rewards, repeats, windows of time, levels.

It looks at drafts and efforts alone and proves nothing about worlds; `rivals.py` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median

from app.modules.quests.auditing.chains import Chains
from app.modules.quests.auditing.entry import Entry, Judged
from app.modules.quests.draft import Draft
from app.modules.quests.generation.generator import Library
from app.modules.quests.planning.facts import View
from app.modules.quests.report import Fault, Found, Weight

HOUR_S = 3_600.0
LEAST_EFFORT_SHARE = 0.5
"""No quest counts as less effort than this share of the usual: whoever walks next door is paid for being asked, too."""


def across(
    library: Library, view: View, entries: Sequence[Entry], chains: Chains, judged: Mapping[int, Judged]
) -> list[Found]:
    """Everything that is wrong between quests as they are written."""
    readable = [(entry, entry.draft) for entry in entries if entry.draft is not None]
    return [
        *_promised_twice(readable),
        *_out_of_budget(view, readable, judged),
        *_loops(library, view, readable, judged),
        *_windows(view, entries, chains),
        *_level_gaps(view, readable),
        *_level_order(entries, chains),
    ]


def _promised_twice(readable: Sequence[tuple[Entry, Draft]]) -> Iterator[Found]:
    """An item is one thing: who is second to promise it has nothing to give, and nor has who promises it again."""
    first: dict[str, Entry] = {}
    for entry, draft in readable:
        for id in draft.reward.items if draft.reward is not None else ():
            if id in first:
                reason = f"it promises {id!r}, which {first[id].key!r} has promised already"
                yield _found(entry, "V7", "promised", reason, (first[id].key,))
            elif draft.repeat_s is not None:
                yield _found(entry, "V7", "promised", f"it can be repeated, and promises {id!r} each time")
            first.setdefault(id, entry)


def _out_of_budget(
    view: View, readable: Sequence[tuple[Entry, Draft]], judged: Mapping[int, Judged]
) -> Iterator[Found]:
    """Rewards far from what the studio pays for such an effort at such a level: the median of the nearest levels."""
    settings = view.settings
    efforts = [each.effort for each in judged.values() if each.effort > 0.0]
    least = LEAST_EFFORT_SHARE * median(efforts) if efforts else 1.0
    for field in ("experience", "coins"):
        paid = [
            (draft.level, getattr(draft.reward, field) / max(least, judged[entry.number].effort), entry)
            for entry, draft in readable
            if draft.reward is not None and getattr(draft.reward, field) and judged[entry.number].effort > 0.0
        ]
        paid.sort(key=lambda row: row[0])
        if len(paid) <= settings.audit_peers_min:
            continue
        half = settings.audit_peers_max // 2
        for at, (level, rate, entry) in enumerate(paid):
            low = max(0, min(at - half, len(paid) - 2 * half - 1))
            usual = median(other for _, other, peer in paid[low : low + 2 * half + 1] if peer is not entry)
            times = rate / usual
            reason = f"{field} for its effort is {times:.2g} times what quests around level {level} pay"
            if times > settings.audit_reward_times_max:
                yield _found(entry, "V7", "budget", reason)
            elif times < 1.0 / settings.audit_reward_times_max:
                yield _found(entry, "V7", "budget", reason, weight="warning")


def _loops(
    library: Library, view: View, readable: Sequence[tuple[Entry, Draft]], judged: Mapping[int, Judged]
) -> Iterator[Found]:
    """Quests that can be repeated at once and pay more than they cost."""
    most = view.settings.audit_repeats_per_hour_max
    for entry, draft in readable:
        if draft.repeat_s is None or draft.reward is None or not judged[entry.number].sound:
            continue
        if draft.repeat_s * most >= HOUR_S:
            continue
        spent = sum(
            view.items[deed[1]].value
            for deed in judged[entry.number].ways[0]
            if deed[0] == "trade" and deed[1] in view.items
        )
        gain = draft.reward.coins - spent
        if gain > 0 or draft.reward.experience:
            often = f"every {draft.repeat_s:g} s" if draft.repeat_s else "at once"
            reason = (
                f"it can be repeated {often} and pays {draft.reward.coins} coins and {draft.reward.experience}"
                f" experience for {spent:g} spent"
            )
            yield _found(entry, "V7", "loop", reason)


def _windows(view: View, entries: Sequence[Entry], chains: Chains) -> Iterator[Found]:
    """Times that are over before they begin, and chains whose later quest ends before an earlier one begins."""
    for entry in entries:
        draft = entry.draft
        if draft is None or draft.until_s is None:
            continue
        if draft.until_s <= draft.from_s:
            yield _found(entry, "V1", "window", f"it ends at {draft.until_s:g} s and begins at {draft.from_s:g} s")
        elif draft.until_s <= view.game_s:
            yield _found(entry, "V1", "window", f"it ended at {draft.until_s:g} s, and now is {view.game_s:g} s")
        else:
            for number in chains.before(entry.number):
                earlier = entries[number].draft
                if earlier is not None and earlier.from_s >= draft.until_s:
                    reason = f"it ends at {draft.until_s:g} s, and what it requires begins at {earlier.from_s:g} s"
                    yield _found(entry, "V1", "window", reason, (entries[number].key,))
                    break


def _level_gaps(view: View, readable: Sequence[tuple[Entry, Draft]]) -> Iterator[Found]:
    """Levels between the first and the last for which there is no quest."""
    levels = sorted({draft.level for _, draft in readable if draft.level})
    for low, high in pairwise(levels):
        if high - low > view.settings.audit_level_gap_max:
            reason = f"there is no quest for levels {low + 1} to {high - 1}"
            yield Found(check="V7", fault="levels", weight="warning", quests=(), reason=reason)


def _level_order(entries: Sequence[Entry], chains: Chains) -> Iterator[Found]:
    """Quests that require one of a higher level."""
    for number in sorted(chains.parents):
        entry = entries[number]
        if entry.draft is None or not entry.draft.level:
            continue
        for parent in chains.parents[number]:
            earlier = entries[parent].draft
            if earlier is not None and earlier.level > entry.draft.level:
                reason = f"it is of level {entry.draft.level} and requires one of level {earlier.level}"
                yield _found(entry, "V7", "levels", reason, (entries[parent].key,), weight="warning")


def _found(
    entry: Entry, check: str, fault: Fault, reason: str, others: tuple[str, ...] = (), *, weight: Weight = "fault"
) -> Found:
    return Found(check=check, fault=fault, weight=weight, quests=(entry.key, *others), reason=reason, where=entry.at())
