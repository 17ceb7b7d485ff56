"""TensorFlow is converted in an environment of its own: the commands, and what is said when one of them fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from app.core.errors import EngineDown, Invalid
from app.engines.compiler import tensorflow


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tensorflow.Place:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tensorflow.place()


def script(path: Path, text: str) -> Path:
    """A program that stands in for another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\nimport pathlib, sys\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_environment_is_pinned_and_its_folder_carries_the_pins(
    cache: tensorflow.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, fill = tensorflow.install_commands(cache, "uv")
    assert make[make.index("--python") + 1] == "3.11"
    assert all("==" in pin for pin in tensorflow.PINS)
    assert fill[-len(tensorflow.PINS) :] == list(tensorflow.PINS)
    assert fill[fill.index("--python") + 1] == str(cache.python)
    monkeypatch.setattr(tensorflow, "PINS", ("tensorflow==2.14.0",))
    assert tensorflow.place().folder != cache.folder


@pytest.mark.parametrize(("name", "flag"), [("saved", "--saved-model"), ("m.h5", "--keras"), ("m.tflite", "--tflite")])
def test_each_kind_of_model_has_its_flag(cache: tensorflow.Place, tmp_path: Path, name: str, flag: str) -> None:
    source = tmp_path / name
    if "." not in name:
        source.mkdir()
        (source / "saved_model.pb").touch()
    assert tensorflow.is_tensorflow(source)
    command = tensorflow.convert_command(cache, source, tmp_path / "out.onnx")
    assert command[:3] == [str(cache.python), "-m", "tf2onnx.convert"]
    assert command[command.index(flag) + 1] == str(source)


def test_other_files_are_not_taken_for_tensorflow(tmp_path: Path) -> None:
    assert not tensorflow.is_tensorflow(tmp_path)
    assert not tensorflow.is_tensorflow(tmp_path / "policy.onnx")


def test_without_uv_the_mend_is_named(cache: tensorflow.Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(EngineDown) as caught:
        tensorflow.convert(tmp_path / "m.h5")
    assert caught.value.hint == "pip install uv"


def test_a_failed_installation_says_why_and_is_tried_again(
    cache: tensorflow.Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "bin" / "uv", "print('no versions of tf2onnx', file=sys.stderr); sys.exit(1)")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for _ in range(2):
        with pytest.raises(EngineDown, match="no versions of tf2onnx") as caught:
            tensorflow.convert(tmp_path / "m.h5")
        assert "uv venv" in caught.value.hint
    assert not cache.stamp.exists()


def test_what_the_converter_writes_comes_back_and_its_last_word_when_it_writes_nothing(
    cache: tensorflow.Place, tmp_path: Path
) -> None:
    cache.folder.mkdir(parents=True)
    cache.stamp.touch()
    script(cache.python, "pathlib.Path(sys.argv[sys.argv.index('--output') + 1]).write_bytes(b'graph')")
    assert tensorflow.convert(tmp_path / "m.h5") == b"graph"
    script(cache.python, "print('Traceback', 'ValueError: Unknown layer', sep='\\n\\n', file=sys.stderr); sys.exit(1)")
    with pytest.raises(Invalid, match=r"'m\.h5': ValueError: Unknown layer"):
        tensorflow.convert(tmp_path / "m.h5")
