"""What Anthropic's Messages looks like on the wire: every field that it defines, read or not.

It knows shapes alone. A field of type `Any` is taken and has no effect here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from app.core.messages import ModelText
from app.edge.doors.openai_shapes import Name, Share, Tokens


class _Read(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a request."""


class MessageText(_Read, frozen=True, kw_only=True):
    """A piece of text."""

    type: str = "text"
    text: str | None = None
    cache_control: Any = None
    citations: Any = None
    source: Any = None
    title: Any = None
    context: Any = None
    content: Any = None
    tool_name: Any = None


class MessageBlock(_Read, frozen=True, kw_only=True):
    """A piece of a message: a text, a call of a tool, or what a tool answered; thoughts are left out."""

    type: str
    text: str | None = None
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None
    tool_use_id: str | None = None
    content: str | tuple[MessageText, ...] | None = None
    is_error: bool | None = None
    cache_control: Any = None
    citations: Any = None
    caller: Any = None
    thinking: Any = None
    signature: Any = None
    data: Any = None
    source: Any = None
    title: Any = None
    context: Any = None
    toolset_name: Any = None
    parsed_output: Any = None


class MessageTurn(_Read, frozen=True, kw_only=True):
    """One message of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | tuple[MessageBlock, ...]


class MessageTool(_Read, frozen=True, kw_only=True):
    """A tool of the client's own; `input_schema` is a JSON Schema."""

    name: Annotated[str, msgspec.Meta(pattern="^[a-zA-Z0-9_.-]{1,128}$")]
    input_schema: dict[str, Any] | None = None
    description: str | None = None
    type: str | None = None
    strict: bool | None = None
    cache_control: Any = None
    allowed_callers: Any = None
    defer_loading: Any = None
    eager_input_streaming: Any = None
    input_examples: Any = None


class MessageToolChoice(_Read, frozen=True, kw_only=True):
    """Whether a tool must be called, and which."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: Any = None


class MessageFormat(_Read, frozen=True, kw_only=True):
    """The JSON Schema of the answer."""

    type: Literal["json_schema"]
    schema: dict[str, Any]


class MessageOutput(_Read, frozen=True, kw_only=True):
    """What the answer must be, and how much is thought about it."""

    format: MessageFormat | None = None
    effort: Annotated[str, msgspec.Meta(max_length=32)] | None = None


class MessageMetadata(_Read, frozen=True, kw_only=True):
    """Whom the request is for."""

    user_id: Annotated[str, msgspec.Meta(max_length=256)] | None = None


class MessageRequest(_Read, frozen=True, kw_only=True):
    """A conversation that the model is to go on with."""

    model: Name
    max_tokens: Tokens
    messages: Annotated[tuple[MessageTurn, ...], msgspec.Meta(min_length=1)]
    system: str | tuple[MessageText, ...] | None = None
    stream: bool | None = None
    stop_sequences: Annotated[tuple[str, ...], msgspec.Meta(max_length=16)] | None = None
    temperature: Share | None = None
    top_p: Share | None = None
    tools: tuple[MessageTool, ...] | None = None
    tool_choice: MessageToolChoice | None = None
    output_config: MessageOutput | None = None
    metadata: MessageMetadata | None = None
    container: Any = None
    mcp_servers: Any = None
    prefill: Any = None
    cache_control: Any = None
    context_management: Any = None
    diagnostics: Any = None
    inference_geo: Any = None
    service_tier: Any = None
    speed: Any = None
    thinking: Any = None
    top_k: Any = None
    user_profile_id: Any = None
    workspace_id: Any = None


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an answer."""


class MessageSaid(_Told, frozen=True, kw_only=True):
    """A text of the answer, or a call that the model asks for."""

    type: Literal["text", "tool_use"]
    text: ModelText | msgspec.UnsetType = msgspec.UNSET
    id: str | msgspec.UnsetType = msgspec.UNSET
    name: str | msgspec.UnsetType = msgspec.UNSET
    input: Any = msgspec.UNSET
    """The call's arguments: a JSON object."""


class MessageUsage(_Told, frozen=True, kw_only=True):
    """What the answer took; `input_tokens` are those that were not read from the provider's cache."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int = 0


class MessageAnswer(_Told, frozen=True, kw_only=True):
    """A whole answer. That a model wrote it is said in the header `Innkeeper-AI-Generated`."""

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    model: str
    content: tuple[MessageSaid, ...]
    stop_reason: Literal["end_turn", "max_tokens", "refusal", "tool_use"]
    stop_sequence: None = None
    usage: MessageUsage


class MessageFault(_Told, frozen=True, kw_only=True):
    """What is wrong; `code` is the code of Innkeeper's own errors."""

    type: str
    message: str
    code: str


class MessageError(_Told, frozen=True, kw_only=True):
    """Every refusal."""

    type: Literal["error"] = "error"
    error: MessageFault


class MessageModel(_Told, frozen=True, kw_only=True):
    """A name that `model` may hold."""

    type: Literal["model"] = "model"
    id: str
    display_name: str
    created_at: str = "1970-01-01T00:00:00Z"


class MessageModels(_Told, frozen=True, kw_only=True):
    """Every such name."""

    data: tuple[MessageModel, ...]
    has_more: bool = False
    first_id: str
    last_id: str
