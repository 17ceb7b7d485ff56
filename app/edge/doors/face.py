"""What a protocol is to the doors: how it is read, how it is answered whole or in pieces, how it says no.

It knows neither sockets nor credentials, and no one protocol.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

import msgspec

from app.core.errors import Error, Invalid, nearest
from app.core.words import Sampling, Tool, ToolCall, Turn, Usage
from app.edge import encoding

Reason = Literal["stop", "length", "filtered", "tools"]
T = TypeVar("T", bound=msgspec.Struct)
NAME_LENGTH_MAX = 128
"""Characters of a name that a client gives: a model, a player."""
_UNKNOWN = re.compile(r"Object contains unknown field `([^`]{0,64})")
_PATH = re.compile(r" - at `\$\.?([^`]*)`")

_text = msgspec.json.Encoder()
quoted = _text.encode
"""A text as a JSON string."""


class Misfit(Exception):
    """A request that is at fault, with the field that is: what the vendors call `param`."""

    def __init__(self, error: Error, param: str) -> None:
        super().__init__(error.message)
        self.error = error
        self.param = param


def wrong(param: str, message: str, hint: str) -> Misfit:
    """A field that cannot be what it is."""
    return Misfit(Invalid(f"{param}: {message}", hint=hint), param)


@dataclass(slots=True)
class Asked:
    """A request as every protocol asks it. Zero and empty mean that the client did not say."""

    model: str
    turns: tuple[Turn, ...]
    stream: bool = False
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    schema: dict[str, object] | None = None
    sampling: Sampling = field(default_factory=Sampling)
    output_tokens: int = 0
    seed: int = 0
    player: str = ""
    tells_usage: bool = False
    """Whether a stream ends with what it took, where the protocol leaves that open."""


@dataclass(slots=True)
class Whole:
    """An answer so far; `calls` by the index that the model gave them."""

    id: str
    created_s: int
    model: str = ""
    engine: str = ""
    texts: list[str] = field(default_factory=list)
    calls: dict[int, list[str]] = field(default_factory=dict)
    """Index -> id, name, arguments."""
    reason: Reason = "stop"
    usage: Usage = field(default_factory=Usage)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def called(self) -> tuple[ToolCall, ...]:
        """The calls in their order."""
        return tuple(ToolCall(id=id, name=name, arguments=text) for _, (id, name, text) in sorted(self.calls.items()))


class Writer(Protocol):
    """Writes one stream; each method gives the bytes of its events."""

    def start(self, model: str) -> bytes: ...
    def text(self, text: str) -> bytes: ...
    def call(self, index: int, id: str, name: str, arguments: str) -> bytes: ...
    def end(self, whole: Whole, timing: bytes) -> bytes:
        """The last of it; `timing` is told in a comment, as there is no header any more."""
        ...

    def fail(self, status: int, error: Error) -> bytes: ...


class Face(Protocol):
    """One protocol; stateless."""

    @property
    def verb(self) -> str:
        """How logs and metrics call it, such as `openai.chat`."""
        ...

    @property
    def unpaid_status(self) -> int:
        """The HTTP status of a budget without room."""
        ...

    @property
    def media(self) -> tuple[str, ...]:
        """The media types that are read; empty reads a body of any."""
        ...

    def read(self, body: bytes) -> Asked:
        """The request in a body; raises Misfit, Invalid or Malformed."""
        ...

    def whole(self, whole: Whole) -> bytes: ...
    def writer(self, asked: Asked, whole: Whole) -> Writer: ...
    def refusal(self, status: int, error: Error, param: str = "") -> bytes: ...


def decoded(decoder: msgspec.json.Decoder[T], body: bytes, fields: Sequence[str], what: str) -> T:
    """The body; raises Misfit naming the field that is wrong, and the nearest one to a field that is unknown."""
    try:
        return decoder.decode(body)
    except encoding.UNREADABLE as error:
        found = encoding.refusal(error, body, packed=False, what=what)
        text = str(error)
        path = _PATH.search(text)
        where = path.group(1) if path else ""
        unknown = _UNKNOWN.search(text)
        if unknown is not None:
            name = f"{where}.{unknown.group(1)}" if where else unknown.group(1)
            hint = nearest(unknown.group(1), fields) if not where else "see /openapi.json for what it has"
            raise wrong(name, "there is no such field", hint) from error
        raise Misfit(found, where) from error
