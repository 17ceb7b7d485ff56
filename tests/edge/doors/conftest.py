"""One server with all doors open, over a provider on the loopback that lives in a thread of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.servers import ROOT, Server, start
from tests.standin import KEY, Standin

ENVIRONMENT = {"OPENAI_API_KEY": KEY, "NO_PROXY": "127.0.0.1"}


def verb(folder: Path, *arguments: str) -> str:
    """What a verb of the command line prints, beside the server of that folder."""
    command = [sys.executable, str(ROOT / "manage.py"), *arguments, "--set", f"server.data_folder={folder}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def options(standin: Standin, *more: str) -> list[str]:
    """What makes the stand-in the only provider of a server."""
    return [f"--set=engines.openai.base_url={standin.openai_url}", "--set=engines.words.providers=openai", *more]


@contextmanager
def provider() -> Iterator[Standin]:
    """A stand-in that answers while the caller's thread does something else."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    standin = Standin()
    asyncio.run_coroutine_threadsafe(standin.__aenter__(), loop).result(10)
    try:
        yield standin
    finally:
        asyncio.run_coroutine_threadsafe(standin.__aexit__(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture(scope="package")
def shared_standin() -> Iterator[Standin]:
    with provider() as standin:
        yield standin


@pytest.fixture
def standin(shared_standin: Standin) -> Standin:
    """The provider, as a fresh one would answer."""
    fresh = Standin()
    shared_standin.fault = fresh.fault
    shared_standin.say, shared_standin.calls, shared_standin.finish = fresh.say, fresh.calls, fresh.finish
    shared_standin.delay_s = shared_standin.wait_s = 0.0
    shared_standin.seen.clear()
    shared_standin.hung_up.clear()
    return shared_standin


@pytest.fixture(scope="package")
def door(tmp_path_factory: pytest.TempPathFactory, shared_standin: Standin) -> Iterator[Server]:
    """The server, as its default tenant; the folder holds keys of another tenant and of less scope."""
    folder = tmp_path_factory.mktemp("door")
    verb(folder, "tenant", "create", "other")
    for name, more in (
        ("api-key", ()), ("other-key", ("--tenant", "other")), ("reader-key", ("--scope", "READ")),
    ):  # fmt: skip
        (folder / name).write_text(verb(folder, "key", "create", "--label", name, *more))
    more = ("--set=doors.body_bytes_max=200000", "--set=engines.words.breaker.failures_max=1000")
    server = start(folder, *options(shared_standin, *more), environment=ENVIRONMENT)
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def other(door: Server) -> Server:
    """The same server as another tenant."""
    return replace(door, key=(door.folder / "other-key").read_text())


@pytest.fixture
def reader(door: Server) -> Server:
    """The same server with a key that may only read."""
    return replace(door, key=(door.folder / "reader-key").read_text())
