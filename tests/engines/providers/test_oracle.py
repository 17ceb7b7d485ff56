"""The vendors' SDKs as oracle: what is sent is what they send, what is read is what they read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio
from anthropic.types import MessageParam, ToolUnionParam
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolUnionParam
from openai.types.responses import ResponseInputItemParam, ToolParam
from pydantic import TypeAdapter

from app.core.words import Completion, ToolCall
from app.engines.providers.anthropic import API_VERSION
from app.engines.providers.openai import URLS
from app.engines.providers.provider import Provider
from tests.engines.providers.calls import CALLS, GATE, GPT, OPENERS, TALK, WEATHER, Heard, hear, of
from tests.standin import KEY, WORDS, Call, Standin
from tests.standin.answers import Finish

SHARED = ("authorization", "api-key", "anthropic-version", "content-type")
KNOWN: dict[str, tuple[TypeAdapter[Any], TypeAdapter[Any]]] = {
    "messages": (TypeAdapter(ChatCompletionMessageParam), TypeAdapter(ChatCompletionToolUnionParam)),
    "input": (TypeAdapter(ResponseInputItemParam), TypeAdapter(ToolParam)),
    "claude": (TypeAdapter(MessageParam), TypeAdapter(ToolUnionParam)),
}


@pytest_asyncio.fixture
async def standin() -> AsyncIterator[Standin]:
    async with Standin() as provider:
        yield provider


@pytest.fixture(params=sorted(OPENERS))
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture
async def engine(protocol: str, standin: Standin) -> AsyncIterator[Provider]:
    opened = OPENERS[protocol](standin)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def sdk(protocol: str, standin: Standin) -> AsyncIterator[Any]:
    if protocol == "messages":
        client: Any = anthropic.AsyncAnthropic(api_key=KEY, base_url=standin.origin, max_retries=0)
    elif protocol.startswith("azure"):
        client = openai.AsyncAzureOpenAI(
            api_key=KEY,
            azure_endpoint=standin.origin,
            azure_deployment=GPT,
            api_version="2026-06-01",
            max_retries=0,
        )
    else:
        client = openai.AsyncOpenAI(api_key=KEY, base_url=standin.openai_url, max_retries=0)
    async with client:
        yield client


def method(protocol: str, sdk: Any) -> Any:
    if protocol == "messages":
        return sdk.messages.create
    return sdk.responses.create if "responses" in protocol else sdk.chat.completions.create


@pytest.mark.parametrize("call", sorted(CALLS))
async def test_what_is_sent_is_what_the_sdk_sends_for_the_same_call(
    protocol: str, engine: Provider, sdk: Any, standin: Standin, call: str
) -> None:
    body = engine.body(CALLS[call])
    async for _event in await method(protocol, sdk)(**body):
        pass
    theirs = standin.seen.pop()
    await hear(engine, CALLS[call])
    ours = standin.seen.pop()
    assert (ours.method, ours.path, ours.body) == (theirs.method, theirs.path, theirs.body)
    assert {name: ours.headers.get(name) for name in SHARED} == {name: theirs.headers.get(name) for name in SHARED}


@pytest.mark.parametrize("call", sorted(CALLS))
async def test_every_message_and_tool_has_the_form_that_the_sdk_knows(
    protocol: str, engine: Provider, call: str
) -> None:
    body = engine.body(CALLS[call])
    name = "claude" if protocol == "messages" else "input" if "responses" in protocol else "messages"
    message, tool = KNOWN[name]
    for one in body.get("messages") or body["input"]:
        assert _plain(message.validate_python(one)) == one
    for one in body.get("tools", ()):
        assert _plain(tool.validate_python(one)) == one


def _plain(value: Any) -> Any:
    """What was validated, with its lazy sequences read."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return value if isinstance(value, str | int | float | bool | None) else [_plain(inner) for inner in value]


ANSWERS: dict[str, tuple[str, tuple[Call, ...], Finish]] = {
    "words": (WORDS, (), "stop"),
    "strange_words": ('Says "so"\\ …\n\ndata: [DONE]\n\n🦊\u2028 data: {', (), "stop"),
    "no_words": ("", (), "stop"),
    "too_long": (WORDS, (), "length"),
    "filtered": (WORDS, (), "filtered"),
    "calls": ("", (Call("weather", '{"city": "Bree"}'), Call("gate")), "tools"),
    "words_and_a_call": ("Let me see.", (Call("weather", '{"city": "Rivendell"}'),), "tools"),
}
FINISHES = {
    "stop": "stop", "length": "length", "content_filter": "filtered", "tool_calls": "tools", "end_turn": "stop",
    "max_tokens": "length", "refusal": "filtered", "tool_use": "tools", "max_output_tokens": "length",
}  # fmt: skip


@pytest.mark.parametrize("answer", sorted(ANSWERS))
async def test_what_is_read_is_what_the_sdk_reads(
    protocol: str, engine: Provider, sdk: Any, standin: Standin, answer: str
) -> None:
    text, calls, finish = ANSWERS[answer]
    standin.say, standin.calls, standin.finish = lambda _body: text, lambda _body: calls, finish
    completion = of(TALK, tools=(WEATHER, GATE))
    heard = await hear(engine, completion)
    assert heard.end is not None
    said = await _theirs(protocol, sdk, engine, completion)
    assert (heard.text, list(heard.calls.values()), heard.end.reason, heard.model) == said[:4]
    assert (heard.end.usage.tokens_in, heard.end.usage.cached_tokens_in, heard.end.usage.tokens_out) == said[4]
    assert list(heard.calls) == list(range(len(calls))), "calls are counted from 0"
    assert (heard.text, len(heard.calls), heard.end.reason) == (text, len(calls), finish)


async def _theirs(protocol: str, sdk: Any, engine: Provider, completion: Completion) -> tuple[Any, ...]:
    """(text, calls, reason, model, tokens in, cached and out) as the SDK's typed events give them."""
    body = engine.body(completion)
    if protocol == "messages":
        body.pop("stream")
        async with sdk.messages.stream(**body) as stream:
            message = await stream.get_final_message()
        text = "".join(block.text for block in message.content if block.type == "text")
        calls = [
            ToolCall(id=block.id, name=block.name, arguments=json.dumps(block.input))
            for block in message.content
            if block.type == "tool_use"
        ]
        usage = message.usage
        counts = (usage.input_tokens + usage.cache_read_input_tokens, usage.cache_read_input_tokens)
        return text, calls, FINISHES[message.stop_reason], message.model, (*counts, usage.output_tokens)
    if "responses" in protocol:
        return await _responses(sdk, body)
    heard, finish, model, counted = Heard(), "", "", None
    async for chunk in await sdk.chat.completions.create(**body):
        model, counted = chunk.model, chunk.usage or counted
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            heard.text += choice.delta.content or ""
            for call in choice.delta.tool_calls or ():
                held = heard.calls.get(call.index, ToolCall(id="", name="", arguments=""))
                heard.calls[call.index] = ToolCall(
                    id=held.id or call.id or "",
                    name=held.name or call.function.name or "",
                    arguments=held.arguments + (call.function.arguments or ""),
                )
    assert counted is not None
    counts = (counted.prompt_tokens, counted.prompt_tokens_details.cached_tokens, counted.completion_tokens)
    return heard.text, list(heard.calls.values()), FINISHES[finish], model, counts


async def _responses(sdk: Any, body: dict[str, Any]) -> tuple[Any, ...]:
    text, last = "", None
    async for event in await sdk.responses.create(**body):
        if event.type == "response.output_text.delta":
            text += event.delta
        elif event.type in ("response.completed", "response.incomplete"):
            last = event.response
    assert last is not None
    calls = [
        ToolCall(id=item.call_id, name=item.name, arguments=item.arguments)
        for item in last.output
        if item.type == "function_call"
    ]
    finish = last.incomplete_details.reason if last.incomplete_details else "tool_calls" if calls else "stop"
    counts = (last.usage.input_tokens, last.usage.input_tokens_details.cached_tokens, last.usage.output_tokens)
    return text, calls, FINISHES[finish], last.model, counts


def test_residency_is_where_the_sdk_says() -> None:
    from openai._data_residency import _DATA_RESIDENCY_BASE_URLS

    assert {region: url for region, url in URLS.items() if region} == dict(_DATA_RESIDENCY_BASE_URLS)


def test_the_api_version_is_the_one_of_the_installed_sdk() -> None:
    from anthropic._constants import ANTHROPIC_API_VERSION

    assert API_VERSION == ANTHROPIC_API_VERSION
