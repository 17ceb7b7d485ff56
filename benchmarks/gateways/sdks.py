"""What one call costs in this process: the vendors' SDKs, bare HTTP clients, our own adapter, on the same answers."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from report import ROOT

from gateways.clients import body
from gateways.servers import MODEL, Standins
from tests.standin import KEY

CLAUDE = "claude-haiku-5-5"
Call = Callable[[], Awaitable[None]]
MESSAGES: list[Any] = [{"role": "user", "content": "Good evening."}]


async def measure(upstream: Standins, calls: int) -> dict[str, float]:
    """CPU milliseconds of a call by name, in turns; the median of ten shares."""
    async with AsyncExitStack() as stack:
        works = await _works(stack, f"http://127.0.0.1:{upstream.first}")
        shares: dict[str, list[float]] = {name: [] for name in works}
        for call in works.values():
            for _ in range(5):
                await call()
        for _ in range(10):
            for name, call in works.items():
                began_s = time.process_time()
                for _ in range(max(1, calls // 10)):
                    await call()
                shares[name].append((time.process_time() - began_s) / max(1, calls // 10))
        return {name: 1_000.0 * statistics.median(values) for name, values in shares.items()}


async def _works(stack: AsyncExitStack, origin: str) -> dict[str, Call]:
    import aiohttp
    import anthropic
    import httpx2
    import openai

    url, headers = (
        f"{origin}/v1/chat/completions",
        {"authorization": f"Bearer {KEY}", "content-type": "application/json"},
    )
    whole, streamed = (body(MODEL, stream=stream, text="Good evening.") for stream in (False, True))
    aio = await stack.enter_async_context(aiohttp.ClientSession(headers=headers))
    httpx = await stack.enter_async_context(httpx2.AsyncClient(headers=headers))
    sdk = await stack.enter_async_context(openai.AsyncOpenAI(api_key=KEY, base_url=f"{origin}/v1", max_retries=0))
    claude = await stack.enter_async_context(anthropic.AsyncAnthropic(api_key=KEY, base_url=origin, max_retries=0))

    async def by_aiohttp() -> None:
        async with aio.post(url, data=whole) as answer:
            await answer.read()

    async def by_httpx() -> None:
        await httpx.post(url, content=whole)

    async def by_aiohttp_stream() -> None:
        async with aio.post(url, data=streamed) as answer:
            async for _ in answer.content.iter_any():
                pass

    async def by_httpx_stream() -> None:
        async with httpx.stream("POST", url, content=streamed) as answer:
            async for _ in answer.aiter_bytes():
                pass

    async def by_anthropic() -> None:
        await claude.messages.create(model=CLAUDE, max_tokens=64, messages=MESSAGES)

    async def by_anthropic_stream() -> None:
        async for _ in await claude.messages.create(model=CLAUDE, max_tokens=64, messages=MESSAGES, stream=True):
            pass

    works: dict[str, Call] = {
        "aiohttp": by_aiohttp, "httpx2": by_httpx, "anthropic": by_anthropic,
        "aiohttp_stream": by_aiohttp_stream, "httpx2_stream": by_httpx_stream, "anthropic_stream": by_anthropic_stream,
        "provider_stream": await _ours(stack, origin), **_openai(sdk, "openai"),
    }  # fmt: skip
    over_aiohttp = _on_aiohttp(origin)
    if over_aiohttp is not None:
        works |= _openai(await stack.enter_async_context(over_aiohttp), "openai_aiohttp")
    return works


def _openai(sdk: Any, name: str) -> dict[str, Call]:
    async def whole() -> None:
        await sdk.chat.completions.create(model=MODEL, messages=MESSAGES)

    async def stream() -> None:
        async for _ in await sdk.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True):
            pass

    return {name: whole, f"{name}_stream": stream}


def _on_aiohttp(origin: str) -> Any:
    """OpenAI's SDK on its aiohttp transport; None where the package for it is not installed."""
    import openai

    try:
        return openai.AsyncOpenAI(
            api_key=KEY, base_url=f"{origin}/v1", max_retries=0, http_client=openai.DefaultAioHttpClient()
        )
    except (RuntimeError, ImportError):
        return None


async def _ours(stack: AsyncExitStack, origin: str) -> Call:
    """Our adapter's stream, read to its end."""
    from app.core.clock import Deadline, SystemClock
    from app.core.words import Completion, Part
    from app.engines import prices
    from app.engines.providers.openai import open_openai

    table = prices.load(ROOT / "models" / "prices.toml")
    engine = open_openai(name="ours", model=MODEL, key=KEY, prices=table, base_url=f"{origin}/v1")
    stack.push_async_callback(engine.close)
    parts = (Part(trust="system", text="You are Mira."), Part(trust="player", text="Good evening.", speaker="Ann"))
    completion = Completion(task="dialogue.reply", parts=parts, output_tokens_max=64, tenant="studio")
    clock = SystemClock()

    async def stream() -> None:
        async for _ in engine.stream(completion, Deadline.after_ms(10_000.0, clock)):
            pass
        await asyncio.sleep(0)

    return stream
