"""The shape of the code, as tests: who may import whom, and what a start must not load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "onnxruntime",
    "torch",
    "llama_cpp",
    "openai",
    "anthropic",
    "aiohttp",
    "numba",
    "alembic",
    "matplotlib",
    "duckdb",
    "pyarrow",
    "pyspark",
    "redis",
    "pulsar",
    "PIL",
    "argon2",
    "pyotp",
    "webauthn",
    "joserfc",
    "jinja2",
    "jsonschema",
)


def test_layers_and_homes_hold() -> None:
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml")) == 0


@pytest.mark.parametrize("verb", ["serve", "profile", "doctor", "key", "operator", "features", "models", "prompts"])
def test_a_verb_loads_nothing_heavy_before_a_profile_names_it(verb: str) -> None:
    code = (
        "import sys; from app.cli.main import VERBS, cli; "
        f"cli.get_command(None, {verb!r}); "
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.strip() == "[]"


def test_mode_1_without_keys_loads_no_network_runtime_and_no_sdk(tmp_path: Path) -> None:
    """The path kernels (numba), what signs tokens and what renders prompts may load; nothing else of HEAVY may."""
    code = f"""
import asyncio, sys
from pathlib import Path
from app.build import MODULE_SETTINGS, ROOT, build
from app.core.profile import layers, load

async def main():
    flags = {{"server.data_folder": {str(tmp_path)!r}}}
    loaded = load(layers(ROOT / "profiles", mode=1, file=None, environment={{}}, flags=flags), MODULE_SETTINGS)
    innkeeper = await build(loaded.profile)
    innkeeper.start_warming()
    await innkeeper.warming
    await innkeeper.close()

asyncio.run(main())
print(sorted((set({HEAVY!r}) - {{"numba", "joserfc", "cryptography", "jinja2"}}) & set(sys.modules)))
"""
    environment = {"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip().splitlines()[-1] == "[]"
