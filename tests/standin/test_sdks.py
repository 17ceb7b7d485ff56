"""The vendors' own SDKs take the stand-in for their provider, unmodified: words, tools, data, models, batches."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import anthropic
import httpx2
import msgspec
import openai
import pytest
import pytest_asyncio
from pydantic import BaseModel

from tests.standin import KEY, WORDS, Call, Standin
from tests.standin.faults import RETRY_AFTER_LONG_S, RETRY_AFTER_S, Fault

MODEL, CLAUDE = "gpt-5.6-luna", "claude-haiku-5-5"
HELLO = [{"role": "user", "content": "Hello."}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHAT_TOOL = {"type": "function", "function": {"name": "weather", "description": "Now.", "parameters": WEATHER}}
RESPONSES_TOOL = {"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}
CLAUDE_TOOL = {"name": "weather", "description": "Now.", "input_schema": WEATHER}
CALL = Call("weather", '{"city": "Bree"}')


class Mood(BaseModel):
    """Data that a parsed answer has the form of."""

    mood: str


@pytest_asyncio.fixture
async def standin() -> AsyncIterator[Standin]:
    async with Standin() as provider:
        yield provider


@pytest_asyncio.fixture
async def chatgpt(standin: Standin) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key=KEY, base_url=standin.openai_url, max_retries=0) as client:
        yield client


@pytest_asyncio.fixture
async def azure(standin: Standin) -> AsyncIterator[openai.AsyncAzureOpenAI]:
    async with openai.AsyncAzureOpenAI(
        api_key=KEY, azure_endpoint=standin.origin, api_version="2026-06-01", max_retries=0
    ) as client:
        yield client


@pytest_asyncio.fixture
async def claude(standin: Standin) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(api_key=KEY, base_url=standin.origin, max_retries=0) as client:
        yield client


@pytest.fixture(params=["openai", "azure"])
def client(
    request: pytest.FixtureRequest, chatgpt: openai.AsyncOpenAI, azure: openai.AsyncAzureOpenAI
) -> openai.AsyncOpenAI:
    """OpenAI's client and Azure's: one protocol at two addresses."""
    return chatgpt if request.param == "openai" else azure


async def test_chat_answers_whole_with_finish_and_usage(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model=MODEL, messages=HELLO)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (WORDS, "stop")
    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    assert (answer.usage.prompt_tokens, answer.usage.prompt_tokens_details.cached_tokens) == (100, 64)
    assert answer.usage.completion_tokens == len(WORDS.split())


async def test_chat_streams_word_by_word_and_tells_usage_to_those_who_ask(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert ("".join(pieces), len(pieces)) == (WORDS, len(WORDS.split()))
    assert chunks[-1].usage is not None
    bare = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    assert not [chunk async for chunk in bare if chunk.usage]


async def test_chat_helper_gathers_calls_of_tools(standin: Standin, client: openai.AsyncOpenAI) -> None:
    standin.calls = lambda _body: (CALL, Call("weather", '{"city": "Rivendell"}'))
    async with client.chat.completions.stream(model=MODEL, messages=HELLO, tools=[CHAT_TOOL]) as stream:
        whole = await stream.get_final_completion()
    assert whole.choices[0].finish_reason == "tool_calls"
    cities = [json.loads(call.function.arguments)["city"] for call in whole.choices[0].message.tool_calls or ()]
    assert cities == ["Bree", "Rivendell"]


async def test_chat_calls_the_tool_that_is_insisted_on(standin: Standin, client: openai.AsyncOpenAI) -> None:
    standin.say = lambda _body: '{"city": "Bree"}'
    choice = {"type": "function", "function": {"name": "weather"}}
    answer = await client.chat.completions.create(model=MODEL, messages=HELLO, tools=[CHAT_TOOL], tool_choice=choice)
    (call,) = answer.choices[0].message.tool_calls or ()
    assert (call.type, call.function.name, call.function.arguments) == ("function", "weather", '{"city": "Bree"}')
    assert answer.choices[0].message.content is None
    silent = await client.chat.completions.create(model=MODEL, messages=HELLO, tools=[CHAT_TOOL], tool_choice="none")
    assert not silent.choices[0].message.tool_calls


async def test_chat_parses_data(standin: Standin, client: openai.AsyncOpenAI) -> None:
    standin.say = lambda _body: '{"mood": "merry"}'
    answer = await client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=Mood)
    assert answer.choices[0].message.parsed == Mood(mood="merry")


async def test_responses_answer_whole_and_streamed(client: openai.AsyncOpenAI) -> None:
    answer = await client.responses.create(model=MODEL, input="Hello.")
    assert (answer.output_text, answer.status) == (WORDS, "completed")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.input_tokens_details.cached_tokens) == (100, 64)
    async with client.responses.stream(model=MODEL, input="Hello.") as stream:
        numbers = [event.sequence_number async for event in stream]
        final = await stream.get_final_response()
    assert final.output_text == WORDS
    assert numbers == sorted(numbers)


async def test_responses_call_tools(standin: Standin, client: openai.AsyncOpenAI) -> None:
    standin.calls = lambda _body: (CALL,)
    async with client.responses.stream(model=MODEL, input="Hello.", tools=[RESPONSES_TOOL]) as stream:
        final = await stream.get_final_response()
    kinds = [item.type for item in final.output]
    assert kinds == ["message", "function_call"]
    assert json.loads(final.output[1].arguments) == {"city": "Bree"}  # type: ignore[union-attr]  # the kind is known
    standin.calls = lambda _body: ()
    forced = await client.responses.create(model=MODEL, input="Hi", tools=[RESPONSES_TOOL], tool_choice="required")
    assert [item.type for item in forced.output] == ["function_call"]


async def test_responses_parse_data(standin: Standin, client: openai.AsyncOpenAI) -> None:
    standin.say = lambda _body: '{"mood": "grim"}'
    answer = await client.responses.parse(model=MODEL, input="Hello.", text_format=Mood)
    assert answer.output_parsed == Mood(mood="grim")


async def test_a_response_that_is_too_long_is_incomplete(standin: Standin, client: openai.AsyncOpenAI) -> None:
    standin.finish = "length"
    answer = await client.responses.create(model=MODEL, input="Hello.")
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


async def test_messages_answer_whole_and_streamed(claude: anthropic.AsyncAnthropic) -> None:
    answer = await claude.messages.create(model=CLAUDE, max_tokens=64, messages=HELLO)
    assert [block.text for block in answer.content if block.type == "text"] == [WORDS]
    assert (answer.stop_reason, answer.usage.cache_read_input_tokens, answer.usage.input_tokens) == ("end_turn", 64, 36)
    async with claude.messages.stream(model=CLAUDE, max_tokens=64, messages=HELLO) as stream:
        assert "".join([text async for text in stream.text_stream]) == WORDS
        final = await stream.get_final_message()
    assert final.usage.output_tokens == len(WORDS.split())


async def test_messages_call_tools(standin: Standin, claude: anthropic.AsyncAnthropic) -> None:
    standin.calls = lambda _body: (CALL,)
    request = {"model": CLAUDE, "max_tokens": 64, "messages": HELLO, "tools": [CLAUDE_TOOL]}
    async with claude.messages.stream(**request) as stream:
        final = await stream.get_final_message()
    assert [block.type for block in final.content] == ["text", "tool_use"]
    assert final.stop_reason == "tool_use"
    whole = await claude.messages.create(**request, tool_choice={"type": "any"})
    assert [block.input for block in whole.content if block.type == "tool_use"] == [{"city": "Bree"}]


async def test_messages_parse_data(standin: Standin, claude: anthropic.AsyncAnthropic) -> None:
    standin.say = lambda _body: '{"mood": "merry"}'
    answer = await claude.messages.parse(model=CLAUDE, max_tokens=64, messages=HELLO, output_format=Mood)
    assert answer.parsed_output == Mood(mood="merry")
    assert standin.seen[-1].body["output_config"]["format"]["type"] == "json_schema"


async def test_messages_refuse_what_the_present_api_refuses(claude: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="temperature"):
        await claude.messages.create(model=CLAUDE, max_tokens=64, messages=HELLO, extra_body={"temperature": 0.5})


async def test_models_and_counts_of_tokens(client: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic) -> None:
    assert MODEL in [model.id async for model in client.models.list()]
    assert CLAUDE in [model.id async for model in claude.models.list()]
    assert (await claude.messages.count_tokens(model=CLAUDE, messages=HELLO)).input_tokens == 100


async def test_openai_batch_runs_from_file_to_file(standin: Standin, chatgpt: openai.AsyncOpenAI) -> None:
    standin.batches.polls, standin.batches.failing = 2, {"b"}
    url = "/v1/chat/completions"
    lines = [
        {"custom_id": name, "method": "POST", "url": url, "body": {"model": MODEL, "messages": HELLO}} for name in "ab"
    ]
    text = b"\n".join(msgspec.json.encode(line) for line in lines)
    sent = await chatgpt.files.create(file=("night.jsonl", text), purpose="batch")
    assert (sent.filename, sent.bytes) == ("night.jsonl", len(text))
    batch = await chatgpt.batches.create(input_file_id=sent.id, endpoint=url, completion_window="24h")
    assert (await chatgpt.batches.retrieve(batch.id)).status == "in_progress"
    batch = await chatgpt.batches.retrieve(batch.id)
    assert batch.status == "completed"
    assert batch.request_counts is not None
    assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 1)
    assert batch.output_file_id is not None
    assert batch.error_file_id is not None
    (line,) = (await chatgpt.files.content(batch.output_file_id)).text.splitlines()
    answer = json.loads(line)
    assert (answer["custom_id"], answer["response"]["body"]["choices"][0]["message"]["content"]) == ("a", WORDS)
    assert json.loads((await chatgpt.files.content(batch.error_file_id)).text)["custom_id"] == "b"
    assert (await chatgpt.files.delete(sent.id)).deleted


async def test_anthropic_batch_runs_to_its_results(standin: Standin, claude: anthropic.AsyncAnthropic) -> None:
    standin.batches.failing = {"b"}
    params = {"model": CLAUDE, "max_tokens": 64, "messages": HELLO}
    batch = await claude.messages.batches.create(
        requests=[{"custom_id": name, "params": params} for name in "ab"]  # type: ignore[typeddict-item]  # one literal
    )
    assert batch.processing_status == "in_progress"
    batch = await claude.messages.batches.retrieve(batch.id)
    assert (batch.processing_status, batch.request_counts.succeeded, batch.request_counts.errored) == ("ended", 1, 1)
    results = {line.custom_id: line.result async for line in await claude.messages.batches.results(batch.id)}
    assert results["a"].type == "succeeded"
    assert results["a"].message.content[0].text == WORDS  # type: ignore[union-attr]  # a text block
    assert results["b"].type == "errored"
    other = await claude.messages.batches.create(requests=[{"custom_id": "c", "params": params}])  # type: ignore[typeddict-item]  # one literal
    assert (await claude.messages.batches.cancel(other.id)).processing_status == "ended"


@pytest.mark.parametrize(("fault", "status"), [("500", 500), ("401", 401), ("402", 402), ("429", 429)])
async def test_status_faults_reach_the_sdks_as_their_errors(
    fault: Fault, status: int, standin: Standin, client: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic
) -> None:
    standin.fault = fault
    with pytest.raises(openai.APIStatusError) as refused:
        await client.chat.completions.create(model=MODEL, messages=HELLO)
    with pytest.raises(anthropic.APIStatusError) as also:
        await claude.messages.create(model=CLAUDE, max_tokens=64, messages=HELLO)
    assert refused.value.status_code == also.value.status_code == status


@pytest.mark.parametrize(("fault", "seconds"), [("429", RETRY_AFTER_S), ("429_long", RETRY_AFTER_LONG_S)])
async def test_a_rate_limit_says_how_long(
    fault: Fault, seconds: int, standin: Standin, chatgpt: openai.AsyncOpenAI
) -> None:
    standin.fault = fault
    with pytest.raises(openai.RateLimitError) as limited:
        await chatgpt.responses.create(model=MODEL, input="Hello.")
    assert limited.value.response.headers["retry-after"] == str(seconds)


async def test_nobody_listens_where_connections_are_refused_until_it_is_mended(
    standin: Standin, chatgpt: openai.AsyncOpenAI
) -> None:
    await standin.become("refuse")
    with pytest.raises(openai.APIConnectionError):
        await chatgpt.chat.completions.create(model=MODEL, messages=HELLO)
    await standin.become("none")
    answer = await chatgpt.chat.completions.create(model=MODEL, messages=HELLO)
    assert answer.choices[0].message.content == WORDS


async def test_whoever_follows_the_redirect_reads_a_proper_answer_and_is_counted(standin: Standin) -> None:
    standin.fault = "redirect"
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {KEY}"}, follow_redirects=True) as client:
        body = {"model": MODEL, "messages": HELLO}
        answer = await client.post(f"{standin.openai_url}/chat/completions", json=body)
    assert answer.json()["choices"][0]["finish_reason"] == "stop"
    assert standin.redirected == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_encoded_answers_are_the_same_as_those_that_are_made(stream: bool, standin: Standin) -> None:
    standin.encoded = True
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {KEY}"}) as client:
        body = {"model": MODEL, "messages": HELLO, "stream": stream}
        answers = [await client.post(f"{standin.openai_url}/chat/completions", json=body) for _ in range(3)]
    assert len({answer.content for answer in answers}) == 1
    assert (standin.asked_total, standin.seen) == (3, [])
