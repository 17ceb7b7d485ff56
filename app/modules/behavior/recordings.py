"""The file format of recorded play: what a record holds, and how it is written, found again and checked.

A segment is a file of records, each whole in itself: a head in JSON, then arrays as they lie in memory. It knows bytes
and arrays; who writes which ticks where is in `recorder.py` and `scribe.py`, the format for others in
`docs/how-to/learn-from-your-own-play.md`.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.errors import Broken, Malformed, NotFound
from app.modules.behavior.schema import F32, NONE, U8

FORMAT = 1
SUFFIX = ".ikrec"
MAGIC = b"IKRC"
FRAME = struct.Struct("<4sIII")
"""MAGIC, CRC-32 of head and body, bytes of the head, bytes of the body; little-endian."""
ALIGNMENT = 8
HEAD_BYTES_MAX = 1 << 20
BODY_BYTES_MAX = 1 << 30
TYPES = frozenset(("<f4", "<f8", "<u4", "<i4", "<i8", "<i2", "<u2", "|u1", "|i1"))
"""The types that an array of a record may have, in numpy's words."""

Buffers = list[bytes | memoryview]
Arrays = Mapping[str, NDArray[Any]]


class Array(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One array of a record's body; it begins at a multiple of ALIGNMENT bytes."""

    name: str
    type: str
    shape: tuple[int, ...]


class Segment(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="segment"):
    """The first record of every file: whose play it is, and what wrote it."""

    format: int
    tenant: str
    world: str
    wall_ms: int
    npc_share: float
    """Of the NPCs, which were recorded."""
    episode_ticks_max: int
    """Ticks after which other NPCs were drawn."""
    arrays: tuple[Array, ...] = ()


class Context(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="context"):
    """The brains as they were; the ticks that follow name it by its number, counted from 0 in each segment."""

    schema: str
    fingerprint: str
    features: tuple[str, ...]
    intents: tuple[str, ...]
    slots: int
    rungs: tuple[str, ...]
    """What `rung_of` counts, best first."""
    passes: str
    """What computed beside the network: `numpy`, or `numba`."""
    taste_share: float
    model: str = ""
    """The network file's sha256; empty without one."""
    provider: str = ""
    runtime: str = ""
    programs: tuple[str, ...] = ()
    """The authored brains that led somebody: name, "@", digest; `program` counts them."""
    arrays: tuple[Array, ...] = ()


class Tick(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="tick"):
    """A tick of some NPCs. Its arrays have a row for each: see `Played`."""

    context: int
    tick: int
    game_s: float
    wall_ms: int
    seed: int
    """Of the tastes."""
    npcs: int
    """How many were asked for in the tick, recorded or not."""
    dt_s: float = 0.0
    """Game time since the tick before, as trees were told."""
    dropped: int = 0
    """Ticks of this world lost to a full queue since the last one that was recorded."""
    arrays: tuple[Array, ...] = ()


class Feedback(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="feedback"):
    """What came of decisions: arrays `handles` (n,) uint32 and `reward` (n,) float32."""

    tick: int
    reward_kind: str
    ends: bool
    key: str
    digest: str
    """What was asked under the key, as hex."""
    wall_ms: int
    arrays: tuple[Array, ...] = ()


Head = Segment | Context | Tick | Feedback
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Head] = msgspec.json.Decoder(Head)


@dataclass(frozen=True, slots=True)
class Played:
    """A recorded tick. Views of the file, n rows: handles uint32, obs (n, features) float32 as the brains saw it."""

    segment: Segment
    context: Context
    head: Tick
    arrays: Arrays

    @property
    def handles(self) -> NDArray[np.uint32]:
        return self.arrays["handles"]

    @property
    def obs(self) -> F32:
        return self.arrays["obs"]

    @property
    def mask(self) -> U8:
        """(n, intents) uint8, 1 = allowed; packed in the file, eight intents a byte."""
        count = len(self.context.intents)
        return np.unpackbits(self.arrays["mask"], axis=1, count=count, bitorder="little")

    @property
    def bonus(self) -> F32 | None:
        """(n, intents) float32, what authors and squads added, in utilities; None where they added nothing."""
        return self.arrays.get("bonus")

    @property
    def program(self) -> NDArray[np.int16] | None:
        """(n,) int16, which of the context's programs led each NPC, -1 none; None where none led anybody."""
        return self.arrays.get("program")

    @property
    def memory(self) -> U8:
        """(n, bytes) uint8, what that program remembered of each before: words of bits, floats, then zeros."""
        return self.arrays["memory"]

    @property
    def remembered(self) -> F32 | None:
        """(n, width) float32, what a recurrent policy knew of each NPC before the tick; None for all others."""
        return self.arrays.get("remembered")


@dataclass(frozen=True, slots=True)
class Rewarded:
    """Recorded feedback."""

    segment: Segment
    head: Feedback
    arrays: Arrays


def frame(head: Head, arrays: Arrays) -> Buffers:
    """A record as buffers to be written one after another; the arrays themselves are not copied."""
    flat = {name: _little(array) for name, array in arrays.items()}
    listed = tuple(Array(name, array.dtype.str, array.shape) for name, array in flat.items())
    text = _encoder.encode(msgspec.structs.replace(head, arrays=listed))
    text += b" " * (-(FRAME.size + len(text)) % ALIGNMENT)
    body: Buffers = []
    for array in flat.values():
        body.append(array.data.cast("B") if array.size else b"")
        body.append(b"\0" * (-array.nbytes % ALIGNMENT))
    check, size = zlib.crc32(text), 0
    for part in body:
        check, size = zlib.crc32(part, check), size + len(part)
    return [FRAME.pack(MAGIC, check, len(text), size), text, *body]


def _little(array: NDArray[Any]) -> NDArray[Any]:
    found = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    if found.dtype.str not in TYPES:
        raise Broken(f"an array of type {found.dtype.str!r} cannot be recorded", hint=f"use one of {sorted(TYPES)}")
    return found


@dataclass(slots=True)
class Reader:
    """The records of a file, or of all files below a folder, in the order in which they were written.

    What a kill, a power cut or a bad disk left unreadable is passed over and counted.
    """

    path: Path
    lost_bytes: int = 0
    damaged_files: set[str] = field(default_factory=set)

    def files(self) -> list[Path]:
        """The segments, those of one world in their order; raises NotFound when there is none."""
        found = [self.path] if self.path.is_file() else sorted(self.path.rglob(f"*{SUFFIX}"))
        if not found:
            raise NotFound(f"no recording at {str(self.path)!r}", hint=f"name a {SUFFIX} file or a folder of them")
        return found

    def __iter__(self) -> Iterator[Played | Rewarded]:
        for path in self.files():
            if path.stat().st_size:
                yield from self._segment(path)

    def _segment(self, path: Path) -> Iterator[Played | Rewarded]:
        segment: Segment | None = None
        contexts: list[Context] = []
        for at, head, arrays in self._records(path):
            match head:
                case Segment():
                    if head.format != FORMAT:
                        raise Malformed(f"{path.name} has format {head.format!r}", hint=f"this release reads {FORMAT}")
                    segment = head
                case Context():
                    contexts.append(head)
                case Tick() if segment is not None and sound(head, contexts, arrays):
                    yield Played(segment, contexts[head.context], head, arrays)
                case Feedback() if segment is not None and sound_feedback(arrays):
                    yield Rewarded(segment, head, arrays)
                case _:
                    self._lose(path, at, 0)

    def _records(self, path: Path) -> Iterator[tuple[int, Head, Arrays]]:
        """(offset, head, arrays) of each whole record; the arrays are views of the mapped file."""
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        at = 0
        while at < len(data):
            found = whole(data, at)
            if found is None:
                following = data.find(MAGIC, at + 1)
                self._lose(path, at, (following if following >= 0 else len(data)) - at)
                if following < 0:
                    return
                at = following
                continue
            head, arrays, end = found
            yield at, head, arrays
            at = end

    def _lose(self, path: Path, at: int, count: int) -> None:
        self.lost_bytes += count
        self.damaged_files.add(f"{path.name} at byte {at}")


def sound(head: Tick, contexts: Sequence[Context], arrays: Arrays) -> bool:
    """Whether a tick's arrays are those that its context tells of, so that whoever reads it may rely on them."""
    if not 0 <= head.context < len(contexts):
        return False
    context, rows = contexts[head.context], len(arrays.get("handles", ()))
    wanted = {
        "handles": ("<u4", (rows,)), "flags": ("|u1", (rows,)), "rung_of": ("|u1", (rows,)),
        "intents": ("|u1", (rows,)), "targets": ("|u1", (rows,)), "confidence": ("<f4", (rows,)),
        "mask": ("|u1", (rows, -(-len(context.intents) // 8))), "obs": ("<f4", (rows, len(context.features))),
    }  # fmt: skip
    for name, said in wanted.items():
        if name not in arrays or (arrays[name].dtype.str, arrays[name].shape) != said:
            return False
    intents = arrays["intents"]
    named = bool(((intents < len(context.intents)) | (intents == NONE)).all())
    return named and bool((arrays["rung_of"] < len(context.rungs)).all())


def sound_feedback(arrays: Arrays) -> bool:
    """Whether feedback has one reward for each handle."""
    kinds = [(arrays[name].dtype.str, arrays[name].ndim) for name in ("handles", "reward") if name in arrays]
    return kinds == [("<u4", 1), ("<f4", 1)] and len(arrays["handles"]) == len(arrays["reward"])


def whole(data: mmap.mmap | bytes, at: int) -> tuple[Head, Arrays, int] | None:
    """(head, arrays, where the next record begins) of the record at that offset, or None when it is not sound."""
    if len(data) - at < FRAME.size:
        return None
    magic, check, head_size, body_size = FRAME.unpack_from(data, at)
    first, last = at + FRAME.size, at + FRAME.size + head_size + body_size
    if magic != MAGIC or head_size > HEAD_BYTES_MAX or body_size > BODY_BYTES_MAX or last > len(data):
        return None
    view = memoryview(data)[first:last]
    if zlib.crc32(view) != check:
        return None
    try:
        head = _decoder.decode(view[:head_size])
    except msgspec.DecodeError:
        return None
    arrays = _arrays(head.arrays, view[head_size:])
    return None if arrays is None else (head, arrays, last)


def _arrays(listed: Sequence[Array], body: memoryview) -> Arrays | None:
    found: dict[str, NDArray[Any]] = {}
    at = 0
    for item in listed:
        if item.type not in TYPES or any(size < 0 for size in item.shape):
            return None
        count = int(np.prod(item.shape, dtype=object))
        size = count * np.dtype(item.type).itemsize
        if at + size > len(body):
            return None
        found[item.name] = np.frombuffer(body[at : at + size], item.type).reshape(item.shape)
        at += size + -size % ALIGNMENT
    return found


def feedback_keys(path: Path) -> list[tuple[str, str]]:
    """(key, digest) of all feedback with a key in a file, oldest first; other records are stepped over unread."""
    found: list[tuple[str, str]] = []
    if not path.stat().st_size:
        return found
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = 0
        while at >= 0 and len(data) - at >= FRAME.size:
            magic, _, head_size, body_size = FRAME.unpack_from(data, at)
            if magic != MAGIC:
                at = data.find(MAGIC, at + 1)
                continue
            first = at + FRAME.size
            if data[first : first + len(_FEEDBACK)] == _FEEDBACK:
                record = whole(data[at : first + head_size + body_size], 0)
                if record is not None and isinstance(record[0], Feedback) and record[0].key:
                    found.append((record[0].key, record[0].digest))
            at = first + head_size + body_size
    return found


_FEEDBACK = b'{"kind":"feedback"'
