"""What the cloud engines share: a context as a provider's messages, a stream of server-sent events, usage guesses.

It knows the trust of each part and the SSE framing. It does not know any vendor's SDK, model or price.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeVar

import msgspec

from app.core.clock import Deadline
from app.core.errors import DeadlineExceeded, EngineDown
from app.core.words import Completion, Part

EVENT_BYTES_MAX = 1 << 20
"""Bytes of one server-sent event; a provider that sends more is cut off."""
CHARACTERS_PER_TOKEN_MAX = 24
"""A stream that writes more characters than its token limit times this does not keep the limit."""

FRAME_TOKENS_MAX = 64
"""Roles, delimiters and separators that a provider and `render` put around one message."""

T = TypeVar("T")


class Turn(NamedTuple):
    """One message of a conversation; `state` is what the game says between the lines."""

    role: Literal["user", "assistant", "state"]
    text: str


class Rendered(NamedTuple):
    """A context for a provider: the head is its system prompt, the same from line to line."""

    head: str
    turns: tuple[Turn, ...]


def render(parts: Sequence[Part]) -> Rendered:
    """Parts as messages: leading system and fact parts are the head, player text stands between delimiters.

    The delimiters are made of signs that are taken out of the text, so nothing in it can close them.
    """
    spoken = next((row for row, part in enumerate(parts) if part.trust in ("player", "npc")), len(parts))
    at = min(spoken, max(len(parts) - 2, 1))  # the last two are the present moment, which changes every line
    head = "\n\n".join(part.text for part in parts[:at])
    turns = [_turn(part) for part in parts[at:]]
    return Rendered(head, tuple(turns) or (Turn("state", "Speak."),))


def _turn(part: Part) -> Turn:
    match part.trust:
        case "player":
            speaker = part.speaker.translate(_SIGNS).replace('"', "'")
            return Turn("user", f'<player_speech from="{speaker}">\n{part.text.translate(_SIGNS)}\n</player_speech>')
        case "npc":
            return Turn("assistant", part.text)
        case _:
            return Turn("state", part.text)


_SIGNS = str.maketrans({"<": "‹", ">": "›"})


async def within(waiting: Awaitable[T], deadline: Deadline, what: str) -> T:
    """Await under the deadline; raises DeadlineExceeded naming `what`."""
    try:
        async with asyncio.timeout(deadline.left_s()):
            return await waiting
    except TimeoutError as error:
        raise DeadlineExceeded(f"{what} was late") from error


async def events(pieces: AsyncIterator[bytes], deadline: Deadline, what: str) -> AsyncGenerator[bytes]:
    """The `data` of each server-sent event (WHATWG HTML, section 9.2); event names and comments are skipped.

    Raises DeadlineExceeded when the next piece is late and EngineDown when one event is too large.
    """
    held = bytearray()
    data: list[bytes] = []
    while True:
        piece = await within(anext(pieces, None), deadline, what)
        if piece is None:
            return
        held += piece
        *lines, rest = bytes(held).split(b"\n")
        held = bytearray(rest)
        for line in lines:
            stripped = line.rstrip(b"\r")
            if stripped.startswith(b"data:"):
                data.append(stripped[5:].removeprefix(b" "))
            elif not stripped and data:
                yield b"\n".join(data)
                data = []
        if len(held) + sum(map(len, data)) > EVENT_BYTES_MAX:
            raise EngineDown(f"{what} sent an event of more than {EVENT_BYTES_MAX} bytes")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that a provider asks to wait (RFC 9110, 10.2.3, in seconds), None where it does not say."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        if 0.0 <= seconds < float("inf"):
            return seconds
    return None


def written_max(completion: Completion) -> int:
    """Characters after which a stream is no longer believed to keep its token limit."""
    return completion.output_tokens_max * CHARACTERS_PER_TOKEN_MAX


def tokens_most(completion: Completion) -> int:
    """Tokens that a prompt cannot pass: a token is at least a byte, and each message has a frame around it."""
    texts = [text.translate(_SIGNS) for part in completion.parts for text in (part.text, part.speaker)]
    schema = len(msgspec.json.encode(completion.schema)) if completion.schema is not None else 0
    written = sum(len(text.encode("utf-8", "replace")) for text in texts)
    return written + schema + FRAME_TOKENS_MAX * (len(completion.parts) + 1)


def tokens_guess(text: str) -> int:
    """Tokens in `text` when the provider never said: one for every three bytes of UTF-8, which errs high."""
    return (len(text.encode("utf-8", "replace")) + 2) // 3
