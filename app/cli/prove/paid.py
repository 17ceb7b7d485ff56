"""A provider of words on loopback that bills: it counts calls and charges the worst that a request allows.

It speaks as much of OpenAI's Chat Completions as the SDK needs for a stream. Each byte of a prompt is a token, and
every token that may be written is charged, as a provider with an unkind tokenizer would.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORDS = "Well met, friend. The road was kind to you, I hope."


@dataclass(slots=True)
class Provider:
    """What was called and billed so far; `delay_s` is waited before the first word."""

    port: int = 0
    delay_s: float = 0.0
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    """Of calls that were answered to their end."""
    prompts: list[str] = field(default_factory=list)
    """What was sent by each call, all messages joined."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@contextmanager
def provider() -> Iterator[Provider]:
    """A provider for the length of a block."""
    told = Provider()

    class Listener(ThreadingHTTPServer):
        request_queue_size = 256

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name that http.server looks for
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with told.lock:
                told.calls += 1
                told.prompts.append("\n".join(message["content"] for message in body["messages"]))
            time.sleep(told.delay_s)
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            try:
                for event in _events(body):
                    self.wfile.write(event)
            except OSError:
                return  # the client was killed
            tokens_in, tokens_out = _billed(body)
            with told.lock:
                told.tokens_in += tokens_in
                told.tokens_out += tokens_out

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: what was called is counted."""

    server = Listener(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _billed(body: dict[str, Any]) -> tuple[int, int]:
    """(tokens in, tokens out) of the worst case."""
    return sum(len(message["content"].encode()) for message in body["messages"]), int(body["max_completion_tokens"])


def _events(body: dict[str, Any]) -> Iterator[bytes]:
    tokens_in, tokens_out = _billed(body)
    head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
    for word in WORDS.split(" "):
        yield _data({**head, "choices": [{"index": 0, "delta": {"content": f"{word} "}, "finish_reason": None}]})
    yield _data({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
    yield _data({**head, "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _data(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"
