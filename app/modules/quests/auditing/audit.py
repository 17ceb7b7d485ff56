"""The whole audit in one thread: prerequisites, each quest in its world, rivals, and what shows across all.

Its four parts are functions of their own, so that the command line can spread them over processes; the report is the
same in any number of them. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from app.modules.quests.auditing.across import across
from app.modules.quests.auditing.chains import Chains, chained
from app.modules.quests.auditing.entry import Entry, Judged
from app.modules.quests.auditing.judge import Judge
from app.modules.quests.auditing.past import Past
from app.modules.quests.auditing.rivals import pairs, rivals
from app.modules.quests.report import Found, Report, Row, RowVerdict

WEIGHTS = ("fault", "follows", "warning")
Proving = Callable[[str, int], Callable[[], None]]
"""Is told of each stretch of work and how many proofs it takes; what it gives hears of each, and may raise to stop."""


def silent(_title: str, _total: int) -> Callable[[], None]:
    """Nobody listens."""
    return lambda: None


def audited(
    judge: Judge, entries: Sequence[Entry], *, extra: Sequence[Found] = (), proving: Proving = silent
) -> Report:
    """The report on all entries; `extra` is what was found while they were read."""
    chains = chained(entries)
    told = proving("quests", len(chains.order))
    judged = {each.number: each for group in chains.groups() for each in judge.group(entries, chains, group, told)}
    asked, more = pairs(judge, entries, chains, judged, pairs_max=judge.settings.audit_pairs_max)
    pasts = worlds(judge, entries, chains, judged)
    shut_out = [found for _, found in rivals(judge, entries, pasts, asked, proving("rivals", len(asked)))]
    return reported(judge, entries, chains, judged, [*extra, *shut_out, *(capped(judge) if more else ())])


def worlds(
    judge: Judge, entries: Sequence[Entry], chains: Chains, judged: Mapping[int, Judged]
) -> Callable[[int], Past]:
    """The world before each quest, from the plans of those that come before it."""
    known: dict[tuple[int, ...], Past] = {(): Past()}

    def past_of(number: int) -> Past:
        before = tuple(each for each in chains.before(number) if judged[each].sound)
        if before not in known:
            past = Past()
            for each in before:
                past = judge.played(past, entries[each], judged[each].ways[0])
            known[before] = past
        return known[before]

    return past_of


def capped(judge: Judge) -> tuple[Found, ...]:
    """That not every pair of quests was looked at."""
    reason = f"only {judge.settings.audit_pairs_max} pairs of quests were tried for shutting each other out"
    return (Found(check="V7", fault="search", weight="warning", quests=(), reason=reason),)


def reported(
    judge: Judge, entries: Sequence[Entry], chains: Chains, judged: Mapping[int, Judged], shut_out: Iterable[Found]
) -> Report:
    """Everything in one report, ordered by weight and by the place of the quests in the source."""
    unread = [
        Found(check="V0", fault="unreadable", weight="fault", quests=(entry.key,), reason=entry.fault, where=entry.at())
        for entry in entries
        if entry.draft is None
    ]
    apart = [found for number in sorted(judged) for found in judged[number].found]
    between = across(judge.library, judge.view, entries, chains, judged)
    place: dict[str, int] = {}
    for entry in entries:
        place.setdefault(entry.key, entry.number)
    every = sorted(
        (*unread, *chains.found, *apart, *shut_out, *between),
        key=lambda found: (
            WEIGHTS.index(found.weight),
            place.get(found.quests[0], len(entries)) if found.quests else len(entries),
        ),
    )
    worst: dict[str, Found] = {}
    for found in every:
        if found.quests and found.weight != "warning":
            worst.setdefault(found.quests[0], found)
    rows = tuple(_row(entry, judged.get(entry.number), worst.get(entry.key)) for entry in entries)
    return Report(
        quests=len(entries),
        verdicts=_counted(row.verdict for row in rows),
        checks={
            check: _counted(found.weight for found in every if found.check == check)
            for check in sorted({found.check for found in every})
        },
        rows=rows,
        found=tuple(every),
    )


def _row(entry: Entry, judged: Judged | None, worst: Found | None) -> Row:
    verdict: RowVerdict = "rejected"
    check = worst.check if worst is not None else ""
    if worst is not None and worst.weight == "follows":
        verdict = "blocked"
    elif worst is None and judged is not None and judged.verdict is not None:
        verdict, check = judged.verdict.verdict, judged.verdict.check
    certificate = judged.verdict.certificate if judged is not None and judged.verdict is not None else None
    return Row(
        quest=entry.key,
        title=entry.draft.title if entry.draft is not None else "",
        level=entry.draft.level if entry.draft is not None else 0,
        verdict=verdict,
        check=check,
        fragility=certificate.fragility if certificate is not None else 0.0,
        where=entry.at(),
    )


def _counted(words: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return dict(sorted(counts.items()))
