"""The port to whatever writes: a request for words, the stream that answers it, and what it has cost.

A cloud provider, a local model, the authored lines, and what stands over them (the orchestrator, the response cache)
all implement `Words`. It knows no vendor, no price and no prompt.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import msgspec

from app.core.clock import Deadline
from app.core.ports import Engine


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of a compiled context, with the trust that its text deserves.

    `system` is ours or the author's, `fact` was asserted by the game server, `player` is data
    that someone typed (never an instruction), `npc` is what an NPC said before.
    """

    trust: Literal["system", "fact", "player", "npc"]
    text: str
    speaker: str = ""


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that a model asks for; `arguments` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a conversation that a program keeps itself, sent as it stands.

    `calls` are what the assistant asked for, `call_id` names the call that a `tool` turn answers.
    """

    role: Literal["system", "user", "assistant", "tool"]
    text: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a model may ask to be called; `schema` is the JSON Schema of its arguments."""

    name: str
    description: str = ""
    schema: Mapping[str, Any] = {}
    strict: bool = False


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How the next token is drawn; None leaves it to the model. What a model does not take is not sent."""

    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    effort: str = ""
    """How much a reasoning model thinks, in its vendor's words; empty is what the price table says."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a completion consumed; money in integer nano-dollars (1e-9 USD)."""

    tokens_in: int = 0
    tokens_out: int = 0
    cached_tokens_in: int = 0
    cost_nano_usd: int = 0


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What one engine consumed for one completion; `estimated` where its stream ended before the bill."""

    engine: str
    model: str
    task: str
    usage: Usage
    outcome: str
    estimated: bool
    region: str = ""
    """Where the words were sent; empty for an engine on this machine."""


@dataclass(slots=True)
class Bill:
    """What one request has cost so far. An engine is on it at the moment that it is charged, finished or not."""

    items: list[Spent] = field(default_factory=list)


@dataclass(slots=True)
class Trace:
    """Where the time of one completion went, in milliseconds, and what was decided on the way.

    Whoever stands between the caller and the provider adds its own part; the door shows it as `Server-Timing`.
    """

    queue_ms: float = 0.0
    """Until the request was begun."""
    route_ms: float = 0.0
    """Choosing the variant and reserving its price."""
    cache_ms: float = 0.0
    upstream_ms: float = 0.0
    """From the first call upstream to the first text."""
    stream_ms: float = 0.0
    """From the first text to the end."""
    cache: Literal["off", "miss", "hit"] = "off"
    engine: str = ""
    """Who wrote the last of the text."""
    variant: str = ""
    region: str = ""
    """Where the words were sent; empty for this machine."""
    falls: list[str] = field(default_factory=list)
    """Why each engine that was tried before did not finish."""
    turned_down: list[str] = field(default_factory=list)
    """Ways to say it that were not taken since they had gone round of late."""


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """What makes two requests the same to the response cache, beside tenant, task and prompt version.

    `said` is the input that is normalized. `state` are the tags of the world's state that the text depends on
    (`npc:greta`, `quest:q7`): they are part of the key, and purging one of them forgets the text. `scene` is a digest
    of whatever else the text depends on.
    """

    said: str
    persona: str = ""
    rating: str = ""
    language: str = ""
    state: tuple[str, ...] = ()
    scene: str = ""


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """A request for words: a task by name, the compiled context, the bounds, and who it is for.

    What is asked is either `parts`, a context that was compiled here, or `turns`, a conversation that another program
    wrote. `scene` is the same context as structured data, for an engine that writes from it without a model.
    `first_token_ms` is how long the caller waits for the first text, where that is less than the deadline.
    `bill` is told of every engine that was paid, whatever becomes of the line.
    """

    task: str
    parts: tuple[Part, ...] = ()
    turns: tuple[Turn, ...] = ()
    parts_for: Mapping[str, tuple[Part, ...]] = {}
    """The same context within another budget, by the engine that it is for."""
    output_tokens_max: int
    first_token_ms: float | None = None
    seed: int = 0
    tenant: str = ""
    world: str = ""
    npc: str = ""
    player: str = ""
    bill: Bill | None = None
    trace: Trace | None = None
    scene: msgspec.Struct | None = None
    schema: Mapping[str, Any] | None = None
    """The JSON Schema of the answer, where it is data and not speech."""
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    """`auto`, `none`, `required`, or the name of the one tool that must be called."""
    sampling: Sampling = Sampling()
    prompt: str = ""
    """The version of the prompt that the context was rendered from."""
    variant: str = ""
    """The one variant of the task that may write; empty leaves it to the router."""
    prefer: str = ""
    """The variant or engine that is tried first, where there is one of that name; the others stand behind it."""
    keep: Keep | None = None
    """How the response cache knows the request again; without it nothing is kept."""


class WordsStart(msgspec.Struct, frozen=True, kw_only=True):
    """The provider accepted; `model` is the one that it says it runs."""

    engine: str
    model: str


class WordsDelta(msgspec.Struct, frozen=True, kw_only=True):
    """The next piece of text, never empty."""

    text: str


class WordsToolDelta(msgspec.Struct, frozen=True, kw_only=True):
    """The next piece of a call of a tool: the first of an `index` names it, the others add to its arguments."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class WordsEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The provider finished properly; without this event a stream is not a success."""

    reason: Literal["stop", "length", "filtered", "tools"]
    usage: Usage


WordsEvent = WordsStart | WordsDelta | WordsToolDelta | WordsEnd


def fitted(completion: Completion, engine: str) -> Completion:
    """The request with the context that is meant for that engine."""
    parts = completion.parts_for.get(engine)
    return completion if parts is None else msgspec.structs.replace(completion, parts=parts, parts_for={})


def unit_of(completion: Completion) -> str:
    """Whom an experiment gives one of its variants: the player of a world, or the NPC where there is none."""
    return f"{completion.world}/{completion.player or completion.npc}"


class Words(Engine, Protocol):
    """Something that writes: a cloud provider, a local model, the authored lines.

    The iterator yields one WordsStart, then deltas, then one WordsEnd. Raises EngineDown when the
    stream fails or ends early and DeadlineExceeded when it is late; closing the iterator ends the
    call upstream.
    """

    def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]: ...
