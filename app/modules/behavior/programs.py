"""Authored brains by name: trees and goals that ship with the module, and a studio's own beside them.

A file is read and compiled when somebody is first led by it; a studio's are read at the start as well, so that one
that is not sound is told then. It knows files and schemas; who is led by what is in `leads.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

import msgspec

from app.core.errors import Invalid, NotFound, nearest
from app.modules.behavior.goals.brain import Goals, compile_goals
from app.modules.behavior.messages import DEFAULT
from app.modules.behavior.schema import Schema
from app.modules.behavior.trees.formats import Format, compile_tree
from app.modules.behavior.trees.limits import TreeLimits
from app.modules.behavior.trees.meanings import Meanings, read_meanings
from app.modules.behavior.trees.tree import Tree

Program = Tree | Goals
Kind = Literal["tree", "goals"]
FOLDERS: Mapping[Kind, str] = {"tree": "trees", "goals": "goals"}
FORMATS: Mapping[str, Format] = {"toml": "toml", "xml": "btcpp", "json": "beehave"}
MEANINGS = ".meanings.toml"


@dataclass(frozen=True, slots=True)
class _File:
    """One file, with what its leaves mean beside it where it is of another engine's format."""

    kind: Kind
    path: Traversable
    meanings: Traversable | None


class _Head(msgspec.Struct, frozen=True):
    schema: str = DEFAULT


class Programs:
    """The authored brains of one schema; names are `tree:guard`, `goals:villager`."""

    def __init__(self, schema: Schema, content_folder: str, limits: TreeLimits) -> None:
        """Find the files; raises Invalid for a studio's that is not sound."""
        self._schema, self._limits = schema, limits
        self._files: dict[str, _File] = {}
        self._loaded: dict[str, Program] = {}
        self._loading = asyncio.Lock()
        self._warm = False
        self._warming: set[asyncio.Task[None]] = set()
        for kind, folder in FOLDERS.items():
            self._find(kind, resources.files("app.modules.behavior") / folder / "data")
            if content_folder and (Path(content_folder) / folder).is_dir():
                for name in self._find(kind, Path(content_folder) / folder):
                    self._loaded[name] = self._compile(name)

    @property
    def names(self) -> tuple[str, ...]:
        """What an NPC can be led by, sorted."""
        return tuple(sorted(self._files))

    def loaded(self, name: str) -> Program | None:
        """The brain of that name, if it is compiled."""
        return self._loaded.get(name)

    async def load(self, name: str) -> Program:
        """The brain of that name, compiled in a thread where it is new; raises NotFound naming the nearest.

        Its kernels, which take seconds on a machine's first start, come behind: until then its twin answers the same.
        """
        async with self._loading:
            found = self._loaded.get(name)
            if found is None:
                found = await asyncio.to_thread(self.compile, name)
                self._loaded[name] = found
                if self._warm:
                    task = asyncio.create_task(asyncio.to_thread(found.warm), name="behavior.warm_program")
                    self._warming.add(task)
                    task.add_done_callback(self._warming.discard)
            return found

    def compile(self, name: str) -> Program:
        """The brain of that name, made anew; for a worker thread. Raises NotFound naming the nearest, Invalid."""
        if name not in self._files:
            raise NotFound(f"no brain {name!r} for schema {self._schema.name!r}", hint=nearest(name, self._files))
        return self._compile(name)

    def warm(self) -> None:
        """Load the kernels; for a worker thread."""
        self._warm = True
        for program in tuple(self._loaded.values()):
            program.warm()

    def _find(self, kind: Kind, folder: Traversable) -> Iterator[str]:
        """Take in a folder's files for the schema; their names."""
        files = {file.name: file for file in folder.iterdir()}
        found = []
        for name in sorted(files):
            stem, _, ending = name.rpartition(".")
            if name.endswith(MEANINGS) or ending not in FORMATS or (kind == "goals" and ending == "xml"):
                continue
            beside = files.get(f"{stem}{MEANINGS}")
            if _schema_of(files[name], ending, beside) == self._schema.name:
                self._files[f"{kind}:{stem}"] = _File(kind, files[name], beside)
                found.append(f"{kind}:{stem}")
        return iter(found)

    def _compile(self, name: str) -> Program:
        file = self._files[name]
        ending = file.path.name.rpartition(".")[2]
        try:
            if file.kind == "goals":
                return compile_goals(
                    file.path.read_bytes(), self._schema, format="json" if ending == "json" else "toml",
                    limits=self._limits,
                )  # fmt: skip
            meanings = read_meanings(file.meanings.read_bytes()) if file.meanings is not None else Meanings()
            return compile_tree(
                file.path.read_bytes(), self._schema, format=_format(file), meanings=meanings, limits=self._limits
            )
        except Invalid as error:
            raise Invalid(f"{FOLDERS[file.kind]}/{file.path.name}: {error.message}", hint=error.hint) from error


def _format(file: _File) -> Format:
    """JSON with meanings beside it is Beehave's, without them our own."""
    ending = file.path.name.rpartition(".")[2]
    return "json" if ending == "json" and file.meanings is None and _is_native(file.path) else FORMATS[ending]


def _is_native(path: Traversable) -> bool:
    try:
        return "trees" in msgspec.json.decode(path.read_bytes(), type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return False


def _schema_of(file: Traversable, ending: str, meanings: Traversable | None) -> str:
    """The schema that a file names; another engine's format knows none, so its meanings may, else it is the usual."""
    source, decode = (meanings, msgspec.toml.decode) if meanings is not None else (file, None)
    if source is None or (decode is None and ending == "xml"):
        return DEFAULT
    reader = decode or (msgspec.json.decode if ending == "json" else msgspec.toml.decode)
    try:
        return reader(source.read_bytes(), type=_Head).schema
    except msgspec.MsgspecError:
        return DEFAULT
