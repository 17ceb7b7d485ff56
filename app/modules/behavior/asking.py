"""One tick before the policy: what its workers write, chunk by chunk, and what of it counts when time is up.

It knows the arrays of a tick; who asks the network and who decides for the other rows is in `brains.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.core.errors import EngineDown
from app.core.ports import Arrays
from app.modules.behavior.logic import Choice, Flag, Taste
from app.modules.behavior.memory import Memory
from app.modules.behavior.passes import Look, Passes
from app.modules.behavior.schema import F32, U8
from app.modules.behavior.steering import steered

MENDED = int(Flag.NOT_FINITE | Flag.OUTSIDE | Flag.ROLELESS)
"""Flags of rows whose values have to be changed before anyone decides over them."""


@dataclass(frozen=True, slots=True)
class Question:
    """A tick as the brains see it: clean rows, or with a `look` rows that nobody has looked at."""

    obs: F32
    mask: U8
    taste: Taste
    importance: F32 | None = None
    """(n,) whom the policy decides for first when it cannot decide for all; None: in the order of the rows"""
    bonus: F32 | None = None
    """(n, intents) what authors and squads add, in utilities"""
    memory: Memory | None = None
    """What a recurrent policy remembers of this world's NPCs; None: nothing."""
    look: Look | None = None

    def at(self, rows: NDArray[np.intp]) -> Question:
        """The same for these rows alone, which are clean."""
        importance = None if self.importance is None else self.importance[rows]
        bonus = None if self.bonus is None else self.bonus[rows]
        return Question(self.obs[rows], self.mask[rows], self.taste.at(rows), importance, bonus, self.memory)


@dataclass(slots=True, eq=False)
class Asked:
    """Room for the policy's decisions over a question of `intents` intents and `slots` slots."""

    question: Question
    passes: Passes
    led: NDArray[np.intp]
    intents: int
    slots: int
    outputs: Arrays = field(default_factory=dict)
    """The network's, once the first chunk has come."""
    done: list[tuple[int, int, int, int]] = field(default_factory=list)
    """Chunks that are decided: first and last row, how many are not sound, their flags together."""
    sound: U8 = field(init=False)
    _room: tuple[U8, U8, F32] = field(init=False)

    def __post_init__(self) -> None:
        rows = len(self.question.obs)
        self.sound = np.zeros(rows, np.uint8)
        self._room = np.empty(rows, np.uint8), np.empty(rows, np.uint8), np.empty(rows, np.float32)

    def after(self, first: int, last: int, outputs: Arrays) -> None:
        """Look at a chunk and decide over it, in the worker that has just computed its scores.

        Both lie in that worker's cache. Of rows that turn out to need mending nothing will count.
        """
        question, look, choice, self.outputs = self.question, self.question.look, self.over(outputs), outputs
        obs, mask, taste = question.obs, question.mask, question.taste
        seen = 0
        if look is not None:
            seen = self.passes.survey(obs, mask, taste.handles, look.known, look.flags, first, last)
        if question.bonus is not None:
            choice.scores[first:last] = steered(choice.scores[first:last], question.bonus[first:last], sharpness=1.0)
        unsound = self.passes.choose(obs, mask, taste, self.led, 1.0, choice, self.sound, first, last)
        self.done.append((first, last, unsound, seen))

    def stands(self) -> tuple[NDArray[np.bool_], int]:
        """Which rows are decided (n,), and the flags seen in all of them together.

        Decided is a row whose chunk is done, whose scores are sound and whose values need no mending.
        """
        done, look, seen = tuple(self.done), self.question.look, 0
        rows = unsound = 0
        for first, last, odd, flags in done:
            rows, unsound, seen = rows + last - first, unsound + odd, seen | flags
        if rows == len(self.sound) and not unsound and not seen & MENDED:
            return np.ones(rows, np.bool_), seen
        found = np.zeros(len(self.sound), np.bool_)
        for first, last, _, _ in done:
            found[first:last] = self.sound[first:last] != 0
            if look is not None:
                found[first:last] &= (look.flags[first:last] & MENDED) == 0
        return found, seen

    def over(self, outputs: Arrays) -> Choice:
        """Everyone's decisions over these outputs; raises EngineDown when they are of another shape."""
        logits: F32 = outputs["logits"]
        if logits.shape != (len(self.sound), self.intents + self.slots) or logits.dtype != np.float32:
            raise EngineDown(f"the policy gave {logits.shape!r} {logits.dtype}", hint="check the model's catalog entry")
        return Choice(*self._room, logits[:, : self.intents], logits[:, self.intents :])
