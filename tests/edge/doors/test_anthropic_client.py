"""Anthropic's own Python client talks to the door, unmodified: words, streams, tools, data, names, refusals."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest
import pytest_asyncio
from pydantic import BaseModel

from tests.servers import Server
from tests.standin import WORDS, Call, Standin

NO_STORE = {"Cache-Control": "no-store"}
WEATHER: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {"name": "weather", "description": "Now.", "input_schema": WEATHER}
HELLO: list[Any] = [{"role": "user", "content": "Hello."}]


class Mood(BaseModel):
    """Data that a parsed answer has the form of."""

    mood: str


@pytest_asyncio.fixture
async def client(door: Server, standin: Standin) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        api_key=door.key, base_url=f"{door.url}/anthropic", max_retries=0, default_headers=NO_STORE
    ) as opened:
        yield opened


def tool_answered(body: dict[str, Any]) -> bool:
    return bool(body["messages"][-1]["role"] == "tool")


async def test_an_answer_comes_whole_with_what_it_took(client: anthropic.AsyncAnthropic, standin: Standin) -> None:
    raw = await client.messages.with_raw_response.create(
        model="innkeeper", max_tokens=64, system="Be brief.", messages=HELLO, stop_sequences=["END"]
    )
    answer = await raw.parse()
    assert [block.text for block in answer.content if block.type == "text"] == [WORDS]
    assert answer.stop_reason == "end_turn"
    usage = answer.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (36, 64, 11)
    assert raw.headers["innkeeper-ai-generated"] == "true"
    assert "upstream;dur=" in raw.headers["server-timing"]
    assert standin.seen[-1].body["messages"][0]["content"] == "Be brief."


async def test_a_stream_comes_as_it_is_written_and_gives_a_final_message(
    client: anthropic.AsyncAnthropic, standin: Standin
) -> None:
    standin.delay_s = 0.01
    async with client.messages.stream(model="innkeeper", max_tokens=64, messages=HELLO) as stream:
        texts = [text async for text in stream.text_stream]
        final = await stream.get_final_message()
    assert len(texts) > len(WORDS.split()) / 2, "what comes together is one piece"
    assert "".join(texts) == WORDS
    assert final.stop_reason == "end_turn"
    assert (final.usage.input_tokens, final.usage.output_tokens) == (36, 11)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_tool_is_asked_for_and_its_answer_is_told_back(
    client: anthropic.AsyncAnthropic, standin: Standin, streamed: bool
) -> None:
    standin.calls = lambda body: () if tool_answered(body) else (Call("weather", '{"city": "Bree"}'),)
    standin.say = lambda body: "It rains." if tool_answered(body) else "Let me see."
    messages: list[Any] = [{"role": "user", "content": "Is it raining in Bree?"}]
    options: dict[str, Any] = {"model": "innkeeper", "max_tokens": 64, "tools": [TOOL]}
    if streamed:
        async with client.messages.stream(messages=messages, **options) as stream:
            asked: Any = await stream.get_final_message()
    else:
        asked = await client.messages.create(messages=messages, **options)
    said, call = asked.content
    assert asked.stop_reason == "tool_use"
    assert said.text == "Let me see."
    assert (call.type, call.name, call.input) == ("tool_use", "weather", {"city": "Bree"})
    messages += [
        {"role": "assistant", "content": asked.content},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "rain"}]},
    ]
    told: Any = await client.messages.create(messages=messages, **options)
    assert told.content[0].text == "It rains."
    assert standin.seen[-1].body["messages"][-1] == {"role": "tool", "content": "rain", "tool_call_id": call.id}


async def test_a_schema_makes_data(client: anthropic.AsyncAnthropic, standin: Standin) -> None:
    standin.say = lambda _body: '{"mood": "merry"}'
    parsed = await client.messages.parse(model="innkeeper", max_tokens=64, messages=HELLO, output_format=Mood)
    assert parsed.parsed_output == Mood(mood="merry")
    schema = Mood.model_json_schema() | {"additionalProperties": False}
    plain: Any = await client.messages.create(
        model="innkeeper",
        max_tokens=64,
        messages=HELLO,
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    assert json.loads(plain.content[0].text) == {"mood": "merry"}


async def test_names_of_models_are_listed_and_read(client: anthropic.AsyncAnthropic) -> None:
    assert "openai" in [model.id async for model in client.models.list()]
    assert (await client.models.retrieve("innkeeper")).type == "model"


async def test_a_token_shows_who_asks_as_well(door: Server, standin: Standin) -> None:
    async with anthropic.AsyncAnthropic(auth_token=door.key, base_url=f"{door.url}/anthropic", max_retries=0) as client:
        answer: Any = await client.messages.create(model="innkeeper", max_tokens=64, messages=HELLO)
    assert answer.content[0].text == WORDS


@pytest.mark.parametrize(
    ("more", "status", "kind", "said"),
    [
        ({"model": "claude-2"}, 404, "not_found_error", "there are innkeeper"),
        ({"max_token": 5}, 400, "invalid_request_error", "did you mean 'max_tokens'"),
        ({"mcp_servers": [{"url": "x"}]}, 400, "invalid_request_error", "mcp_servers"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
            400,
            "invalid_request_error",
            "'image' is not read",
        ),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, 400, "invalid_request_error", "is not taken"),
        ({"tool_choice": {"type": "tool", "name": "sing"}}, 400, "invalid_request_error", "no tool 'sing'"),
    ],
)
async def test_what_cannot_be_done_is_refused_in_anthropic_s_shape(
    client: anthropic.AsyncAnthropic, more: dict[str, Any], status: int, kind: str, said: str
) -> None:
    body = {"model": "innkeeper", "max_tokens": 8, "messages": HELLO, **more}
    with pytest.raises(anthropic.APIStatusError) as refused:
        await client.post("/v1/messages", cast_to=object, body=body)
    told: Any = refused.value.body
    assert (refused.value.status_code, told["type"], told["error"]["type"]) == (status, "error", kind)
    assert said in told["error"]["message"]


async def test_a_wrong_key_a_lesser_scope_and_a_failing_provider(
    door: Server, reader: Server, standin: Standin
) -> None:
    async with anthropic.AsyncAnthropic(
        api_key="ik_none_none", base_url=f"{door.url}/anthropic", max_retries=0
    ) as stranger:
        with pytest.raises(anthropic.AuthenticationError):
            await stranger.messages.create(model="innkeeper", max_tokens=8, messages=HELLO)
    async with anthropic.AsyncAnthropic(api_key=reader.key, base_url=f"{door.url}/anthropic", max_retries=0) as looker:
        with pytest.raises(anthropic.PermissionDeniedError):
            await looker.messages.create(model="innkeeper", max_tokens=8, messages=HELLO)
    standin.fault = "500"
    async with anthropic.AsyncAnthropic(api_key=door.key, base_url=f"{door.url}/anthropic", max_retries=0) as client:
        with pytest.raises(anthropic.InternalServerError) as failed:
            await client.messages.create(model="innkeeper", max_tokens=8, messages=HELLO, extra_headers=NO_STORE)
    assert failed.value.status_code == 503


async def test_a_stream_that_breaks_ends_with_an_error_event(
    client: anthropic.AsyncAnthropic, standin: Standin
) -> None:
    standin.fault = "cut"
    standin.delay_s = 0.01
    texts: list[str] = []

    async def listen() -> None:
        async with client.messages.stream(model="innkeeper", max_tokens=64, messages=HELLO) as stream:
            async for text in stream.text_stream:
                texts.append(text)  # noqa: PERF401  # what came before the fault is what is looked at

    with pytest.raises(anthropic.APIStatusError, match="provider"):
        await listen()
    assert texts
    assert WORDS.startswith("".join(texts))
