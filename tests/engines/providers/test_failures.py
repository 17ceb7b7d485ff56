"""How an engine says that it failed: the class by status and code, how long to wait, nothing of the vendor's text."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from app.core.errors import EngineDown, Failure
from app.engines.providers.anthropic import open_anthropic
from app.engines.providers.faults import failure_of, retry_after_s
from app.engines.providers.openai import open_openai
from app.engines.providers.provider import Provider
from tests.engines.conftest import COMPLETION, PRICES, soon
from tests.engines.providers.calls import OPENERS, Heard, hear
from tests.standin import KEY, Fault, Standin

SECRET = "sk-planted-in-the-text"


@asynccontextmanager
async def answering(status: int, body: bytes, headers: Mapping[str, str] = {}) -> AsyncIterator[str]:
    """The address of a server that gives every request this answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {status} X\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def fault(code: str, **more: object) -> bytes:
    return json.dumps({"error": {"type": code, "code": code, "message": f"key {SECRET}", **more}}).encode()


def at(kind: str, url: str) -> Provider:
    if kind == "anthropic":
        return open_anthropic(name=kind, model="m", key=KEY, prices=PRICES, base_url=url)
    return open_openai(name=kind, model="m", key=KEY, prices=PRICES, base_url=f"{url}/v1")


@pytest.mark.parametrize(
    ("status", "code", "failure"),
    [
        (400, "invalid_request_error", "refused"), (401, "invalid_api_key", "unauthorized"),
        (402, "billing_error", "unpaid"), (403, "permission_error", "unauthorized"), (404, "not_found", "refused"),
        (429, "rate_limit_exceeded", "rate_limited"), (429, "insufficient_quota", "unpaid"),
        (500, "server_error", "server"), (529, "overloaded_error", "server"), (302, "", "server"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
async def test_a_refusal_has_its_class_and_none_of_its_text(
    vendor: str, status: int, code: str, failure: Failure
) -> None:
    async with answering(status, fault(code)) as url:
        engine = at(vendor, url)
        with pytest.raises(EngineDown, match=f"answered {status}") as caught:
            await hear(engine, COMPLETION)
        await engine.close()
    assert caught.value.failure == failure
    assert SECRET not in f"{caught.value!r} {caught.value.hint} {engine.status()} {caught.value.__cause__!r}"


def test_a_spent_limit_of_an_organization_is_unpaid_by_its_detail() -> None:
    body = fault("rate_limit_error", details={"error_code": "contract_spend_limit_reached"})
    assert failure_of(429, body)[0] == "unpaid"


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b'{"error": "text"}', b'{"error": null}', b"[" * 9_000])
def test_a_refusal_without_a_code_is_classed_by_its_status(body: bytes) -> None:
    assert failure_of(429, body) == ("rate_limited", "")


@pytest.mark.parametrize(
    "body",
    [fault("content_filter"), fault("invalid_request_error", innererror={"code": "ResponsibleAIPolicyViolation"})],
)
async def test_a_refused_content_is_filtered_and_no_failure(body: bytes) -> None:
    async with answering(400, body) as url:
        engine = at("openai", url)
        heard = await hear(engine, COMPLETION)
        await engine.close()
    assert heard.end is not None
    assert (heard.end.reason, heard.text, engine.status().state) == ("filtered", "", "ready")
    assert heard.end.usage.cost_nano_usd > 0, "the prompt was read, so it may be charged"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0), ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5), ({}, None),
        ({"retry-after": "soon"}, None), ({"retry-after": "-1"}, None), ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
    ],
)  # fmt: skip
def test_retry_after_is_read_in_seconds(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_retry_after_is_read_as_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    found = retry_after_s({"retry-after": later})
    assert found is not None
    assert 50.0 < found <= 60.0
    assert retry_after_s({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0


BROKEN: tuple[Fault, ...] = ("cut", "eof", "no_usage", "json", "broken_json", "garbage", "error_event", "endless")


@pytest.mark.parametrize("kind", sorted(OPENERS))
@pytest.mark.parametrize("broken", BROKEN)
async def test_an_answer_that_breaks_is_incomplete(kind: str, broken: Fault) -> None:
    async with Standin(fault=broken) as standin:
        engine = OPENERS[kind](standin)
        with pytest.raises(EngineDown) as caught:
            await hear(engine, COMPLETION)
        await engine.close()
    assert caught.value.failure == "incomplete"


async def test_a_provider_that_is_not_there_is_unreachable() -> None:
    for url in ("http://127.0.0.1:9", "http://no-such-host.invalid"):
        engine = at("openai", url)
        with pytest.raises(EngineDown, match="cannot be reached") as caught:
            await hear(engine, COMPLETION)
        await engine.close()
        assert caught.value.failure == "unreachable"


async def test_an_error_before_the_first_word_says_who_is_to_blame() -> None:
    event = b'data: {"error": {"code": "insufficient_quota", "message": "' + SECRET.encode() + b'"}}\n\n'
    async with answering(200, event, {"content-type": "text/event-stream"}) as url:
        engine = at("openai", url)
        with pytest.raises(EngineDown) as caught:
            await hear(engine, COMPLETION)
        await engine.close()
    assert caught.value.failure == "unpaid"
    assert SECRET not in str(caught.value)


async def test_words_that_came_before_a_broken_event_are_heard() -> None:
    said = b'data: {"choices": [{"delta": {"content": "Well met"}}]}\n\ndata: {"choi\n\n'
    async with answering(200, said, {"content-type": "text/event-stream"}) as url:
        engine = at("openai", url)
        heard = Heard()

        async def listen() -> None:
            async for event in engine.stream(COMPLETION, soon()):
                heard.take(event)

        with pytest.raises(EngineDown, match="cannot be read"):
            await listen()
        await engine.close()
    assert (heard.text, heard.end) == ("Well met", None)
