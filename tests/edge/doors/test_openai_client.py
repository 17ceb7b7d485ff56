"""OpenAI's own Python client talks to the door, unmodified: words, streams, tools, data, names, refusals."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest
import pytest_asyncio
from pydantic import BaseModel

from tests.servers import Server
from tests.standin import WORDS, Call, Standin

Messages = list[Any]
NO_STORE = {"Cache-Control": "no-store"}
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {"type": "function", "function": {"name": "weather", "description": "Now.", "parameters": WEATHER}}


class Mood(BaseModel):
    """Data that a parsed answer has the form of."""

    mood: str


def hello(text: str = "Hello.") -> Messages:
    return [{"role": "user", "content": text}]


def client_of(server: Server, **options: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        api_key=server.key, base_url=f"{server.url}/openai/v1", max_retries=0, default_headers=NO_STORE, **options
    )


@pytest_asyncio.fixture
async def client(door: Server, standin: Standin) -> AsyncIterator[openai.AsyncOpenAI]:
    async with client_of(door) as opened:
        yield opened


async def test_an_answer_comes_whole_with_what_it_took_and_where_the_time_went(client: openai.AsyncOpenAI) -> None:
    raw = await client.chat.completions.with_raw_response.create(model="innkeeper", messages=hello())
    answer = raw.parse()
    assert answer.choices[0].message.content == WORDS
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (100, 111)
    assert raw.headers["innkeeper-engine"] == "openai"
    assert raw.headers["innkeeper-variant"] == "openai"
    assert raw.headers["innkeeper-ai-generated"] == "true"
    parts = dict(re.findall(r"(\w+);dur=([\d.]+)", raw.headers["server-timing"]))
    assert list(parts) == ["queue", "route", "cache", "upstream", "stream"]
    assert float(parts["upstream"]) > 0


async def test_a_stream_comes_as_it_is_written_then_its_usage(client: openai.AsyncOpenAI, standin: Standin) -> None:
    standin.delay_s = 0.01
    stream = await client.chat.completions.create(
        model="openai", messages=hello(), stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(texts) > len(WORDS.split()) / 2, "what comes together is one piece"
    assert "".join(texts) == WORDS
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (100, 11)
    assert not any(chunk.usage for chunk in chunks[:-1])


async def test_a_stream_on_the_wire_ends_with_where_the_time_went_and_done(door: Server, standin: Standin) -> None:
    headers = {"Authorization": f"Bearer {door.key}", **NO_STORE}
    body = {"model": "innkeeper", "stream": True, "messages": hello()}
    async with httpx2.AsyncClient() as http:
        answer = await http.post(f"{door.url}/openai/v1/chat/completions", json=body, headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["innkeeper-ai-generated"] == "true"
    assert "upstream;dur=" in answer.headers["server-timing"]
    *_, timing, done, rest = answer.text.split("\n\n")
    assert re.fullmatch(r": server-timing queue;dur=[\d.]+, route;.*, stream;dur=[\d.]+", timing)
    assert (done, rest) == ("data: [DONE]", "")


async def test_a_tool_is_asked_for_and_its_answer_is_told_back(client: openai.AsyncOpenAI, standin: Standin) -> None:
    standin.calls = lambda body: () if body["messages"][-1]["role"] == "tool" else (
        Call("weather", '{"city": "Bree"}'),
    )  # fmt: skip
    standin.say = lambda body: "It rains." if body["messages"][-1]["role"] == "tool" else ""
    messages = hello("Is it raining in Bree?")
    asked = await client.chat.completions.create(model="innkeeper", messages=messages, tools=[TOOL])
    message = asked.choices[0].message
    assert asked.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls is not None
    (call,) = message.tool_calls
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Bree"})
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    told = await client.chat.completions.create(model="innkeeper", messages=messages, tools=[TOOL])
    assert told.choices[0].message.content == "It rains."
    sent = standin.seen[-1].body["messages"]
    assert sent[-1] == {"role": "tool", "content": "rain", "tool_call_id": call.id}
    assert sent[-2]["tool_calls"][0]["function"]["name"] == "weather"


async def test_a_tool_is_asked_for_in_a_stream(client: openai.AsyncOpenAI, standin: Standin) -> None:
    standin.calls = lambda _body: (Call("weather", '{"city": "Bree"}'), Call("weather", '{"city": "Rohan"}'))
    standin.say = lambda _body: ""
    async with client.chat.completions.stream(model="innkeeper", messages=hello("?"), tools=[TOOL]) as stream:
        final = await stream.get_final_completion()
    calls = final.choices[0].message.tool_calls or []
    assert [json.loads(call.function.arguments) for call in calls] == [{"city": "Bree"}, {"city": "Rohan"}]
    assert len({call.id for call in calls}) == 2


async def test_a_schema_makes_data(client: openai.AsyncOpenAI, standin: Standin) -> None:
    standin.say = lambda _body: '{"mood": "merry"}'
    parsed = await client.chat.completions.parse(model="innkeeper", messages=hello("Mood?"), response_format=Mood)
    assert parsed.choices[0].message.parsed == Mood(mood="merry")
    loose = await client.chat.completions.create(
        model="innkeeper", messages=hello("JSON?"), response_format={"type": "json_object"}
    )
    assert json.loads(loose.choices[0].message.content or "") == {"mood": "merry"}


async def test_what_the_client_asks_for_reaches_the_provider(client: openai.AsyncOpenAI, standin: Standin) -> None:
    await client.chat.completions.create(
        model="innkeeper",
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]},
            {"role": "assistant", "content": "Three."},
            {"role": "user", "content": "Four."},
        ],
        max_completion_tokens=77,
        metadata={"any": "thing"},
        user="ann",
    )
    body = standin.seen[-1].body
    assert [one["content"] for one in body["messages"]] == ["Be brief.", "One.\nTwo.", "Three.", "Four."]
    assert body["max_completion_tokens"] >= 77


async def test_the_same_conversation_is_answered_from_the_cache_and_costs_nothing(
    door: Server, standin: Standin
) -> None:
    body = {"model": "innkeeper", "messages": hello("Is this kept?"), "stream": True}
    headers = {"Authorization": f"Bearer {door.key}"}
    async with httpx2.AsyncClient() as http:
        url = f"{door.url}/openai/v1/chat/completions"
        first = await http.post(url, json=body, headers=headers)
        again = await http.post(url, json=body, headers=headers)
        fresh = await http.post(url, json=body, headers={**headers, **NO_STORE})
    assert "desc=miss" in first.headers["server-timing"]
    assert "desc=hit" in again.headers["server-timing"]
    assert "desc=off" in fresh.headers["server-timing"]
    assert len(standin.seen) == 2

    def text(answer: httpx2.Response) -> str:
        told = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
        return "".join(one["choices"][0]["delta"].get("content") or "" for one in told)

    assert text(first) == text(again) == WORDS


async def test_names_of_models_are_listed_and_read(client: openai.AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]
    assert names[:2] == ["innkeeper", "door.chat"]
    assert "openai" in names
    assert (await client.models.retrieve("openai")).owned_by == "innkeeper:engine"
    with pytest.raises(openai.NotFoundError, match="there are innkeeper"):
        await client.models.retrieve("gpt-2")


@pytest.mark.parametrize(
    ("more", "param", "said"),
    [
        ({"model": "gpt-2"}, "model", "there are innkeeper"),
        ({"n": 2}, "n", "leave it out"),
        ({"temprature": 1}, "temprature", "did you mean 'temperature'"),
        ({"temperature": "hot"}, "temperature", "expected `float"),
        ({"max_tokens": 10**8}, "max_tokens", "at most"),
        ({"messages": []}, "messages", "length"),
        ({"messages": [{"role": "user", "content": "x", "colour": 1}]}, "messages[0].colour", "no such field"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id", "missing"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages[0].content[0]",
            "'image_url' is not read",
        ),
        ({"logprobs": True}, "logprobs", "not told"),
        ({"tool_choice": "required"}, "tool_choice", "there is none"),
        ({"tools": [{"type": "custom", "custom": {}}]}, "tools[0]", "'custom' is not taken"),
        ({"audio": {}, "modalities": ["audio"]}, "modalities", "only text"),
        ({"functions": []}, "functions", "old form"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_its_field(
    client: openai.AsyncOpenAI, standin: Standin, more: dict[str, Any], param: str, said: str
) -> None:
    body = {"model": "innkeeper", "messages": hello(), **more}
    with pytest.raises(openai.APIStatusError) as refused:
        await client.post("/chat/completions", cast_to=object, body=body)
    error: Any = refused.value.body
    assert refused.value.status_code == (404 if param == "model" else 400)
    assert error["code"] in ("invalid", "not_found")
    assert error["param"] == param
    assert said in error["message"]
    assert not standin.seen


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"model":"innkeeper"}'])
async def test_a_body_that_cannot_be_read_is_refused_in_openai_s_shape(door: Server, body: bytes) -> None:
    status, told = door.post("/openai/v1/chat/completions", body, headers={"Content-Type": "application/json"})
    assert status == 400
    assert told["error"]["type"] == "invalid_request_error"
    assert told["error"]["code"] in ("invalid", "malformed")


async def test_other_refusals_have_openai_s_shape_too(door: Server, reader: Server, standin: Standin) -> None:
    body = {"model": "innkeeper", "messages": hello()}
    stranger = {"Authorization": "Bearer ik_none_none"}
    cases = [
        (door.post("/openai/v1/chat/completions", body, headers=stranger), 401, "unauthenticated"),
        (reader.post("/openai/v1/chat/completions", body), 403, "forbidden"),
        (reader.get("/openai/v1/models"), 403, "forbidden"),
        (door.get("/openai/v1/chat/completions"), 405, "method_not_allowed"),
        (door.post("/openai/v1/embeddings", body), 404, "not_found"),
        (door.post("/openai/v1/chat/completions", {**body, "user": "x" * 300_000}), 413, "too_large"),
        (
            door.post("/openai/v1/chat/completions", b"x", headers={"Content-Type": "text/xml"}),
            415,
            "unsupported_media",
        ),
        (
            door.post("/openai/v1/chat/completions", body, headers={"Innkeeper-Deadline-Ms": "soon"}),
            400,
            "invalid",
        ),
        (door.post("/openai/v1/chat/completions", body, headers={"Innkeeper-World": "nowhere"}), 404, "not_found"),
    ]
    for (status, told), wanted, code in cases:
        assert (status, told["error"]["code"]) == (wanted, code)
        assert set(told["error"]) == {"message", "type", "param", "code"}
    assert not standin.seen


async def test_either_header_shows_the_key_and_two_that_differ_show_none(door: Server, standin: Standin) -> None:
    body = {"model": "innkeeper", "messages": hello()}
    path = "/openai/v1/chat/completions"
    assert door.post(path, body, headers={"x-api-key": door.key})[0] == 200
    assert door.post(path, body, headers={"x-api-key": "ik_none_none"})[0] == 401
    _, tokens = door.post("/v1/auth/token", {})
    assert door.post(path, body, headers={"Authorization": f"Bearer {tokens['access_token']}"})[0] == 200


async def test_a_provider_that_fails_at_once_is_a_status_and_one_that_fails_later_an_event(
    client: openai.AsyncOpenAI, standin: Standin
) -> None:
    standin.fault = "500"
    with pytest.raises(openai.InternalServerError) as failed:
        await client.chat.completions.create(model="innkeeper", messages=hello(), stream=True)
    assert failed.value.status_code == 503
    assert failed.value.code == "engine_down"
    standin.fault = "cut"
    standin.delay_s = 0.01
    stream = await client.chat.completions.create(model="innkeeper", messages=hello(), stream=True)
    texts: list[str] = []

    async def listen() -> None:
        async for chunk in stream:
            texts.append(chunk.choices[0].delta.content or "")  # noqa: PERF401  # kept as far as it came

    with pytest.raises(openai.APIError, match="provider"):
        await listen()
    assert WORDS.startswith("".join(texts))
    assert "".join(texts)
