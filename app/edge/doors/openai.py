"""OpenAI's Chat Completions: a request as turns, an answer whole or as server-sent chunks, errors in its shape.

Chunks are put together by hand around the text: eighteen of them must not cost more than the call. It calls nobody.
"""

from __future__ import annotations

import msgspec

from app.core.errors import Error, OverBudget
from app.core.words import Sampling, Tool, ToolCall, Turn, Usage
from app.edge.doors import openai_shapes as shapes
from app.edge.doors.face import Asked, Whole, decoded, quoted, wrong
from app.edge.doors.models import Model

DONE = b"data: [DONE]\n\n"
OBJECT: dict[str, object] = {"type": "object"}
REASONS = {"stop": "stop", "length": "length", "filtered": "content_filter", "tools": "tool_calls"}
MODES = ("auto", "none", "required")
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "service_unavailable_error",
    504: "timeout_error",
}
FIELDS = shapes.ChatRequest.__struct_encode_fields__

_requests = msgspec.json.Decoder(shapes.ChatRequest)
_encoder = msgspec.json.Encoder()


class Chat:
    """POST /openai/v1/chat/completions."""

    verb = "openai.chat"
    media: tuple[str, ...] = ("application/json",)
    unpaid_status = 429

    def read(self, body: bytes) -> Asked:
        request = decoded(_requests, body, FIELDS, "the request")
        _require_offered(request)
        tools = tuple(_tool(index, tool) for index, tool in enumerate(request.tools or ()))
        stop = request.stop or ()
        return Asked(
            model=request.model,
            turns=tuple(_turn(index, message) for index, message in enumerate(request.messages)),
            stream=bool(request.stream),
            tools=tools,
            tool_choice=_choice(request, tools),
            schema=_schema(request.response_format),
            sampling=Sampling(
                temperature=request.temperature,
                top_p=request.top_p,
                stop=(stop,) if isinstance(stop, str) else stop,
                effort=request.reasoning_effort or "",
            ),
            output_tokens=request.max_completion_tokens or request.max_tokens or 0,
            seed=request.seed or 0,
            player=request.user or "",
            tells_usage=request.stream_options is not None and bool(request.stream_options.include_usage),
        )

    def whole(self, whole: Whole) -> bytes:
        calls = tuple(
            shapes.ChatCalled(id=call.id, function=shapes.ChatCalledFunction(name=call.name, arguments=call.arguments))
            for call in whole.called()
        )
        message = shapes.ChatAnswered(
            content=whole.text if whole.texts or not calls else None, tool_calls=calls or msgspec.UNSET
        )
        finish = REASONS[whole.reason]
        return _encoder.encode(
            shapes.ChatCompletion(
                id=f"chatcmpl-{whole.id}",
                created=whole.created_s,
                model=whole.model,
                choices=(shapes.ChatChoice(message=message, finish_reason=finish),),  # type: ignore[arg-type]  # by the table
                usage=_usage(whole.usage),
            )
        )

    def writer(self, asked: Asked, whole: Whole) -> Chunks:
        return Chunks(whole.id, whole.created_s, tells_usage=asked.tells_usage)

    def refusal(self, status: int, error: Error, param: str = "") -> bytes:
        kind = "insufficient_quota" if isinstance(error, OverBudget) else TYPES.get(status, "")
        fault = shapes.ChatFault(
            message=told(error),
            type=kind or ("invalid_request_error" if status < 500 else "server_error"),
            param=param or None,
            code=error.code,
        )
        return _encoder.encode(shapes.ChatError(error=fault))


class Chunks:
    """One stream of `chat.completion.chunk`."""

    def __init__(self, id: str, created_s: int, *, tells_usage: bool) -> None:
        self._id = b'data: {"id":"chatcmpl-%b","object":"chat.completion.chunk","created":%d,"model":' % (
            id.encode(), created_s,
        )  # fmt: skip
        self._tells_usage = tells_usage
        self._head = self._text = self._after = b""
        self._end = b',"usage":null}\n\n' if tells_usage else b"}\n\n"

    def start(self, model: str) -> bytes:
        self._head = self._id + quoted(model) + b',"choices":['
        self._text = self._head + b'{"index":0,"delta":{"content":'
        self._after = b'},"logprobs":null,"finish_reason":null}]' + self._end
        return b'%b{"index":0,"delta":{"role":"assistant","content":"","refusal":null%b' % (self._head, self._after)

    def text(self, text: str) -> bytes:
        return self._text + quoted(text) + self._after

    def call(self, index: int, id: str, name: str, arguments: str) -> bytes:
        named = b'"id":%b,"type":"function",' % quoted(id) if id else b""
        function = b'"name":%b,"arguments":%b' % (quoted(name), quoted(arguments)) if name else (
            b'"arguments":' + quoted(arguments)
        )  # fmt: skip
        return b'%b{"index":0,"delta":{"tool_calls":[{"index":%d,%b"function":{%b}}]%b' % (
            self._head, index, named, function, self._after,
        )  # fmt: skip

    def end(self, whole: Whole, timing: bytes) -> bytes:
        finish = quoted(REASONS[whole.reason])
        last = b'%b{"index":0,"delta":{},"logprobs":null,"finish_reason":%b}]%b' % (self._head, finish, self._end)
        if self._tells_usage:
            last += b'%b],"usage":%b}\n\n' % (self._head, _encoder.encode(_usage(whole.usage)))
        return last + b": server-timing " + timing + b"\n\n" + DONE

    def fail(self, status: int, error: Error) -> bytes:
        return b"data: " + Chat().refusal(status, error) + b"\n\n"


def listed(models: tuple[Model, ...]) -> bytes:
    """The answer of GET /openai/v1/models."""
    return _encoder.encode(shapes.ChatModels(data=tuple(_model(model) for model in models)))


def one(model: Model) -> bytes:
    """The answer of GET /openai/v1/models/{model}."""
    return _encoder.encode(_model(model))


def told(error: Error) -> str:
    """What happened and the mend, in the one text that these protocols have for both."""
    return f"{error.message} ({error.hint})" if error.hint else error.message


def _model(model: Model) -> shapes.ChatModel:
    return shapes.ChatModel(id=model.name, owned_by=f"innkeeper:{model.kind}")


def _usage(usage: Usage) -> shapes.ChatUsage:
    return shapes.ChatUsage(
        prompt_tokens=usage.tokens_in,
        completion_tokens=usage.tokens_out,
        total_tokens=usage.tokens_in + usage.tokens_out,
        prompt_tokens_details=shapes.ChatCached(cached_tokens=usage.cached_tokens_in),
    )


def _require_offered(request: shapes.ChatRequest) -> None:
    """Raise Misfit for what would change the answer and is not done here."""
    if request.n not in (None, 1):
        raise wrong("n", f"{request.n!r} answers to one request are not given", "leave it out, and ask again")
    if request.logprobs or request.top_logprobs:
        raise wrong("logprobs", "probabilities are not told", "leave it out")
    if request.audio is not None or set(request.modalities or ()) - {"text"}:
        raise wrong("modalities", "only text is written", "leave it out, and `audio`")
    if request.functions is not None or request.function_call is not None:
        raise wrong("functions", "the old form of tools is not taken", "send `tools` and `tool_choice`")
    if request.web_search_options is not None:
        raise wrong("web_search_options", "nothing is searched here", "leave it out")


def _turn(index: int, message: shapes.ChatMessage) -> Turn:
    where = f"messages[{index}]"
    text = _content(where, message)
    match message.role:
        case "system" | "developer":
            return Turn(role="system", text=text)
        case "user":
            return Turn(role="user", text=text)
        case "assistant":
            calls = tuple(_call(where, call) for call in message.tool_calls or ())
            return Turn(role="assistant", text=text, calls=calls)
        case "tool" if message.tool_call_id:
            return Turn(role="tool", text=text, call_id=message.tool_call_id)
        case "tool":
            raise wrong(f"{where}.tool_call_id", "missing", "name the call that this answers")
        case _:
            raise wrong(f"{where}.role", "the old form of tools is not taken", "use the role `tool`")


def _content(where: str, message: shapes.ChatMessage) -> str:
    """The message as text; raises Misfit for a picture, a sound or a file."""
    content = message.content
    if isinstance(content, str):
        return content
    if content is None:
        if message.role == "assistant":
            return message.refusal or ""
        raise wrong(f"{where}.content", "missing", "give a text, or a list of text parts")
    texts = []
    for number, part in enumerate(content):
        text = part.text if part.type == "text" else part.refusal if part.type == "refusal" else None
        if text is None:
            raise wrong(
                f"{where}.content[{number}]", f"a part of type {part.type!r} is not read", "send parts of type 'text'"
            )
        texts.append(text)
    return "\n".join(texts)


def _call(where: str, call: shapes.ChatToolCall) -> ToolCall:
    if call.function is None:
        raise wrong(f"{where}.tool_calls", f"a call of type {call.type!r} is not read", "send calls of functions")
    return ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)


def _tool(index: int, tool: shapes.ChatTool) -> Tool:
    function = tool.function
    if tool.type != "function" or function is None:
        raise wrong(f"tools[{index}]", f"a tool of type {tool.type!r} is not taken", "send a `function`")
    if function.name in MODES:
        raise wrong(f"tools[{index}].function.name", f"{function.name!r} is a mode of tool_choice", "call it otherwise")
    return Tool(
        name=function.name,
        description=function.description or "",
        schema=function.parameters or {"type": "object", "properties": {}},
        strict=bool(function.strict),
    )


def _choice(request: shapes.ChatRequest, tools: tuple[Tool, ...]) -> str:
    choice = request.tool_choice
    if choice is None or isinstance(choice, str):
        found = choice or "auto"
        if found == "required" and not tools:
            raise wrong("tool_choice", "a tool must be called and there is none", "send `tools`")
        return found
    if choice.type != "function" or choice.function is None:
        raise wrong("tool_choice", f"a choice of type {choice.type!r} is not taken", "name a function, or 'auto'")
    if choice.function.name not in {tool.name for tool in tools}:
        raise wrong("tool_choice", f"there is no tool {choice.function.name!r}", "name one of `tools`")
    return choice.function.name


def _schema(format: shapes.ChatFormat | None) -> dict[str, object] | None:
    if format is None or format.type == "text":
        return None
    if format.type == "json_object":
        return OBJECT
    if format.json_schema is None or format.json_schema.schema is None:
        raise wrong("response_format.json_schema", "missing", "give `name` and `schema`")
    return format.json_schema.schema
