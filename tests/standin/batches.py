"""Work that can wait: OpenAI's files and batches, Anthropic's message batches. Small, but enough for the SDKs' clients.

A batch is asked after `polls` times before it has ended. It answers each line by whatever writes a whole answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from tests.standin.chat import Chat
from tests.standin.connection import Seen
from tests.standin.messages import wrong_body

MORNING = "2026-11-28T06:00:00Z"
Write = Callable[[str, dict[str, Any]], dict[str, Any]]
"""The whole answer to the body of a request at that address."""
Reply = tuple[int, bytes]


@dataclass
class _Batch:
    fields: dict[str, Any]
    lines: list[dict[str, Any]]
    left: int
    ended: str = ""


@dataclass
class Batches:
    """Both vendors' files and batches. `failing` are the custom ids whose line ends in an error."""

    write: Write
    polls: int = 1
    failing: set[str] = field(default_factory=set)
    files: dict[str, tuple[dict[str, Any], bytes]] = field(default_factory=dict)
    _batches: dict[str, _Batch] = field(default_factory=dict)

    def answer(self, seen: Seen, origin: str) -> Reply | None:
        """The answer where the address is one of these; None elsewhere."""
        root, _, rest = seen.route.removeprefix("/v1").removeprefix("/openai").lstrip("/").partition("/")
        if root == "files":
            return self._file(seen, rest)
        if root == "batches":
            return self._openai(seen, rest)
        if root == "messages" and rest.partition("/")[0] == "batches":
            return self._anthropic(seen, rest.partition("/")[2], origin)
        return None

    def _file(self, seen: Seen, rest: str) -> Reply:
        name, _, more = rest.partition("/")
        if not name:
            return (
                _json(self._upload(seen)) if seen.method == "POST" else _list([meta for meta, _ in self.files.values()])
            )
        if name not in self.files:
            return 404, json.dumps(Chat.error(404, "not_found", f"no such file {name}")).encode()
        if seen.method == "DELETE":
            del self.files[name]
            return _json({"id": name, "object": "file", "deleted": True})
        meta, content = self.files[name]
        return (200, content) if more == "content" else _json(meta)

    def _upload(self, seen: Seen) -> dict[str, Any]:
        """Keep what a form of several parts brings (RFC 7578)."""
        form = BytesParser(policy=HTTP).parsebytes(
            b"content-type: %b\r\n\r\n%b" % (seen.headers["content-type"].encode(), seen.payload)
        )
        fields: dict[str, bytes] = {}
        filename = ""
        for part in form.iter_parts():
            name, content = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
            assert isinstance(name, str)
            assert isinstance(content, bytes)
            fields[name] = content
            filename = part.get_filename() or filename
        return self._keep(filename, fields["purpose"].decode(), fields["file"])

    def _keep(self, filename: str, purpose: str, content: bytes) -> dict[str, Any]:
        meta = {
            "id": f"file-{len(self.files) + 1}", "object": "file", "bytes": len(content), "created_at": 1,
            "filename": filename, "purpose": purpose, "status": "processed",
        }  # fmt: skip
        self.files[meta["id"]] = (meta, content)  # type: ignore[index]  # the id is a string
        return meta

    def _openai(self, seen: Seen, rest: str) -> Reply:
        name, _, verb = rest.partition("/")
        if not name and seen.method == "POST":
            body = seen.body
            lines = [json.loads(line) for line in self.files[body["input_file_id"]][1].splitlines() if line.strip()]
            name = self._begin("batch", lines, {key: body.get(key) for key in BATCH_FIELDS})
        elif not name:
            return _list([self._openai_view(each) for each in self._batches if each.startswith("batch_")])
        elif name not in self._batches:
            return 404, json.dumps(Chat.error(404, "not_found", f"no such batch {name}")).encode()
        elif verb == "cancel":
            self._batches[name].ended = "cancelled"
        else:
            self._poll(name)
        return _json(self._openai_view(name))

    def _openai_view(self, name: str) -> dict[str, Any]:
        batch = self._batches[name]
        failed = [line for line in batch.lines if line["custom_id"] in self.failing]
        done = batch.ended == "completed"
        if done and "output_file_id" not in batch.fields:
            good = [self._openai_line(line) for line in batch.lines if line not in failed]
            bad = [{"id": "br", "custom_id": line["custom_id"], "response": None, "error": BAD} for line in failed]
            for at, results in (("output_file_id", good), ("error_file_id", bad)):
                text = b"".join(json.dumps(result).encode() + b"\n" for result in results)
                batch.fields[at] = self._keep(f"{name}.jsonl", "batch_output", text)["id"] if results else None
        counts = {"total": len(batch.lines), "completed": 0, "failed": 0}
        if done:
            counts.update(completed=len(batch.lines) - len(failed), failed=len(failed))
        status = batch.ended or "in_progress"
        return {
            "id": name,
            "object": "batch",
            "created_at": 1,
            "status": status,
            "request_counts": counts,
            **batch.fields,
        }

    def _openai_line(self, line: dict[str, Any]) -> dict[str, Any]:
        response = {"status_code": 200, "request_id": "req_1", "body": self.write(line["url"], line["body"])}
        return {"id": "br", "custom_id": line["custom_id"], "response": response, "error": None}

    def _anthropic(self, seen: Seen, rest: str, origin: str) -> Reply:
        name, _, verb = rest.partition("/")
        if not name and seen.method == "POST":
            wrong = next((why for line in seen.body["requests"] if (why := wrong_body(line["params"]))), "")
            if wrong:
                return 400, json.dumps(
                    {"type": "error", "error": {"type": "invalid_request_error", "message": wrong}}
                ).encode()
            name = self._begin("msgbatch", seen.body["requests"], {})
        elif not name:
            views = [self._anthropic_view(each, origin) for each in self._batches if each.startswith("msgbatch_")]
            return _json({"data": views, "has_more": False, "first_id": None, "last_id": None})
        elif name not in self._batches:
            missing = {"type": "not_found_error", "message": f"no such batch {name}"}
            return 404, json.dumps({"type": "error", "error": missing}).encode()
        elif verb == "results":
            lines = [self._anthropic_line(line) for line in self._batches[name].lines]
            return 200, b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        elif verb == "cancel":
            self._batches[name].ended = "canceled"
        elif seen.method == "DELETE":
            del self._batches[name]
            return _json({"id": name, "type": "message_batch_deleted"})
        else:
            self._poll(name)
        return _json(self._anthropic_view(name, origin))

    def _anthropic_view(self, name: str, origin: str) -> dict[str, Any]:
        batch = self._batches[name]
        counts = {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        errored = sum(line["custom_id"] in self.failing for line in batch.lines)
        match batch.ended:
            case "":
                counts["processing"] = len(batch.lines)
            case "canceled":
                counts["canceled"] = len(batch.lines)
            case _:
                counts.update(errored=errored, succeeded=len(batch.lines) - errored)
        return {
            "id": name, "type": "message_batch", "processing_status": "ended" if batch.ended else "in_progress",
            "request_counts": counts, "created_at": MORNING, "expires_at": MORNING, "archived_at": None,
            "cancel_initiated_at": MORNING if batch.ended == "canceled" else None,
            "ended_at": MORNING if batch.ended else None,
            "results_url": f"{origin}/v1/messages/batches/{name}/results" if batch.ended else None,
        }  # fmt: skip

    def _anthropic_line(self, line: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {"type": "succeeded"}
        if line["custom_id"] in self.failing:
            result = {"type": "errored", "error": {"type": "error", "error": BAD}}
        else:
            result["message"] = self.write("/v1/messages", line["params"])
        return {"custom_id": line["custom_id"], "result": result}

    def _begin(self, kind: str, lines: list[dict[str, Any]], fields: dict[str, Any]) -> str:
        name = f"{kind}_{len(self._batches) + 1}"
        self._batches[name] = _Batch(fields, lines, self.polls)
        return name

    def _poll(self, name: str) -> None:
        batch = self._batches[name]
        batch.left -= 1
        if batch.left <= 0 and not batch.ended:
            batch.ended = "completed"


BATCH_FIELDS = ("input_file_id", "endpoint", "completion_window", "metadata")
BAD = {"type": "api_error", "code": "server_error", "message": "the model fell over"}


def _json(value: dict[str, Any]) -> Reply:
    return 200, json.dumps(value).encode()


def _list(rows: list[dict[str, Any]]) -> Reply:
    return _json({"object": "list", "data": rows, "has_more": False, "first_id": None, "last_id": None})
