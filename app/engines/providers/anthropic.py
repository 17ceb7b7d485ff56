"""Words by Anthropic Messages.

The SDK makes the call and keeps the credentials; the raw stream is decoded here, strictly. It sends no
sampling parameters, which the present API refuses, and marks the head of the prompt for the vendor's cache.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import msgspec

from app.core.errors import EngineDown
from app.core.outbound import Outbound
from app.core.words import Completion, Usage, WordsDelta, WordsEnd, WordsEvent, WordsStart
from app.engines import wire
from app.engines.outbound import OUTBOUND, provider_client
from app.engines.prices import Prices
from app.engines.providers.provider import Provider, Reason, Response

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from anthropic.types import MessageParam


def open_anthropic(
    *, name: str, model: str, key: str, prices: Prices, base_url: str = "", outbound: Outbound = OUTBOUND
) -> Messages:
    """An engine over Anthropic, or over the compatible server at `base_url`."""
    import anthropic

    url = base_url or "https://api.anthropic.com"
    client = anthropic.AsyncAnthropic(
        api_key=key,
        base_url=url,
        max_retries=0,
        timeout=None,
        http_client=provider_client(url, outbound),
    )
    return Messages(client, name=name, model=model, prices=prices)


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Message(msgspec.Struct):
    model: str
    usage: _Usage


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    type: str
    message: _Message | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None


_events = msgspec.json.Decoder(_Event)
_REASONS: dict[str, Reason] = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "refusal": "filtered",
}  # fmt: skip


class Messages(Provider):
    """Messages over the SDK's client."""

    def __init__(self, client: AsyncAnthropic, *, name: str, model: str, prices: Prices) -> None:
        super().__init__(name=name, kind="anthropic", model=model, prices=prices)
        self._client = client

    @property
    def host(self) -> str:
        return self._client.base_url.host

    async def close(self) -> None:
        await self._client.close()

    def _vendor(self) -> tuple[type[Exception], type[Exception]]:
        import anthropic

        return anthropic.APIStatusError, anthropic.AnthropicError

    def _request(self, completion: Completion) -> AbstractAsyncContextManager[Response]:
        rendered = wire.render(completion.parts)
        output: dict[str, object] = {"effort": self._terms.effort} if self._terms.effort else {}
        if completion.schema is not None:
            output["format"] = {"type": "json_schema", "schema": dict(completion.schema)}
        extra: dict[str, object] = {"output_config": output} if output else {}
        if self._terms.thinking:
            extra["thinking"] = {"type": self._terms.thinking}
        return self._client.messages.with_streaming_response.create(
            model=self.model,
            max_tokens=completion.output_tokens_max + self._terms.thinking_tokens_max,
            system=[{"type": "text", "text": rendered.head, "cache_control": {"type": "ephemeral"}}],
            messages=_messages(rendered.turns),
            stream=True,
            extra_body=extra or None,
        )

    async def _read(self, data: AsyncIterator[bytes], completion: Completion) -> AsyncGenerator[WordsEvent]:
        model, reason, stopped = self.model, "", False
        start, end = _Usage(), _Usage()
        async for raw in data:
            event = _events.decode(raw)
            if event.type == "message_start" and event.message is not None:
                model, start = event.message.model, event.message.usage
                yield WordsStart(engine=self.name, model=model)
            elif event.type == "content_block_delta" and event.delta is not None and event.delta.text:
                yield WordsDelta(text=event.delta.text)
            elif event.type == "message_delta" and event.delta is not None:
                reason, end = event.delta.stop_reason or reason, event.usage or end
            elif event.type == "error":
                raise EngineDown(f"{self.name} failed in mid-stream")
            elif event.type == "message_stop":
                stopped = True
                break
        if not stopped or reason not in _REASONS or end.output_tokens is None:
            raise EngineDown(f"{self.name} ended with stop {reason or None!r}, message_stop {stopped}")
        written = end.cache_creation_input_tokens or start.cache_creation_input_tokens or 0
        usage = self.priced(model, _consumed(start, end), cache_written=written)
        yield WordsEnd(reason=_REASONS[reason], usage=usage)


def _consumed(start: _Usage, end: _Usage) -> Usage:
    """Both usages as one: the vendor counts cached input beside `input_tokens`, and the last word holds."""
    cached = end.cache_read_input_tokens or start.cache_read_input_tokens or 0
    written = end.cache_creation_input_tokens or start.cache_creation_input_tokens or 0
    fresh = end.input_tokens or start.input_tokens or 0
    return Usage(tokens_in=fresh + written + cached, tokens_out=end.output_tokens or 0, cached_tokens_in=cached)


def _messages(turns: tuple[wire.Turn, ...]) -> list[MessageParam]:
    """The turns by two roles; the first must be the user's, and neighbors of one role are joined."""
    joined: list[tuple[bool, str]] = []
    for turn in turns:
        ours = turn.role == "assistant"
        text = f"<game_state>\n{turn.text}\n</game_state>" if turn.role == "state" else turn.text
        if joined and joined[-1][0] == ours:
            joined[-1] = (ours, f"{joined[-1][1]}\n\n{text}")
        else:
            joined.append((ours, text))
    if joined[0][0]:
        joined.insert(0, (False, "<game_state>\nThe conversation so far.\n</game_state>"))
    return [_message(text, ours=ours) for ours, text in joined]


def _message(text: str, *, ours: bool) -> MessageParam:
    return {"role": "assistant", "content": text} if ours else {"role": "user", "content": text}
