"""The proofs of an audit, spread over processes. The report is the same in any number of them.

Each process builds the module's library and the world once; quests that hang together stay in one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TypeVar

import msgspec

from app.modules.quests.auditing import audit
from app.modules.quests.auditing.audit import Proving, silent, worlds
from app.modules.quests.auditing.chains import Chains, chained
from app.modules.quests.auditing.entry import Entry, Judged
from app.modules.quests.auditing.judge import Judge
from app.modules.quests.auditing.rivals import Pair, pairs, rivals
from app.modules.quests.module import load_library
from app.modules.quests.report import Found, Report
from app.modules.quests.settings import Settings
from app.world.state import State

T = TypeVar("T")
PIECES_PER_JOB = 16
"""Pieces of work for each process, so that one with hard quests delays nobody."""


@dataclass(frozen=True, slots=True)
class Work:
    """What every process needs to know."""

    state: State
    settings: Settings
    start: str
    entries: tuple[Entry, ...]
    chains: Chains


class _Worker:
    """One process's share of an audit."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.judge = Judge(load_library(), work.state, work.settings, start=work.start)

    def groups(self, groups: Sequence[Sequence[int]]) -> list[Judged]:
        entries, chains = self.work.entries, self.work.chains
        return [each for group in groups for each in self.judge.group(entries, chains, group, lambda: None)]

    def rivals(self, asked: Sequence[Pair], judged: dict[int, Judged]) -> list[tuple[Pair, Found]]:
        pasts = worlds(self.judge, self.work.entries, self.work.chains, judged)
        return rivals(self.judge, self.work.entries, pasts, asked, lambda: None)


_worker: list[_Worker] = []
"""This process's own, once it has begun."""


def _begin(state: bytes, settings: Settings, start: str, entries: tuple[Entry, ...], chains: Chains) -> None:
    _worker[:] = [_Worker(Work(msgspec.msgpack.decode(state, type=State), settings, start, entries, chains))]


def _groups(groups: Sequence[Sequence[int]]) -> list[Judged]:
    return _worker[0].groups(groups)


def _rivals(asked: Sequence[Pair], judged: dict[int, Judged]) -> list[tuple[Pair, Found]]:
    return _worker[0].rivals(asked, judged)


def audited(
    state: State,
    settings: Settings,
    entries: tuple[Entry, ...],
    *,
    start: str = "",
    jobs: int = 1,
    extra: Sequence[Found] = (),
    proving: Proving = silent,
) -> Report:
    """The report on all entries in the world of `state`; `extra` is what was found while they were read."""
    work = Work(state, settings, start, entries, chained(entries))
    here = _Worker(work)
    if jobs <= 1:
        return audit.audited(here.judge, entries, extra=extra, proving=proving)
    judge, chains = here.judge, work.chains
    with _pool(work, jobs) as pool:
        judged = _judged(pool, work, jobs, proving("quests", len(chains.order)))
        asked, more = pairs(judge, entries, chains, judged, pairs_max=settings.audit_pairs_max)
        shut_out = _shut_out(pool, work, jobs, asked, judged, proving("rivals", len(asked)))
    return audit.reported(judge, entries, chains, judged, [*extra, *shut_out, *(audit.capped(judge) if more else ())])


@contextmanager
def _pool(work: Work, jobs: int) -> Iterator[ProcessPoolExecutor]:
    begin = msgspec.msgpack.encode(work.state), work.settings, work.start, work.entries, work.chains
    # Fresh processes: a fork of one that has threads may hang.
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_begin, initargs=begin)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _judged(pool: ProcessPoolExecutor, work: Work, jobs: int, told: Callable[[], None]) -> dict[int, Judged]:
    waiting = [pool.submit(_groups, piece) for piece in _pieces(work.chains.groups(), jobs)]
    judged: dict[int, Judged] = {}
    for done in as_completed(waiting):
        for each in done.result():
            judged[each.number] = each
            told()
    return judged


def _shut_out(
    pool: ProcessPoolExecutor,
    work: Work,
    jobs: int,
    asked: Sequence[Pair],
    judged: dict[int, Judged],
    told: Callable[[], None],
) -> list[Found]:
    waiting = {}
    for piece in _pieces(asked, jobs):
        needed = {number for pair in piece for number in work.chains.before(pair.number)}
        waiting[pool.submit(_rivals, piece, {number: judged[number] for number in needed})] = piece
    found: dict[Pair, Found] = {}
    for done in as_completed(waiting):
        found |= dict(done.result())
        for _ in waiting[done]:
            told()
    return [found[pair] for pair in asked if pair in found]


def _pieces(things: Sequence[T], jobs: int) -> list[Sequence[T]]:
    """About as many in each as make `PIECES_PER_JOB` for each process."""
    size = max(1, len(things) // (jobs * PIECES_PER_JOB))
    return [things[at : at + size] for at in range(0, len(things), size)]
