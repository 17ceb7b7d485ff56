"""The tables of a profile as engines: with a key, without one, with a rate of the operator's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.build.engines import Engines
from app.build.providers import open_cloud
from app.core.engines import Anthropic, AnyEngine, Azure, OpenAI
from app.core.outbound import Outbound
from app.engines.providers.provider import Provider
from app.engines.providers.responses import Responses
from tests.engines.conftest import COMPLETION

ROOT = Path(__file__).resolve().parents[3]
LOCAL = "http://127.0.0.1:11434/v1"


def table(**values: Any) -> OpenAI | Azure | Anthropic:
    found = msgspec.convert(values, AnyEngine)
    assert isinstance(found, OpenAI | Azure | Anthropic)
    return found


def opened(spec: OpenAI | Azure | Anthropic, engines: Engines | None = None, **environment: str) -> Provider | None:
    found = open_cloud("e", spec, engines or Engines(), root=ROOT, environment=environment, outbound=Outbound())
    assert found is None or isinstance(found, Provider)
    return found


def test_an_engine_without_its_key_is_left_out_and_shown() -> None:
    engines = Engines()
    assert opened(table(kind="openai", model="gpt-5-mini"), engines) is None
    assert opened(table(kind="openai", model="gpt-5-mini", key_env=""), engines) is None, "OpenAI itself takes one"
    assert opened(table(kind="azure", deployment="d"), engines, AZURE_OPENAI_API_KEY="k") is None
    assert [status.state for status in engines.statuses()] == ["missing"] * 3


def test_a_server_that_takes_no_key_needs_none_and_is_free_unless_the_profile_says() -> None:
    local = opened(table(kind="openai", model="llama3", key_env="", base_url=LOCAL))
    assert local is not None
    assert local.most(COMPLETION).cost_nano_usd == 0
    rate = {"input_usd": 1.0, "output_usd": 2.0}
    priced = opened(table(kind="openai", model="llama3", key_env="", base_url=LOCAL, price=rate))
    assert priced is not None
    usage = priced.most(COMPLETION)
    assert usage.cost_nano_usd == usage.tokens_in * 1_000 + usage.tokens_out * 2_000


def test_the_api_and_the_residency_of_a_table_are_used() -> None:
    spec = table(kind="openai", model="gpt-5.6-luna", api="responses", data_residency="eu")
    engine = opened(spec, OPENAI_API_KEY="k")
    assert isinstance(engine, Responses)
    assert engine.host == "eu.api.openai.com"
    assert spec.kept_in == "eu"
    azure = table(kind="azure", deployment="mine", model="gpt-5.6-luna", api="responses", region="eu")
    found = opened(azure, AZURE_OPENAI_API_KEY="k", AZURE_OPENAI_ENDPOINT="https://mine.example.com")
    assert isinstance(found, Responses)
    assert (found.model, found.body(COMPLETION)["model"]) == ("gpt-5.6-luna", "mine")
    claude = opened(table(kind="anthropic", model="claude-haiku-5-5", inference_geo="us"), ANTHROPIC_API_KEY="k")
    assert claude is not None
    assert claude.body(COMPLETION)["inference_geo"] == "us"


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"kind": "openai", "model": "m", "data_residency": "global"}, ""),
        ({"kind": "openai", "model": "m", "data_residency": "us", "region": "us-east"}, "us-east"),
        ({"kind": "anthropic", "model": "m", "inference_geo": "us"}, "us"),
        ({"kind": "azure", "deployment": "m", "region": "eu"}, "eu"),
    ],
)
def test_where_words_are_kept_is_what_the_table_says(values: dict[str, Any], place: str) -> None:
    assert table(**values).kept_in == place


def test_a_residency_that_the_vendor_does_not_have_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="mars"):
        table(kind="openai", model="m", data_residency="mars")
