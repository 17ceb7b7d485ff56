"""TensorFlow models to ONNX in an environment of their own: tf2onnx works with TensorFlow to 2.15 and Python to 3.11.

The environment is made once by uv in the user's cache and carries its pins in its name. Nothing of it is imported
here; the converter runs as a program.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.core.errors import EngineDown, Invalid

PYTHON = "3.11"
TENSORFLOW = "tensorflow==2.15.1" if sys.platform == "darwin" else "tensorflow-cpu==2.15.1"
PINS = (TENSORFLOW, "tf2onnx==1.16.1", "numpy==1.26.4", "protobuf==3.20.3", "onnx==1.17.0", "flatbuffers==25.12.19")
OPSET = 17
INSTALL_S, CONVERT_S = 1_800, 600
"""How long either step may take."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the environment stands."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def stamp(self) -> Path:
        """Written last, so that an installation that was killed is done again."""
        return self.folder / "installed"


def place() -> Place:
    """The environment of these pins below the user's cache folder (XDG_CACHE_HOME, else ~/.cache)."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    key = hashlib.sha256(" ".join((PYTHON, *PINS)).encode()).hexdigest()[:12]
    return Place(cache / "innkeeper" / f"tf2onnx-{key}")


def install_commands(where: Place, uv: str) -> tuple[list[str], list[str]]:
    """The two commands that make the environment."""
    make = [uv, "venv", "--quiet", "--clear", "--python", PYTHON, str(where.folder)]
    fill = [uv, "pip", "install", "--quiet", "--python", str(where.python), *PINS]
    return make, fill


def convert_command(where: Place, source: Path, out: Path) -> list[str]:
    """The command that converts a SavedModel folder, a Keras .h5 file or a .tflite file."""
    flag = "--saved-model" if source.is_dir() else "--tflite" if source.suffix == ".tflite" else "--keras"
    return [str(where.python), "-m", "tf2onnx.convert", flag, str(source), "--output", str(out), "--opset", str(OPSET)]


def is_tensorflow(source: Path) -> bool:
    """Whether the path looks like a TensorFlow model."""
    return (source.is_dir() and (source / "saved_model.pb").exists()) or source.suffix in (".h5", ".tflite")


def convert(source: Path) -> bytes:
    """The ONNX bytes of a TensorFlow model.

    Raises EngineDown when the environment cannot be made (no uv, no registry, no Python of the version), Invalid with
    the converter's words when it does not take the model.
    """
    where = place()
    if not where.stamp.exists():
        _install(where)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model.onnx"
        quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        done = _run(convert_command(where, source, out), CONVERT_S, quiet)
        if done.returncode or not out.exists():
            raise Invalid(
                f"tf2onnx does not take {source.name!r}: {_last(done.stderr)}",
                hint="save it with model.export(...) or tf.saved_model.save under TensorFlow 2.15 or older",
            )
        return out.read_bytes()


def _install(where: Place) -> None:
    uv = shutil.which("uv")
    if uv is None:
        raise EngineDown("the program 'uv' is not there to make the environment of TensorFlow", hint="pip install uv")
    where.folder.parent.mkdir(parents=True, exist_ok=True)
    for command in install_commands(where, uv):
        done = _run(command, INSTALL_S, dict(os.environ))
        if done.returncode:
            raise EngineDown(
                f"the environment of TensorFlow cannot be made: {_last(done.stderr)}",
                hint=f"run it by hand: {' '.join(command)}",
            )
    where.stamp.write_text("\n".join(PINS) + "\n", "utf-8")


def _run(command: Sequence[str], limit_s: float, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603  # uv and the Python that it installed, no shell
            command, capture_output=True, text=True, check=False, timeout=limit_s, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineDown(f"{Path(command[0]).name!r} did not finish: {error}", hint="see the command above") from error


def _last(text: str) -> str:
    """The last line that says something: where programs put what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
