"""What the stand-in says, before it is put into a vendor's form: words, calls of tools, how it ended, what it used.

It knows what the three protocols have in common; each of them is a `Speaker`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from tests.standin.connection import Seen

Finish = Literal["stop", "length", "filtered", "tools"]
TOKENS_IN = 100
"""Of every prompt, whatever it says."""
CACHED_IN = 64
"""Of those, read from the vendor's cache."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool; `arguments` is JSON text."""

    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request in the words that the protocols share. `choice` is auto, none, required or the name of a tool."""

    model: str
    stream: bool
    tools: tuple[str, ...] = ()
    choice: str = "auto"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said: a word is a token of the output, and so is a call."""

    model: str
    text: str
    calls: tuple[Call, ...] = ()
    finish: Finish = "stop"

    @property
    def pieces(self) -> tuple[str, ...]:
        """The text word by word, the space before each."""
        words = self.text.split(" ") if self.text else []
        return tuple(word if at == 0 else f" {word}" for at, word in enumerate(words))

    @property
    def tokens_out(self) -> int:
        return len(self.pieces) + len(self.calls)


class Speaker(ABC):
    """One answer in one vendor's protocol, streamed or whole. A speaker is used once."""

    unreadable: ClassVar[bytes]
    """An event whose JSON breaks off."""

    def __init__(self, answer: Answer, body: Mapping[str, Any]) -> None:
        self.answer = answer
        self.body = body

    @classmethod
    @abstractmethod
    def asked(cls, seen: Seen) -> Asked:
        """What the request wants."""

    @classmethod
    @abstractmethod
    def wrong(cls, seen: Seen) -> str:
        """What a real provider would refuse in the request; empty where it would answer."""

    @classmethod
    @abstractmethod
    def error(cls, status: int, code: str, message: str) -> dict[str, Any]:
        """The body of a refusal."""

    @abstractmethod
    def opening(self) -> Iterator[bytes]:
        """The events before the first word."""

    @abstractmethod
    def piece(self, text: str) -> bytes:
        """The event of one word."""

    @abstractmethod
    def calls(self) -> Iterator[bytes]:
        """The events of the calls."""

    @abstractmethod
    def closing(self, *, usage: bool) -> Iterator[bytes]:
        """The events of a proper end."""

    @abstractmethod
    def failing(self) -> bytes:
        """The event of an error in mid-stream."""

    @abstractmethod
    def whole(self, text: str, *, finished: bool, usage: bool) -> dict[str, Any]:
        """The answer in one piece, with that much of its text."""


def event(value: Mapping[str, Any], name: str = "") -> bytes:
    """A server-sent event."""
    data = json.dumps(value, separators=(",", ":")).encode()
    return (b"event: %b\n" % name.encode() if name else b"") + b"data: " + data + b"\n\n"


def halves(text: str) -> tuple[str, str]:
    """Text in two pieces, as arguments of a tool arrive."""
    middle = len(text) // 2
    return text[:middle], text[middle:]
