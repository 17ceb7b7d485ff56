"""The lines in the process: bounded by entries and bytes, the least recently used out first, forgotten by tag.

A purge raises the tag's number, and a line is good while no tag of it was purged after the line was begun; so a purge
costs the same whatever it hits, and reaches lines that are still being written.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from app.core.clock import Clock
from app.engines.responses.keys import EVERYTHING, PLAYER
from app.engines.responses.lines import Line

Key = tuple[str, str]
"""Tenant, and the exact key of the request."""


@dataclass(slots=True)
class _Held:
    line: Line
    until_s: float
    mark: int
    """Purges of its tags after this one forget it."""
    size_bytes: int


@dataclass(slots=True)
class Shelf:
    """The lines of one request."""

    held: list[_Held] = field(default_factory=list)
    made: int = 0
    """Lines that were written for it, equal ones too."""
    asked_s: float = float("-inf")
    """When the shared cache was asked last."""
    turn: int = 0
    """Counts who is nobody in particular, so that they hear each line in turn."""


class Near:
    """Shelves by tenant and key."""

    def __init__(self, *, clock: Clock, entries_max: int, bytes_max: int, purges_max: int) -> None:
        self._clock = clock
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._purges_max = purges_max
        self._shelves: OrderedDict[Key, Shelf] = OrderedDict()
        self._persons: dict[tuple[str, str], set[str]] = {}
        """Tenant and tag of a person -> the exact keys under which something was written for them."""
        self._purged: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._purges = 0
        self._forgotten = 0
        """Number of the newest purge that is no longer remembered by tag; what is as old is not trusted."""
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._shelves)

    def mark(self) -> int:
        """The number of the newest purge: give it back with the line that is begun now."""
        return self._purges

    def purge(self, tenant: str, tag: str) -> None:
        """Forget every line of the tenant with the tag, those that are being written too."""
        self._purges += 1
        self._purged[tenant, tag] = self._purges
        self._purged.move_to_end((tenant, tag))
        if len(self._purged) > self._purges_max:
            self._forgotten = self._purged.popitem(last=False)[1]

    def purged(self, tenant: str, tags: Iterable[str], mark: int) -> bool:
        """Whether any of the tags was purged after `mark`."""
        if mark == self._purges:
            return False
        if mark < self._forgotten or self._purged.get((tenant, EVERYTHING), 0) > mark:
            return True
        return any(self._purged.get((tenant, tag), 0) > mark for tag in tags)

    def shelf(self, key: Key) -> Shelf | None:
        """What is kept for the request, without what is over; None where nothing is known."""
        shelf = self._shelves.get(key)
        if shelf is None:
            return None
        self._shelves.move_to_end(key)
        now_s = self._clock.monotonic_s()
        for held in shelf.held:
            if held.until_s <= now_s or self.purged(key[0], held.line.tags, held.mark):
                self._tidy(key, shelf, now_s)
                break
        return shelf

    def open(self, key: Key) -> Shelf:
        """As `shelf`, a new one where there is none."""
        shelf = self.shelf(key)
        if shelf is None:
            shelf = self._shelves[key] = Shelf()
            self._shrink()
        return shelf

    def put(self, key: Key, line: Line, *, until_s: float, mark: int) -> bool:
        """Keep a line that was begun at `mark`; whether it is new and kept."""
        if self.purged(key[0], line.tags, mark):
            return False
        shelf = self.open(key)
        same = next((held for held in shelf.held if held.line.id == line.id), None)
        if same is not None:
            same.until_s = max(same.until_s, until_s)
            return False
        size_bytes = line.size_bytes()
        if size_bytes > self._bytes_max:
            return False
        shelf.held.append(_Held(line, until_s, mark, size_bytes))
        self.size_bytes += size_bytes
        for tag in line.tags:
            if tag.startswith(PLAYER):
                self._persons.setdefault((key[0], tag), set()).add(key[1])
        self._shrink()
        return True

    def lines(self) -> int:
        """How many lines there are, some of which may be over."""
        return sum(len(shelf.held) for shelf in self._shelves.values())

    def erase(self, tenant: str, tag: str) -> None:
        """Let go of the lines of a person, which are not to wait in memory for somebody who asks."""
        now_s = self._clock.monotonic_s()
        for exact in tuple(self._persons.get((tenant, tag), ())):
            self._tidy((tenant, exact), self._shelves[tenant, exact], now_s)

    def _tidy(self, key: Key, shelf: Shelf, now_s: float) -> None:
        for held in tuple(shelf.held):
            if held.until_s <= now_s or self.purged(key[0], held.line.tags, held.mark):
                self._drop(key, shelf, held)
        if not shelf.held:
            shelf.made = 0

    def _drop(self, key: Key, shelf: Shelf, held: _Held) -> None:
        shelf.held.remove(held)
        self.size_bytes -= held.size_bytes
        for tag in held.line.tags:
            exacts = self._persons.get((key[0], tag))
            if exacts is not None and not any(tag in other.line.tags for other in shelf.held):
                exacts.discard(key[1])
                if not exacts:
                    del self._persons[key[0], tag]

    def _shrink(self) -> None:
        while len(self._shelves) > self._entries_max or self.size_bytes > self._bytes_max:
            key, shelf = next(iter(self._shelves.items()))
            for held in tuple(shelf.held):
                self._drop(key, shelf, held)
            del self._shelves[key]
