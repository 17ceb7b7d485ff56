"""Anthropic Messages: the body of a request, and a stream of typed events as ours.

It sends no sampling parameters, which the present API refuses, and marks the head of the prompt for the vendor's cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from app.core.errors import EngineDown, Invalid
from app.core.outbound import Outbound
from app.core.words import Completion, Tool, ToolCall, Turn, Usage, WordsDelta, WordsEnd, WordsEvent, WordsStart
from app.engines import wire
from app.engines.outbound import OUTBOUND
from app.engines.prices import Price, Prices
from app.engines.providers import capabilities
from app.engines.providers.chat import instruction
from app.engines.providers.faults import Fault
from app.engines.providers.provider import ANSWER, NOTHING, Body, Model, Provider, Reader, Reason, strict
from app.engines.providers.transport import Transport

API_VERSION = "2026-10-21"
"""What the vendor's SDK 2.x sends; a test holds the two together."""
URL = "https://api.anthropic.com"


def open_anthropic(
    *,
    name: str,
    model: str,
    key: str,
    prices: Prices,
    base_url: str = "",
    inference_geo: str = "",
    own_price: Price | None = None,
    outbound: Outbound = OUTBOUND,
) -> Messages:
    """An engine over Anthropic, or over the compatible server at `base_url`; raises Invalid for a wrong address."""
    headers = {"anthropic-version": API_VERSION}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    runs = Model(
        model, capabilities.of(model), prices, own_price=own_price, regional=inference_geo not in ("", "global")
    )
    transport = Transport(name, base_url or URL, headers, outbound)
    return Messages(transport, "/v1/messages", name=name, model=runs, inference_geo=inference_geo)


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Message(msgspec.Struct):
    model: str
    usage: _Usage


class _Delta(msgspec.Struct):
    text: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Block(msgspec.Struct):
    type: str = ""
    id: str | None = None
    name: str | None = None


class _Event(msgspec.Struct):
    type: str
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: Fault | None = None


_events = msgspec.json.Decoder(_Event)
_REASONS: dict[str, Reason] = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "model_context_window_exceeded": "length",
    "refusal": "filtered", "tool_use": "tools",
}  # fmt: skip


class Messages(Provider):
    """One model over Messages."""

    def __init__(self, transport: Transport, path: str, *, name: str, model: Model, inference_geo: str = "") -> None:
        super().__init__(transport, path, name=name, kind="anthropic", model=model)
        self._geo = inference_geo

    def reader(self, completion: Completion) -> Reader:
        return _Reader(self.name, self._model, answers=completion.schema is not None)

    def body(self, completion: Completion) -> Body:
        """The request; a completion of no tokens at all fills the vendor's cache and writes nothing."""
        takes = self.takes
        body: Body = {
            "model": self.model,
            "max_tokens": takes.output_tokens(completion.output_tokens_max),
            "messages": _messages(completion, prefill=takes.prefill),
            "stream": True,
        }
        head = _head(completion, described=takes.schema == "object")
        if head:
            block: Body = {"type": "text", "text": head}
            if len(head.encode("utf-8", "replace")) >= takes.cache_tokens_min:
                block["cache_control"] = {"type": "ephemeral"}
            body["system"] = [block]
        if completion.sampling.stop:
            body["stop_sequences"] = list(completion.sampling.stop)
        if takes.thinking:
            body["thinking"] = {"type": takes.thinking}
        if self._geo:
            body["inference_geo"] = self._geo
        output, tools, choice = self._held(completion)
        if output:
            body["output_config"] = output
        if tools:
            body |= {"tools": [_tool(tool) for tool in tools], "tool_choice": choice}
        return body

    def _held(self, completion: Completion) -> tuple[Body, tuple[Tool, ...], Body]:
        """(output_config, tools, tool_choice): what holds the answer to its schema, beside the caller's own tools."""
        takes, schema = self.takes, completion.schema
        effort = takes.effort_of(completion.sampling)
        output: Body = {"effort": effort} if effort else {}
        tools, choice = completion.tools, completion.tool_choice
        if schema is not None and takes.schema == "strict" and strict(schema):
            output["format"] = {"type": "json_schema", "schema": dict(schema)}
        elif schema is not None and takes.schema != "object":
            choice = "required" if tools else ANSWER
            tools = (*tools, Tool(name=ANSWER, description="Give the answer with this tool.", schema=schema))
        return output, tools, _choice(choice, forced=takes.forced_tools)


class _Reader(Reader):
    """Events until message_stop."""

    def __init__(self, engine: str, model: Model, *, answers: bool) -> None:
        super().__init__(engine, model, answers=answers)
        self._served = ""
        self._stop = ""
        self._start = _Usage()
        self._end = _Usage()

    def take(self, data: bytes) -> Iterable[WordsEvent]:
        event = _events.decode(data)
        match event.type:
            case "content_block_delta" if event.delta is not None:
                if event.delta.text:
                    return (WordsDelta(text=event.delta.text),)
                if event.delta.partial_json:
                    return self.called(event.index, id="", name="", arguments=event.delta.partial_json)
            case "content_block_start" if event.content_block is not None and event.content_block.type == "tool_use":
                block = event.content_block
                return self.called(event.index, id=block.id or "", name=block.name or "", arguments="")
            case "message_start" if event.message is not None:
                self._served, self._start = event.message.model, event.message.usage
                return (WordsStart(engine=self.engine, model=self._served),)
            case "message_delta" if event.delta is not None:
                self._stop, self._end = event.delta.stop_reason or self._stop, event.usage or self._end
            case "message_stop":
                self.ended = True
            case "error":
                raise self.failed(event.error)
        return NOTHING

    def end(self) -> WordsEnd:
        if not self.ended or not self._served or self._stop not in _REASONS or self._end.output_tokens is None:
            lack = f"stop {self._stop or None!r}, message_stop {self.ended}"
            raise EngineDown(f"{self.engine} ended with {lack}", failure="incomplete")
        written = self._end.cache_creation_input_tokens or self._start.cache_creation_input_tokens or 0
        usage = self.priced(self._served, _consumed(self._start, self._end), cache_written=written)
        return WordsEnd(reason=self.reason(_REASONS[self._stop]), usage=usage)


def _consumed(start: _Usage, end: _Usage) -> Usage:
    """Both usages as one: the vendor counts cached input beside `input_tokens`, and the last word holds."""
    cached = end.cache_read_input_tokens or start.cache_read_input_tokens or 0
    written = end.cache_creation_input_tokens or start.cache_creation_input_tokens or 0
    fresh = end.input_tokens or start.input_tokens or 0
    return Usage(tokens_in=fresh + written + cached, tokens_out=end.output_tokens or 0, cached_tokens_in=cached)


def _tool(tool: Tool) -> Body:
    described: Body = {"name": tool.name, "input_schema": dict(tool.schema) or {"type": "object"}}
    if tool.description:
        described["description"] = tool.description
    if tool.strict:
        described["strict"] = True
    return described


def _choice(choice: str, *, forced: bool) -> Body:
    if choice in ("auto", "none"):
        return {"type": choice}
    if not forced:
        return {"type": "auto"}
    return {"type": "any"} if choice == "required" else {"type": "tool", "name": choice}


def _head(completion: Completion, *, described: bool) -> str:
    """The system prompt: of a conversation all that its program says as the system, wherever it stands."""
    if completion.turns:
        texts = [turn.text for turn in completion.turns if turn.role == "system"]
    else:
        texts = [wire.render(completion.parts).head]
    if described and completion.schema is not None:
        texts.append(instruction(completion.schema))
    return "\n\n".join(text for text in texts if text)


def _messages(completion: Completion, *, prefill: bool) -> list[Body]:
    """By two roles, the first the user's; the last as well, where the model does not go on from its own words."""
    if completion.turns:
        messages, opening, closing = _conversation(completion.turns), "Begin.", "Continue."
    else:
        messages = _joined(completion)
        opening, closing = _state("The conversation so far."), _state("The conversation goes on.")
    if not messages or messages[0]["role"] != "user":
        messages.insert(0, {"role": "user", "content": opening})
    if messages[-1]["role"] == "assistant" and not prefill:
        messages.append({"role": "user", "content": closing})
    return messages


def _state(text: str) -> str:
    return f"<game_state>\n{text}\n</game_state>"


def _joined(completion: Completion) -> list[Body]:
    """The turns of a compiled context; neighbors of one role are one message."""
    joined: list[Body] = []
    for role, said in wire.render(completion.parts).turns:
        ours = "assistant" if role == "assistant" else "user"
        text = _state(said) if role == "state" else said
        if joined and joined[-1]["role"] == ours:
            joined[-1]["content"] += f"\n\n{text}"
        else:
            joined.append({"role": ours, "content": text})
    return joined


def _conversation(turns: tuple[Turn, ...]) -> list[Body]:
    """The turns of a program; answers to calls are the user's, and those of one turn stand in one message."""
    messages: list[Body] = []
    for turn in turns:
        match turn.role:
            case "system":
                continue
            case "tool":
                block: Body = {"type": "tool_result", "tool_use_id": turn.call_id, "content": turn.text}
                if messages and messages[-1]["role"] == "user" and isinstance(messages[-1]["content"], list):
                    messages[-1]["content"].append(block)
                else:
                    messages.append({"role": "user", "content": [block]})
            case "assistant" if turn.calls:
                said: list[Body] = [{"type": "text", "text": turn.text}] if turn.text else []
                messages.append({"role": "assistant", "content": [*said, *map(_call, turn.calls)]})
            case _:
                messages.append({"role": turn.role, "content": turn.text})
    return messages


_objects = msgspec.json.Decoder(dict[str, Any])


def _call(call: ToolCall) -> Body:
    try:
        arguments: Mapping[str, Any] = _objects.decode(call.arguments or "{}")
    except msgspec.DecodeError as error:
        raise Invalid(f"the arguments of the call {call.id!r} are no JSON object") from error
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}
