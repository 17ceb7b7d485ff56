"""Anthropic's message batches: many requests in one call, answered within a day for half the price.

The vendor's SDK sends, asks and reads; a line's body is the engine's own.
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
    UNREADABLE,
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
from app.engines.providers.anthropic import URL, Messages
from app.engines.providers.provider import Reason

_REASONS: dict[str, Reason] = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "model_context_window_exceeded": "length",
    "refusal": "filtered", "tool_use": "tools",
}  # fmt: skip


def open_anthropic_batches(engine: Messages, *, key: str, base_url: str, outbound: Outbound) -> AnthropicBatches:
    """The batches of an engine over Anthropic itself, or over a server that has its message batches."""
    import anthropic

    url = base_url or URL
    client = anthropic.AsyncAnthropic(
        api_key=key, base_url=url, max_retries=0, http_client=provider_client(url, outbound)
    )
    return AnthropicBatches(client, engine, anthropic.AnthropicError)


class AnthropicBatches:
    """Implements Vendor. `client` is the SDK's AsyncAnthropic."""

    def __init__(self, client: Any, engine: Messages, error: type[Exception]) -> None:
        self.engine = engine.name
        self._client, self._provider, self._error = client, engine, error

    def most(self, completion: Completion) -> Usage:
        return most_of(self._provider, completion)

    async def send(self, id: str, completions: Sequence[Completion]) -> str:
        requests = [
            {"custom_id": LINE.format(row=row), "params": body_of(self._provider, completion)}
            for row, completion in enumerate(completions)
        ]
        with mapped(self.engine, self._error):
            return str((await self._client.messages.batches.create(requests=requests)).id)

    async def over(self, remote: str) -> bool:
        with mapped(self.engine, self._error):
            return bool((await self._client.messages.batches.retrieve(remote)).processing_status == "ended")

    async def results(self, remote: str, completions: Sequence[Completion]) -> AsyncGenerator[Read]:
        with mapped(self.engine, self._error):
            async for line in await self._client.messages.batches.results(remote):
                if (read := self._read(line, completions)) is not None:
                    yield read

    def _read(self, line: Any, completions: Sequence[Completion]) -> Read | None:
        """One line of the results; without an answer where it cannot be read."""
        row = row_of(str(getattr(line, "custom_id", "")), len(completions))
        if row is None:
            return None
        try:
            answered = line.result.type == "succeeded"
            return Read(row=row, answered=self._answered(line.result.message, completions[row]) if answered else None)
        except UNREADABLE:
            return Read(row=row, answered=None)

    def _answered(self, message: Any, completion: Completion) -> Answered | None:
        if message.stop_reason not in _REASONS:
            return None
        used = message.usage
        cached, written = used.cache_read_input_tokens or 0, used.cache_creation_input_tokens or 0
        usage = Usage(
            tokens_in=used.input_tokens + cached + written, tokens_out=used.output_tokens, cached_tokens_in=cached
        )
        usage = priced(self._provider, message.model, usage, cache_written=written)
        text = "".join(block.text for block in message.content if block.type == "text")
        calls = [
            ToolCall(id=block.id, name=block.name, arguments=msgspec.json.encode(block.input).decode())
            for block in message.content
            if block.type == "tool_use"
        ]
        return answer_of(completion, text, calls, _REASONS[message.stop_reason], message.model, usage)

    async def cancel(self, remote: str) -> None:
        with mapped(self.engine, self._error):
            try:
                await self._client.messages.batches.cancel(remote)
            except self._error as error:
                if getattr(error, "status_code", None) not in OVER_ALREADY:
                    raise

    async def close(self) -> None:
        await self._client.close()
