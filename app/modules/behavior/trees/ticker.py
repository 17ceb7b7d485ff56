"""The face that compiled and plain ways to run an authored brain have in common, trees and goals alike."""

from __future__ import annotations

from typing import Protocol

from app.modules.behavior.schema import F32, U8
from app.modules.behavior.trees.memory import U32, Memory, Outcome


class Ticker(Protocol):
    """A way to decide: `Slow` at once, `kernels.Fast` when it has been loaded; both give the same bits."""

    @property
    def name(self) -> str:
        """What computes, for the log."""
        ...

    @property
    def loop_rows_max(self) -> int:
        """Rows that take well under a millisecond, so that the loop may do them."""
        ...

    def tick(
        self, obs: F32, mask: U8, handles: U32, memory: Memory, seed: int, number: int, dt_s: float, out: Outcome,
        first: int, last: int,
    ) -> None:  # fmt: skip
        """See Tree.tick."""
        ...
