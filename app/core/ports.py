"""The ports: what modules may ask of engines and stores, without knowing which one answers.

Each protocol here has at least two real implementations, or a real one and the in-process
twin that a test or the embedded default uses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.clock import Deadline
from app.core.messages import Change, Event

Arrays = Mapping[str, NDArray[Any]]
After = Callable[[int, int, Arrays], None]
"""(first, last, outputs): what is done with rows `first` to `last` of a request's outputs as soon as they are there."""


class Log(Protocol):
    """A bound structured logger: an event name in `noun.past_verb` form, then fields."""

    def debug(self, event: str, **fields: object) -> object: ...
    def info(self, event: str, **fields: object) -> object: ...
    def warning(self, event: str, **fields: object) -> object: ...
    def error(self, event: str, **fields: object) -> object: ...


class EngineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine really is, beside what the profile asked of it."""

    name: str
    kind: str
    state: Literal["ready", "degraded", "missing"]
    asked: tuple[str, ...] = ()
    provider: str = ""
    detail: str = ""
    mend: str = ""


class Engine(Protocol):
    """Something that computes."""

    @property
    def name(self) -> str: ...
    def status(self) -> EngineStatus:
        """What runs now; never blocks."""
        ...

    async def close(self) -> None:
        """Free what the engine holds; safe to call twice."""
        ...


class Network(Engine, Protocol):
    """A neural network: named arrays in, named arrays out.

    Rows are the first axis of every array. The answer for a row does not depend on its neighbors.
    Raises EngineDown when the run fails, DeadlineExceeded when it was shed before it ran.
    """

    @property
    def metadata(self) -> Mapping[str, str]:
        """The own metadata, such as the schema fingerprint, of the model file that answers what comes now.

        `sha256` is the file's hash and `runtime` what runs it, with its version, where the engine has a file;
        `inputs` names what it takes, with commas between.
        """
        ...

    def rows_by(self, deadline: Deadline) -> int:
        """The rows of a request that comes now which would be done by then, as far as is known; never blocks."""
        ...

    async def run(self, inputs: Arrays, deadline: Deadline, *, after: After | None = None) -> Arrays:
        """The outputs of all rows, by the model live now; `after` is called part by part, in threads that compute."""
        ...


class Journal(Protocol):
    """The one way to change a world.

    `append` applies the changes to the world in RAM at once, together with what modules derive from
    them, and returns after they are committed to the database. `key` makes the call idempotent: a
    second call with the same key changes nothing and returns the first call's events; without changes it
    only asks for those. `request` is the digest of what was asked under the key: Conflict when it is another.
    Raises NotFound for an unknown world, Invalid or Conflict when a reducer refuses a change (then
    nothing of the call is applied), Overloaded when the writer is full, StoreDown when the database fails
    for longer than a short outage.
    """

    @property
    def fault(self) -> str:
        """Why nothing can be committed now; empty while it can. Who cannot wait leaves `append` alone then."""
        ...

    async def append(
        self,
        tenant: str,
        world: str,
        changes: Sequence[Change],
        *,
        key: str = "",
        request: bytes = b"",
        game_s: float | None = None,
    ) -> Sequence[Event]: ...


class History(Protocol):
    """What a world's log holds, here or elsewhere. Methods raise StoreDown."""

    async def newest_seq(self, tenant: str, world: str) -> int:
        """The place of the newest committed event; 0 when there is none."""
        ...

    async def events_after(
        self, tenant: str, world: str, seq: int, until_seq: int | None, *, events_max: int
    ) -> Sequence[Event]:
        """The newest `events_max` committed events after `seq`, up to `until_seq` where it is given, in order."""
        ...


class WorldMaker(Protocol):
    """Makes worlds, durably."""

    async def create_world(self, tenant: str, world: str) -> bool:
        """True when it was made, False when it was there; raises StoreDown."""
        ...


class Cache(Protocol):
    """Values that may vanish at any moment, so that nothing may live here alone.

    `get` and `set` never raise: a server that is gone is a miss. `delete` and `purge` raise StoreDown when
    the server has not confirmed them, since a value that was thought erased must not come back unseen.
    A value may be seen by other replicas for a second longer than it lives.
    """

    async def get(self, tenant: str, key: str) -> bytes | None: ...

    async def set(self, tenant: str, key: str, value: bytes, *, ttl_ms: int, tags: Sequence[str] = ()) -> None:
        """Keep `value` for `ttl_ms` (at most a day); one that is over the size bound is not kept."""
        ...

    async def delete(self, tenant: str, key: str) -> None: ...

    async def purge(self, tenant: str, tag: str) -> None:
        """Delete every value of the tenant that was set with `tag`."""
        ...


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to act for `name` until `until_s` on this process's monotonic clock.

    `token` is larger than that of any earlier lease of the name; whoever commits shows it, and whoever
    stores refuses a smaller one than it has seen.
    """

    tenant: str
    name: str
    owner: str
    token: int
    until_s: float


class Places(Protocol):
    """Where worlds live among replicas."""

    def here(self, tenant: str, world: str) -> bool:
        """Whether the world is in this process's memory and still its own; never waits."""
        ...

    async def find(self, tenant: str, world: str) -> str:
        """The address of the replica that owns the world, or empty when it is here or is no world at all.

        A world without a living owner is taken over and loaded first. Raises StoreDown when nobody can tell,
        Unavailable when its owner cannot be reached by an address.
        """
        ...

    async def lives(self, address: str) -> bool:
        """Whether that replica was heard of lately; raises StoreDown when nobody can tell."""
        ...

    async def all(self, tenant: str) -> Sequence[tuple[str, str]]:
        """(world, its owner's address or empty where it is here) of every world of the tenant, by id."""
        ...

    def doubt(self, address: str) -> None:
        """That replica did not answer: look anew whether it lives."""
        ...


class Leases(Protocol):
    """Who owns what among replicas. Every method raises StoreDown when nobody can tell."""

    async def acquire(self, tenant: str, name: str, owner: str, *, ttl_ms: int, above: int = 0) -> Lease | None:
        """A lease, or None while another owner holds it. Its token is larger than `above`, the highest one known."""
        ...

    async def renew(self, lease: Lease, *, ttl_ms: int) -> Lease:
        """The same lease for longer; raises Conflict when it was lost."""
        ...

    async def release(self, lease: Lease) -> None:
        """Give it back; one that was lost already is left alone."""
        ...

    async def holder(self, tenant: str, name: str) -> Lease | None: ...


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What is published: an event's id and its encoded body."""

    id: str
    body: bytes


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """An entry in a member's hands; `place` is its position in the stream, `tries` counts deliveries from 1."""

    entry: Entry
    place: str
    tries: int


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that a group gave up."""

    entry: Entry
    group: str
    tries: int
    reason: str


class Stream(Protocol):
    """Entries in order, each delivered at least once to one member of every group.

    What a member does not acknowledge within the retry time is delivered again, to any member, and after
    too many tries becomes a dead letter; the entries behind it do not wait. Methods raise StoreDown.
    """

    async def publish(self, tenant: str, name: str, entries: Sequence[Entry]) -> None:
        """Append all or none; raises Overloaded when the slowest group lags too far behind."""
        ...

    async def last(self, tenant: str, name: str) -> str | None:
        """The id of the newest entry, acknowledged or not; None for a stream that has none or lost its memory."""
        ...

    async def join(self, tenant: str, name: str, group: str) -> None:
        """Make the group where it is new; it begins with the oldest entry that is kept."""
        ...

    async def read(
        self, tenant: str, name: str, group: str, member: str, *, entries_max: int, wait_ms: int
    ) -> Sequence[Delivery]:
        """The next entries for the member, waiting up to `wait_ms` (5 s at most) for the first one."""
        ...

    async def done(self, tenant: str, name: str, group: str, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge: the group never sees them again."""
        ...

    async def bury(self, tenant: str, name: str, group: str, delivery: Delivery, reason: str) -> None:
        """Acknowledge one as a dead letter."""
        ...

    async def dead(self, tenant: str, name: str, *, entries_max: int) -> Sequence[DeadLetter]:
        """The oldest dead letters of every group."""
        ...

    async def lag(self, tenant: str, name: str, group: str) -> int | None:
        """Entries that the group has not acknowledged, or None where the broker does not tell."""
        ...


class Features(Protocol):
    """Vectors of players and NPCs that events wrote, of one feature view."""

    @property
    def names(self) -> tuple[str, ...]:
        """What each column is."""
        ...

    async def read(
        self, tenant: str, world: str, kind: str, ids: Sequence[str], *, now_s: float
    ) -> NDArray[np.float32]:
        """(ids, features) float32 at the game second `now_s`; a row of NaN for an entity that is not there.

        Raises Invalid for a kind without vectors, NotFound for a world without any, StoreDown.
        """
        ...


class Values(Protocol):
    """Many small values by key on one server, read in one round trip (MGET). Methods raise StoreDown."""

    async def get_many(self, tenant: str, keys: Sequence[str]) -> Sequence[bytes | None]: ...

    async def set_many(self, tenant: str, values: Mapping[str, bytes]) -> None: ...


class Audit(Protocol):
    """Where what people and keys did to a tenant is written down."""

    def note(self, tenant: str, actor: str, action: str, target: str, **details: str | int | bool) -> None:
        """Write that `actor` (`key:PREFIX`, `operator:ID`, `host`) did `action` (`key.created`) to `target`.

        It never waits and never raises; the entry is durable a moment later.
        """
        ...

    async def write(self, tenant: str, actor: str, action: str, target: str, **details: str | int | bool) -> None:
        """As `note`, for what must not be done unseen; returns when the entry is durable.

        Raises StoreDown or Overloaded when it cannot be; then leave it undone.
        """
        ...


class Vault(Protocol):
    """Seals small secrets at rest under keys that the database does not hold."""

    def seal(self, tenant: str, table: str, column: str, key: str, value: bytes) -> bytes:
        """The value for that place alone: opened for any other tenant, column or row it is refused."""
        ...

    def open(self, tenant: str, table: str, column: str, key: str, sealed: bytes) -> bytes:
        """What was sealed for that place; raises Broken when it was changed or moved, or its key is gone."""
        ...
