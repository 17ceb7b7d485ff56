"""A profile's engines of words: what is not there is left out, and the status says how to get it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.build import MODULE_SETTINGS, ROOT, build
from app.core.ports import EngineStatus
from app.core.profile import layers, load


async def statuses(data: Path, **flags: object) -> dict[str, EngineStatus]:
    """Each engine's status of a mode 1 server without keys, by name."""
    given = {"server.data_folder": str(data), **{key.replace("__", "."): value for key, value in flags.items()}}
    sources = layers(ROOT / "profiles", mode=1, file=None, environment={}, flags=given)
    innkeeper = await build(load(sources, MODULE_SETTINGS).profile)
    found = {status.name: status for status in innkeeper.engines.statuses()}
    await innkeeper.close()
    return found


@pytest.fixture(autouse=True)
def without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)


async def test_a_model_without_a_file_is_left_out_and_the_status_names_the_setting(tmp_path: Path) -> None:
    llama = (await statuses(tmp_path))["llama"]
    assert (llama.state, llama.detail) == ("missing", "no GGUF file")
    assert "INNKEEPER__ENGINES__LLAMA__FILE" in llama.mend


async def test_a_model_without_its_package_degrades_and_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engines.llama.engine.find_spec", lambda name: None)
    llama = (await statuses(tmp_path, engines__llama__file="model.gguf"))["llama"]
    assert (llama.state, llama.mend) == ("degraded", "uv sync --extra llama")
    assert "llama_cpp" in llama.detail


async def test_a_file_that_is_no_model_degrades_and_leaves_the_authored_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engines.llama.engine.find_spec", lambda name: object())
    found = await statuses(tmp_path, engines__llama__file=str(ROOT / "pyproject.toml"))
    assert found["llama"].state == "degraded"
    assert "has no GGUF header" in found["llama"].detail
    assert found["authored"].state == "ready"
    assert "words" not in found


@pytest.mark.needs_llama
async def test_a_model_that_is_there_is_the_words_engine_without_any_key(tmp_path: Path) -> None:
    from tests.engines.tiny_gguf import write_tiny

    path = write_tiny(tmp_path / "tiny.gguf")
    found = await statuses(tmp_path, engines__llama__file=str(path))
    assert (found["llama"].state, found["words"].asked) == ("ready", ("llama",))
