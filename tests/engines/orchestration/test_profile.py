"""Tasks, regions and bounds as a profile names them: a TOML file becomes an orchestrator, and doctor shows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.build import MODULE_SETTINGS
from app.build.engines import Engines
from app.build.words import open_words
from app.core.clock import SystemClock
from app.core.errors import Invalid
from app.core.profile import Profile, layers
from app.core.profile import load as read
from app.core.tenants import NoRules
from app.core.words import Usage
from app.engines.orchestration.orchestrator import Orchestrator
from app.engines.orchestration.watch import NoMeter
from app.telemetry.metrics import Metrics, RungWatch
from app.telemetry.words import WordsMeter
from tests.doubles import SilentLog
from tests.engines.orchestration.scripts import Ledger
from tests.servers import ROOT

TABLES = """
[engines.small]
kind = "openai"
model = "qwen"
key_env = "LOCAL_KEY"
base_url = "http://127.0.0.1:9/v1"

[engines.gateway]
kind = "openai"
model = "gpt-5-mini"
base_url = "http://127.0.0.1:9/v1"
region = "eu"

[engines.words]
providers = ["gateway"]
route = "thrift"

[engines.words.roles]
judge = ["small"]

[engines.words.tasks."dialogue.reply"]
variants = [
  { name = "calm", engine = "gateway", weight = 3, temperature = 0.3 },
  { name = "wild", engine = "small", weight = 1, prompt = "staging" },
]
hedge = true
easy = ["local"]

[engines.words.tasks."memory.reflect"]
role = "judge"

[engines.words.breaker]
failures_max = 2
"""
KEYS = {"OPENAI_API_KEY": "sk-test", "LOCAL_KEY": "none"}


def load(folder: Path, tables: str) -> Profile:
    (folder / "mine.toml").write_text(tables)
    sources = layers(ROOT / "profiles", mode=1, file=folder / "mine.toml", environment={}, flags={})
    return read(sources, MODULE_SETTINGS).profile


def opened(profile: Profile) -> Orchestrator:
    log = SilentLog()
    words, _ = open_words(
        profile,
        Engines(),
        root=ROOT,
        clock=SystemClock(),
        watch=RungWatch(log, Metrics()),
        environment=KEYS,
        budgets=Ledger(),
        rules=NoRules(),
        meter=NoMeter(),
    )
    assert isinstance(words, Orchestrator)
    return words


async def test_tables_become_tasks_and_engines_know_where_they_are(tmp_path: Path) -> None:
    words = opened(load(tmp_path, TABLES))
    try:
        assert words.tasks.names() == ("gateway", "small", "calm", "wild")
        assert [variant.name for variant in words.tasks.of("dialogue.reply").variants] == ["calm", "wild"]
        assert [variant.engine for variant in words.tasks.of("memory.reflect").variants] == ["small"]
        assert [variant.engine for variant in words.tasks.of("quests.prose").variants] == ["gateway"]
        assert {name: member.region for name, member in words._members.items()} == {"gateway": "eu", "small": None}
        assert words.status().detail == "tasks: dialogue.reply: calm 75%, wild 25%; memory.reflect: small"
    finally:
        await words.close()


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ('[engines.words.tasks.t]\nvariants = [{ engine = "opena" }]\n', "engines.words names 'opena'"),
        ('[engines.words.tasks.t]\nrole = "judge"\n', "role 'judge'"),
        ("[engines.words.tasks.t]\nhegde = true\n", "hegde"),
        ('[engines.words.tasks.t]\nvariants = [{ engine = "openai", weight = -1 }]\n', "weight"),
        ('[engines.words]\nroute = "luck"\n', "route"),
    ],
)
async def test_what_is_wrong_in_a_table_is_named(tmp_path: Path, tables: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        opened(load(tmp_path, tables))


def test_doctor_shows_tasks(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(TABLES)
    command = [sys.executable, str(ROOT / "manage.py"), "doctor", "--mode", "1", "--json"]
    answer = subprocess.run(
        [*command, "--profile", str(tmp_path / "mine.toml")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **KEYS},
    )
    engines = {engine["name"]: engine for engine in json.loads(answer.stdout)["engines"]}
    assert "calm 75%, wild 25%" in engines["words"]["detail"]


def test_a_meter_counts_and_warns_once_for_each_alert() -> None:
    log, metrics = SilentLog(), Metrics()
    meter = WordsMeter(log, metrics)
    for _ in range(2):
        meter.called("a", "stop", Usage(tokens_in=10, tokens_out=5, cached_tokens_in=4, cost_nano_usd=2_000_000_000))
    meter.called("a", "unauthorized", Usage())
    meter.first_text("a", 0.2)
    meter.hedged("a", "won")
    meter.turned("a", "open")
    meter.alerted("a", "a answered 401")
    told = metrics.render().decode()
    for line in (
        'innkeeper_words_calls_total{engine="a",outcome="stop"} 2.0',
        'innkeeper_words_calls_total{engine="a",outcome="unauthorized"} 1.0',
        'innkeeper_words_first_text_seconds_count{engine="a"} 1.0',
        'innkeeper_words_tokens_total{engine="a",kind="in"} 20.0',
        'innkeeper_words_tokens_total{engine="a",kind="out"} 10.0',
        'innkeeper_words_tokens_total{engine="a",kind="cached_in"} 8.0',
        'innkeeper_words_cost_usd_total{engine="a"} 4.0',
        'innkeeper_words_hedges_total{engine="a",outcome="won"} 1.0',
        'innkeeper_words_breaker_open{engine="a"} 1.0',
        'innkeeper_words_alerts_total{engine="a"} 1.0',
    ):
        assert line in told
    assert log.told == [("warning", "engine.alerted", {"engine": "a", "reason": "a answered 401"})]
    meter.turned("a", "closed")
    assert 'innkeeper_words_breaker_open{engine="a"} 0.0' in metrics.render().decode()
