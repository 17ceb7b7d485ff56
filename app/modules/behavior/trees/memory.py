"""What NPCs remember between ticks of one tree: bits and floats by handle, and the decisions of a tick.

It knows arrays and bytes, not what a bit means.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, nearest
from app.modules.behavior.schema import F32, NONE, U8

U64 = NDArray[np.uint64]
U32 = NDArray[np.uint32]
I16 = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an authored brain answers for n NPCs."""

    status: U8
    """(n,) trees.spots.Status"""
    intents: U8
    """(n,) NONE where the brain is unsure: the next one decides"""
    targets: U8
    """(n,) slot, NONE for none"""
    leaf: I16
    """(n,) number of the node that decided"""

    @classmethod
    def of(cls, rows: int) -> Outcome:
        """Room for `rows` NPCs."""
        nothing = np.full(rows, NONE, np.uint8)
        return cls(np.zeros(rows, np.uint8), nothing, nothing.copy(), np.full(rows, -1, np.int16))


@dataclass(frozen=True, slots=True)
class Moments:
    """The memory of some NPCs at one time, (n, words) and (n, floats)."""

    bits: U64
    floats: F32


def packed(moments: Moments) -> U8:
    """Moments as bytes, a row each: words of bits, then floats, little-endian."""
    bits, floats = moments.bits.astype("<u8"), moments.floats.astype("<f4")
    rows = len(bits)
    parts = (np.ascontiguousarray(each).view(np.uint8).reshape(rows, -1) for each in (bits, floats) if each.shape[1])
    return np.concatenate([np.zeros((rows, 0), np.uint8), *parts], axis=1)


class Memory:
    """Of `capacity` NPCs, 1 at least, by handle; each starts with no bit set and the first values of the keys."""

    def __init__(self, capacity: int, *, bits: int, floats: int, keys: Mapping[str, float], digest: bytes) -> None:
        capacity = max(capacity, 1)
        self._keys = {name: number for number, name in enumerate(keys)}
        self._fresh = np.zeros(floats, np.float32)
        self._fresh[: len(keys)] = list(keys.values())
        self._digest = digest
        self.bits: U64 = np.zeros((capacity, (bits + 63) // 64), np.uint64)
        """(capacity, words)"""
        self.floats: F32 = np.tile(self._fresh, (capacity, 1))
        """(capacity, floats)"""

    @property
    def capacity(self) -> int:
        return len(self.bits)

    @property
    def names(self) -> Collection[str]:
        """The keys of the blackboard."""
        return self._keys.keys()

    @property
    def fresh(self) -> F32:
        """(floats,) what an NPC starts with."""
        return self._fresh

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` NPCs at least, twice the present room or more; nothing is forgotten."""
        more = max(capacity, 2 * self.capacity) - self.capacity
        if capacity > self.capacity:
            self.bits = np.concatenate([self.bits, np.zeros((more, self.bits.shape[1]), np.uint64)])
            self.floats = np.concatenate([self.floats, np.tile(self._fresh, (more, 1))])

    def clear(self, handles: U32) -> None:
        """Let these NPCs start anew; handles beyond the capacity have nothing to forget."""
        known = handles[handles < self.capacity]
        self.bits[known] = 0
        self.floats[known] = self._fresh

    def take(self, handles: U32) -> Moments:
        """A copy of what these NPCs remember now, such as before a tick that is to be explained."""
        known = np.minimum(handles, self.capacity - 1)
        strange = handles >= self.capacity
        bits, floats = self.bits[known], self.floats[known]
        bits[strange], floats[strange] = 0, self._fresh
        return Moments(bits, floats)

    def put(self, handles: U32, rows: U8) -> None:
        """Let these NPCs remember what `packed` made of moments of the same tree; trailing bytes are left out."""
        words, floats = 8 * self.bits.shape[1], 4 * self.floats.shape[1]
        self.bits[handles] = np.ascontiguousarray(rows[:, :words]).view("<u8")
        self.floats[handles] = np.ascontiguousarray(rows[:, words : words + floats]).view("<f4")

    def read(self, handle: int, key: str) -> float:
        """The value of a key."""
        return float(self.floats[handle, self._key(key)])

    def write(self, handles: U32, key: str, value: float) -> None:
        """Set a key of some NPCs, such as an alarm that their squad raised."""
        self.floats[handles[handles < self.capacity], self._key(key)] = value

    def _key(self, name: str) -> int:
        if name not in self._keys:
            raise Invalid(f"the tree has no key {name!r}", hint=nearest(name, self._keys))
        return self._keys[name]

    def snapshot(self) -> bytes:
        """All of it as bytes: the tree's digest, then bits and floats, little-endian."""
        return self._digest + self.bits.astype("<u8").tobytes() + self.floats.astype("<f4").tobytes()

    def restore(self, data: bytes) -> None:
        """Take a snapshot of the same tree; raises Invalid for another tree's."""
        head, row = len(self._digest), 8 * self.bits.shape[1] + 4 * self.floats.shape[1]
        rows = (len(data) - head) // row if row else self.capacity
        if data[:head] != self._digest or (row and len(data) != head + rows * row):
            raise Invalid("the memory is of another tree", hint="clear it, or load the tree that it was taken from")
        split = head + 8 * rows * self.bits.shape[1]
        self.bits = np.frombuffer(data[head:split], "<u8").astype(np.uint64).reshape(rows, self.bits.shape[1])
        self.floats = np.frombuffer(data[split:], "<f4").astype(np.float32).reshape(rows, self.floats.shape[1])
