"""What OpenAI's Chat Completions looks like on the wire: every field that it defines, read or not.

It knows shapes alone. A field of type `Any` is taken and has no effect here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from app.core.messages import ModelText

Name = Annotated[str, msgspec.Meta(max_length=256)]
Tokens = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Seed = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Temperature = Annotated[float, msgspec.Meta(ge=0.0, le=2.0)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Penalty = Annotated[float, msgspec.Meta(ge=-2.0, le=2.0)]
Role = Literal["system", "developer", "user", "assistant", "tool", "function"]


class _Read(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a request."""


class ChatPart(_Read, frozen=True, kw_only=True):
    """A piece of a message's content; only text is read."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: Any = None
    input_audio: Any = None
    file: Any = None
    prompt_cache_breakpoint: Any = None


class ChatFunctionCall(_Read, frozen=True, kw_only=True):
    """Which function was called, and its arguments as JSON text."""

    name: str
    arguments: str


class ChatToolCall(_Read, frozen=True, kw_only=True):
    """A call that the assistant asked for earlier."""

    id: str
    function: ChatFunctionCall | None = None
    type: str = "function"
    custom: Any = None
    index: Any = None


class ChatMessage(_Read, frozen=True, kw_only=True):
    """One message of the conversation."""

    role: Role
    content: str | tuple[ChatPart, ...] | None = None
    name: str | None = None
    tool_calls: tuple[ChatToolCall, ...] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    audio: Any = None
    annotations: Any = None
    function_call: Any = None
    parsed: Any = None


class ChatFunction(_Read, frozen=True, kw_only=True):
    """A function that the model may call; `parameters` is a JSON Schema."""

    name: Annotated[str, msgspec.Meta(pattern="^[a-zA-Z0-9_.-]{1,128}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ChatTool(_Read, frozen=True, kw_only=True):
    """A tool; functions are the only kind that is taken."""

    type: str
    function: ChatFunction | None = None
    custom: Any = None


class ChatNamed(_Read, frozen=True, kw_only=True):
    """A function by its name."""

    name: str


class ChatToolChoice(_Read, frozen=True, kw_only=True):
    """The one function that must be called."""

    type: str
    function: ChatNamed | None = None
    allowed_tools: Any = None
    custom: Any = None


class ChatSchema(_Read, frozen=True, kw_only=True):
    """The JSON Schema of the answer."""

    name: str
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class ChatFormat(_Read, frozen=True, kw_only=True):
    """What the answer must be."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: ChatSchema | None = None


class ChatStreamOptions(_Read, frozen=True, kw_only=True):
    """What a stream tells beside the text."""

    include_usage: bool | None = None
    include_obfuscation: Any = None


class ChatRequest(_Read, frozen=True, kw_only=True):
    """A conversation that the model is to go on with."""

    model: Name
    messages: Annotated[tuple[ChatMessage, ...], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: ChatStreamOptions | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    stop: str | Annotated[tuple[str, ...], msgspec.Meta(max_length=16)] | None = None
    seed: Seed | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    tools: tuple[ChatTool, ...] | None = None
    tool_choice: Literal["none", "auto", "required"] | ChatToolChoice | None = None
    response_format: ChatFormat | None = None
    reasoning_effort: Annotated[str, msgspec.Meta(max_length=32)] | None = None
    user: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    modalities: tuple[str, ...] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    audio: Any = None
    function_call: Any = None
    functions: Any = None
    web_search_options: Any = None
    logit_bias: Any = None
    metadata: Any = None
    moderation: Any = None
    parallel_tool_calls: Any = None
    prediction: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    safety_identifier: Any = None
    service_tier: Any = None
    store: Any = None
    verbosity: Any = None


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an answer."""


class ChatCalledFunction(_Told, frozen=True, kw_only=True):
    """Which function to call, with its arguments as JSON text."""

    name: str
    arguments: ModelText


class ChatCalled(_Told, frozen=True, kw_only=True):
    """A call that the model asks for."""

    id: str
    type: Literal["function"] = "function"
    function: ChatCalledFunction


class ChatAnswered(_Told, frozen=True, kw_only=True):
    """What the assistant says."""

    role: Literal["assistant"] = "assistant"
    content: ModelText | None
    refusal: str | None = None
    tool_calls: tuple[ChatCalled, ...] | msgspec.UnsetType = msgspec.UNSET


class ChatChoice(_Told, frozen=True, kw_only=True):
    """The one answer."""

    index: int = 0
    message: ChatAnswered
    logprobs: None = None
    finish_reason: Literal["stop", "length", "content_filter", "tool_calls"]


class ChatCached(_Told, frozen=True, kw_only=True):
    """Of the prompt, what the provider had read before."""

    cached_tokens: int


class ChatUsage(_Told, frozen=True, kw_only=True):
    """What the answer took."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: ChatCached


class ChatCompletion(_Told, frozen=True, kw_only=True):
    """A whole answer. That a model wrote it is said in the header `Innkeeper-AI-Generated`."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: tuple[ChatChoice, ...]
    usage: ChatUsage


class ChatFault(_Told, frozen=True, kw_only=True):
    """What is wrong; `code` is the code of Innkeeper's own errors."""

    message: str
    type: str
    param: str | None
    code: str


class ChatError(_Told, frozen=True, kw_only=True):
    """Every refusal."""

    error: ChatFault


class ChatModel(_Told, frozen=True, kw_only=True):
    """A name that `model` may hold."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str


class ChatModels(_Told, frozen=True, kw_only=True):
    """Every such name."""

    object: Literal["list"] = "list"
    data: tuple[ChatModel, ...]
