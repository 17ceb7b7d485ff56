"""A compiled network's place in the catalog: its entry as TOML, and putting it there.

It changes models/catalog.toml by whole entries and leaves every other byte as it is.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from app.core.errors import Broken
from app.engines import catalog

HEAD = "[[models]]"


def toml(entry: catalog.Entry) -> str:
    """The entry as it stands in a catalog."""
    first = ("id", "file", "sha256", "licence", "engine")
    lines = [HEAD, *(f"{field} = {_text(getattr(entry, field))}" for field in first)]
    for field, tensors in (("inputs", entry.inputs), ("outputs", entry.outputs)):
        rows = ", ".join(
            f"{{ name = {_text(each.name)}, type = {_text(each.type)}, shape = {list(each.shape)}"
            f"{', shared = true' if each.shared else ''} }}"
            for each in tensors
        )
        lines.append(f"{field} = [{rows}]")
    if entry.fingerprint:
        lines.append(f"fingerprint = {_text(entry.fingerprint)}")
    if entry.roles:
        lines.append(f"roles = [{', '.join(_text(role) for role in entry.roles)}]")
    if entry.probe:
        lines.append(f"probe = [{', '.join(repr(value) for value in entry.probe)}]")
        lines.append(f"probe_tolerance = {entry.probe_tolerance!r}")
    lines.append(f"command = {_text(entry.command)}")
    lines.append(f"seed = {entry.seed}")
    for name, words in (("provenance", entry.provenance), ("scorecard", entry.scorecard)):
        lines += _section(name, words)
    return "\n".join(lines) + "\n"


def _section(name: str, words: Mapping[str, str]) -> list[str]:
    if not words:
        return []
    return ["", f"[models.{name}]", *(f"{key} = {_text(value)}" for key, value in words.items())]


def _text(value: str) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's."""
    return json.dumps(value, ensure_ascii=False)


def put(entry: catalog.Entry, path: Path) -> None:
    """Write the entry into the catalog at `path`, in the place of the one with its id, or as the last.

    Raises Broken when the catalog that would result cannot be read; the file is then as it was.
    """
    text = path.read_text("utf-8")
    head, *blocks = text.split(HEAD + "\n")
    new = toml(entry).removeprefix(HEAD + "\n")
    at = [index for index, block in enumerate(blocks) if _id(block) == entry.id]
    if at:
        blocks[at[0]] = new + "\n" * (at[0] < len(blocks) - 1)
    else:
        blocks[-1:] = [*(block.rstrip("\n") + "\n\n" for block in blocks[-1:]), new]
    draft = path.with_suffix(".tmp")
    draft.write_text((HEAD + "\n").join([head, *blocks]), "utf-8")
    try:
        if catalog.load(draft).entry(entry.id) != entry:
            raise Broken(f"{path.name} would not hold {entry.id!r} as it is", hint="paste the entry by hand")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _id(block: str) -> str:
    try:
        tree = tomllib.loads(HEAD + "\n" + block)
    except tomllib.TOMLDecodeError:
        return ""
    found: str = tree["models"][0].get("id", "")
    return found
