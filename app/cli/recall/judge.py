"""Plays conversations into a memory, asks it every question, and counts how much of the evidence came back.

It knows how recall is counted; how a memory is written and asked stands in one place, `Remembering`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import msgspec
import numpy as np

from app.cli.recall.files import ADVERSARIAL, CATEGORIES, DAY_S, Conversation, Question, Turn
from app.cli.recall.plain import Plain
from app.core.memory import Cue, Recollection
from app.modules.memory.index import Mind, Ranking, Words

DEPTHS = (5, 10, 25)


class Remembering(Protocol):
    """The memory of one NPC that was there all the time."""

    async def note(self, turn: Turn) -> None:
        """Write one turn down."""
        ...

    async def recall(self, question: str, most: int) -> list[str]:
        """The ids of the turns that come to mind, best first."""
        ...


Open = Callable[[Conversation], AbstractAsyncContextManager[Remembering]]
"""Makes a fresh memory for a conversation; the whole of what differs between the index alone and a server."""


class Recall(msgspec.Struct, frozen=True, kw_only=True):
    """How much evidence was found among the first k, as the mean over `questions`, in percent, ours and the peer's."""

    questions: int
    ours: dict[int, float]
    plain: dict[int, float]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The recall over all that counts and by category, and how long one recall took, in milliseconds."""

    total: Recall
    categories: dict[str, Recall]
    recall_p50_ms: float
    recall_p95_ms: float
    conversations: int
    turns: int


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    category: int
    ours: tuple[float, ...]
    plain: tuple[float, ...]
    taken_ms: float


class InMind:
    """The index alone, without a server around it."""

    def __init__(self, mind: Mind) -> None:
        self._mind = mind
        self._now_s = 0.0

    async def note(self, turn: Turn) -> None:
        self._now_s = turn.at_s
        self._mind.add(memory(turn))

    async def recall(self, question: str, most: int) -> list[str]:
        found = self._mind.rank(Cue(text=question), now_s=self._now_s + DAY_S, day_s=DAY_S, most=most)
        return [each.id for each in found]


def memory(turn: Turn) -> Recollection:
    """A turn as an NPC that listened remembers it."""
    return Recollection(
        id=turn.id, seq=0, text=turn.words, source="told_by", told_by=turn.speaker, speaker=turn.speaker,
        thread=turn.session, game_s=turn.at_s,
    )  # fmt: skip


def in_mind(ranking: Ranking, words: Words | None) -> Open:
    """Memories in an index alone."""

    @asynccontextmanager
    async def opened(_: Conversation) -> AsyncIterator[InMind]:
        yield InMind(Mind(ranking, words))

    return opened


async def judge(
    conversations: Sequence[Conversation], open: Open, *, with_adversarial: bool = False, tick: Callable[[], object]
) -> Verdict:
    """Play and ask everything; `tick` is called after every question. Adversarial ones count only where it says so."""
    answers: list[_Answer] = []
    for conversation in conversations:
        plain = Plain(conversation.turns)
        async with open(conversation) as remembering:
            for turn in conversation.turns:
                await remembering.note(turn)
            for question in conversation.questions:
                answers.append(await _asked(remembering, plain, question))
                tick()
    taken = [answer.taken_ms for answer in answers] or [0.0]
    counted = [answer for answer in answers if with_adversarial or answer.category != ADVERSARIAL]
    return Verdict(
        total=_recall(counted),
        categories=dict(_by_category(answers)),
        recall_p50_ms=float(np.percentile(taken, 50)),
        recall_p95_ms=float(np.percentile(taken, 95)),
        conversations=len(conversations),
        turns=sum(len(conversation.turns) for conversation in conversations),
    )


async def _asked(remembering: Remembering, plain: Plain, question: Question) -> _Answer:
    began = time.perf_counter()
    ours = await remembering.recall(question.text, DEPTHS[-1])
    taken_ms = (time.perf_counter() - began) * 1e3
    peer = plain.recall(question.text, DEPTHS[-1])
    return _Answer(
        category=question.category, ours=_shares(ours, question), plain=_shares(peer, question), taken_ms=taken_ms
    )


def _shares(found: list[str], question: Question) -> tuple[float, ...]:
    wanted = set(question.evidence)
    return tuple(len(wanted & set(found[:depth])) / len(wanted) for depth in DEPTHS)


def _by_category(answers: Sequence[_Answer]) -> Iterator[tuple[str, Recall]]:
    for number, name in CATEGORIES.items():
        within = [answer for answer in answers if answer.category == number]
        if within:
            yield name, _recall(within)


def _recall(answers: Sequence[_Answer]) -> Recall:
    def mean(which: Callable[[_Answer], tuple[float, ...]]) -> dict[int, float]:
        values = np.array([which(answer) for answer in answers] or [tuple(0.0 for _ in DEPTHS)])
        return {depth: 100.0 * float(values[:, at].mean()) for at, depth in enumerate(DEPTHS)}

    return Recall(questions=len(answers), ours=mean(lambda each: each.ours), plain=mean(lambda each: each.plain))
