"""What a model does not take is dropped, not sent; what is held to a schema is held in the way that the model takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import Invalid
from app.core.words import Completion, Part, Sampling, ToolCall, Turn
from app.engines import prices
from app.engines.outbound import OUTBOUND
from app.engines.providers import capabilities
from app.engines.providers.anthropic import open_anthropic
from app.engines.providers.capabilities import CAREFUL, FILE
from app.engines.providers.chat import ChatCompletions
from app.engines.providers.openai import open_openai
from app.engines.providers.provider import Model, Provider, strict
from app.engines.providers.responses import Responses
from app.engines.providers.transport import Transport
from tests.engines.conftest import COMPLETION, PRICES
from tests.engines.providers.calls import OPEN_SCHEMA, SCHEMA, TALK, TURNS, WEATHER, hear, of
from tests.standin import KEY, Call, Standin

WARM = of(TALK, sampling=Sampling(temperature=0.5, top_p=0.9, stop=("\n",)))


def gpt(model: str, **options: Any) -> Provider:
    return open_openai(name="gpt", model=model, key=KEY, prices=PRICES, **options)


def claude(model: str, **options: Any) -> Provider:
    return open_anthropic(name="claude", model=model, key=KEY, prices=PRICES, **options)


def taking(kind: str, url: str = "http://127.0.0.1:9", **changes: Any) -> Provider:
    """An adapter over a model that takes what `changes` say."""
    model = Model("m", capabilities.Capability(model="m", **changes), PRICES)
    transport = Transport(kind, url, {"Authorization": f"Bearer {KEY}"}, OUTBOUND)
    if kind == "responses":
        return Responses(transport, "/v1/responses", name=kind, kind="openai", model=model)
    field = "max_tokens"
    return ChatCompletions(transport, "/v1/chat/completions", name=kind, kind="openai", model=model, token_field=field)


def test_every_priced_model_says_what_it_takes() -> None:
    assert {row.model for row in PRICES.rows} == set(capabilities.load(FILE))


@pytest.mark.parametrize(
    ("engine", "sent"),
    [
        (lambda: gpt("gpt-4.1-mini"), {"temperature", "top_p", "stop"}),
        (lambda: gpt("gpt-5-mini"), set()),
        (lambda: gpt("gpt-5.6-luna"), {"temperature", "top_p", "stop"}),
        (lambda: gpt("gpt-9"), set()),
        (lambda: gpt("any", base_url="http://127.0.0.1:1/v1"), {"temperature", "top_p", "stop"}),
        (lambda: gpt("gpt-4.1-mini", api="responses"), {"temperature", "top_p"}),
        (lambda: claude("claude-haiku-4-5"), {"stop_sequences"}),
    ],
)
def test_only_models_that_take_sampling_are_sent_it(engine: Callable[[], Provider], sent: set[str]) -> None:
    body = engine().body(WARM)
    assert {"temperature", "top_p", "top_k", "stop", "stop_sequences"} & set(body) == sent


def test_a_model_that_is_asked_to_think_takes_no_sampling_and_gets_room() -> None:
    engine = gpt("gpt-5.6-luna")
    body = engine.body(of(WARM, sampling=Sampling(temperature=0.5, effort="high")))
    assert "temperature" not in body
    assert body["reasoning_effort"] == "high"
    assert body["max_completion_tokens"] > engine.body(WARM)["max_completion_tokens"]


def test_an_effort_that_a_model_does_not_know_is_its_least() -> None:
    assert gpt("gpt-5-mini").body(of(TALK, sampling=Sampling(effort="max")))["reasoning_effort"] == "minimal"
    assert "reasoning_effort" not in gpt("gpt-4.1-mini").body(of(TALK, sampling=Sampling(effort="high")))


def test_no_more_tokens_are_asked_for_than_a_model_writes() -> None:
    assert claude("claude-haiku-4-5").body(of(TALK, output_tokens_max=900_000))["max_tokens"] == 64_000


def test_a_claude_of_today_is_not_left_at_its_own_words() -> None:
    ended = of(TALK, turns=(*TURNS, Turn(role="assistant", text="Tomorrow")))
    assert claude("claude-haiku-4-5").body(ended)["messages"][-1]["role"] == "assistant"
    assert claude("claude-haiku-5-5").body(ended)["messages"][-1] == {"role": "user", "content": "Continue."}


def test_a_claude_that_cannot_be_forced_is_left_to_choose() -> None:
    forced = of(TALK, tools=(WEATHER,), tool_choice="required")
    assert claude("claude-haiku-5-5").body(forced)["tool_choice"] == {"type": "any"}
    assert claude("claude-opus-5-5").body(forced)["tool_choice"] == {"type": "auto"}


def test_a_head_that_is_too_short_for_the_vendors_cache_is_not_marked() -> None:
    engine = claude("claude-haiku-5-5")
    long = of(COMPLETION, parts=(Part(trust="system", text="x" * 600), *COMPLETION.parts[1:]))
    assert "cache_control" not in engine.body(COMPLETION)["system"][0]
    assert engine.body(long)["system"][0]["cache_control"] == {"type": "ephemeral"}


def test_a_completion_of_no_tokens_fills_the_cache() -> None:
    assert claude("claude-opus-5-5").body(of(COMPLETION, output_tokens_max=0))["max_tokens"] == 0


def test_residency_is_sent_and_paid() -> None:
    home, abroad = claude("claude-haiku-5-5", inference_geo="us"), claude("claude-haiku-5-5")
    assert home.body(COMPLETION)["inference_geo"] == "us"
    assert "inference_geo" not in abroad.body(COMPLETION)
    assert home.most(COMPLETION).cost_nano_usd > abroad.most(COMPLETION).cost_nano_usd
    europe = gpt("gpt-5.6-luna", data_residency="eu")
    assert europe.host == "eu.api.openai.com"
    assert europe.most(COMPLETION).cost_nano_usd > gpt("gpt-5.6-luna").most(COMPLETION).cost_nano_usd
    with pytest.raises(Invalid, match="data_residency"):
        gpt("gpt-5.6-luna", data_residency="mars")
    with pytest.raises(Invalid, match="both"):
        gpt("gpt-5.6-luna", data_residency="eu", base_url="http://127.0.0.1/v1")


def test_prompts_of_one_npc_share_a_key_that_says_nothing() -> None:
    mira, otto = of(COMPLETION, npc="mira"), of(COMPLETION, npc="otto")
    key = gpt("gpt-5.6-luna").body(mira)["prompt_cache_key"]
    assert key == gpt("gpt-5.6-luna", api="responses").body(mira)["prompt_cache_key"]
    assert key != gpt("gpt-5.6-luna").body(otto)["prompt_cache_key"]
    assert "mira" not in key
    assert "prompt_cache_key" not in gpt("m", base_url="http://127.0.0.1:1/v1").body(mira)


def test_nothing_is_stored_at_the_vendor() -> None:
    assert gpt("gpt-5.6-luna", api="responses").body(COMPLETION)["store"] is False


def test_a_server_without_a_key_is_sent_none_and_costs_nothing() -> None:
    free = open_openai(name="o", model="m", key="", prices=PRICES, base_url="http://127.0.0.1:1/v1")
    assert free.most(COMPLETION).cost_nano_usd == 0
    assert gpt("m", base_url="http://127.0.0.1:1/v1").most(COMPLETION).cost_nano_usd > 0, "unknown, so the dearest"


async def test_no_key_means_no_header() -> None:
    async with Standin() as standin:
        engine = open_openai(name="o", model="m", key="", prices=PRICES, base_url=standin.openai_url)
        with pytest.raises(Exception, match="401"):
            await hear(engine, COMPLETION)
        await engine.close()
        assert "authorization" not in standin.seen[0].headers


def test_an_operators_rate_stands_before_the_table() -> None:
    own = prices.Price(
        model="own", input_usd=1, output_usd=1, cached_input_usd=1, cache_write_usd=1, source="profile", date=""
    )
    engine = gpt("gpt-9", own_price=own)
    usage = engine.most(COMPLETION)
    assert usage.cost_nano_usd == (usage.tokens_in + usage.tokens_out) * 1_000


@pytest.mark.parametrize("kind", ["chat", "responses"])
async def test_a_model_without_a_strict_schema_answers_by_a_tool_and_it_is_heard_as_text(kind: str) -> None:
    async with Standin(calls=lambda body: (Call(body["tools"][-1].get("name", "answer"), '{"mood": "merry"}'),)) as at:
        engine = taking(kind, at.origin, schema="tool")
        heard = await hear(engine, of(COMPLETION, schema=OPEN_SCHEMA))
        await engine.close()
    assert heard.end is not None
    assert (heard.text, heard.calls, heard.end.reason) == ('{"mood": "merry"}', {}, "stop")


async def test_an_open_schema_is_a_tool_to_claude() -> None:
    async with Standin(say=lambda _body: '{"mood": "merry"}') as standin:
        engine = claude("claude-haiku-5-5", base_url=standin.origin)
        heard = await hear(engine, of(COMPLETION, schema=OPEN_SCHEMA))
        await engine.close()
        assert standin.seen[0].body["tool_choice"] == {"type": "tool", "name": "answer"}
    assert heard.end is not None
    assert (heard.text, heard.calls, heard.end.reason) == ('{"mood": "merry"}', {}, "stop")


@pytest.mark.parametrize("kind", ["chat", "responses"])
def test_a_model_that_knows_json_alone_is_told_the_schema(kind: str) -> None:
    body = taking(kind, schema="object").body(of(COMPLETION, schema=SCHEMA))
    assert '"mood"' in (body.get("messages") or body["input"])[0]["content"]
    form = body.get("response_format") or body["text"]["format"]
    assert form == {"type": "json_object"}


@pytest.mark.parametrize(
    ("schema", "whether"),
    [
        (SCHEMA, True), (OPEN_SCHEMA, False), ({"type": "string"}, True),
        ({**SCHEMA, "required": []}, False),
        ({"type": "array", "items": OPEN_SCHEMA}, False), ({"type": "array", "items": SCHEMA}, True),
        ({**SCHEMA, "properties": {"mood": OPEN_SCHEMA}}, False), ({"anyOf": [SCHEMA, OPEN_SCHEMA]}, False),
        ({"$ref": "#/$defs/a", "$defs": {"a": OPEN_SCHEMA}}, False),
    ],
)  # fmt: skip
def test_a_schema_is_strict_where_every_object_is_closed_and_whole(schema: dict[str, Any], whether: bool) -> None:
    assert strict(schema) is whether


def test_calls_that_are_no_json_are_refused_by_name() -> None:
    turns = (
        Turn(role="user", text="?"),
        Turn(role="assistant", text="", calls=(ToolCall(id="c9", name="n", arguments="{"),)),
    )
    with pytest.raises(Invalid, match="'c9'"):
        claude("claude-haiku-5-5").body(Completion(task="t", turns=turns, output_tokens_max=9))


def test_an_unknown_model_is_believed_to_take_little() -> None:
    assert capabilities.of("brand-new") is CAREFUL
    assert capabilities.of("openai/gpt-5.6-luna-2026-09-01").model == "gpt-5.6-luna"


def test_a_faulty_table_names_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[[capability]]\nmodel = "m"\nefforts = ["much"]\n')
    with pytest.raises(Invalid, match="much"):
        capabilities.load(tmp_path / "c.toml")
