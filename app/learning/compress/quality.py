"""What a compressed network lost beside the one it came from: decisions, logits, life in the village; and what it won.

Pure measurement. A network's numbers become decisions by its layout: the best allowed intent, then the best target
slot that is open to it, as the server decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.engines.compiler.session import Session
from app.learning.compress.rows import F32, Rows
from app.learning.envs.environment import Brain, Environment
from app.learning.envs.sensing import SLOT_COLUMN
from app.learning.envs.village import AIMS, I8, INTENTS, SLOTS, VILLAGER
from app.learning.scorecard import MEASURES, NPCS, Interval, Life

SCORE_SEED = 40_009
"""Villages of the scorecard: neither those of training nor those that calibrate."""
HALF_WIDTHS = 2.576
"""Standard errors to each side: the five measures hold together at 95 % (Bonferroni)."""


@dataclass(frozen=True)
class Layout:
    """How outputs are read: `intents` first, then target slots, if there are any."""

    intents: int
    aims: NDArray[np.bool_]
    """(intents, slots) which slots each may aim at"""
    open_columns: tuple[int, ...]
    """(slots,) features above 0 where the slot holds someone"""

    @cached_property
    def outputs(self) -> int:
        return self.intents + len(self.open_columns)

    def open_slots(self, intents: NDArray[np.integer], obs: F32) -> NDArray[np.bool_]:
        """(n, slots) what each row's intent may aim at."""
        found: NDArray[np.bool_] = self.aims[intents] & (obs[:, list(self.open_columns)] > 0.0)
        return found

    def decide(self, logits: F32, rows: Rows) -> tuple[I8, I8]:
        """(n, outputs) -> intents and slots (n,) int8, a slot of -1 for none."""
        intents = np.where(rows.mask != 0, logits[:, : self.intents], -np.inf).argmax(axis=1)
        if not self.open_columns:
            return intents.astype(np.int8), np.full(len(logits), -1, np.int8)
        open_slots = self.open_slots(intents, rows.obs)
        slots = np.where(open_slots, logits[:, self.intents :], -np.inf).argmax(axis=1)
        return intents.astype(np.int8), np.where(open_slots.any(axis=1), slots, -1).astype(np.int8)

    def brain(self, session: Session) -> Brain:
        """The network as it is served."""
        return lambda obs, mask: self.decide(session.run(obs), Rows(obs, mask))


BEHAVIOR = Layout(
    len(INTENTS),
    np.array([[slot in aims for slot in range(SLOTS)] for aims in AIMS]),
    tuple(SLOT_COLUMN + 4 * slot + 2 for slot in range(SLOTS)),
)


def plain(outputs: int) -> Layout:
    """Of a network that is not the village's: all outputs are intents, none aims."""
    return Layout(outputs, np.zeros((outputs, 0), np.bool_), ())


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """How far one network's answers are from another's over `rows` rows."""

    rows: int
    agreement: float
    """Share of rows with the same legal decision: intent and slot."""
    agreement_half: float
    """Half-width of its 95 % interval (Wald)."""
    intent_agreement: float
    error_max: float
    error_mean: float
    """Of the logits, in their own unit."""


def loss(how: Layout, found: F32, wanted: F32, rows: Rows) -> Loss:
    """`found` beside `wanted`, both (n, outputs)."""
    (intents, slots), (intents_then, slots_then) = how.decide(found, rows), how.decide(wanted, rows)
    same = (intents == intents_then) & (slots == slots_then)
    share = float(same.mean())
    error = np.abs(found - wanted)
    return Loss(
        rows=len(same), agreement=round(share, 5),
        agreement_half=round(1.96 * float(np.sqrt(max(share * (1.0 - share), 1e-12) / len(same))), 5),
        intent_agreement=round(float((intents == intents_then).mean()), 5),
        error_max=round(float(error.max()), 4), error_mean=round(float(error.mean()), 5),
    )  # fmt: skip


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of the scorecard for both, and their difference paired by village."""

    found: float
    wanted: float
    difference: Interval

    @property
    def word(self) -> str:
        """What the compiled network is: better, worse or even."""
        return self.difference.word

    @property
    def text(self) -> str:
        gap = f"{self.difference.mean:+.3f} ± {self.difference.half:.3f}"
        return f"{self.found:.3f} against {self.wanted:.3f}, {gap}, {self.word}"


Lives = dict[str, NDArray[np.float64]]


def lives(brain: Brain, rules: Brain, *, villages: int, steps: int) -> Lives:
    """Every measure per village of a brain that leads all people while the rules lead the wild."""
    people = Environment(villages, NPCS, SCORE_SEED).village.role <= VILLAGER
    return Life(villages, SCORE_SEED, steps, rules, [(brain, people)]).measures()


def gaps(found: Lives, wanted: Lives) -> dict[str, Gap]:
    """Measure -> both means and their paired difference."""
    card = {}
    for name in MEASURES:
        each = found[name] - wanted[name]
        half = HALF_WIDTHS * float(each.std(ddof=1)) / float(np.sqrt(len(each)))
        card[name] = Gap(
            found=round(float(found[name].mean()), 4), wanted=round(float(wanted[name].mean()), 4),
            difference=Interval(round(float(each.mean()), 4), round(half, 4)),
        )  # fmt: skip
    return card
