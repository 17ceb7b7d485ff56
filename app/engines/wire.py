"""What the engines of words share: a context as messages, waits under a deadline, and guesses of usage.

It knows the trust of each part. It does not know any vendor's protocol, model or price.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Literal, NamedTuple, TypeVar

import msgspec

from app.core.clock import Deadline
from app.core.errors import DeadlineExceeded
from app.core.words import Completion, Part

CHARACTERS_PER_TOKEN_MAX = 24
"""A stream that writes more characters than its token limit times this does not keep the limit."""

FRAME_TOKENS_MAX = 64
"""Roles, delimiters and separators that a provider and `render` put around one message."""
TOOLING_TOKENS_MAX = 1_024
"""What a vendor puts before the conversation where there are tools or a schema."""

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


def written_max(completion: Completion) -> int:
    """Characters after which a stream is no longer believed to keep its token limit."""
    return completion.output_tokens_max * CHARACTERS_PER_TOKEN_MAX


def tokens_most(completion: Completion) -> int:
    """Tokens that a prompt cannot pass: a token is at least a byte, and each message has a frame around it."""
    texts = [text.translate(_SIGNS) for part in completion.parts for text in (part.text, part.speaker)]
    texts += _said(completion)
    written = sum(len(text.encode("utf-8", "replace")) for text in texts)
    frames = len(completion.parts) + 1 + sum(1 + len(turn.calls) for turn in completion.turns) + len(completion.tools)
    tooling = TOOLING_TOKENS_MAX if completion.tools or completion.schema is not None else 0
    return written + _schemas(completion) + FRAME_TOKENS_MAX * frames + tooling


def tokens_probable(completion: Completion) -> int:
    """Tokens of a prompt when the provider never said."""
    texts = [part.text for part in completion.parts] + _said(completion)
    return sum(tokens_guess(text) for text in texts) + _schemas(completion) // 3


def tokens_guess(text: str) -> int:
    """Tokens in `text` when the provider never said: one for every three bytes of UTF-8, which errs high."""
    return (len(text.encode("utf-8", "replace")) + 2) // 3


def _said(completion: Completion) -> list[str]:
    """Every text of the turns, and what names the tools."""
    texts = [text for turn in completion.turns for text in (turn.text, turn.call_id)]
    texts += [text for turn in completion.turns for call in turn.calls for text in (call.id, call.name, call.arguments)]
    return texts + [text for tool in completion.tools for text in (tool.name, tool.description)]


def _schemas(completion: Completion) -> int:
    """Bytes of the schemas of answer and tools."""
    schemas = [tool.schema for tool in completion.tools]
    if completion.schema is not None:
        schemas.append(completion.schema)
    return sum(len(msgspec.json.encode(schema)) for schema in schemas)
