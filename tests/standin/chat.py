"""OpenAI Chat Completions, as OpenAI, Azure OpenAI and whoever is compatible with them speak it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.standin.answers import CACHED_IN, TOKENS_IN, Asked, Finish, Speaker, event, halves
from tests.standin.connection import Seen

FINISHES: dict[Finish, str] = {
    "stop": "stop", "length": "length", "filtered": "content_filter", "tools": "tool_calls",
}  # fmt: skip
FORMATS = ("text", "json_object", "json_schema")


class Chat(Speaker):
    """`POST /v1/chat/completions`, and Azure's addresses of it."""

    unreadable = b'data: {"id": "chatcmpl-1", "choices": [{"ind\n\n'

    @classmethod
    def asked(cls, seen: Seen) -> Asked:
        body = seen.body
        choice = body.get("tool_choice", "auto")
        return Asked(
            model=body.get("model") or _deployment(seen.path),
            stream=bool(body.get("stream")),
            tools=tuple(tool["function"]["name"] for tool in body.get("tools") or ()),
            choice=choice if isinstance(choice, str) else choice["function"]["name"],
        )

    @classmethod
    def wrong(cls, seen: Seen) -> str:
        body = seen.body
        if not body.get("messages"):
            return "messages is needed"
        if not (body.get("model") or _deployment(seen.path)):
            return "you must provide a model parameter"
        if seen.path.startswith("/openai/deployments/") and "api-version=" not in seen.path:
            return "api-version is needed"
        form = body.get("response_format") or {"type": "text"}
        if form.get("type") not in FORMATS:
            return f"response_format.type must be one of {FORMATS}"
        if form["type"] == "json_schema" and not form.get("json_schema", {}).get("name"):
            return "response_format.json_schema.name is needed"
        if body.get("stream_options") and not body.get("stream"):
            return "stream_options is only allowed when stream is enabled"
        return ""

    @classmethod
    def error(cls, status: int, code: str, message: str) -> dict[str, Any]:
        return {"error": {"message": message, "type": code, "param": None, "code": code}}

    def _chunk(self, **fields: Any) -> bytes:
        shared = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": self.answer.model}
        return event({**shared, "system_fingerprint": "fp_1", "choices": [], **fields})

    def _delta(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        return self._chunk(choices=[{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}])

    def opening(self) -> Iterator[bytes]:
        yield self._delta({"role": "assistant", "content": "", "refusal": None})

    def piece(self, text: str) -> bytes:
        return self._delta({"content": text})

    def calls(self) -> Iterator[bytes]:
        for at, call in enumerate(self.answer.calls):
            function = {"name": call.name, "arguments": ""}
            start = {"index": at, "id": f"call_{at + 1}", "type": "function", "function": function}
            yield self._delta({"tool_calls": [start]})
            for half in halves(call.arguments):
                yield self._delta({"tool_calls": [{"index": at, "function": {"arguments": half}}]})

    def closing(self, *, usage: bool) -> Iterator[bytes]:
        yield self._delta({}, FINISHES[self.answer.finish])
        if usage and (self.body.get("stream_options") or {}).get("include_usage"):
            yield self._chunk(usage=self._usage())
        yield b"data: [DONE]\n\n"

    def failing(self) -> bytes:
        return event(self.error(500, "server_error", "overloaded"))

    def whole(self, text: str, *, finished: bool, usage: bool) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": None}
        if self.answer.calls:
            message["tool_calls"] = [
                {
                    "id": f"call_{at + 1}",
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for at, call in enumerate(self.answer.calls)
            ]
        finish = FINISHES[self.answer.finish] if finished else None
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        shared = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": self.answer.model}
        used = {"usage": self._usage()} if usage else {}
        return {**shared, "choices": [choice], **used, "system_fingerprint": "fp_1"}

    def _usage(self) -> dict[str, Any]:
        out = self.answer.tokens_out
        return {
            "prompt_tokens": TOKENS_IN,
            "completion_tokens": out,
            "total_tokens": TOKENS_IN + out,
            "prompt_tokens_details": {"cached_tokens": CACHED_IN, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }


def _deployment(path: str) -> str:
    """The deployment that an address of Azure names; empty elsewhere."""
    _, found, rest = path.partition("/openai/deployments/")
    return rest.partition("/")[0] if found else ""
