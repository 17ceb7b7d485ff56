"""Words by OpenAI Chat Completions, from OpenAI itself or any server that speaks the same protocol.

The SDK makes the call and keeps the credentials; the raw stream is decoded here, strictly, since the
SDK's own reader takes a clean end without a finish for success. It does not choose models.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Literal

import msgspec

from app.core.errors import EngineDown
from app.core.outbound import Outbound
from app.core.words import Completion, Usage, WordsDelta, WordsEnd, WordsEvent, WordsStart
from app.engines import wire
from app.engines.outbound import OUTBOUND, provider_client
from app.engines.prices import Prices
from app.engines.providers.provider import Provider, Reason, Response

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletionMessageParam

TokenField = Literal["max_completion_tokens", "max_tokens"]


def open_openai(
    *,
    name: str,
    model: str,
    key: str,
    prices: Prices,
    base_url: str = "",
    token_field: TokenField = "max_completion_tokens",  # noqa: S107  # a field's name, not a secret
    outbound: Outbound = OUTBOUND,
) -> ChatCompletions:
    """An engine over OpenAI, or over the compatible server at `base_url`; older ones take `max_tokens`."""
    import openai

    url = base_url or "https://api.openai.com/v1"
    client = openai.AsyncOpenAI(
        api_key=key,
        base_url=url,
        max_retries=0,
        timeout=None,
        http_client=provider_client(url, outbound),
    )
    return ChatCompletions(client, name=name, kind="openai", model=model, prices=prices, token_field=token_field)


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _Details | None = None


class _Chunk(msgspec.Struct):
    model: str | None = None
    choices: tuple[_Choice, ...] = ()
    usage: _Usage | None = None
    error: msgspec.Raw | None = None


_chunks = msgspec.json.Decoder(_Chunk)
_REASONS: dict[str, Reason] = {"stop": "stop", "length": "length", "content_filter": "filtered"}


class ChatCompletions(Provider):
    """Chat Completions over an SDK client, OpenAI's or Azure's."""

    def __init__(
        self, client: AsyncOpenAI, *, name: str, kind: str, model: str, prices: Prices, token_field: TokenField
    ) -> None:
        super().__init__(name=name, kind=kind, model=model, prices=prices)
        self._client = client
        self._token_field = token_field

    @property
    def host(self) -> str:
        return self._client.base_url.host

    async def close(self) -> None:
        await self._client.close()

    def _vendor(self) -> tuple[type[Exception], type[Exception]]:
        import openai

        return openai.APIStatusError, openai.OpenAIError

    def _request(self, completion: Completion) -> AbstractAsyncContextManager[Response]:
        limit = completion.output_tokens_max + self._terms.thinking_tokens_max
        extra: dict[str, object] = {self._token_field: limit}
        if self._terms.effort:
            extra["reasoning_effort"] = self._terms.effort
        if completion.schema is not None:
            answer = {"name": "answer", "strict": True, "schema": dict(completion.schema)}
            extra["response_format"] = {"type": "json_schema", "json_schema": answer}
        return self._client.chat.completions.with_streaming_response.create(
            model=self.model,
            messages=_messages(completion),
            stream=True,
            stream_options={"include_usage": True},
            extra_body=extra,
        )

    async def _read(self, data: AsyncIterator[bytes], completion: Completion) -> AsyncGenerator[WordsEvent]:
        model = reason = ""
        usage: _Usage | None = None
        async for raw in data:
            if raw == b"[DONE]":
                break
            chunk = _chunks.decode(raw)
            if chunk.error is not None:
                raise EngineDown(f"{self.name} failed in mid-stream")
            if not model:
                model = chunk.model or self.model
                yield WordsStart(engine=self.name, model=model)
            usage = chunk.usage or usage
            for choice in chunk.choices:
                reason = choice.finish_reason or reason
                if choice.delta.content:
                    yield WordsDelta(text=choice.delta.content)
        if reason not in _REASONS or usage is None:
            raise EngineDown(f"{self.name} ended with finish {reason or None!r} and {'' if usage else 'no '}usage")
        cached = (usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens) or 0
        consumed = Usage(tokens_in=usage.prompt_tokens, tokens_out=usage.completion_tokens, cached_tokens_in=cached)
        yield WordsEnd(reason=_REASONS[reason], usage=self.priced(model, consumed))


def _messages(completion: Completion) -> list[ChatCompletionMessageParam]:
    rendered = wire.render(completion.parts)
    messages: list[ChatCompletionMessageParam] = [{"role": "system", "content": rendered.head}]
    for turn in rendered.turns:
        match turn.role:
            case "user":
                messages.append({"role": "user", "content": turn.text})
            case "assistant":
                messages.append({"role": "assistant", "content": turn.text})
            case "state":
                messages.append({"role": "system", "content": turn.text})
    return messages
