"""The stand-in in a process of its own, as benchmarks use it: its ports, the orders that it takes, and its end."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.standin import KEY
from tests.standin.lines import EIGHTEEN

ROOT = Path(__file__).parents[2]
HELLO = [{"role": "user", "content": "Hello."}]


@pytest.fixture
def ports() -> Iterator[tuple[int, ...]]:
    command = [sys.executable, "-m", "tests.standin", "--preset", "eighteen", "--count", "2"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        yield tuple(map(int, process.stdout.readline().split()))
        process.stdin.close()
        assert process.wait(timeout=10) == 0


def order(port: int, **change: object) -> dict[str, object]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", data=json.dumps(change).encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return dict(json.load(answer))


async def test_it_says_eighteen_words_and_obeys_orders(ports: tuple[int, ...]) -> None:
    first, second, orders = ports
    for port in (first, second):
        async with openai.AsyncOpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{port}/v1", max_retries=0) as client:
            for _ in range(2):
                stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
                pieces = [chunk.choices[0].delta.content async for chunk in stream if chunk.choices[0].delta.content]
                assert ("".join(pieces), len(pieces)) == (EIGHTEEN, 18)
    assert order(orders)["asked"] == [2, 2]
    async with openai.AsyncOpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{first}/v1", max_retries=0) as client:
        order(orders, fault="refuse")
        with pytest.raises(openai.APIConnectionError):
            await client.chat.completions.create(model="m", messages=HELLO)
        order(orders, fault="500")
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="m", messages=HELLO)
        order(orders, fault="none")
        answer = await client.chat.completions.create(model="m", messages=HELLO)
    assert answer.choices[0].message.content == EIGHTEEN
