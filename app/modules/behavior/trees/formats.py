"""A tree from the bytes of a file, whatever format it is in, and those that ship.

It chooses the reader and checks what it read; it knows no node.
"""

from __future__ import annotations

from importlib import resources
from typing import Literal

import msgspec

from app.core.errors import Invalid, nearest
from app.modules.behavior.schema import Schema
from app.modules.behavior.trees.beehave import read_beehave
from app.modules.behavior.trees.btcpp import read_btcpp
from app.modules.behavior.trees.limits import TreeLimits
from app.modules.behavior.trees.meanings import Meanings, read_meanings
from app.modules.behavior.trees.nodes import Authored
from app.modules.behavior.trees.tree import Tree

Format = Literal["toml", "json", "btcpp", "beehave"]


def compile_tree(
    source: bytes, schema: Schema, *, format: Format, meanings: Meanings | None = None,
    limits: TreeLimits | None = None,
) -> Tree:  # fmt: skip
    """The tree of a file for a schema; raises Invalid with the place, the value and the nearest known name.

    `toml` and `json` are native, `btcpp` is BehaviorTree.CPP's XML, `beehave` is Beehave's nodes as JSON; `meanings`
    say what the leaves of the latter two stand for.
    """
    limits = limits or TreeLimits()
    return Tree(_read(source, schema, format, meanings or Meanings(), limits), schema, limits)


def _read(source: bytes, schema: Schema, format: Format, meanings: Meanings, limits: TreeLimits) -> Authored:
    if len(source) > limits.source_bytes_max:
        raise Invalid(f"the file has {len(source)} bytes", hint=f"at most {limits.source_bytes_max}")
    try:
        if format == "toml":
            return msgspec.toml.decode(source, type=Authored)
        if format == "json":
            return msgspec.json.decode(source, type=Authored)
        read = {"btcpp": read_btcpp, "beehave": read_beehave}.get(format)
        if read is None:
            hint = nearest(format, ("toml", "json", "btcpp", "beehave"))
            raise Invalid(f"the format {format!r} is unknown", hint=hint)
        return msgspec.convert(msgspec.to_builtins(read(source, schema, meanings, limits)), Authored)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"the tree cannot be read: {error}", hint="see docs/how-to/behavior-trees.md") from error


def shipped(name: str, schema: Schema) -> Tree:
    """The tree that ships under the file name `name`, such as `guard.toml`; raises Invalid naming the nearest."""
    folder = resources.files("app.modules.behavior.trees") / "data"
    names = [path.name for path in folder.iterdir() if not path.name.endswith(".meanings.toml")]
    if name not in names:
        raise Invalid(f"no tree {name!r} ships", hint=nearest(name, names))
    stem, _, ending = name.rpartition(".")
    formats: dict[str, Format] = {"toml": "toml", "xml": "btcpp", "json": "beehave"}
    beside = folder / f"{stem}.meanings.toml"
    meanings = read_meanings(beside.read_bytes()) if beside.is_file() else None
    return compile_tree((folder / name).read_bytes(), schema, format=formats[ending], meanings=meanings)
