"""OpenAI Responses: items, typed events with a running number, usage in the last of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.standin.answers import CACHED_IN, TOKENS_IN, Asked, Speaker, event, halves
from tests.standin.connection import Seen

FORMATS = ("text", "json_object", "json_schema")
INCOMPLETE = {"length": "max_output_tokens", "filtered": "content_filter"}


class Responses(Speaker):
    """`POST /v1/responses`, and Azure's address of it."""

    unreadable = b'event: response.output_text.delta\ndata: {"type": "response.output_text.delta", "del\n\n'
    _number = -1

    @classmethod
    def asked(cls, seen: Seen) -> Asked:
        body = seen.body
        choice = body.get("tool_choice", "auto")
        return Asked(
            model=body["model"],
            stream=bool(body.get("stream")),
            tools=tuple(tool["name"] for tool in body.get("tools") or () if tool["type"] == "function"),
            choice=choice if isinstance(choice, str) else choice["name"],
        )

    @classmethod
    def wrong(cls, seen: Seen) -> str:
        body = seen.body
        if not body.get("model") or not body.get("input"):
            return "model and input are needed"
        if seen.path.startswith("/openai/responses") and "api-version=" not in seen.path:
            return "api-version is needed"
        strange = {"messages", "max_tokens", "max_completion_tokens", "response_format", "stream_options"} & set(body)
        if strange:
            return f"unsupported parameter: {sorted(strange)}"
        form = (body.get("text") or {}).get("format") or {"type": "text"}
        if form.get("type") not in FORMATS:
            return f"text.format.type must be one of {FORMATS}"
        return "text.format.name is needed" if form["type"] == "json_schema" and not form.get("name") else ""

    @classmethod
    def error(cls, status: int, code: str, message: str) -> dict[str, Any]:
        return {"error": {"message": message, "type": code, "param": None, "code": code}}

    def _event(self, type: str, **fields: Any) -> bytes:
        self._number += 1
        return event({"type": type, "sequence_number": self._number, **fields}, type)

    def opening(self) -> Iterator[bytes]:
        begun = self._response([], "in_progress", usage=False)
        yield self._event("response.created", response=begun)
        yield self._event("response.in_progress", response=begun)
        if self.answer.text:
            item = {**_message(""), "status": "in_progress", "content": []}
            yield self._event("response.output_item.added", output_index=0, item=item)
            place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
            yield self._event("response.content_part.added", **place, part=_part(""))

    def piece(self, text: str) -> bytes:
        place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        return self._event("response.output_text.delta", **place, delta=text, logprobs=[])

    def calls(self) -> Iterator[bytes]:
        text = self.answer.text
        if text:
            place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
            yield self._event("response.output_text.done", **place, text=text, logprobs=[])
            yield self._event("response.content_part.done", **place, part=_part(text))
            yield self._event("response.output_item.done", output_index=0, item=_message(text))
        for at, call in enumerate(self.answer.calls):
            row, item = at + bool(text), self._call(at)
            place = {"item_id": item["id"], "output_index": row}
            begun = {**item, "status": "in_progress", "arguments": ""}
            yield self._event("response.output_item.added", output_index=row, item=begun)
            for half in halves(call.arguments):
                yield self._event("response.function_call_arguments.delta", **place, delta=half)
            done = {"name": call.name, "arguments": call.arguments}
            yield self._event("response.function_call_arguments.done", **place, **done)
            yield self._event("response.output_item.done", output_index=row, item=item)

    def closing(self, *, usage: bool) -> Iterator[bytes]:
        status = "incomplete" if self.answer.finish in INCOMPLETE else "completed"
        whole = self._response(self._output(self.answer.text), status, usage=usage)
        yield self._event(f"response.{status}", response=whole)

    def failing(self) -> bytes:
        return self._event("error", code="server_error", message="overloaded", param=None)

    def whole(self, text: str, *, finished: bool, usage: bool) -> dict[str, Any]:
        ended = "incomplete" if self.answer.finish in INCOMPLETE else "completed"
        return self._response(self._output(text), ended if finished else "in_progress", usage=usage)

    def _output(self, text: str) -> list[dict[str, Any]]:
        said = [_message(text)] if text else []
        return [*said, *(self._call(at) for at in range(len(self.answer.calls)))]

    def _call(self, at: int) -> dict[str, Any]:
        call = self.answer.calls[at]
        ids = {"id": f"fc_{at + 1}", "type": "function_call", "status": "completed", "call_id": f"call_{at + 1}"}
        return {**ids, "name": call.name, "arguments": call.arguments}

    def _response(self, output: list[dict[str, Any]], status: str, *, usage: bool) -> dict[str, Any]:
        body, out = self.body, self.answer.tokens_out
        used = {
            "input_tokens": TOKENS_IN,
            "input_tokens_details": {"cached_tokens": CACHED_IN},
            "output_tokens": out,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": TOKENS_IN + out,
        }
        reason = INCOMPLETE.get(self.answer.finish) if status == "incomplete" else None
        return {
            "id": "resp_1", "object": "response", "created_at": 1, "status": status, "error": None,
            "incomplete_details": {"reason": reason} if reason else None, "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"), "metadata": body.get("metadata") or {},
            "model": self.answer.model, "output": output, "parallel_tool_calls": True, "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None}, "store": bool(body.get("store", True)),
            "temperature": body.get("temperature", 1.0), "text": body.get("text") or {"format": {"type": "text"}},
            "tool_choice": body.get("tool_choice", "auto"), "tools": body.get("tools") or [],
            "top_p": body.get("top_p", 1.0), "truncation": "disabled", "usage": used if usage else None,
        }  # fmt: skip


def _message(text: str) -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [_part(text)]}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
