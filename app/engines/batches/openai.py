"""OpenAI's batches: a file of requests to Chat Completions, answered within a day for half the price.

The vendor's SDK uploads, asks and downloads; a line's body is the engine's own. Azure OpenAI and compatible servers
have other ways, or none, and are not asked.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec

from app.core.outbound import Outbound
from app.core.words import Completion, ToolCall, Usage
from app.engines.batches.vendor import (
    LINE,
    OVER_ALREADY,
    Answered,
    Read,
    answer_of,
    body_of,
    mapped,
    most_of,
    priced,
    row_of,
)
from app.engines.outbound import provider_client
from app.engines.providers.chat import ChatCompletions
from app.engines.providers.provider import Reason

URL = "https://api.openai.com/v1"
ENDPOINT = "/v1/chat/completions"
OVER = ("completed", "failed", "expired", "cancelled")


class _Function(msgspec.Struct):
    name: str
    arguments: str = ""


class _Call(msgspec.Struct):
    id: str
    function: _Function


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: tuple[_Call, ...] | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str


class _Details(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _Details | None = None


class _Body(msgspec.Struct):
    model: str
    choices: tuple[_Choice, ...]
    usage: _Usage


class _Response(msgspec.Struct):
    status_code: int
    body: msgspec.Raw


class _Line(msgspec.Struct):
    custom_id: str
    response: _Response | None = None


_lines, _bodies = msgspec.json.Decoder(_Line), msgspec.json.Decoder(_Body)
_REASONS: dict[str, Reason] = {
    "stop": "stop", "length": "length", "content_filter": "filtered", "tool_calls": "tools",
}  # fmt: skip


def open_openai_batches(engine: ChatCompletions, *, key: str, base_url: str, outbound: Outbound) -> OpenAIBatches:
    """The batches of an engine over OpenAI itself, or over a server that has its files and batches."""
    import openai

    url = base_url or URL
    client = openai.AsyncOpenAI(api_key=key, base_url=url, max_retries=0, http_client=provider_client(url, outbound))
    return OpenAIBatches(client, engine, openai.OpenAIError)


class OpenAIBatches:
    """Implements Vendor. `client` is the SDK's AsyncOpenAI."""

    def __init__(self, client: Any, engine: ChatCompletions, error: type[Exception]) -> None:
        self.engine = engine.name
        self._client, self._provider, self._error = client, engine, error

    def most(self, completion: Completion) -> Usage:
        return most_of(self._provider, completion)

    async def send(self, id: str, completions: Sequence[Completion]) -> str:
        lines = b"\n".join(
            msgspec.json.encode(
                {
                    "custom_id": LINE.format(row=row),
                    "method": "POST",
                    "url": ENDPOINT,
                    "body": body_of(self._provider, completion),
                }
            )
            for row, completion in enumerate(completions)
        )
        with mapped(self.engine, self._error):
            file = await self._client.files.create(file=(f"{id}.jsonl", lines), purpose="batch")
            batch = await self._client.batches.create(
                input_file_id=file.id, endpoint=ENDPOINT, completion_window="24h", metadata={"innkeeper": id}
            )
        return str(batch.id)

    async def over(self, remote: str) -> bool:
        with mapped(self.engine, self._error):
            return (await self._client.batches.retrieve(remote)).status in OVER

    async def results(self, remote: str, completions: Sequence[Completion]) -> AsyncGenerator[Read]:
        with mapped(self.engine, self._error):
            batch = await self._client.batches.retrieve(remote)
            for file in filter(None, (batch.output_file_id, batch.error_file_id)):
                content = (await self._client.files.content(file)).content
                for text in content.splitlines():
                    if (read := self._read(text, completions)) is not None:
                        yield read

    def _read(self, text: bytes, completions: Sequence[Completion]) -> Read | None:
        """One line of a file; without an answer where it cannot be read."""
        try:
            line = _lines.decode(text)
        except msgspec.DecodeError:
            return None
        row = row_of(line.custom_id, len(completions))
        if row is None:
            return None
        try:
            return Read(row=row, answered=self._answered(line, completions[row]))
        except msgspec.DecodeError:
            return Read(row=row, answered=None)

    def _answered(self, line: _Line, completion: Completion) -> Answered | None:
        if line.response is None or line.response.status_code != 200:
            return None
        found = _bodies.decode(line.response.body)
        if not found.choices or found.choices[0].finish_reason not in _REASONS:
            return None
        choice, details = found.choices[0], found.usage.prompt_tokens_details or _Details()
        usage = Usage(
            tokens_in=found.usage.prompt_tokens,
            tokens_out=found.usage.completion_tokens,
            cached_tokens_in=details.cached_tokens or 0,
        )
        usage = priced(self._provider, found.model, usage, cache_written=details.cache_write_tokens or 0)
        calls = [ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
                 for call in choice.message.tool_calls or ()]  # fmt: skip
        reason: Reason = "filtered" if choice.message.refusal else _REASONS[choice.finish_reason]
        return answer_of(completion, choice.message.content or "", calls, reason, found.model, usage)

    async def cancel(self, remote: str) -> None:
        with mapped(self.engine, self._error):
            try:
                await self._client.batches.cancel(remote)
            except self._error as error:
                if getattr(error, "status_code", None) not in OVER_ALREADY:
                    raise

    async def close(self) -> None:
        await self._client.close()
