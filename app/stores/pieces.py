"""A state's msgpack in small pieces, the same bytes as its encoding whole.

A large state takes a tenth of a second to encode in one call, which would hold the interpreter all the while. It
knows how msgpack begins a map, and nothing of where the bytes go.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from app.world.state import State

SLICE_BYTES = 16_384
"""About how much is encoded before another thread may have the interpreter; well under a tenth of a millisecond."""

state_encoder = msgspec.msgpack.Encoder()


def parts_of(state: State, part_bytes: int) -> Iterator[bytes]:
    """The encoded state in parts of `part_bytes`, the last one shorter."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces_of(state):
        waiting.append(piece)
        size += len(piece)
        if size >= part_bytes:
            joined = b"".join(waiting)
            whole = size - size % part_bytes
            for start in range(0, whole, part_bytes):
                yield joined[start : start + part_bytes]
            waiting, size = [joined[whole:]], size - whole
    if size:
        yield b"".join(waiting)


def pieces_of(state: State) -> Iterator[bytes]:
    """The bytes of `state_encoder.encode(state)`, in pieces that are each quickly made."""
    yield _map_head(len(State.__struct_fields__))
    for name in State.__struct_fields__:
        value = getattr(state, name)
        yield state_encoder.encode(name)
        if name == "saves":
            yield _map_head(len(value))
            for slot, save in value.items():
                yield state_encoder.encode(slot)
                yield from pieces_of(save)
        elif isinstance(value, dict):
            yield _map_head(len(value))
            yield from _slices_of(value)
        else:
            yield state_encoder.encode(value)


def _slices_of(table: dict[str, Any]) -> Iterator[bytes]:
    """The entries, a slice at a time; a slice grows and shrinks to stay near SLICE_BYTES."""
    entries, count = iter(table.items()), 1
    while some := dict(islice(entries, count)):
        piece = state_encoder.encode(some)
        yield piece[len(_map_head(len(some))) :]
        if len(piece) < SLICE_BYTES:
            count *= 2
        elif count > 1:
            count //= 2
        time.sleep(0)  # hands the interpreter to whoever waits for it


def _map_head(entries: int) -> bytes:
    """How msgpack begins a map: one byte up to 15 entries, three up to 65,535, then five."""
    if entries < 16:
        return bytes([0x80 | entries])
    if entries < 1 << 16:
        return b"\xde" + entries.to_bytes(2, "big")
    return b"\xdf" + entries.to_bytes(4, "big")
