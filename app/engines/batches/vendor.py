"""What a vendor's batches have in common: lines sent, looked at, read and priced. It knows no vendor's SDK."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import msgspec

from app.core.errors import EngineDown
from app.core.words import Completion, ToolCall, Usage
from app.engines.providers.provider import ANSWER, Body, Provider, Reason

LINE = "line-{row}"
STREAMED = ("stream", "stream_options")
"""What a body has for a stream alone."""
OVER_ALREADY = (400, 409)
"""What a vendor answers who is asked to cancel what is over, or is being cancelled."""


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer to one line, priced."""

    text: str
    calls: tuple[ToolCall, ...]
    reason: Reason
    model: str
    usage: Usage


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the results; None where the vendor gave no answer."""

    row: int
    answered: Answered | None


class Vendor(Protocol):
    """The batches of one engine. Methods raise EngineDown."""

    engine: str

    def most(self, completion: Completion) -> Usage:
        """The most that a line can cost."""
        ...

    async def send(self, id: str, completions: Sequence[Completion]) -> str:
        """Hand the lines in; returns the vendor's id."""
        ...

    async def over(self, remote: str) -> bool:
        """Whether no more will come."""
        ...

    def results(self, remote: str, completions: Sequence[Completion]) -> AsyncGenerator[Read]:
        """What came of each line, when it is over."""
        ...

    async def cancel(self, remote: str) -> None: ...
    async def close(self) -> None: ...


def body_of(provider: Provider, completion: Completion) -> Body:
    """What the engine would have sent, whole instead of streamed."""
    return {key: value for key, value in provider.body(completion).items() if key not in STREAMED}


def most_of(provider: Provider, completion: Completion) -> Usage:
    """The most that a line can cost in a batch."""
    return _shared(provider, provider.most(completion))


def priced(provider: Provider, served: str, usage: Usage, *, cache_written: int = 0) -> Usage:
    """The usage at the batches' share of the price of the model that was served."""
    cost = provider.price(served).cost_nano_usd(usage, cache_written=cache_written)
    return _shared(provider, msgspec.structs.replace(usage, cost_nano_usd=cost), served)


def _shared(provider: Provider, usage: Usage, served: str = "") -> Usage:
    share = provider.price(served or provider.model).batch_share
    return msgspec.structs.replace(usage, cost_nano_usd=-(-usage.cost_nano_usd * round(share * 1_000) // 1_000))


def row_of(key: str, rows: int) -> int | None:
    """The row that a line's id names; None for one that is none of ours."""
    _, _, number = key.rpartition("-")
    row = int(number) if number.isdecimal() and len(number) < 9 else -1
    return row if 0 <= row < rows and key == LINE.format(row=row) else None


def answer_of(
    completion: Completion, text: str, calls: Sequence[ToolCall], reason: Reason, model: str, usage: Usage
) -> Answered:
    """An answer; the call of the tool that stands for a schema's answer is its text."""
    held = [call for call in calls if completion.schema is not None and call.name == ANSWER]
    own = tuple(call for call in calls if call not in held)
    if held:
        text, reason = held[0].arguments, "tools" if own else "stop"
    return Answered(text=text, calls=own, reason=reason, model=model, usage=usage)


UNREADABLE = (msgspec.DecodeError, UnicodeError, AttributeError, TypeError, ValueError)
"""What reading junk ends in: the vendors' SDKs build their objects without checking them."""


@contextmanager
def mapped(engine: str, *errors: type[Exception]) -> Iterator[None]:
    """A vendor's errors as ours. Its own text is left out of the message: it may quote the key."""
    import httpx2

    failures: tuple[type[Exception], ...] = (*errors, httpx2.HTTPError)
    try:
        yield
    except failures as error:
        status = getattr(error, "status_code", None)
        told = f"answered {status}" if status else f"cannot be reached ({type(error).__name__})"
        raise EngineDown(f"the batches of {engine} {told}", failure="server" if status else "unreachable") from error
    except UNREADABLE as error:
        raise EngineDown(f"the batches of {engine} cannot be read", failure="incomplete") from error
