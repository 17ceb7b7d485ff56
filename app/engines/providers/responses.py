"""OpenAI Responses: the body of a request, and a stream of typed events as ours.

Nothing is stored at the vendor: every request carries its whole conversation. It knows no address and no key.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from app.core.errors import EngineDown
from app.core.words import Completion, Tool, Turn, Usage, WordsDelta, WordsEnd, WordsEvent, WordsStart
from app.engines import wire
from app.engines.providers.chat import cache_key, instruction, sampling
from app.engines.providers.faults import Fault
from app.engines.providers.provider import ANSWER, NOTHING, Body, Model, Provider, Reader, Reason, strict
from app.engines.providers.transport import Transport

OUTPUT_TOKENS_MIN = 16
"""The least limit that the API takes."""


class _Item(msgspec.Struct):
    type: str = ""
    call_id: str | None = None
    name: str | None = None


class _Cached(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int
    output_tokens: int
    input_tokens_details: _Cached | None = None


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _Response(msgspec.Struct):
    model: str | None = None
    status: str | None = None
    usage: _Usage | None = None
    error: Fault | None = None
    incomplete_details: _Incomplete | None = None


class _Event(msgspec.Struct):
    type: str
    delta: str | msgspec.UnsetType = msgspec.UNSET
    output_index: int = 0
    item: _Item | None = None
    response: _Response | None = None
    code: str | None = None


_events = msgspec.json.Decoder(_Event)
_INCOMPLETE: dict[str, Reason] = {"max_output_tokens": "length", "content_filter": "filtered"}


class Responses(Provider):
    """One model over the Responses API. `keyed` engines say which prompts share a beginning, for the vendor's cache."""

    def __init__(
        self,
        transport: Transport,
        path: str,
        *,
        name: str,
        kind: str,
        model: Model,
        asked: str = "",
        keyed: bool = False,
    ) -> None:
        super().__init__(transport, path, name=name, kind=kind, model=model)
        self._asked = asked or model.name
        self._keyed = keyed

    def reader(self, completion: Completion) -> Reader:
        return _Reader(self.name, self._model, answers=completion.schema is not None)

    def body(self, completion: Completion) -> Body:
        takes = self.takes
        effort = takes.effort_of(completion.sampling)
        body: Body = {
            "model": self._asked,
            "input": _items(completion, described=takes.schema == "object"),
            "stream": True,
            "store": False,
            "max_output_tokens": max(OUTPUT_TOKENS_MIN, takes.output_tokens(completion.output_tokens_max)),
        }
        if not completion.turns:
            body["instructions"] = wire.render(completion.parts).head
        if effort:
            body["reasoning"] = {"effort": effort}
        if takes.takes_sampling(effort):
            body |= sampling(completion, stops=False)
        if completion.tools:
            body["tools"] = [_tool(tool) for tool in completion.tools]
            body["tool_choice"] = _choice(completion.tool_choice, forced=takes.forced_tools)
        if completion.schema is not None:
            body |= _shape(completion, takes.schema)
        if self._keyed and (completion.npc or completion.prompt):
            body["prompt_cache_key"] = cache_key(completion)
        return body


class _Reader(Reader):
    """Events until the response is completed, incomplete or failed."""

    def __init__(self, engine: str, model: Model, *, answers: bool) -> None:
        super().__init__(engine, model, answers=answers)
        self._served = ""
        self._refused = False
        self._last: _Response | None = None

    def take(self, data: bytes) -> Iterable[WordsEvent]:
        if data == b"[DONE]":
            return NOTHING
        event = _events.decode(data)
        match event.type:
            case "response.output_text.delta":
                return (WordsDelta(text=event.delta),) if event.delta else NOTHING
            case "response.function_call_arguments.delta":
                return self.called(event.output_index, id="", name="", arguments=event.delta or "")
            case "response.output_item.added" if event.item is not None and event.item.type == "function_call":
                name, call_id = event.item.name or "", event.item.call_id or ""
                return self.called(event.output_index, id=call_id, name=name, arguments="")
            case "response.created" if not self._served:
                self._served = (event.response and event.response.model) or self.model.name
                return (WordsStart(engine=self.engine, model=self._served),)
            case "response.refusal.delta":
                self._refused = True
            case "response.completed" | "response.incomplete":
                self._last, self.ended = event.response, True
            case "response.failed":
                raise self.failed(event.response.error if event.response is not None else None)
            case "error":
                raise self.failed(Fault(code=event.code))
        return NOTHING

    def end(self) -> WordsEnd:
        last = self._last
        reason = self._finish(last) if last is not None else None
        if last is None or reason is None or last.usage is None or not self._served:
            status = last.status if last is not None else None
            raise EngineDown(f"{self.engine} ended with status {status!r} and no usage", failure="incomplete")
        details = last.usage.input_tokens_details or _Cached()
        consumed = Usage(
            tokens_in=last.usage.input_tokens,
            tokens_out=last.usage.output_tokens,
            cached_tokens_in=details.cached_tokens or 0,
        )
        usage = self.priced(self._served, consumed, cache_written=details.cache_write_tokens or 0)
        return WordsEnd(reason=reason, usage=usage)

    def _finish(self, last: _Response) -> Reason | None:
        """Why it ended; None where it did not say."""
        if last.status == "completed":
            return "filtered" if self._refused else self.reason("stop")
        if last.status != "incomplete" or last.incomplete_details is None:
            return None
        return _INCOMPLETE.get(last.incomplete_details.reason or "")


def _shape(completion: Completion, way: str) -> Body:
    """What holds the answer to its schema."""
    schema = dict(completion.schema or {})
    if way == "tool":
        tool = Tool(name=ANSWER, description="Give the answer.", schema=schema, strict=strict(schema))
        tools = [_tool(one) for one in (*completion.tools, tool)]
        return {"tools": tools, "tool_choice": _choice("required" if completion.tools else ANSWER, forced=True)}
    if way == "object":
        return {"text": {"format": {"type": "json_object"}}}
    return {"text": {"format": {"type": "json_schema", "name": ANSWER, "schema": schema, "strict": strict(schema)}}}


def _tool(tool: Tool) -> Body:
    parameters = dict(tool.schema) or {"type": "object", "properties": {}}
    described: Body = {"type": "function", "name": tool.name, "parameters": parameters, "strict": tool.strict}
    if tool.description:
        described["description"] = tool.description
    return described


def _choice(choice: str, *, forced: bool) -> object:
    if choice in ("auto", "none"):
        return choice
    if not forced:
        return "auto"
    return choice if choice == "required" else {"type": "function", "name": choice}


def _items(completion: Completion, *, described: bool) -> list[Body]:
    items = [item for turn in completion.turns for item in _said(turn)] or _rendered(completion)
    if described and completion.schema is not None:
        items.insert(0, {"role": "system", "content": instruction(completion.schema)})
    return items


def _rendered(completion: Completion) -> list[Body]:
    roles = {"user": "user", "assistant": "assistant", "state": "system"}
    return [{"role": roles[role], "content": text} for role, text in wire.render(completion.parts).turns]


def _said(turn: Turn) -> list[Body]:
    """A turn as items: what was said, and each call and each answer to one by itself."""
    if turn.role == "tool":
        return [{"type": "function_call_output", "call_id": turn.call_id, "output": turn.text}]
    items: list[Body] = [{"role": turn.role, "content": turn.text}] if turn.text or not turn.calls else []
    return items + [
        {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}
        for call in turn.calls
    ]
