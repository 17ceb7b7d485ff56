"""Response curves as arrays: what steering and schedules share with the utility brain's considerations.

It knows curves and columns; what their products decide is its callers' matter. Pure numpy, no chance, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.modules.behavior.considerations import Curve
from app.modules.behavior.schema import F32, Schema

HALF = np.float32(0.5)
"""A product over this holds."""


@dataclass(frozen=True, slots=True)
class Curves:
    """C curves, laid out."""

    columns: NDArray[np.intp]
    """(C,) feature columns"""
    start: F32
    """(C,) where each is 0, encoded"""
    slope: F32
    """(C,) one over its width"""
    power: F32
    """(C,)"""

    def heights(self, obs: F32) -> F32:
        """Every curve's height for every row: (n, features) -> (C, n) float32 in [0, 1]."""
        found: F32 = np.take(obs.T, self.columns, axis=0)
        found -= self.start[:, None]
        found *= self.slope[:, None]
        np.clip(found, 0.0, 1.0, out=found)
        bent = np.flatnonzero(self.power != 1.0)
        if len(bent):
            found[bent] **= self.power[bent, None]
        return found


def lay_out(curves: Sequence[Curve], schema: Schema, where: str) -> Curves:
    """The curves as arrays; raises Invalid, beginning with `where`, for an unknown feature or a curve without width."""
    columns, start, slope = [], [], []
    for curve in curves:
        try:
            column = schema.column(curve.feature)
        except Invalid as error:
            raise Invalid(f"{where}: {error.message}", hint=error.hint) from error
        feature = schema.features[column]
        begin, end = feature.encode(curve.start), feature.encode(curve.end)
        if not np.isfinite([begin, end, curve.power]).all() or begin == end:
            raise Invalid(f"{where} has a curve of {curve.feature!r} without width", hint="let from and to differ")
        columns.append(column)
        start.append(begin)
        slope.append(1.0 / (end - begin))
    return Curves(
        np.array(columns, np.intp),
        np.array(start, np.float32),
        np.array(slope, np.float32),
        np.array([curve.power for curve in curves], np.float32),
    )
