"""From a behavior.decide in any of its forms to arrays, and the raw layout for clients that send matrices.

It checks sizes and ids against the schema and the world; it decides nothing.
"""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, Malformed, TooLarge
from app.modules.behavior.messages import Decide, Decided
from app.modules.behavior.schema import F32, U8, Schema
from app.world.state import World

S = TypeVar("S", bound=np.generic)

UNKNOWN = 0xFFFF_FFFF
"""The handle that stands for an NPC nobody knows."""
HEADER = struct.Struct("<4sHHII")
"""magic, version, flags, NPCs, features: 16 bytes, little-endian."""
MAGIC, VERSION = b"IKBD", 1
WITH_MASK, WITH_TICK = 1, 2
"""Flags: the mask follows the matrix; the tick (u64) follows the header."""


@dataclass(frozen=True, slots=True)
class Tick:
    """What a request asks, as arrays of n rows."""

    number: int
    handles: NDArray[np.uint32]
    """(n,) as sent; UNKNOWN where an id names no NPC"""
    obs: F32
    """(n, features), as sent, C-contiguous and aligned"""
    mask: U8
    """(n, intents)"""


def read(request: Decide, schema: Schema, world: World, *, npcs_max: int) -> Tick:
    """The arrays of a request; raises Invalid or TooLarge when its parts do not fit each other."""
    if request.schema != schema.name:
        raise Invalid(f"schema {request.schema!r} is not known", hint=f"use {schema.name!r}")
    handles = _handles(request, world)
    if len(handles) > npcs_max:
        raise TooLarge(f"{len(handles)} NPCs in one tick, at most {npcs_max}", hint="split the tick into frames")
    obs = _observations(request, schema, len(handles))
    shape = (len(handles), len(schema.intents))
    if not request.mask:
        return Tick(request.tick, handles, obs, np.ones(shape, np.uint8))
    return Tick(request.tick, handles, obs, _matrix(request.mask, np.uint8, shape, "mask"))


def _handles(request: Decide, world: World) -> NDArray[np.uint32]:
    if bool(request.handles) and bool(request.npcs):
        raise Invalid("handles and npcs are both given", hint="send one of them")
    if request.npcs:
        known = world.state.handles
        return np.array([known.get(npc, UNKNOWN) for npc in request.npcs], np.uint32)
    if len(request.handles) % 4:
        raise Invalid(f"handles is {len(request.handles)} bytes long", hint="send 4 bytes (uint32) per NPC")
    return _aligned(np.frombuffer(request.handles, "<u4"))


def _observations(request: Decide, schema: Schema, npcs: int) -> F32:
    forms = {"obs": request.obs, "obs_b64": request.obs_b64, "rows": request.rows, "features": request.features}
    given = [name for name, value in forms.items() if value]
    if npcs and len(given) != 1:
        raise Invalid(f"observations are given as {given!r}", hint="send exactly one of obs, obs_b64, rows, features")
    shape = (npcs, len(schema.features))
    if request.features:
        return _right_count(schema.encode(request.features), shape, "features")
    if request.rows:
        wrong = next((index for index, row in enumerate(request.rows) if len(row) != shape[1]), None)
        if wrong is not None:
            raise Invalid(f"row {wrong} has {len(request.rows[wrong])} values", hint=f"send {shape[1]}: see the schema")
        return _right_count(np.array(request.rows, np.float32), shape, "rows")
    data = request.obs
    if request.obs_b64:
        try:
            data = base64.b64decode(request.obs_b64, validate=True)
        except ValueError as error:
            raise Invalid(
                f"obs_b64 is not base64: {error}", hint="encode the float32 bytes as standard base64"
            ) from error
    return _matrix(data, np.float32, shape, "obs")


def _right_count(rows: F32, shape: tuple[int, int], name: str) -> F32:
    if rows.shape != shape:
        raise Invalid(f"{name} has {len(rows)} rows for {shape[0]} NPCs", hint="send one row per NPC")
    return rows


def _matrix(data: bytes, kind: type[S], shape: tuple[int, int], name: str) -> NDArray[S]:
    size = kind().itemsize
    if len(data) != shape[0] * shape[1] * size:
        raise Invalid(
            f"{name} is {len(data)} bytes long, {shape[0]} NPCs x {shape[1]} x {size} are {shape[0] * shape[1] * size}",
            hint="send the whole matrix, row by row, little-endian",
        )
    return _aligned(np.frombuffer(data, np.dtype(kind).newbyteorder("<")).reshape(shape))


def _aligned(found: NDArray[S]) -> NDArray[S]:
    """The array itself, unless its numbers start at an odd address inside someone's buffer, or end first."""
    return found if found.flags.aligned and found.dtype.isnative else found.astype(found.dtype.newbyteorder("="))


def decode(body: bytes, world: str) -> Decide:
    """The raw layout -> a request: header, tick if flagged, handles, matrix, mask if flagged; raises Malformed."""
    if len(body) < HEADER.size:
        raise Malformed(f"{len(body)} bytes are shorter than the header", hint=f"start with {HEADER.size} bytes")
    magic, version, flags, npcs, features = HEADER.unpack_from(body)
    if magic != MAGIC or version != VERSION:
        raise Malformed(f"magic {magic!r} version {version} is not {MAGIC!r} {VERSION}", hint="see the wire reference")
    at = HEADER.size
    tick = 0
    if flags & WITH_TICK and len(body) >= at + 8:
        tick = int.from_bytes(body[at : at + 8], "little") & ((1 << 62) - 1)
        at += 8
    after_handles = at + 4 * npcs
    after_obs = after_handles + 4 * npcs * features
    if len(body) < after_obs or (len(body) > after_obs and not flags & WITH_MASK):
        raise Malformed(f"{len(body)} bytes do not hold {npcs} NPCs x {features} features", hint="check n and features")
    return Decide(
        world=world, tick=tick, handles=body[at:after_handles], obs=body[after_handles:after_obs], mask=body[after_obs:]
    )


def encode(reply: Decided) -> bytes:
    """A reply in the raw layout: header (features = 4), intents, targets, rungs as n uint8 each, padded, n float32."""
    small = reply.intents + reply.targets + reply.rung_of
    padding = b"\0" * (-len(small) % 4)
    return HEADER.pack(MAGIC, VERSION, 0, reply.npcs, 4) + small + padding + reply.confidence
