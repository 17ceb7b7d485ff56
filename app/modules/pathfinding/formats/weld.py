"""Vertices that engines export more than once, made one again, so that polygons join at their edges.

It knows points; it does not know polygons.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

WELD_UNITS = 0.001
"""Vertices closer than this on every axis become one: a millimeter where a unit is a meter."""

I64 = NDArray[np.int64]


def weld(vertices: NDArray[np.float64]) -> I64:
    """For each vertex the first one that it is the same as, (vertices,) int64; chains of near ones are one.

    Two points at most WELD_UNITS apart on an axis share an interval of twice that length on one of two
    lattices that are shifted by half; so all eight choices of lattices together find every near pair.
    """
    count = len(vertices)
    first = np.arange(count)
    intervals = [[_ranks(vertices[:, axis], shift) for shift in (0.0, 0.5)] for axis in range(3)]
    while True:
        before = first
        for choice in itertools.product((0, 1), repeat=3):
            x, y, z = (intervals[axis][lattice] for axis, lattice in enumerate(choice))
            first = _joined(first, _groups((x * count + y), z, count))
        if np.array_equal(before, first):
            return first


def _ranks(values: NDArray[np.float64], shift: float) -> I64:
    """The interval of each value on a lattice, as its rank among those that occur."""
    ranks: I64 = np.unique(np.floor(values / (2.0 * WELD_UNITS) + shift), return_inverse=True)[1]
    return ranks


def _groups(xy: I64, z: I64, count: int) -> I64:
    """One number, below `count`, for each pair of ranks that occurs."""
    plane: I64 = np.unique(xy, return_inverse=True)[1]
    groups: I64 = np.unique(plane * count + z, return_inverse=True)[1]
    return groups


def _joined(first: I64, groups: I64) -> I64:
    """The vertices' firsts after all members of a group take the least first among them."""
    least = np.full(len(first), len(first))
    np.minimum.at(least, groups, first)
    joined: I64 = least[groups]
    again: I64 = joined[joined]
    return again
