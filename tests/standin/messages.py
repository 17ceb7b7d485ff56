"""Anthropic Messages: content blocks, named events, usage at the start and at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.standin.answers import CACHED_IN, TOKENS_IN, Asked, Finish, Speaker, event, halves
from tests.standin.connection import Seen

FINISHES: dict[Finish, str] = {
    "stop": "end_turn", "length": "max_tokens", "filtered": "refusal", "tools": "tool_use",
}  # fmt: skip
CHOICES = {"any": "required", "auto": "auto", "none": "none"}
REFUSED = frozenset(("temperature", "top_p", "top_k"))
"""What the present API does not take any more."""


class Messages(Speaker):
    """`POST /v1/messages`."""

    unreadable = b'event: content_block_delta\ndata: {"type": "content_block_delta", "ind\n\n'

    @classmethod
    def asked(cls, seen: Seen) -> Asked:
        body = seen.body
        choice = body.get("tool_choice") or {"type": "auto"}
        return Asked(
            model=body["model"],
            stream=bool(body.get("stream")),
            tools=tuple(tool["name"] for tool in body.get("tools") or ()),
            choice=choice["name"] if choice["type"] == "tool" else CHOICES[choice["type"]],
        )

    @classmethod
    def wrong(cls, seen: Seen) -> str:
        if "anthropic-version" not in seen.headers:
            return "anthropic-version: header is required"
        return wrong_body(seen.body)

    @classmethod
    def error(cls, status: int, code: str, message: str) -> dict[str, Any]:
        return {"type": "error", "error": {"type": code, "message": message}, "request_id": "req_1"}

    def _event(self, type: str, **fields: Any) -> bytes:
        return event({"type": type, **fields}, type)

    def opening(self) -> Iterator[bytes]:
        message = self._message([], stop=None, usage={**_usage_in(), "output_tokens": 1})
        yield self._event("message_start", message=message)
        if self.answer.text:
            yield self._event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        yield self._event("ping")

    def piece(self, text: str) -> bytes:
        return self._event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})

    def calls(self) -> Iterator[bytes]:
        if self.answer.text:
            yield self._event("content_block_stop", index=0)
        for at, call in enumerate(self.answer.calls):
            row = at + bool(self.answer.text)
            block = {"type": "tool_use", "id": f"toolu_{at + 1}", "name": call.name, "input": {}}
            yield self._event("content_block_start", index=row, content_block=block)
            for half in halves(call.arguments):
                delta = {"type": "input_json_delta", "partial_json": half}
                yield self._event("content_block_delta", index=row, delta=delta)
            yield self._event("content_block_stop", index=row)

    def closing(self, *, usage: bool) -> Iterator[bytes]:
        used = {"usage": {**_usage_in(), "output_tokens": self.answer.tokens_out}} if usage else {}
        delta = {"stop_reason": FINISHES[self.answer.finish], "stop_sequence": None}
        yield self._event("message_delta", delta=delta, **used)
        yield self._event("message_stop")

    def failing(self) -> bytes:
        return self._event("error", error={"type": "overloaded_error", "message": "Overloaded"})

    def whole(self, text: str, *, finished: bool, usage: bool) -> dict[str, Any]:
        blocks: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
        for at, call in enumerate(self.answer.calls):
            used = {"type": "tool_use", "id": f"toolu_{at + 1}", "name": call.name}
            blocks.append({**used, "input": json.loads(call.arguments)})
        counts = {**_usage_in(), "output_tokens": self.answer.tokens_out}
        stop = FINISHES[self.answer.finish] if finished else None
        message = self._message(blocks, stop=stop, usage=counts)
        return message if usage else {name: value for name, value in message.items() if name != "usage"}

    def _message(self, content: list[dict[str, Any]], *, stop: str | None, usage: dict[str, int]) -> dict[str, Any]:
        return {
            "id": "msg_1", "type": "message", "role": "assistant", "model": self.answer.model, "content": content,
            "stop_reason": stop, "stop_sequence": None, "usage": usage,
        }  # fmt: skip


def wrong_body(body: dict[str, Any]) -> str:
    """What is wrong with one request's parameters, alone or in a batch."""
    refused = REFUSED & set(body)
    if refused:
        return f"{sorted(refused)} are not taken"
    if not body.get("model") or "max_tokens" not in body or not body.get("messages"):
        return "model, max_tokens and messages are needed"
    roles = [message["role"] for message in body["messages"]]
    if set(roles) - {"user", "assistant"}:
        return f"roles are user and assistant, not {sorted(set(roles))}"
    return "" if roles[0] == "user" and roles[-1] == "user" else "the first and last message are the user's"


def _usage_in() -> dict[str, int]:
    fresh = TOKENS_IN - CACHED_IN
    return {"input_tokens": fresh, "cache_read_input_tokens": CACHED_IN, "cache_creation_input_tokens": 0}
