"""The passes over a tick's rows as one face, and the slow way to do them: numpy, ready at once.

`kernels.Fast` is the other way; it takes over when `module.warm` has loaded it, and gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.modules.behavior import logic
from app.modules.behavior.considerations import Rules
from app.modules.behavior.logic import Choice, Taste
from app.modules.behavior.schema import F32, U8, Schema

Columns = NDArray[np.intp]


@dataclass(slots=True, eq=False)
class Look:
    """What is wrong with the rows of a tick that nobody has looked at: the pass that reads them first finds out."""

    known: int
    """Handles below this name an NPC."""
    flags: U8
    """(n,) see logic.Flag; for whoever looks to write"""
    mend: Callable[[], F32]
    """The observations with values in range, once `flags` are there; for any thread."""
    seen: int = 0
    """All flags together, 0 when every row is fine."""


class Passes(Protocol):
    """Each works on rows `first` to `last` and writes there alone, so that threads may share a tick.

    Matrices are C-contiguous and aligned, except a choice's scores and aim in `choose`.
    """

    @property
    def name(self) -> str:
        """What computes, for the log."""
        ...

    @property
    def loop_rows_max(self) -> int:
        """Rows of `choose` or `weigh` that take well under a millisecond, so that the loop may do them."""
        ...

    def survey(
        self, obs: F32, mask: U8, handles: NDArray[np.uint32], known: int, flags: U8, first: int, last: int
    ) -> int:
        """Write what is wrong with each row (see logic.Flag); returns all flags together."""
        ...

    def choose(
        self, obs: F32, mask: U8, taste: Taste, led: Columns, sharpness: float,
        choice: Choice, sound: U8, first: int, last: int,
    ) -> int:  # fmt: skip
        """Write the decisions over `choice.scores` and `choice.aim`; returns how many rows are not sound.

        Sound (1) is a row whose scores are finite and whose role is one of the columns `led` (empty: any).
        """
        ...

    def weigh(self, obs: F32, choice: Choice, first: int, last: int) -> None:
        """Write the utilities of all intents and the scores of all slots into `choice`."""
        ...


class Slow:
    """The passes in numpy."""

    name = "numpy"
    loop_rows_max = 1_024

    def __init__(self, schema: Schema, rules: Rules) -> None:
        self._schema, self._rules = schema, rules

    def survey(
        self, obs: F32, mask: U8, handles: NDArray[np.uint32], known: int, flags: U8, first: int, last: int
    ) -> int:
        rows = slice(first, last)
        flags[rows] = logic.survey(self._schema, obs[rows], mask[rows], handles[rows], known)
        return int(np.bitwise_or.reduce(flags[rows], initial=0))

    def choose(
        self, obs: F32, mask: U8, taste: Taste, led: Columns, sharpness: float,
        choice: Choice, sound: U8, first: int, last: int,
    ) -> int:  # fmt: skip
        rows = slice(first, last)
        scores, aim, seen = choice.scores[rows], choice.aim[rows], obs[rows]
        with np.errstate(invalid="ignore", over="ignore"):  # Rows that are not sound may hold infinities.
            found = logic.choose(
                self._schema, seen, mask[rows], scores, aim, sharpness=sharpness, taste=taste.of(first, last)
            )
        choice.intents[rows], choice.targets[rows] = found.intents, found.targets
        choice.confidence[rows] = found.confidence
        fine: NDArray[np.bool_] = np.asarray(np.isfinite(scores).all(axis=1) & np.isfinite(aim).all(axis=1))
        if len(led):
            fine &= seen[:, led].any(axis=1)
        sound[rows] = fine
        return len(fine) - int(fine.sum())

    def weigh(self, obs: F32, choice: Choice, first: int, last: int) -> None:
        rows = slice(first, last)
        choice.scores[rows] = self._rules.score(obs[rows])
        choice.aim[rows] = logic.nearest_slots(self._schema, obs[rows])
