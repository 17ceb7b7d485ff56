"""A cloud provider of words: one stream from request to priced end, with every failure mapped.

It knows deadlines, framing, prices and what vendors have in common. What a request looks like and what the events
mean is the protocol's adapter's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from app.core.clock import Deadline
from app.core.errors import DeadlineExceeded, EngineDown
from app.core.ports import EngineStatus
from app.core.words import Completion, Usage, WordsDelta, WordsEnd, WordsEvent, WordsStart, WordsToolDelta
from app.engines import wire
from app.engines.prices import Price, Prices
from app.engines.providers.capabilities import Capability
from app.engines.providers.faults import FILTERED, Fault, failure_in_stream
from app.engines.providers.sse import Events
from app.engines.providers.transport import Answer, Refusal, Transport

Reason = Literal["stop", "length", "filtered", "tools"]
Body = dict[str, Any]
"""A request as JSON: what a vendor's API reference calls its parameters."""
ANSWER = "answer"
"""The tool whose arguments are the answer, for a model that is held to a schema in no other way."""
ANSWERED = -1
NOTHING: tuple[WordsEvent, ...] = ()

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Model:
    """What runs behind an engine: its name to the vendor, what it takes, and what it costs."""

    name: str
    takes: Capability
    prices: Prices
    own_price: Price | None = None
    """The operator's own rate, which stands before the table."""
    regional: bool = False
    """Its words must stay in a region, which some vendors charge for."""

    def price(self, served: str) -> Price:
        """The rate of the model that the provider says it runs."""
        price = self.own_price or self.prices.of(served)
        return price.within_region() if self.regional else price


class Reader(ABC):
    """One answer as it is read: what was said so far, and whether it is whole."""

    def __init__(self, engine: str, model: Model, *, answers: bool) -> None:
        self.engine = engine
        self.model = model
        self._answers = answers
        """A call of ANSWER is the answer: the model was held to a schema by it."""
        self.ended = False
        """The provider said that nothing more comes."""
        self._calls: list[str] = []
        """The id of each call, in the order in which they began."""
        self._rows: dict[int, int] = {}
        """The provider's index of a call to its place among the calls; ANSWERED for the one that is the answer."""

    @abstractmethod
    def take(self, data: bytes) -> Iterable[WordsEvent]:
        """One event of the provider's as ours; raises EngineDown for one that says it failed."""

    @abstractmethod
    def end(self) -> WordsEnd:
        """The end with its price; raises EngineDown where the provider gave no finish or no usage."""

    def called(self, index: int, *, id: str, name: str, arguments: str) -> tuple[WordsEvent, ...]:
        """A piece of a call; one of the tool that stands for the answer is text.

        Calls are counted from 0 in the order in which they begin: some servers give all of them the same index.
        """
        if self._answers and name == ANSWER:
            self._rows[index] = ANSWERED
        elif index not in self._rows or (id and id != self._calls[self._rows[index]]):
            self._rows[index] = len(self._calls)
            self._calls.append(id)
        row = self._rows[index]
        if row == ANSWERED:
            return (WordsDelta(text=arguments),) if arguments else NOTHING
        return (WordsToolDelta(index=row, id=id, name=name, arguments=arguments),)

    def reason(self, said: Reason) -> Reason:
        """The finish that the provider said; a call of the tool that stands for the answer alone is none."""
        if said == "tools" and not self._calls:
            return "stop"
        return "tools" if said == "stop" and self._calls else said

    def failed(self, fault: Fault | None) -> EngineDown:
        """The error for an answer that ended with one."""
        failure = failure_in_stream(fault) if fault is not None else "incomplete"
        return EngineDown(f"{self.engine} failed in mid-stream", failure=failure)

    def priced(self, served: str, usage: Usage, *, cache_written: int = 0) -> Usage:
        """The usage with its cost at the rate of the model that was served."""
        cost = self.model.price(served).cost_nano_usd(usage, cache_written=cache_written)
        return msgspec.structs.replace(usage, cost_nano_usd=cost)


class Provider(ABC):
    """One model behind one transport; any number of streams at a time.

    Success only with the provider's own finish and usage. Nothing is retried here and no redirect is followed.
    """

    def __init__(self, transport: Transport, path: str, *, name: str, kind: str, model: Model) -> None:
        self.name = name
        self._transport = transport
        self._url = transport.address(path)
        self._kind = kind
        self._model = model
        self._served = model.name
        """The model that the provider said it runs: what the next call will be charged for as well."""
        self._trouble = ""

    @property
    def model(self) -> str:
        """The model that is asked for."""
        return self._model.name

    @property
    def takes(self) -> Capability:
        """What the model can do."""
        return self._model.takes

    @property
    def host(self) -> str:
        """The host that is called."""
        return self._transport.host

    async def close(self) -> None:
        """Close its connections."""
        await self._transport.close()

    @abstractmethod
    def body(self, completion: Completion) -> Body:
        """The request that is sent."""

    @abstractmethod
    def reader(self, completion: Completion) -> Reader:
        """What reads the answer to one completion."""

    def status(self) -> EngineStatus:
        state: Literal["ready", "degraded"] = "degraded" if self._trouble else "ready"
        return EngineStatus(
            name=self.name, kind=self._kind, state=state, asked=(self.model,), provider=self.host, detail=self._trouble
        )

    def most(self, completion: Completion) -> Usage:
        """The most that a call can cost, whether asked model or served one, and written to their cache or not."""
        tokens_out = self.takes.output_tokens(completion.output_tokens_max, completion.sampling)
        most = Usage(tokens_in=wire.tokens_most(completion), tokens_out=tokens_out)
        costs = [
            self._model.price(model).cost_nano_usd(most, cache_written=written)
            for model in {self.model, self._served}
            for written in (0, most.tokens_in)
        ]
        return msgspec.structs.replace(most, cost_nano_usd=max(costs))

    def price(self, served: str) -> Price:
        """The rate of the model that the provider says it runs."""
        return self._model.price(served)

    def estimate(self, completion: Completion, written: str) -> Usage:
        """What a stream that ended early has probably consumed."""
        usage = Usage(tokens_in=wire.tokens_probable(completion), tokens_out=wire.tokens_guess(written))
        return msgspec.structs.replace(usage, cost_nano_usd=self._model.price(self.model).cost_nano_usd(usage))

    async def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]:
        """Yield the provider's stream; closing this iterator closes the connection."""
        with self._mapped():
            try:
                answer = await self._transport.post(self._url, _encode(self.body(completion)), deadline)
            except Refusal as error:
                if error.reason not in FILTERED:
                    raise
                self._trouble = ""
                yield WordsStart(engine=self.name, model=self.model)
                yield WordsEnd(reason="filtered", usage=self.estimate(completion, ""))
                return
            with answer:
                async for event in self._events(answer, completion):
                    yield event

    async def _events(self, answer: Answer, completion: Completion) -> AsyncGenerator[WordsEvent]:
        """What the answer says, under the bound of its length."""
        if not answer.content_type.lower().startswith("text/event-stream"):
            raise EngineDown(f"{self.name} answered {answer.content_type[:60]!r}, not a stream", failure="incomplete")
        reader, events, left = self.reader(completion), Events(self.name), wire.written_max(completion)
        while piece := await answer.read():
            told, fault = _read(reader, events, piece)
            for event in told:
                left -= _length(event)
                if left < 0:
                    limit = completion.output_tokens_max
                    raise EngineDown(f"{self.name} writes past its limit of {limit} tokens", failure="incomplete")
                if isinstance(event, WordsStart):
                    self._served = event.model
                yield event
            if fault is not None:
                raise fault
            if reader.ended:
                break
        end = reader.end()
        answer.whole = True
        self._trouble = ""  # before it is told: nobody asks for what comes after the end
        yield end

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """Every failure as ours. The vendor's own text is left out of the message: it may quote the key."""
        try:
            yield
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            self._trouble = f"{self.name} sent an event that cannot be read"
            raise EngineDown(self._trouble, failure="incomplete") from error
        except (EngineDown, DeadlineExceeded) as error:
            self._trouble = error.message
            raise


def _read(reader: Reader, events: Events, piece: bytes) -> tuple[list[WordsEvent], Exception | None]:
    """(what a piece of the answer tells, and what then went wrong in it); text that came together is one delta."""
    told: list[WordsEvent] = []
    texts: list[str] = []
    fault: Exception | None = None
    try:
        for data in events.feed(piece):
            for event in reader.take(data):
                if type(event) is WordsDelta:
                    texts.append(event.text)
                    continue
                if texts:
                    told.append(WordsDelta(text="".join(texts)))
                    texts.clear()
                told.append(event)
    except (EngineDown, msgspec.DecodeError, UnicodeError, RecursionError) as error:
        fault = error
    if texts:
        told.append(WordsDelta(text="".join(texts)))
    return told, fault


def _length(event: WordsEvent) -> int:
    """Characters that an event adds to what was written."""
    if isinstance(event, WordsDelta):
        return len(event.text)
    return len(event.arguments) + len(event.name) if isinstance(event, WordsToolDelta) else 0


def strict(schema: Mapping[str, Any]) -> bool:
    """Whether a schema is of the strict kind: every object closed, and all its properties required."""
    properties = schema.get("properties")
    if (schema.get("type") == "object" or properties is not None) and (
        schema.get("additionalProperties") is not False
        or set(schema.get("required", ())) != set(properties if isinstance(properties, Mapping) else ())
    ):
        return False
    return all(strict(inner) for inner in _inner(schema))


def _inner(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schemas within a schema, one level down."""
    for name in ("properties", "$defs", "definitions"):
        named = schema.get(name)
        yield from (value for value in (named.values() if isinstance(named, Mapping) else ()) if _is_schema(value))
    for name in ("anyOf", "oneOf", "allOf", "prefixItems"):
        yield from (value for value in schema.get(name) or () if _is_schema(value))
    if _is_schema(schema.get("items")):
        yield schema["items"]


def _is_schema(value: object) -> bool:
    return isinstance(value, Mapping)
