"""The ports: what modules may ask of engines and stores, without knowing which one answers.

Each protocol here has at least two real implementations, or a real one and the in-process
twin that a test or the embedded default uses.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec
from numpy.typing import NDArray

from app.core.clock import Deadline
from app.core.messages import Change, Event

Arrays = Mapping[str, NDArray[Any]]


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
        """The model file's own metadata, such as its schema fingerprint."""
        ...

    async def run(self, inputs: Arrays, deadline: Deadline) -> Arrays: ...


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of a compiled context, with the trust that its text deserves.

    `system` is ours or the author's, `fact` was asserted by the game server, `player` is data
    that someone typed (never an instruction), `npc` is what an NPC said before.
    """

    trust: Literal["system", "fact", "player", "npc"]
    text: str
    speaker: str = ""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a completion consumed; money in integer nano-dollars (1e-9 USD)."""

    tokens_in: int = 0
    tokens_out: int = 0
    cached_tokens_in: int = 0
    cost_nano_usd: int = 0


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """A request for words: a task by name, the compiled context, and the bounds.

    `scene` is the same context as structured data, for an engine that writes from it without a model.
    `first_token_ms` is how long the caller waits for the first text, where that is less than the deadline.
    """

    task: str
    parts: tuple[Part, ...]
    output_tokens_max: int
    first_token_ms: float | None = None
    seed: int = 0
    tenant: str = ""
    scene: msgspec.Struct | None = None
    schema: Mapping[str, Any] | None = None


class WordsStart(msgspec.Struct, frozen=True, kw_only=True):
    """The provider accepted; `model` is the one that it says it runs."""

    engine: str
    model: str


class WordsDelta(msgspec.Struct, frozen=True, kw_only=True):
    """The next piece of text, never empty."""

    text: str


class WordsEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The provider finished properly; without this event a stream is not a success."""

    reason: Literal["stop", "length", "filtered"]
    usage: Usage


WordsEvent = WordsStart | WordsDelta | WordsEnd


class Words(Engine, Protocol):
    """Something that writes: a cloud provider, a local model, the authored lines.

    The iterator yields one WordsStart, then deltas, then one WordsEnd. Raises EngineDown when the
    stream fails or ends early and DeadlineExceeded when it is late; closing the iterator ends the
    call upstream.
    """

    def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]: ...


class Journal(Protocol):
    """The one way to change a world.

    `append` applies the changes to the world in RAM at once, together with what modules derive from
    them, and returns after they are committed to the database. `key` makes the call idempotent: a
    second call with the same key changes nothing and returns the first call's events.
    Raises NotFound for an unknown world, Invalid or Conflict when a reducer refuses a change (then
    nothing of the call is applied), Overloaded when the writer is full, StoreDown when a commit fails.
    """

    async def append(
        self, tenant: str, world: str, changes: Sequence[Change], *, key: str = "", game_s: float | None = None
    ) -> Sequence[Event]: ...


class WorldMaker(Protocol):
    """Makes worlds, durably."""

    async def create_world(self, tenant: str, world: str) -> bool:
        """True when it was made, False when it was there; raises StoreDown."""
        ...
