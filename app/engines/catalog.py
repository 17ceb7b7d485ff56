"""What ships in models/: each network's file, its hash, its licence, its shapes, and how it was made.

It reads models/catalog.toml and checks a file's hash; it loads no network. Tables that no engine runs stand there too.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from app.core.errors import Broken, EngineDown, NotFound, nearest


class Tensor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input or output; a dimension of -1 is free (the rows)."""

    name: str
    type: str
    shape: tuple[int, ...]
    shared: bool = False
    """An input that has no rows: the same for all of a run."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One shipped network. `fingerprint` is its observation schema's, `command` and `seed` made it."""

    id: str
    file: str
    sha256: str
    licence: str
    engine: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    fingerprint: str = ""
    roles: tuple[str, ...] = ()
    """Roles in which it beat its rules; the others keep their rules."""
    command: str = ""
    seed: int = 0
    probe: tuple[float, ...] = ()
    """What it answers to fixed rows, see app.engines.onnx.gates.probe; compared at load."""
    probe_tolerance: float = 1e-3
    """How far an answer may lie from that, of a number or of one."""
    scorecard: Mapping[str, str] = {}
    """Measure -> policy, rules (its source, of a compiled network) and the interval of their difference, as text."""
    provenance: Mapping[str, str] = {}
    """Of a compiled network: `source` (an id), `source_sha256`, how it was made and what it lost, as text."""


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A shipped table that no engine runs. `sources` are what it was made from, by `command`."""

    id: str
    file: str
    sha256: str
    licence: str
    sources: tuple[str, ...]
    command: str


class Catalog(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file as written."""

    models: tuple[Entry, ...]
    tables: tuple[Table, ...] = ()

    def table(self, id: str) -> Table:
        """The table of that id; raises NotFound naming the nearest known one."""
        found = next((table for table in self.tables if table.id == id), None)
        if found is None:
            raise NotFound(f"no table {id!r} in the catalog", hint=nearest(id, [table.id for table in self.tables]))
        return found

    def entry(self, id: str) -> Entry:
        """The network of that id; raises NotFound naming the nearest known one."""
        found = next((entry for entry in self.models if entry.id == id), None)
        if found is None:
            raise NotFound(f"no model {id!r} in the catalog", hint=nearest(id, [entry.id for entry in self.models]))
        return found


def load(path: Path) -> Catalog:
    """Read a catalog; raises Broken naming the place of a mistake in it."""
    try:
        tree: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        return msgspec.convert(tree, Catalog)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Broken(f"{path.name}: {error}", hint="mend the catalog") from error


def read_verified(entry: Entry | Table, folder: Path) -> bytes:
    """The file's bytes; raises EngineDown when the file is not there or its hash is not the catalog's."""
    path = folder / entry.file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EngineDown(f"model file {entry.file!r}: {error.strerror}", hint="restore it from the release") from error
    found = hashlib.sha256(data).hexdigest()
    if found != entry.sha256:
        raise EngineDown(
            f"model file {entry.file!r} has sha256 {found[:12]!r}…, the catalog says {entry.sha256[:12]!r}…",
            hint="restore it from the release, or update the catalog on purpose",
        )
    return data
