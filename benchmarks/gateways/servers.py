"""The processes of the llm benchmark: stand-ins for the provider, our server before them, and LiteLLM before the same.

Each is started in an empty folder and ends with its block. A gateway has a core to itself where there are two; whoever
asks it and whoever answers it share the others. It measures nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from report import ROOT, note

sys.path.insert(0, str(ROOT))  # the stand-in is the tests'

from tests.standin import KEY

LITELLM = "litellm[proxy]==1.106.2"
PEERS = ROOT / ".benchmark-peers"
MODEL = "gpt-5.6-luna"
FIRST_TOKEN_MS = 800
"""How long either gateway waits for a first word before it asks the next provider."""
START_S_MAX = 120.0
MASTER = "sk-benchmark"
TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
PROFILE = """
[telemetry]
log_level = "warning"

[server]
port = 0

[budgets.tenant]
day_nano_usd_max = {cap}

[engines.first]
kind = "openai"
model = "{model}"
key_env = "STANDIN_KEY"
base_url = "http://127.0.0.1:{first}/v1"
first_token_ms = {wait}
gap_ms = {wait}

[engines.second]
kind = "openai"
model = "{model}"
key_env = "STANDIN_KEY"
base_url = "http://127.0.0.1:{second}/v1"

[engines.words]
kind = "orchestrator"
providers = {providers}
"""
PLENTY_NANO_USD = 10**15
IDLE_SHARE = 0.1
"""Of a core: less is called still."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A server that speaks Chat Completions, and how it is asked."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    path: str
    key: str
    model: str

    def cpu_s(self) -> float:
        """What its process has used of a core so far, threads included."""
        return cpu_s(self.process.pid)


@dataclass(frozen=True, slots=True)
class Standins:
    """Two stand-ins in a process of their own: the first may be told to fail, the second is well."""

    first: int
    second: int
    _orders: int

    def order(self, **change: object) -> dict[str, list[int]]:
        """Change the first one; how often each was asked so far."""
        request = urllib.request.Request(f"http://127.0.0.1:{self._orders}/", data=json.dumps(change).encode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return dict(json.load(answer))


def cpu_s(pid: int) -> float:
    """Seconds of CPU of a process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


@contextmanager
def standins(preset: str) -> Iterator[Standins]:
    """Two stand-ins that say what the preset says."""
    command = [sys.executable, "-m", "tests.standin", "--preset", preset, "--count", "2"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=leave_the_first_core
    )
    assert process.stdout is not None
    try:
        yield Standins(*map(int, process.stdout.readline().split()))
    finally:
        process.kill()
        process.wait()


@contextmanager
def innkeeper(
    upstream: Standins,
    *,
    cap_nano_usd: int = PLENTY_NANO_USD,
    providers: Sequence[str] = ("first", "second"),
    first_token_ms: int = FIRST_TOKEN_MS,
) -> Iterator[Gateway]:
    """`manage.py serve` on the embedded default with both stand-ins as its providers, a key and a budget."""
    with tempfile.TemporaryDirectory() as folder:
        profile = PROFILE.format(
            cap=cap_nano_usd, model=MODEL, first=upstream.first, second=upstream.second, wait=first_token_ms,
            providers=json.dumps(list(providers)),
        )  # fmt: skip
        (Path(folder) / "benchmark.toml").write_text(profile)
        command = [sys.executable, "manage.py", "serve", "--mode", "1", "--data", folder, "--quiet"]
        command += ["--profile", str(Path(folder) / "benchmark.toml")]
        environment = {**os.environ, "STANDIN_KEY": KEY, "NO_PROXY": "127.0.0.1"}
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, preexec_fn=_alone)
        try:
            address = Path(folder) / "address.json"
            url = json.loads(_until(address.read_text, process, Path(folder) / "log"))["url"]
            _until(lambda: _got(f"{url}/health/ready"), process, Path(folder) / "log")
            _settle(process.pid)
            key = (Path(folder) / "api-key").read_text()
            yield Gateway(
                "innkeeper", process, int(url.rpartition(":")[2]), "/openai/v1/chat/completions", key, "innkeeper"
            )
        finally:
            _end(process)


def litellm_config(upstream: Standins) -> str:
    """LiteLLM's own YAML, of which JSON is a part: the same two providers, one key, its cache in memory, no retries."""
    shared = {"model": f"openai/{MODEL}", "api_key": KEY, "max_retries": 0}
    wait_s = FIRST_TOKEN_MS / 1_000.0
    ports = {"chat": upstream.first, "backup": upstream.second}
    models = [
        {
            "model_name": name,
            "litellm_params": {
                **shared, "api_base": f"http://127.0.0.1:{port}/v1", "timeout": wait_s, "stream_timeout": wait_s,
            },
        }
        for name, port in ports.items()
    ]  # fmt: skip
    settings = {
        "model_list": models,
        "router_settings": {"fallbacks": [{"chat": ["backup"]}], "num_retries": 0, "disable_cooldowns": True},
        "litellm_settings": {"num_retries": 0, "cache": True, "cache_params": {"type": "local"}, "telemetry": False},
        "general_settings": {"master_key": MASTER},
    }
    return json.dumps(settings, indent=1)


@contextmanager
def litellm(upstream: Standins) -> Iterator[Gateway | None]:
    """LiteLLM's proxy with one worker; None where it cannot be installed or does not start."""
    home = PEERS / "litellm"
    if not _install(home):
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.yaml").write_text(litellm_config(upstream))
        port = _free_port()
        command = [str(home / "bin" / "litellm"), "--config", "config.yaml", "--host", "127.0.0.1"]
        quiet = {"LITELLM_LOG": "ERROR", "LITELLM_TELEMETRY": "False", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--port", str(port)], cwd=folder, env={**os.environ, **quiet, "NO_PROXY": "127.0.0.1"},
                stdout=log, stderr=log, start_new_session=True, preexec_fn=_alone,
            )  # fmt: skip
        try:
            _until(lambda: _got(f"http://127.0.0.1:{port}/health/liveliness"), process, Path(folder) / "log")
            _settle(process.pid)
            yield Gateway("litellm", process, port, "/v1/chat/completions", MASTER, "chat")
        except TimeoutError as error:
            note(str(error))
            yield None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _install(home: Path) -> bool:
    """A virtual environment of the peer's own, made once: it asks for other versions of the SDKs than we do."""
    if (home / "bin" / "litellm").exists():
        return True
    uv = shutil.which("uv")
    if uv is None:
        return False
    note(f"installing {LITELLM}, a peer, into {home.relative_to(ROOT)}")
    made = [uv, "venv", "--quiet", "--python", sys.executable, str(home)]
    install = [uv, "pip", "install", "--quiet", "--python", str(home / "bin" / "python"), LITELLM]
    for command in (made, install):
        if subprocess.run(command, check=False).returncode:
            shutil.rmtree(home, ignore_errors=True)
            return False
    return True


CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


def _alone() -> None:
    """The first core, for the process that is measured."""
    if len(CORES) > 1:
        os.sched_setaffinity(0, {CORES[0]})


def leave_the_first_core() -> None:
    """Keep this process off the core of those that are measured."""
    if len(CORES) > 1:
        os.sched_setaffinity(0, set(CORES[1:]))


def _got(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read(1_024)) if answer.status == 200 else ""


def _settle(pid: int) -> None:
    """Wait until what a server does at its start is over, and its CPU is still."""
    for _ in range(40):
        before_s = cpu_s(pid)
        time.sleep(0.25)
        if cpu_s(pid) - before_s <= IDLE_SHARE * 0.25:
            return


def _until(ask: Callable[[], str], process: subprocess.Popen[bytes], log: Path) -> str:
    """The first answer; a refused connection or a file that is not there yet counts as none."""
    until_s = time.monotonic() + START_S_MAX
    while time.monotonic() < until_s and process.poll() is None:
        try:
            if answer := ask():
                return str(answer)
        except (OSError, ValueError):
            pass
        time.sleep(0.02)
    raise TimeoutError(f"no answer of {process.args!r}: {log.read_text()[-2_000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
