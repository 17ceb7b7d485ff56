"""Lists of hostile prompts from files: what a player types, line after line, by family.

It reads text with one prompt a line, a JSON list, JSON lines, CSV and TOML. It does not know what is done with them.
"""

from __future__ import annotations

import csv
import io
import json
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from app.core.errors import Invalid

FIELDS = ("prompt", "text", "turns", "say", "question", "content", "attack")
"""Where a record keeps what is typed, the first that is there."""
FAMILIES = ("family", "category", "type", "label")
TURN_CHARACTERS_MAX = 1_000
"""Characters that one line of a player may have on the wire; a longer prompt is told in several lines."""


class Prompt(msgspec.Struct, frozen=True):
    """One attack: what is typed, turn after turn."""

    family: str
    turns: tuple[str, ...]


def read_prompts(path: Path) -> tuple[Prompt, ...]:
    """Every prompt of a file, by its ending: .json, .jsonl, .csv, .toml, else one a line. Raises Invalid."""
    text = path.read_text(encoding="utf-8", errors="replace").removeprefix("\ufeff")
    family = path.stem
    try:
        found = tuple(_read(path.suffix.lower(), text, family))
    except (ValueError, TypeError) as error:
        hint = "one prompt a line, JSON, JSONL, CSV or TOML"
        raise Invalid(f"{path.name} cannot be read: {error}", hint=hint) from error
    if not found:
        raise Invalid(f"{path.name} holds no prompt", hint=f"records need one of {', '.join(FIELDS)}")
    return found


def _read(ending: str, text: str, family: str) -> Iterator[Prompt]:
    match ending:
        case ".json":
            yield from _records(json.loads(text), family)
        case ".jsonl" | ".ndjson":
            yield from _records([json.loads(line) for line in text.splitlines() if line.strip()], family)
        case ".csv" | ".tsv":
            yield from _table(text, "\t" if ending == ".tsv" else ",", family)
        case ".toml":
            yield from _records(tomllib.loads(text), family)
        case _:
            yield from (prompt for line in text.splitlines() if (prompt := _prompt(line, family)))


def _table(text: str, delimiter: str, family: str) -> Iterator[Prompt]:
    csv.field_size_limit(1 << 20)
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    head = [name.strip().lower() for name in rows[0]] if rows else []
    if any(name in FIELDS for name in head):
        yield from _records([dict(zip(head, row, strict=False)) for row in rows[1:]], family)
    else:
        yield from _records([row[0] for row in rows if row], family)


def _records(found: object, family: str) -> Iterator[Prompt]:
    """A list of texts or records, or a table from family to such a list."""
    if isinstance(found, dict):
        inner = {name: value for name, value in found.items() if isinstance(value, list | dict)}
        for name, value in inner.items():
            records = value.get("cases", ()) if isinstance(value, dict) else value
            yield from _records(list(records), family if name in ("prompts", "cases", "data") else str(name))
        return
    if not isinstance(found, list):
        raise TypeError(f"a list was expected, not {type(found).__name__}")
    for record in found:
        named = family
        if isinstance(record, dict):
            lower = {str(key).lower(): value for key, value in record.items()}
            named = next((str(lower[name]) for name in FAMILIES if lower.get(name)), family)
            typed = next((lower[name] for name in FIELDS if lower.get(name)), "")
        else:
            typed = record
        if prompt := _prompt(typed, named):
            yield prompt


def _prompt(typed: object, family: str) -> Prompt | None:
    turns = typed if isinstance(typed, list) else [typed]
    texts = [turn for turn in turns if isinstance(turn, str)]
    if len(texts) < len(turns):
        raise TypeError(f"{str(typed)[:60]!r} is no text")
    said = tuple(part for text in texts for part in _parts(text) if part.strip())
    return Prompt(family, said) if said else None


def _parts(turn: str) -> Iterable[str]:
    return [turn[at : at + TURN_CHARACTERS_MAX] for at in range(0, len(turn), TURN_CHARACTERS_MAX)]
