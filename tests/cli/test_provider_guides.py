"""The guides to providers and to what they cost are true: tables are opened, commands run as they stand."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from app.build import MODULE_SETTINGS
from app.build.engines import Engines
from app.build.words import open_words
from app.cli.prove.child import free_port
from app.core.clock import SystemClock
from app.core.profile import Profile, layers, load
from app.core.tenants import Held, NoRules, TenantSettings, may_write
from app.engines.orchestration.orchestrator import Orchestrator
from app.engines.orchestration.sovereignty import places_of
from app.engines.orchestration.watch import NoMeter
from app.telemetry.metrics import Metrics, RungWatch
from tests.doubles import SilentLog
from tests.edge.doors.conftest import ENVIRONMENT, options, provider
from tests.engines.orchestration.scripts import Ledger
from tests.servers import ROOT, start
from tests.standin import KEY, Standin

PAGES = {name: (ROOT / "docs" / "how-to" / f"{name}.md").read_text() for name in ("providers", "cost-control")}
TABLES = {
    (page, name): body
    for page, text in PAGES.items()
    for name, body in re.findall(r"^```toml (\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
}
KEYS = {
    "OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY, "AZURE_OPENAI_API_KEY": KEY,
    "AZURE_OPENAI_ENDPOINT": "https://inn.openai.azure.com",
}  # fmt: skip
SECONDS_MAX = 120


def profile_of(folder: Path, table: str) -> Profile:
    (folder / "mine.toml").write_text(table)
    sources = layers(ROOT / "profiles", mode=1, file=folder / "mine.toml", environment={}, flags={})
    return load(sources, MODULE_SETTINGS).profile


def opened(profile: Profile) -> Orchestrator:
    words, _ = open_words(
        profile, Engines(), root=ROOT, clock=SystemClock(), watch=RungWatch(SilentLog(), Metrics()),
        environment=KEYS, budgets=Ledger(), rules=NoRules(), meter=NoMeter(),
    )  # fmt: skip
    assert isinstance(words, Orchestrator)
    return words


def blocks(page: str, info: str = "sh") -> list[str]:
    return re.findall(rf"^```{info}\n(.*?)^```$", PAGES[page], re.MULTILINE | re.DOTALL)


def shell(script: str, folder: Path, standin: Standin) -> str:
    """What the script prints, over the stand-in as OpenAI; the server that it leaves behind is ended."""
    (folder / "manage.py").symlink_to(ROOT / "manage.py")
    environment = {
        **os.environ, **ENVIRONMENT, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "240",
        "INNKEEPER__ENGINES__OPENAI__BASE_URL": standin.openai_url,
    }  # fmt: skip
    port = free_port()
    script = script.replace("8717", str(port)).replace("sk-…", KEY)
    environment["INNKEEPER__SERVER__PORT"] = str(port)
    command = ["bash", "-c", f"set -eux -o pipefail\n{script}\nkill -TERM $!\nwait $!"]
    log = folder / "told"
    with log.open("w") as told:
        run = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=told, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = run.wait(timeout=SECONDS_MAX)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()
    assert code == 0, log.read_text()
    return log.read_text()


@pytest.mark.parametrize("place", TABLES, ids="/".join)
async def test_every_table_is_a_profile_whose_engines_open(place: tuple[str, str], tmp_path: Path) -> None:
    words = opened(profile_of(tmp_path, TABLES[place]))
    try:
        assert words.status().state == "ready"
    finally:
        await words.close()


async def test_tasks_are_written_by_whom_the_guide_says(tmp_path: Path) -> None:
    words = opened(profile_of(tmp_path, TABLES["providers", "several"]))
    try:
        assert words.status().detail == (
            "tasks: dialogue.reply: calm 75%, brisk 25%, vllm 0%; behavior.plan: anthropic, openai"
        )
    finally:
        await words.close()


def test_engines_are_where_the_guide_says(tmp_path: Path) -> None:
    assert places_of(profile_of(tmp_path, TABLES["providers", "server"]))["vllm"] is None
    clouds = places_of(profile_of(tmp_path, TABLES["providers", "azure-and-anthropic"]))
    assert (clouds["azure"], clouds["anthropic"], clouds["thinker"], clouds["openai"]) == ("eu", "us", "", "")
    places = places_of(profile_of(tmp_path, TABLES["providers", "regions"]))
    held = Held(tenant="studio", settings=TenantSettings(regions=("eu",), restricted_worlds=("vault",)))
    assert [not may_write(held, name, places[name], "vault") for name in ("openai", "vllm", "llama")] == [0, 1, 1]
    assert [not may_write(held, name, places[name], "vale") for name in ("openai", "vllm", "azure")] == [1, 1, 0]


def test_every_command_of_the_guide_to_providers_works(tmp_path: Path) -> None:
    for page, name in TABLES:
        if page == "providers":
            (tmp_path / f"{name}.toml").write_text(TABLES[page, name])
    with provider() as standin:
        told = shell("".join(blocks("providers")), tmp_path, standin)
    assert "tasks: dialogue.reply: calm 100%, vllm 0%" in told
    assert "tasks: dialogue.reply: calm 100%, vllm 0%" in PAGES["providers"]
    assert told.lower().count("innkeeper-engine: openai") == 2
    assert "innkeeper-variant: calm" in told.lower()
    assert 'innkeeper_words_calls_total{engine="openai",outcome="stop"} 2.0' in told
    assert "harbor-games is at version 1" in told


def test_a_refused_key_is_shown_as_the_guide_says_and_every_metric_is_there(tmp_path: Path) -> None:
    (detail,) = blocks("providers", "text detail")
    with provider() as standin:
        standin.fault = "401"
        server = start(tmp_path, *options(standin), environment=ENVIRONMENT)
        try:
            body = {"model": "innkeeper", "messages": [{"role": "user", "content": "Hello."}]}
            assert server.post("/openai/v1/chat/completions", body)[0] == 503
            ready = server.get("/health/ready")[1]
            metrics = server.get("/metrics")[1].decode()
        finally:
            server.kill()
    assert ready["ready"]
    assert {"openai", "words"} <= set(ready["degraded"])
    (words,) = (engine for engine in ready["engines"] if engine["name"] == "words")
    assert re.sub(r"\d+ s", "120 s", words["detail"]) == detail.strip()
    assert 'innkeeper_words_alerts_total{engine="openai"} 1.0' in metrics
    for name in re.findall(r"innkeeper_words_\w+", PAGES["providers"]):
        assert name in metrics, name


def test_what_a_thousand_players_cost_is_computed_as_the_guide_says() -> None:
    ((script,), (told,)) = blocks("cost-control", "sh cost"), blocks("cost-control", "text cost")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    run = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True
    )
    assert run.stdout == told, "the prices have changed: put what the command prints into docs/how-to/cost-control.md"


def test_every_command_of_the_guide_to_costs_works(tmp_path: Path) -> None:
    with provider() as standin:
        told = shell("".join(blocks("cost-control")), tmp_path, standin)
    assert '"outside":{"total":{"calls":1,' in told
    assert "default/inn" in told
    assert re.search(r"default/inn +│ ann +│ 1 ", told)
    assert '"default/":{"total":{"calls":1,' in told
    assert '"misses":2' in told
    assert '"day_nano_usd_max":5000000000' in told
