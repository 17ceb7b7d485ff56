"""Which quest comes after which: the graph of prerequisites, its faults, and the groups that hang together.

It knows ids alone, nothing of worlds or proofs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from app.core.errors import nearest
from app.modules.quests.auditing.entry import Entry
from app.modules.quests.report import Fault, Found


@dataclass(frozen=True, slots=True)
class Chains:
    """The prerequisites that can be followed: entries by number, each after those that it requires."""

    order: tuple[int, ...]
    place: Mapping[int, int]
    """Number -> its position in `order`."""
    parents: Mapping[int, tuple[int, ...]]
    """Number -> those it requires, in the draft's order; what is unknown or in a circle is left out."""
    lost: frozenset[int]
    """Those that can never be started because they are in a circle or require what is not there."""
    found: tuple[Found, ...]

    def before(self, number: int) -> tuple[int, ...]:
        """Everything that comes before, in order."""
        seen: dict[int, None] = {}
        queue = list(self.parents[number])
        for each in queue:
            if each not in seen:
                seen[each] = None
                queue.extend(self.parents[each])
        return tuple(sorted(seen, key=self.place.__getitem__))

    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The quests that hang together by prerequisites, each group in order; they can be judged apart."""
        root = {number: number for number in self.order}

        def find(number: int) -> int:
            while root[number] != number:
                root[number] = root[root[number]]
                number = root[number]
            return number

        for number in self.order:
            for parent in self.parents[number]:
                one, other = sorted((find(number), find(parent)))
                root[other] = one
        groups: dict[int, list[int]] = {}
        for number in self.order:
            groups.setdefault(find(number), []).append(number)
        return tuple(tuple(groups[key]) for key in sorted(groups))


def chained(entries: Sequence[Entry]) -> Chains:
    """The graph over every draft that could be read; ids that are there twice stand for the first of them."""
    numbers: dict[str, int] = {}
    found: list[Found] = []
    for entry in entries:
        if entry.draft is None:
            continue
        if entry.key in numbers:
            found.append(_twice(entry, entries[numbers[entry.key]]))
        numbers.setdefault(entry.key, entry.number)
    parents: dict[int, tuple[int, ...]] = {}
    lost: set[int] = set()
    unreadable = {entry.key for entry in entries if entry.draft is None}
    for entry in entries:
        if entry.draft is None:
            continue
        known = dict.fromkeys(id for id in entry.draft.requires if id in numbers)
        strange = [id for id in entry.draft.requires if id not in numbers]
        parents[entry.number] = tuple(numbers[id] for id in known)
        if strange:
            lost.add(entry.number)
            found.append(_strange(entry, strange, numbers, unreadable))
    for circle in _circles(parents):
        lost.update(circle)
        names = [entries[number].key for number in circle]
        way = " → ".join((*names, names[0]))
        for number in circle:
            parents[number] = tuple(parent for parent in parents[number] if parent not in circle)
            first = [entries[number].key, *(name for name in names if name != entries[number].key)]
            found.append(_found(entries[number], "cycle", f"prerequisites wait for each other: {way}", first))
    order = tuple(TopologicalSorter({number: parents[number] for number in sorted(parents)}).static_order())
    place = {number: at for at, number in enumerate(order)}
    return Chains(order=order, place=place, parents=parents, lost=frozenset(lost), found=tuple(found))


def _circles(parents: Mapping[int, tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The strongly connected parts of more than one quest, or of one that requires itself (Tarjan 1972, unrolled)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: dict[int, None] = {}
    circles: list[tuple[int, ...]] = []
    for root in sorted(parents):
        if root in index:
            continue
        work = [(root, iter(parents[root]))]
        index[root] = low[root] = len(index)
        stack[root] = None
        while work:
            node, rest = work[-1]
            following = next(rest, None)
            if following is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    part = _popped(stack, node)
                    if len(part) > 1 or node in parents[node]:
                        circles.append(tuple(sorted(part)))
            elif following not in index:
                index[following] = low[following] = len(index)
                stack[following] = None
                work.append((following, iter(parents[following])))
            elif following in stack:
                low[node] = min(low[node], index[following])
    return sorted(circles)


def _popped(stack: dict[int, None], node: int) -> list[int]:
    part: list[int] = []
    while not part or part[-1] != node:
        part.append(stack.popitem()[0])
    return part


def _twice(entry: Entry, first: Entry) -> Found:
    beside = f" at {first.where}" if first.where else ""
    return _found(entry, "twice", f"the id {entry.key!r} is that of another quest{beside}", [entry.key])


def _strange(entry: Entry, strange: list[str], numbers: Mapping[str, int], unreadable: set[str]) -> Found:
    gone = [id for id in strange if id in unreadable]
    if len(gone) == len(strange):
        reason = f"requires {', '.join(map(repr, gone))}, which cannot be read"
        return Found(
            check="V1", fault="never", weight="follows", quests=(entry.key, *gone), reason=reason, where=entry.where
        )
    reason = f"requires no known quest: {', '.join(map(repr, strange))}"
    near = {id: nearest(id, numbers) for id in strange}
    return Found(
        check="V1", fault="unknown", weight="fault", quests=(entry.key,), reason=reason, nearest=near, where=entry.where
    )


def _found(entry: Entry, fault: Fault, reason: str, quests: Sequence[str]) -> Found:
    return Found(check="V1", fault=fault, weight="fault", quests=tuple(quests), reason=reason, where=entry.where)
