"""A server with no room says so at its doors in each vendor's own shape, and serves on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.edge.doors.conftest import ENVIRONMENT, options, provider
from tests.servers import start

ASK = {"model": "innkeeper", "max_tokens": 16, "messages": [{"role": "user", "content": "Hello"}]}
AT_ONCE = 24


@pytest.mark.parametrize(
    ("path", "shape", "kind"),
    [
        ("/openai/v1/chat/completions", {"error"}, "service_unavailable_error"),
        ("/anthropic/v1/messages", {"type", "error"}, "overloaded_error"),
    ],
)
async def test_a_request_too_many_is_told_to_come_again_and_the_others_are_answered(
    tmp_path: Path, path: str, shape: set[str], kind: str
) -> None:
    with provider() as standin:
        server = await asyncio.to_thread(
            start, tmp_path, *options(standin, "--set=server.requests_max=2"), environment=ENVIRONMENT
        )
        try:
            headers = {"Authorization": f"Bearer {server.key}", "Cache-Control": "no-store"}
            async with httpx2.AsyncClient(base_url=server.url, headers=headers) as http:
                answers = await asyncio.gather(*(http.post(path, json=ASK) for _ in range(AT_ONCE)))
                later = await http.post(path, json=ASK)
        finally:
            await asyncio.to_thread(server.stop)
    refused: list[Any] = [answer for answer in answers if answer.status_code != 200]
    assert 0 < len(refused) < AT_ONCE
    for answer in refused:
        told = answer.json()
        assert shape <= told.keys()
        assert answer.status_code == 503
        assert float(answer.headers["retry-after"]) > 0
        assert told["error"]["message"]
        assert told["error"]["type"] == kind
    assert later.status_code == 200
    assert len(standin.seen) == AT_ONCE - len(refused) + 1, "who is refused costs nothing"
