"""Puts records into segment files, one world beside another, and drops the oldest when they are too many.

It runs in one thread of its own and may block; it knows disks, sizes and keys, not the event loop. Which NPCs of
a tick are kept is decided here, because it costs more than a moment.
"""

from __future__ import annotations

import os
import shutil
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Clock
from app.core.errors import Conflict
from app.core.ids import Ids, stable_hash
from app.modules.behavior.logic import Flag, Taste
from app.modules.behavior.recordings import (
    FORMAT,
    SUFFIX,
    Buffers,
    Context,
    Feedback,
    Segment,
    Tick,
    feedback_keys,
    frame,
)  # fmt: skip
from app.modules.behavior.schema import F32, U8
from app.modules.behavior.settings import Recording

NAME_CHARACTERS_MAX = 120
RANKS: F32 = (np.arange(4_096, dtype=np.float32) / np.float32(4_096.0))[:, None]
"""(4096, 1) places in [0, 1) among which a hash puts an NPC."""

Handles = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Moment:
    """A decided tick on its way to the disk; arrays of n rows that nobody changes any more."""

    tenant: str
    world: str
    context: Context
    tick: int
    game_s: float
    wall_ms: int
    seed: int
    dt_s: float
    dropped: int
    flags: U8
    mask: U8
    arrays: Mapping[str, NDArray[Any]]
    """Everything else, by the name that it has in the file; `handles` among them."""

    @property
    def nbytes(self) -> int:
        return self.flags.nbytes + self.mask.nbytes + sum(array.nbytes for array in self.arrays.values())


@dataclass(frozen=True, slots=True)
class Reward:
    """Feedback on its way to the disk: `handles` (n,) with their `reward` (n,) float32."""

    tenant: str
    world: str
    head: Feedback
    handles: Handles
    reward: F32

    @property
    def nbytes(self) -> int:
        return self.handles.nbytes + self.reward.nbytes


@dataclass(slots=True)
class _Book:
    """Where the records of one world go now."""

    tenant: str
    world: str
    folder: Path
    path: Path | None = None
    size: int = 0
    contexts: dict[Context, int] = field(default_factory=dict)
    keys: OrderedDict[str, str] | None = None
    """Key -> what was asked under it; None until the files were looked through."""


class Scribe:
    """Writes below `root`; for one thread."""

    def __init__(self, settings: Recording, root: Path, clock: Clock) -> None:
        self._settings, self._root, self._clock = settings, root, clock
        self._segment_bytes_max = min(settings.segment_bytes_max, max(1, settings.world_bytes_max // 2))
        self._books: OrderedDict[tuple[str, str], _Book] = OrderedDict()
        self._ids, self._named_ms = Ids(), 0
        self._unsynced: set[Path] = set()
        self._fresh: list[tuple[_Book, str]] = []
        """Keys whose feedback is not known to be on the disk."""

    def write(self, moment: Moment) -> None:
        """Record the NPCs of a tick that are drawn; raises OSError."""
        rows = drawn(moment, self._settings)
        if rows is not None and not len(rows):
            return
        arrays = {"flags": moment.flags, "mask": moment.mask, **moment.arrays}
        if rows is not None:
            arrays = {name: array[rows] for name, array in arrays.items()}
        arrays["mask"] = _packed(arrays["mask"])
        book = self._book(moment.tenant, moment.world)
        path = self._turn(book, moment.nbytes)
        number = book.contexts.get(moment.context)
        records: Buffers = []
        if number is None:
            number = book.contexts[moment.context] = len(book.contexts)
            records += frame(moment.context, {})
        head = Tick(
            context=number, tick=moment.tick, game_s=moment.game_s, wall_ms=moment.wall_ms, seed=moment.seed,
            dt_s=moment.dt_s, npcs=len(moment.flags), dropped=moment.dropped,
        )  # fmt: skip
        self._append(book, path, records + frame(head, arrays))

    def reward(self, reward: Reward) -> bool:
        """Record feedback unless its key was used before; whether it is new. Raises Conflict, OSError.

        It is on the disk for good when `sync` has returned.
        """
        book, head = self._book(reward.tenant, reward.world), reward.head
        keys = self._keys(book)
        if head.key in keys:
            if keys[head.key] != head.digest:
                raise Conflict(f"the key {head.key!r} was used for another request", hint="use a new key")
            return False
        path = self._turn(book, reward.nbytes)
        self._append(book, path, frame(head, {"handles": reward.handles, "reward": reward.reward}))
        self._unsynced.add(path)
        if head.key:
            keys[head.key] = head.digest
            self._fresh.append((book, head.key))
            while len(keys) > self._settings.keys_max:
                keys.popitem(last=False)
        return True

    def sync(self, *, all_files: bool = False) -> None:
        """Wait until what was rewarded, with all that stands before it in its file, is on the disk; raises OSError.

        After a failure nothing that was rewarded since the last time counts, and its keys may be used again.
        """
        if all_files:
            self._unsynced |= {book.path for book in self._books.values() if book.path is not None}
        unsynced, self._unsynced = self._unsynced, set()
        fresh, self._fresh = self._fresh, []
        try:
            for path in unsynced:
                if path.exists():
                    _sync(path)
                    _sync(path.parent)
        except OSError:
            for book, key in fresh:
                book.path = None
                if book.keys is not None:
                    book.keys.pop(key, None)
            raise

    def _book(self, tenant: str, world: str) -> _Book:
        book = self._books.get((tenant, world))
        if book is None:
            folder = self._root / folder_name(tenant) / folder_name(world)
            book = self._books[tenant, world] = _Book(tenant, world, folder)
        self._books.move_to_end((tenant, world))
        while len(self._books) > self._settings.worlds_max:
            self._books.popitem(last=False)
        return book

    def _keys(self, book: _Book) -> OrderedDict[str, str]:
        """The newest keys of a world, from its files the first time."""
        if book.keys is None:
            book.keys = OrderedDict()
            for path in sorted(book.folder.glob(f"*{SUFFIX}"), reverse=True):
                for key, digest in reversed(feedback_keys(path)):
                    book.keys.setdefault(key, digest)
                if len(book.keys) >= self._settings.keys_max:
                    break
            book.keys = OrderedDict(reversed(book.keys.items()))
        return book.keys

    def _turn(self, book: _Book, more: int) -> Path:
        """The world's file; a new one where there is none, it was taken away, or it would grow too large."""
        if book.path is not None and book.path.exists():
            if book.size + more <= self._segment_bytes_max:
                return book.path
            _sync(book.path)
        book.path, book.size = None, 0
        book.contexts.clear()
        book.folder.mkdir(parents=True, exist_ok=True)
        self._make_room(book.folder, self._settings.world_bytes_max)
        self._make_room(book.folder.parent, self._settings.tenant_bytes_max)
        self._named_ms = max(self._clock.wall_ms(), self._named_ms + 1)
        path = book.folder / f"{self._ids.new(self._named_ms)}{SUFFIX}"
        head = Segment(
            format=FORMAT, tenant=book.tenant, world=book.world, wall_ms=self._named_ms,
            npc_share=self._settings.npc_share, episode_ticks_max=self._settings.episode_ticks_max,
        )  # fmt: skip
        path.touch(exist_ok=False)
        book.path = path
        self._append(book, path, frame(head, {}))
        return path

    def _append(self, book: _Book, path: Path, records: Buffers) -> None:
        """Add whole records; after a failure the file is left as it is, and the next record begins another."""
        try:
            with path.open("ab") as file:
                for part in records:
                    file.write(part)
        except OSError:
            if book.size == 0:
                path.unlink(missing_ok=True)
            book.path = None
            raise
        book.size += sum(len(part) for part in records)

    def _make_room(self, folder: Path, bytes_max: int) -> None:
        """Drop the oldest files below the folder until another one fits."""
        files = sorted((path.name, path) for path in folder.rglob(f"*{SUFFIX}"))
        sizes = [path.stat().st_size for _, path in files]
        total = sum(sizes) + self._segment_bytes_max
        for (_, path), size in zip(files, sizes, strict=True):
            if total <= bytes_max:
                return
            path.unlink(missing_ok=True)
            total -= size


def drawn(moment: Moment, settings: Recording) -> NDArray[np.intp] | None:
    """The rows to be recorded, None meaning all: known NPCs whose episode was drawn, whatever else is in the tick."""
    known = (moment.flags & Flag.UNKNOWN) == 0
    if settings.npc_share < 1.0:
        episode = moment.tick // max(1, settings.episode_ticks_max)
        seed = stable_hash(moment.tenant, moment.world, "recording", episode)
        rank = Taste(RANKS, seed, moment.arrays["handles"]).of(0, len(known))[:, 0]
        known &= rank < settings.npc_share
    return None if known.all() else np.flatnonzero(known)


def drop_recordings(root: Path, tenant: str) -> None:
    """Delete everything that was recorded of a tenant below `root`; nothing there is nothing to do."""
    folder = root / folder_name(tenant)
    if folder.is_dir():
        shutil.rmtree(folder)


def folder_name(id: str) -> str:
    """An id as the name of a folder, on any system. Quoting never writes '+', so no cut id looks like a whole one."""
    quoted = quote(id, safe=" ").replace(".", "%2E")
    return quoted if len(quoted) <= NAME_CHARACTERS_MAX else f"{quoted[:80]}+{stable_hash(id):016x}"


def _packed(mask: U8) -> U8:
    """(n, intents) -> (n, bytes), eight intents a byte, the first one lowest."""
    return np.packbits(mask != 0, axis=1, bitorder="little")


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows keeps directories by itself.
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
