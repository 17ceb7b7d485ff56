"""models/catalog.toml: which networks ship, what goes in and out of each, and where each came from.

It checks a file against its entry before anyone loads it. It knows no runtime.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from app.core.errors import EngineDown, Invalid, nearest

FILE = "catalog.toml"


class Tensor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One array of a network: a dimension is a size, or a name such as "npcs" that may vary."""

    name: str
    dtype: Literal["float32", "float16", "int64", "int32", "uint8", "bool"]
    shape: tuple[int | str, ...]


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One network. `schema` is the fingerprint of the observations that it was trained on."""

    id: str
    file: str
    sha256: str
    licence: str
    engine: Literal["onnx"]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    schema: str = ""
    command: str = ""
    """The command that trained it, seed included."""
    scorecard: dict[str, str | float] = {}


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: tuple[Entry, ...] = ()


class Catalog:
    """The entries of one folder of models."""

    def __init__(self, folder: Path, entries: tuple[Entry, ...]) -> None:
        self._folder = folder
        self.entries = {entry.id: entry for entry in entries}

    def verified(self, id: str) -> tuple[Entry, Path]:
        """The entry of that id and its file; raises Invalid for an unknown id, EngineDown for a damaged file."""
        entry = self.entries.get(id)
        if entry is None:
            raise Invalid(f"no model {id!r} in {FILE}", hint=nearest(id, self.entries))
        path = self._folder / entry.file
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise EngineDown(
                f"model file {entry.file!r} cannot be read: {error.strerror}", hint=entry.command
            ) from error
        if found != entry.sha256:
            raise EngineDown(
                f"model file {entry.file!r} has sha256 {found[:12]}…, the catalog says {entry.sha256[:12]}…",
                hint="restore the file, or train it again and write its new entry",
            )
        return entry, path


def load(folder: Path) -> Catalog:
    """The catalog of `folder`; raises Invalid naming what is wrong in it."""
    try:
        content = msgspec.convert(tomllib.loads((folder / FILE).read_text("utf-8")), _File)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Invalid(f"{FILE} cannot be read: {error}", hint="mend the file") from error
    return Catalog(folder, content.model)
