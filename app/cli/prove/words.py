"""A scripted provider of words on loopback: OpenAI's streaming protocol, with the delays that a real one has.

The delay before the first word follows a log-normal distribution in a fixed cycle, so that two runs of some length
meet the same delays and differ by what the server adds. It costs nothing and calls nobody.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import random
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MEDIAN_S = 0.3
SPREAD = 0.35
"""Standard deviation of the delay's logarithm: one in twenty takes over 0.53 s."""
CYCLE = 40
KEY = "sk-scripted"
LINES = (
    "Good evening to you.", "The road was kind to you, I hope.", "Sit down by the fire, it is warm tonight.",
    "Little has changed since you were here.", "The harvest was good this year.", "Mind the step on your way in.",
)  # fmt: skip


@contextmanager
def scripted_words(seed: int) -> Iterator[str]:
    """The base URL of a provider that lives in a thread of its own until the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(_open(seed), loop).result()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        asyncio.run_coroutine_threadsafe(_close(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def delays_s(seed: int) -> list[float]:
    """One cycle: the distribution's quantiles in a drawn order."""
    normal = statistics.NormalDist()
    quantiles = [normal.inv_cdf((number + 0.5) / CYCLE) for number in range(CYCLE)]
    delays = [MEDIAN_S * math.exp(SPREAD * quantile) for quantile in quantiles]
    random.Random(seed).shuffle(delays)  # noqa: S311  # a repeatable draw
    return delays


async def _open(seed: int) -> asyncio.Server:
    delays, lines = itertools.cycle(delays_s(seed)), itertools.cycle(LINES)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
                await reader.readexactly(int(fields.get(b"content-length", b"0")))
                await asyncio.sleep(next(delays))
                writer.write(_answer(next(lines)))
                await writer.drain()
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


async def _close(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _answer(line: str) -> bytes:
    """A whole streamed completion, word by word in one write."""
    words = line.split(" ")
    deltas = [{"role": "assistant", "content": ""}] + [
        {"content": word if at == 0 else f" {word}"} for at, word in enumerate(words)
    ]
    chunks = [_chunk(choices=[{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
    usage = {"prompt_tokens": 100, "completion_tokens": len(words), "total_tokens": 100 + len(words)}
    chunks += [_chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]), _chunk(choices=[], usage=usage)]
    body = b"".join(b"data: " + chunk + b"\n\n" for chunk in [*chunks, b"[DONE]"])
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _chunk(**fields: object) -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}
    return json.dumps({**head, **fields}).encode()
