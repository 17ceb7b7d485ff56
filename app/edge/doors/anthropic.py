"""Anthropic's Messages: a request as turns, an answer whole or as events, errors in its shape. It calls nobody."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from app.core.errors import Error, OverBudget
from app.core.words import Sampling, Tool, ToolCall, Turn, Usage
from app.edge.doors import anthropic_shapes as shapes
from app.edge.doors.face import Asked, Whole, decoded, quoted, wrong
from app.edge.doors.models import Model
from app.edge.doors.openai import MODES, told

REASONS = {"stop": "end_turn", "length": "max_tokens", "filtered": "refusal", "tools": "tool_use"}
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
CHOICES = {"auto": "auto", "none": "none", "any": "required"}
THOUGHTS = ("thinking", "redacted_thinking")
TEXT = -1
"""Stands where the index of a call would."""
FIELDS = shapes.MessageRequest.__struct_encode_fields__

_requests = msgspec.json.Decoder(shapes.MessageRequest)
_encoder = msgspec.json.Encoder()


class Messages:
    """POST /anthropic/v1/messages."""

    verb = "anthropic.messages"
    media: tuple[str, ...] = ("application/json",)
    unpaid_status = 402

    def read(self, body: bytes) -> Asked:
        request = decoded(_requests, body, FIELDS, "the request")
        for name in ("container", "mcp_servers", "prefill"):
            if getattr(request, name):
                raise wrong(name, "this is not done here", "leave it out")
        turns = [Turn(role="system", text=text) for text in _system(request.system)]
        for index, message in enumerate(request.messages):
            turns += _turns(f"messages[{index}]", message)
        tools = tuple(_tool(index, tool) for index, tool in enumerate(request.tools or ()))
        output = request.output_config or shapes.MessageOutput()
        return Asked(
            model=request.model,
            turns=tuple(turns),
            stream=bool(request.stream),
            tools=tools,
            tool_choice=_choice(request.tool_choice, tools),
            schema=output.format.schema if output.format is not None else None,
            sampling=Sampling(
                temperature=request.temperature,
                top_p=request.top_p,
                stop=request.stop_sequences or (),
                effort=output.effort or "",
            ),
            output_tokens=request.max_tokens,
            player=(request.metadata.user_id or "") if request.metadata is not None else "",
        )

    def whole(self, whole: Whole) -> bytes:
        said = [shapes.MessageSaid(type="text", text=whole.text)] if whole.texts else []
        said += [
            shapes.MessageSaid(type="tool_use", id=call.id, name=call.name, input=_input(call.arguments))
            for call in whole.called()
        ]
        return _encoder.encode(
            shapes.MessageAnswer(
                id=f"msg_{whole.id}",
                model=whole.model,
                content=tuple(said),
                stop_reason=REASONS[whole.reason],  # type: ignore[arg-type]  # by the table
                usage=_usage(whole.usage),
            )
        )

    def writer(self, asked: Asked, whole: Whole) -> Events:
        return Events(whole.id)

    def refusal(self, status: int, error: Error, param: str = "") -> bytes:
        kind = "billing_error" if isinstance(error, OverBudget) else TYPES.get(status, "")
        fault = shapes.MessageFault(
            type=kind or ("invalid_request_error" if status < 500 else "api_error"),
            message=told(error),
            code=error.code,
        )
        return _encoder.encode(shapes.MessageError(error=fault))


class Events:
    """One stream of messages' events; the blocks follow one another, and one is open at most."""

    def __init__(self, id: str) -> None:
        self._id = id
        self._index = -1
        self._open: int | None = None
        """The index of the call whose block is open; TEXT for a text's; None while none is."""
        self._prefix = self._suffix = b""

    def start(self, model: str) -> bytes:
        usage = _encoder.encode(_usage(Usage()))
        return (
            b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_%b","type":"message",'
            b'"role":"assistant","model":%b,"content":[],"stop_reason":null,"stop_sequence":null,"usage":%b}}\n\n'
        ) % (self._id.encode(), quoted(model), usage)

    def text(self, text: str) -> bytes:
        if self._open == TEXT:
            return self._prefix + quoted(text) + b"}}\n\n"
        return self._begin(TEXT, b'{"type":"text","text":""}') + self._prefix + quoted(text) + b"}}\n\n"

    def call(self, index: int, id: str, name: str, arguments: str) -> bytes:
        begun = b""
        if self._open != index:
            begun = self._begin(index, b'{"type":"tool_use","id":%b,"name":%b,"input":{}}' % (quoted(id), quoted(name)))
        return begun + self._prefix + quoted(arguments) + b"}}\n\n" if arguments else begun

    def end(self, whole: Whole, timing: bytes) -> bytes:
        last = (
            b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":%b,"stop_sequence":null},'
            b'"usage":%b}\n\n'
        ) % (quoted(REASONS[whole.reason]), _encoder.encode(_usage(whole.usage)))
        stop = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
        return self._stop() + last + b": server-timing " + timing + b"\n\n" + stop

    def fail(self, status: int, error: Error) -> bytes:
        return b"event: error\ndata: " + Messages().refusal(status, error) + b"\n\n"

    def _begin(self, index: int, block: bytes) -> bytes:
        """The events that end one block and begin the next."""
        before = self._stop()
        self._index += 1
        self._open = index
        kind = b'"text_delta","text":' if index == TEXT else b'"input_json_delta","partial_json":'
        self._prefix = (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":%b'
        ) % (self._index, kind)
        return before + (
            b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":%b}\n\n'
        ) % (self._index, block)

    def _stop(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n' % self._index


def listed(models: tuple[Model, ...]) -> bytes:
    """The answer of GET /anthropic/v1/models."""
    data = tuple(_model(model) for model in models)
    return _encoder.encode(shapes.MessageModels(data=data, first_id=data[0].id, last_id=data[-1].id))


def one(model: Model) -> bytes:
    """The answer of GET /anthropic/v1/models/{model}."""
    return _encoder.encode(_model(model))


def _model(model: Model) -> shapes.MessageModel:
    return shapes.MessageModel(id=model.name, display_name=f"{model.name} ({model.kind})")


def _usage(usage: Usage) -> shapes.MessageUsage:
    return shapes.MessageUsage(
        input_tokens=max(0, usage.tokens_in - usage.cached_tokens_in),
        output_tokens=usage.tokens_out,
        cache_read_input_tokens=usage.cached_tokens_in,
    )


def _input(arguments: str) -> object:
    """Arguments as the object that they should be; what is none is shown as it is."""
    try:
        found: object = msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError:
        return {"arguments": arguments}
    return found if isinstance(found, dict) else {"arguments": found}


def _system(system: str | tuple[shapes.MessageText, ...] | None) -> Iterator[str]:
    if isinstance(system, str):
        yield system
    elif system:
        yield _text("system", system)


def _turns(where: str, message: shapes.MessageTurn) -> Iterator[Turn]:
    """A message's answers of tools, then what it says: as one turn each."""
    if isinstance(message.content, str):
        yield Turn(role=message.role, text=message.content)
        return
    texts: list[str] = []
    calls: list[ToolCall] = []
    for number, block in enumerate(message.content):
        at = f"{where}.content[{number}]"
        match block.type:
            case "text":
                texts.append(block.text or "")
            case "tool_use" if block.id and block.name:
                arguments = msgspec.json.encode(block.input or {}).decode()
                calls.append(ToolCall(id=block.id, name=block.name, arguments=arguments))
            case "tool_result" if block.tool_use_id:
                yield Turn(role="tool", text=_result(at, block), call_id=block.tool_use_id)
            case kind if kind in THOUGHTS:
                continue
            case kind:
                raise wrong(at, f"a block of type {kind!r} is not read", "send text, tool_use or tool_result, whole")
    if texts or calls:
        yield Turn(role=message.role, text="\n".join(texts), calls=tuple(calls))


def _result(where: str, block: shapes.MessageBlock) -> str:
    text = block.content if isinstance(block.content, str) else _text(f"{where}.content", block.content or ())
    return f"error: {text}" if block.is_error else text


def _text(where: str, parts: tuple[shapes.MessageText, ...]) -> str:
    for number, part in enumerate(parts):
        if part.type != "text":
            raise wrong(f"{where}[{number}]", f"a block of type {part.type!r} is not read", "send text")
    return "\n".join(part.text or "" for part in parts)


def _tool(index: int, tool: shapes.MessageTool) -> Tool:
    if tool.type not in (None, "custom") or tool.input_schema is None:
        raise wrong(f"tools[{index}]", f"a tool of type {tool.type!r} is not taken", "send `input_schema` of your own")
    if tool.name in MODES:
        raise wrong(f"tools[{index}].name", f"{tool.name!r} is a mode of tool_choice", "call it otherwise")
    return Tool(name=tool.name, description=tool.description or "", schema=tool.input_schema, strict=bool(tool.strict))


def _choice(choice: shapes.MessageToolChoice | None, tools: tuple[Tool, ...]) -> str:
    if choice is None:
        return "auto"
    if choice.type == "tool":
        if choice.name not in {tool.name for tool in tools}:
            raise wrong("tool_choice", f"there is no tool {choice.name!r}", "name one of `tools`")
        return str(choice.name)
    if choice.type == "any" and not tools:
        raise wrong("tool_choice", "a tool must be called and there is none", "send `tools`")
    return CHOICES[choice.type]
