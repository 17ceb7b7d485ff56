"""The raw layout of behavior.decide, for clients that send matrices without a codec: application/octet-stream.

It cuts bytes apart and puts them together, little-endian; what they mean is in `frames.py`. Version 1 was a header, the
handles, the matrix and a mask at the end; everything newer is behind flags (docs/reference/behavior.md).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag

from app.core.errors import Malformed
from app.modules.behavior.frames import FAULTS
from app.modules.behavior.messages import DEFAULT, Decide, Decided

HEADER = struct.Struct("<4sHHII")
"""magic, version, flags, NPCs, features: 16 bytes"""
SIZES = struct.Struct("<HHHH")
"""intents, candidates of each NPC, numbers of a candidate, bytes of the schema's name"""
ERROR = struct.Struct("<II")
"""row, which fault"""
MAGIC, VERSION = b"IKBD", 1
COLUMNS = 4
"""Columns of a reply: intent, target, rung, confidence."""


class Flag(IntFlag):
    """What a request holds beside handles and matrix, in this order; in a reply, what follows the confidence."""

    MASK = 1
    TICK = 2
    SIZES = 4
    """SIZES and the schema's name follow the tick; needed by the flags below."""
    ARCHETYPES = 8
    IMPORTANCE = 16
    CANDIDATES = 32
    CANDIDATE_HANDLES = 64
    STRICT = 128
    PARAMETERS = 256
    """In a request: they are wanted. In a reply: they follow."""
    ERRORS = 512
    """In a reply alone."""


NEWER = Flag.ARCHETYPES | Flag.IMPORTANCE | Flag.CANDIDATES | Flag.CANDIDATE_HANDLES
KNOWN = int(NEWER | Flag.MASK | Flag.TICK | Flag.SIZES | Flag.STRICT | Flag.PARAMETERS)


@dataclass(slots=True)
class _Cutter:
    """Takes parts from the front of a body; each newer part begins at a multiple of four."""

    body: bytes
    at: int

    def take(self, size: int, what: str) -> bytes:
        end = self.at + size
        if end > len(self.body):
            hint = f"{what} ends at byte {end}; check n, features and flags"
            raise Malformed(f"{len(self.body)} bytes end within {what}", hint=hint)
        found = self.body[self.at : end]
        self.at = end
        return found

    def align(self) -> None:
        self.at = min(len(self.body), self.at + -self.at % 4)


def decode(body: bytes, world: str) -> Decide:
    """The raw layout -> a request; raises Malformed."""
    if len(body) < HEADER.size:
        raise Malformed(f"{len(body)} bytes are shorter than the header", hint=f"start with {HEADER.size} bytes")
    magic, version, flags, npcs, features = HEADER.unpack_from(body)
    if magic != MAGIC or version != VERSION or flags & ~KNOWN:
        raise Malformed(
            f"magic {magic!r} version {version} flags {flags:#x} is not {MAGIC!r} {VERSION} with flags of {KNOWN:#x}",
            hint="see docs/reference/behavior.md",
        )
    if flags & NEWER and not flags & Flag.SIZES:
        raise Malformed(f"flags {flags:#x} lack SIZES", hint=f"set flag {int(Flag.SIZES)} and send the sizes")
    cut = _Cutter(body, HEADER.size)
    tick = int.from_bytes(cut.take(8, "the tick"), "little") & ((1 << 62) - 1) if flags & Flag.TICK else 0
    intents, each, width, name = SIZES.unpack(cut.take(8, "the sizes")) if flags & Flag.SIZES else (0, 0, 0, 0)
    schema = _name(cut.take(name, "the schema's name"))
    cut.align()
    handles, obs = cut.take(4 * npcs, "the handles"), cut.take(4 * npcs * features, "the matrix")
    if not flags & Flag.SIZES:
        mask = cut.take(len(body) - cut.at, "the mask") if flags & Flag.MASK else b""
    else:
        mask = cut.take(npcs * intents, "the mask") if flags & Flag.MASK else b""
    parts = {
        "archetypes": (Flag.ARCHETYPES, npcs),
        "importance": (Flag.IMPORTANCE, 4 * npcs),
        "candidates": (Flag.CANDIDATES, 4 * npcs * each * width),
        "candidate_handles": (Flag.CANDIDATE_HANDLES, 4 * npcs * each),
    }
    newer = dict.fromkeys(parts, b"")
    for part, (flag, size) in parts.items():
        if flags & flag:
            cut.align()
            newer[part] = cut.take(size, part)
    if cut.at != len(body):
        raise Malformed(f"{len(body) - cut.at} bytes are left over", hint="check n, features and flags")
    return Decide(
        world=world, tick=tick, handles=handles, obs=obs, mask=mask, archetypes=newer["archetypes"],
        importance=newer["importance"], candidates=newer["candidates"], candidates_each=min(each, 254),
        candidate_handles=newer["candidate_handles"], strict=bool(flags & Flag.STRICT),
        parameters=bool(flags & Flag.PARAMETERS), schema=schema or DEFAULT,
    )  # fmt: skip


def _name(found: bytes) -> str:
    try:
        return found.decode("ascii")
    except UnicodeDecodeError as error:
        raise Malformed(f"the schema's name is {found!r}", hint="send ASCII") from error


def encode(reply: Decided) -> bytes:
    """A reply: header, intents, targets, rungs as n uint8 each, padded, n float32, then what its flags say."""
    small = reply.intents + reply.targets + reply.rung_of
    padding = b"\0" * (-len(small) % 4)
    flags = (Flag.PARAMETERS if reply.parameters else 0) | (Flag.ERRORS if reply.errors else 0)
    errors = b"".join(ERROR.pack(error.row, FAULTS.index(error.code)) for error in reply.errors)
    return b"".join(
        (HEADER.pack(MAGIC, VERSION, flags, reply.npcs, COLUMNS), small, padding, reply.confidence, reply.parameters,
         errors)
    )  # fmt: skip
