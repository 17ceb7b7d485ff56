"""What was decided lately, so that it can be explained; bounded, in RAM, per world.

Ticks are kept as the arrays they were, newest last. It knows no brain.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.modules.behavior.leads import Led
from app.modules.behavior.logic import Choice, Taste
from app.modules.behavior.schema import F32, U8


@dataclass(frozen=True, slots=True)
class Decision:
    """One NPC's row of a tick."""

    tick: int
    schema: str
    obs: F32
    mask: U8
    intent: int
    target: int
    """The slot."""
    target_handle: int | None
    """Who is in it, where that is known."""
    confidence: float
    scores: F32
    taste: F32
    bonus: F32 | None
    """(intents,) what steering added, in utilities; the scores hold it"""
    rung: str
    remembered: F32 | None = None
    """(width,) what a recurrent policy knew of the NPC"""
    handle: int = 0
    led: Led | None = None
    """The authored brain that decided, with the NPC's row alone."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A tick as it was decided."""

    tick: int
    schema: str
    handles: NDArray[np.uint32]
    obs: F32
    mask: U8
    taste: Taste
    choice: Choice
    slot_handles: NDArray[np.uint32] | None
    """(n, slots) who was in them, where the request said it"""
    rung_of: U8
    rungs: tuple[str, ...]
    bonus: F32 | None = None
    """(n, intents) see Question"""
    remembered: F32 | None = None
    """(n, width) see Answer"""
    led: tuple[Led, ...] = ()
    """What authored brains decided of it."""


@dataclass(slots=True)
class _Shelf:
    ticks: deque[Kept] = field(default_factory=deque)
    rows: int = 0


class Recent:
    """The last `rows_max` decisions of each of the last `worlds_max` worlds."""

    def __init__(self, *, rows_max: int, worlds_max: int) -> None:
        self._rows_max, self._worlds_max = rows_max, worlds_max
        self._shelves: OrderedDict[tuple[str, str], _Shelf] = OrderedDict()

    def keep(self, tenant: str, world: str, kept: Kept) -> None:
        """Remember a tick and let go of the oldest; the newest is kept whatever its size."""
        shelf = self._shelves.setdefault((tenant, world), _Shelf())
        self._shelves.move_to_end((tenant, world))
        shelf.ticks.append(kept)
        shelf.rows += len(kept.handles)
        while shelf.rows > self._rows_max and len(shelf.ticks) > 1:
            shelf.rows -= len(shelf.ticks.popleft().handles)
        while len(self._shelves) > self._worlds_max:
            self._shelves.popitem(last=False)

    def last(self, tenant: str, world: str, handle: int) -> Decision | None:
        """The newest decision of one NPC, or None; of an NPC that stands twice in a tick, the later row."""
        shelf = self._shelves.get((tenant, world))
        for kept in reversed(shelf.ticks if shelf is not None else ()):
            rows = np.flatnonzero(kept.handles == handle)
            if len(rows):
                return _row(kept, int(rows[-1]))
        return None


def _row(kept: Kept, row: int) -> Decision:
    choice, target = kept.choice, int(kept.choice.targets[row])
    known = kept.slot_handles is not None and target < kept.slot_handles.shape[1]
    return Decision(
        tick=kept.tick, schema=kept.schema, obs=kept.obs[row], mask=kept.mask[row], intent=int(choice.intents[row]),
        target=target, target_handle=int(kept.slot_handles[row, target]) if known else None,  # type: ignore[index]  # `known` says it is there
        confidence=float(choice.confidence[row]), scores=choice.scores[row], taste=kept.taste.of(row, row + 1)[0],
        bonus=None if kept.bonus is None else kept.bonus[row],
        rung=kept.rungs[int(kept.rung_of[row])],
        remembered=None if kept.remembered is None else kept.remembered[row],
        handle=int(kept.handles[row]), led=next((one for led in kept.led if (one := led.of(row)) is not None), None),
    )  # fmt: skip
