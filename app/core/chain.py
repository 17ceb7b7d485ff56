"""The arithmetic of the audit trail: what an entry's hash covers, how a checkpoint is signed, and where a chain breaks.

An entry's hash is HMAC-SHA-256 over the hash before it and the entry's own bytes (after Schneier and Kelsey, "Secure
Audit Logs to Support Computer Forensics", 1999), so nobody without the key can change, drop, add or swap one unseen.
`details` are hashed as they are stored: where they are ciphertext, losing its key leaves the chain whole. It knows no
database.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

HASH_BYTES = 32
NOTHING = bytes(HASH_BYTES)
"""The hash before the first entry."""
KEY_BYTES_MIN = 32
GAP_MAX = 1_000
"""Entries that may have been taken out with the rest renumbered, and still be called missing."""

Break = Literal["changed", "missing", "inserted", "reordered", "cut", "checkpoint"]


class Keys(NamedTuple):
    """The two keys of a trail, made from one secret."""

    chain: bytes
    checkpoint: bytes

    @classmethod
    def of(cls, secret: bytes) -> Keys:
        """Each key is the secret's HMAC of its purpose, so that neither tells the other."""
        return cls(_hmac(secret, b"innkeeper audit chain 1"), _hmac(secret, b"innkeeper audit checkpoint 1"))


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was done, in its place of a tenant's chain; `seq` counts from 1 without gaps."""

    tenant: str
    seq: int
    id: str
    wall_ms: int
    actor: str
    action: str
    target: str
    details: bytes
    hash: bytes = b""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The chain's hash at `seq`, signed. `base` is where a chain begins whose older entries were cut for their age."""

    tenant: str
    seq: int
    kind: Literal["checkpoint", "base"]
    wall_ms: int
    hash: bytes
    signature: bytes = b""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """The first place where a chain does not hold, and what was done there."""

    seq: int
    kind: Break
    detail: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was found: `entries` were looked at, from `first_seq` to `last_seq`."""

    tenant: str
    entries: int
    first_seq: int
    last_seq: int
    checkpoints: int
    fault: Fault | None = None


def hash_of(key: bytes, before: bytes, entry: Entry, *, seq: int | None = None) -> bytes:
    """The entry's hash after `before`, where it stands or at another `seq`."""
    at = entry.seq if seq is None else seq
    body = (1, entry.tenant, at, entry.id, entry.wall_ms, entry.actor, entry.action, entry.target, entry.details)
    return _hmac(key, before + msgspec.msgpack.encode(body))


def sign(key: bytes, checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with its signature."""
    return msgspec.structs.replace(checkpoint, signature=_signature(key, checkpoint))


def is_signed(key: bytes, checkpoint: Checkpoint) -> bool:
    return hmac.compare_digest(_signature(key, checkpoint), checkpoint.signature)


def _signature(key: bytes, checkpoint: Checkpoint) -> bytes:
    body = (1, checkpoint.kind, checkpoint.tenant, checkpoint.seq, checkpoint.wall_ms, checkpoint.hash)
    return _hmac(key, msgspec.msgpack.encode(body))


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


class Verifier:
    """Follows a chain entry by entry. After the first that does not fit it only gathers what tells what was done."""

    def __init__(self, keys: Keys, tenant: str, checkpoints: Iterable[Checkpoint], *, base: Checkpoint | None) -> None:
        """`checkpoints` are those of the database and of any export; those of other tenants do not matter."""
        self._keys = keys
        self._tenant = tenant
        self._marks: dict[int, list[Checkpoint]] = {}
        self.fault: Fault | None = None
        self._checked = 0
        self._first = 0
        self._entries = 0
        self._suspect: Entry | None = None
        self._found_at = 0
        self._swapped = self._follows = self._dropped = False
        for mark in (*checkpoints, *([base] if base is not None else [])):
            if mark.tenant == tenant:
                self._mark(mark)
        self._before = base.hash if base is not None else NOTHING
        self._last = base.seq if base is not None else 0

    def _mark(self, mark: Checkpoint) -> None:
        if is_signed(self._keys.checkpoint, mark):
            self._marks.setdefault(mark.seq, []).append(mark)
        elif self.fault is None:
            detail = f"the {mark.kind} of entry {mark.seq} is not signed by this server's key"
            self.fault = Fault(seq=mark.seq, kind="checkpoint", detail=detail)

    def feed(self, entry: Entry) -> None:
        """Take the next entry, in the order of `seq`."""
        self._entries += 1
        self._first = self._first or entry.seq
        if self.fault is not None:
            return
        if self._suspect is not None:
            self._gather(self._suspect, entry)
        elif entry.seq != self._last + 1:
            missing = f"{self._last + 1} to {entry.seq - 1}" if entry.seq > self._last + 2 else str(self._last + 1)
            self.fault = Fault(seq=self._last + 1, kind="missing", detail=f"the entries {missing} are not there")
        elif hash_of(self._keys.chain, self._before, entry) != entry.hash:
            self._suspect = entry
        else:
            self._before = entry.hash
            self._compare(entry)
        self._last = entry.seq

    def _compare(self, entry: Entry) -> None:
        for mark in self._marks.get(entry.seq, ()):
            self._checked += 1
            if mark.hash != entry.hash:
                detail = "it hangs together, but it is not the entry that a checkpoint was signed over"
                self.fault = Fault(seq=entry.seq, kind="changed", detail=detail)

    def _gather(self, suspect: Entry, entry: Entry) -> None:
        """What `entry`, further on, tells about the suspect."""
        key = self._keys.chain
        moved = hash_of(key, self._before, entry, seq=suspect.seq)
        if moved in (entry.hash, suspect.hash) and not self._found_at:
            self._found_at = entry.seq
            self._swapped = hash_of(key, moved, suspect, seq=entry.seq) in (suspect.hash, entry.hash)
        if entry.seq != suspect.seq + 1:
            return
        real = hash_of(key, self._before, suspect)
        self._follows = entry.hash in (hash_of(key, suspect.hash, entry), hash_of(key, real, entry))
        self._dropped = any(
            hash_of(key, suspect.hash, entry, seq=entry.seq + gap) == entry.hash for gap in range(1, GAP_MAX + 1)
        )

    def finish(self, *, head_seq: int) -> Verdict:
        """The verdict; `head_seq` is what the database says the newest entry is."""
        if self.fault is None and self._suspect is not None:
            self.fault = self._judged(self._suspect, head_seq)
        newest = max([head_seq, *self._marks])
        if self.fault is None and newest > self._last:
            detail = f"entries up to {newest} were written, and none after {self._last} is there"
            self.fault = Fault(seq=self._last + 1, kind="cut", detail=detail)
        return Verdict(
            tenant=self._tenant,
            entries=self._entries,
            first_seq=self._first,
            last_seq=self._last,
            checkpoints=self._checked,
            fault=self.fault,
        )

    def _judged(self, suspect: Entry, head_seq: int) -> Fault:
        seq = suspect.seq
        if self._found_at > seq + 1 or self._swapped:
            return Fault(seq=seq, kind="reordered", detail=f"what belongs here stands at {self._found_at}")
        if self._found_at or seq > head_seq:
            return Fault(seq=seq, kind="inserted", detail="this server did not write it")
        if self._dropped or self._last < head_seq:
            return Fault(seq=seq, kind="missing", detail="what was written here is gone, and the rest moved up")
        detail = "the next one follows it, so only its own content was changed" if self._follows else "it does not fit"
        return Fault(seq=seq, kind="changed", detail=detail)


class Chains(Protocol):
    """Where the chains are kept. Methods raise StoreDown."""

    async def append(
        self, tenant: str, noted: Sequence[Entry], *, now_ms: int, close: bool = False
    ) -> Checkpoint | None:
        """Write entries, in order, each id once; the checkpoint where one became due, or with `close` at once."""
        ...

    async def tenants(self) -> Sequence[str]:
        """Every tenant that has a chain."""
        ...

    async def page(self, tenant: str, after_seq: int, *, entries_max: int, until_seq: int) -> Sequence[Entry]:
        """The entries that follow `after_seq`, in order."""
        ...

    async def marks(self, tenant: str) -> tuple[int, Sequence[Checkpoint]]:
        """The newest entry's place, and every checkpoint and base, at one moment."""
        ...

    def verifier(self, tenant: str, marks: Sequence[Checkpoint]) -> Verifier:
        """A verifier with the keys of these chains; `marks` may hold exported checkpoints too."""
        ...

    async def cut(self, tenant: str, *, before_ms: int, now_ms: int) -> tuple[int, int]:
        """Delete what a signed checkpoint older than `before_ms` covers: (entries, place of the last of them)."""
        ...
