"""OpenAI Chat Completions: the body of a request, and a stream of chunks as events.

OpenAI, Azure OpenAI and every compatible server speak it. It knows no address and no key.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2s
from typing import Any, Literal

import msgspec

from app.core.errors import EngineDown
from app.core.words import Completion, Tool, ToolCall, Turn, Usage, WordsDelta, WordsEnd, WordsEvent, WordsStart
from app.engines import wire
from app.engines.providers.faults import Fault
from app.engines.providers.provider import ANSWER, NOTHING, Body, Model, Provider, Reader, Reason, strict
from app.engines.providers.transport import Transport

TokenField = Literal["max_completion_tokens", "max_tokens"]


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: tuple[_Call, ...] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _Details | None = None


class _Chunk(msgspec.Struct):
    model: str | None = None
    choices: tuple[_Choice, ...] | None = None
    usage: _Usage | None = None
    error: Fault | None = None


_chunks = msgspec.json.Decoder(_Chunk)
_REASONS: dict[str, Reason] = {
    "stop": "stop", "length": "length", "content_filter": "filtered", "tool_calls": "tools",
}  # fmt: skip


class ChatCompletions(Provider):
    """One model over Chat Completions. `keyed` engines say which prompts share a beginning, for the vendor's cache."""

    def __init__(
        self,
        transport: Transport,
        path: str,
        *,
        name: str,
        kind: str,
        model: Model,
        token_field: TokenField,
        asked: str = "",
        keyed: bool = False,
    ) -> None:
        super().__init__(transport, path, name=name, kind=kind, model=model)
        self._token_field = token_field
        self._asked = asked or model.name
        self._keyed = keyed

    def reader(self, completion: Completion) -> Reader:
        return _Reader(self.name, self._model, answers=completion.schema is not None)

    def body(self, completion: Completion) -> Body:
        takes = self.takes
        effort = takes.effort_of(completion.sampling)
        body: Body = {
            "model": self._asked,
            "messages": _messages(completion, described=takes.schema == "object"),
            "stream": True,
            "stream_options": {"include_usage": True},
            self._token_field: takes.output_tokens(completion.output_tokens_max),
        }
        if effort:
            body["reasoning_effort"] = effort
        if takes.takes_sampling(effort):
            body |= sampling(completion)
        if completion.tools:
            body["tools"] = [_tool(tool) for tool in completion.tools]
            body["tool_choice"] = _choice(completion.tool_choice, forced=takes.forced_tools)
        if completion.schema is not None:
            body |= _shape(completion, takes.schema)
        if self._keyed and (completion.npc or completion.prompt):
            body["prompt_cache_key"] = cache_key(completion)
        return body


class _Reader(Reader):
    """Chunks until [DONE]."""

    def __init__(self, engine: str, model: Model, *, answers: bool) -> None:
        super().__init__(engine, model, answers=answers)
        self._served = ""
        self._finish = ""
        self._refused = False
        self._usage: _Usage | None = None

    def take(self, data: bytes) -> Iterable[WordsEvent]:
        if data == b"[DONE]":
            self.ended = True
            return NOTHING
        chunk = _chunks.decode(data)
        if chunk.error is not None:
            raise self.failed(chunk.error)
        if chunk.usage is not None:
            self._usage = chunk.usage
        said: tuple[WordsEvent, ...] = NOTHING
        if not self._served:
            self._served = chunk.model or self.model.name
            said = (WordsStart(engine=self.engine, model=self._served),)
        for choice in chunk.choices or ():
            if choice.finish_reason:
                self._finish = choice.finish_reason
            delta = choice.delta
            if delta is None:
                continue
            if delta.content:
                said += (WordsDelta(text=delta.content),)
            if delta.refusal:
                self._refused = True
            if delta.tool_calls:
                said += self._asked(delta.tool_calls)
        return said

    def _asked(self, calls: tuple[_Call, ...]) -> tuple[WordsEvent, ...]:
        said: tuple[WordsEvent, ...] = NOTHING
        for call in calls:
            function = call.function or _Function()
            said += self.called(
                call.index, id=call.id or "", name=function.name or "", arguments=function.arguments or ""
            )
        return said

    def end(self) -> WordsEnd:
        usage = self._usage
        if self._finish not in _REASONS or usage is None:
            lack = f"finish {self._finish or None!r} and {'' if usage else 'no '}usage"
            raise EngineDown(f"{self.engine} ended with {lack}", failure="incomplete")
        details = usage.prompt_tokens_details or _Details()
        consumed = Usage(
            tokens_in=usage.prompt_tokens,
            tokens_out=usage.completion_tokens,
            cached_tokens_in=details.cached_tokens or 0,
        )
        priced = self.priced(self._served, consumed, cache_written=details.cache_write_tokens or 0)
        reason = "filtered" if self._refused else self.reason(_REASONS[self._finish])
        return WordsEnd(reason=reason, usage=priced)


def sampling(completion: Completion, *, stops: bool = True) -> Body:
    """Temperature, top_p and stops, those that are given."""
    asked = completion.sampling
    body: Body = {}
    if asked.temperature is not None:
        body["temperature"] = asked.temperature
    if asked.top_p is not None:
        body["top_p"] = asked.top_p
    if asked.stop and stops:
        body["stop"] = list(asked.stop)
    return body


def cache_key(completion: Completion) -> str:
    """The same for prompts that begin the same, and nothing that a vendor could read in it."""
    shared = "\0".join((completion.tenant, completion.world, completion.npc, completion.task, completion.prompt))
    return blake2s(shared.encode("utf-8", "replace"), digest_size=16).hexdigest()


def instruction(schema: object) -> str:
    """The instruction that stands for a schema where a model is not held to one."""
    return f"Answer with one JSON value of this JSON Schema and nothing else:\n{msgspec.json.encode(schema).decode()}"


def _shape(completion: Completion, way: str) -> Body:
    """What holds the answer to its schema."""
    schema = dict(completion.schema or {})
    if way == "object":
        return {"response_format": {"type": "json_object"}}
    if way == "tool":
        tool = Tool(name=ANSWER, description="Give the answer.", schema=schema, strict=strict(schema))
        tools = [_tool(one) for one in (*completion.tools, tool)]
        return {"tools": tools, "tool_choice": _choice("required" if completion.tools else ANSWER, forced=True)}
    answer = {"name": ANSWER, "strict": strict(schema), "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": answer}}


def _tool(tool: Tool) -> Body:
    function: Body = {"name": tool.name, "parameters": dict(tool.schema) or {"type": "object", "properties": {}}}
    if tool.description:
        function["description"] = tool.description
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _choice(choice: str, *, forced: bool) -> object:
    if choice in ("auto", "none"):
        return choice
    if not forced:
        return "auto"
    return choice if choice == "required" else {"type": "function", "function": {"name": choice}}


def _messages(completion: Completion, *, described: bool) -> list[Body]:
    messages = [_message(turn) for turn in completion.turns] or _rendered(completion)
    if described and completion.schema is not None:
        messages.insert(0, {"role": "system", "content": instruction(completion.schema)})
    return messages


def _rendered(completion: Completion) -> list[Body]:
    head, turns = wire.render(completion.parts)
    roles = {"user": "user", "assistant": "assistant", "state": "system"}
    return [{"role": "system", "content": head}, *({"role": roles[role], "content": text} for role, text in turns)]


def _message(turn: Turn) -> Body:
    message: dict[str, Any] = {"role": turn.role, "content": turn.text}
    if turn.role == "tool":
        message["tool_call_id"] = turn.call_id
    elif turn.calls:
        message["content"] = turn.text or None
        message["tool_calls"] = [_call(call) for call in turn.calls]
    return message


def _call(call: ToolCall) -> Body:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
