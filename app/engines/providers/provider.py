"""A cloud provider of words: one stream from request to priced end, with every failure mapped.

It knows deadlines, framing, prices and what a vendor's errors have in common. What a request looks
like and what the events mean is the vendor's adapter's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, contextmanager
from typing import Literal, Protocol

import msgspec

from app.core.clock import Deadline
from app.core.errors import DeadlineExceeded, EngineDown
from app.core.ports import EngineStatus
from app.core.words import Completion, Usage, WordsDelta, WordsEnd, WordsEvent, WordsStart
from app.engines import wire
from app.engines.prices import Prices

Reason = Literal["stop", "length", "filtered"]


class Response(Protocol):
    """What both vendors' SDKs give for a raw streamed answer."""

    @property
    def headers(self) -> Mapping[str, str]: ...
    def iter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]: ...


class Provider(ABC):
    """One model behind one client; any number of streams at a time.

    Success only with the provider's own finish and usage. Nothing is retried here and no redirect is followed.
    """

    def __init__(self, *, name: str, kind: str, model: str, prices: Prices) -> None:
        self.name = name
        self.model = model
        self._kind = kind
        self._prices = prices
        self._terms = prices.of(model)
        self._served = model
        """The model that the provider said it runs: what the next call will be charged for as well."""
        self._trouble = ""

    @property
    @abstractmethod
    def host(self) -> str:
        """The host that is called."""

    @abstractmethod
    async def close(self) -> None:
        """Close the client's connections."""

    @abstractmethod
    def _request(self, completion: Completion) -> AbstractAsyncContextManager[Response]:
        """The call, made when it is entered."""

    @abstractmethod
    def _read(self, data: AsyncIterator[bytes], completion: Completion) -> AsyncGenerator[WordsEvent]:
        """The provider's events as ours; raises EngineDown when they end without finish or usage."""

    @abstractmethod
    def _vendor(self) -> tuple[type[Exception], type[Exception]]:
        """The SDK's error for an answered status, and the base of all its errors."""

    def status(self) -> EngineStatus:
        state: Literal["ready", "degraded"] = "degraded" if self._trouble else "ready"
        return EngineStatus(
            name=self.name, kind=self._kind, state=state, asked=(self.model,), provider=self.host, detail=self._trouble
        )

    def most(self, completion: Completion) -> Usage:
        """The most that a call can cost, whether asked model or served one, and written to their cache or not."""
        tokens_out = completion.output_tokens_max + self._terms.thinking_tokens_max
        most = Usage(tokens_in=wire.tokens_most(completion), tokens_out=tokens_out)
        costs = [
            self._prices.of(model).cost_nano_usd(most, cache_written=written)
            for model in (self.model, self._served)
            for written in (0, most.tokens_in)
        ]
        return msgspec.structs.replace(most, cost_nano_usd=max(costs))

    def estimate(self, completion: Completion, written: str) -> Usage:
        """What a stream that ended early has probably consumed."""
        tokens_in = sum(wire.tokens_guess(part.text) for part in completion.parts)
        return self.priced(self.model, Usage(tokens_in=tokens_in, tokens_out=wire.tokens_guess(written)))

    def priced(self, model: str, usage: Usage, *, cache_written: int = 0) -> Usage:
        """The usage with its cost at the model's rate."""
        cost = self._prices.of(model).cost_nano_usd(usage, cache_written=cache_written)
        return msgspec.structs.replace(usage, cost_nano_usd=cost)

    async def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]:
        """Yield the provider's stream; closing this iterator closes the connection."""
        written = 0
        with self._mapped():
            async with AsyncExitStack() as stack:
                response = await wire.within(
                    stack.enter_async_context(self._request(completion)), deadline, f"the answer of {self.name}"
                )
                content_type = response.headers.get("content-type", "")
                if not content_type.lower().startswith("text/event-stream"):
                    raise EngineDown(f"{self.name} answered {content_type[:60]!r}, not a stream")
                data = wire.events(response.iter_bytes(), deadline, f"the stream of {self.name}")
                words = self._read(await stack.enter_async_context(aclosing(data)), completion)
                async for event in await stack.enter_async_context(aclosing(words)):
                    if isinstance(event, WordsStart):
                        self._served = event.model
                    written += len(event.text) if isinstance(event, WordsDelta) else 0
                    if written > wire.written_max(completion):
                        raise EngineDown(f"{self.name} writes past its limit of {completion.output_tokens_max} tokens")
                    if isinstance(event, WordsEnd):
                        self._trouble = ""  # before it is told: nobody asks for what comes after the end
                    yield event

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """The vendor's errors as ours. The vendor's own text is left out of the message: it may quote the key."""
        import httpx2

        status_error, any_error = self._vendor()
        try:
            yield
        except status_error as error:
            raise self._answered(error) from error
        except any_error as error:
            reason = f": {error.__cause__}" if isinstance(error.__cause__, httpx2.TransportError) else ""
            raise self._down(f"{self.name} cannot be reached ({type(error).__name__}{reason})") from error
        except httpx2.HTTPError as error:
            raise self._down(f"the connection to {self.name} broke ({type(error).__name__}: {error})") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._down(f"{self.name} sent an event that cannot be read") from error
        except (EngineDown, DeadlineExceeded) as error:
            self._trouble = error.message
            raise

    def _answered(self, error: Exception) -> EngineDown:
        response = error.response  # type: ignore[attr-defined]  # both vendors' status errors carry it
        wait = wire.retry_after_s(response.headers)
        return self._down(f"{self.name} answered {response.status_code}", retry_after_s=wait)

    def _down(self, message: str, retry_after_s: float | None = None) -> EngineDown:
        self._trouble = message
        return EngineDown(message, hint="see this engine's key, model and base_url", retry_after_s=retry_after_s)
