"""Lorebooks of other programs as facts of a world: a card's `character_book`, and SillyTavern's world-info files.

Pure. What has no counterpart here is left out, and said. How entries are found is `lore`'s matter.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from app.core.errors import Invalid, TooLarge
from app.world import lore
from app.world.entities import Fact, Value

ENTRIES_MAX = 2_000
CONTENT_CHARACTERS_MAX = 8_000
KEYS_MAX = 64
KEY_CHARACTERS_MAX = 120
_LOGICS = {0: "any", 1: "not_all", 2: "none", 3: "all"}
"""SillyTavern's `selectiveLogic`."""
_REGEX = re.compile(r"/.+/[a-z]*")
_DECORATOR = re.compile(r"^@@+(\w+).*$", re.MULTILINE)
_SLUG = re.compile(r"[^a-z0-9]+")


class Dropped(NamedTuple):
    """Something that was not taken over, and why."""

    what: str
    reason: str


def facts_of(
    book: Mapping[str, Any],
    name: str,
    *,
    fill: Mapping[str, str],
    known_by: tuple[str, ...],
    dropped: list[Dropped],
) -> list[Fact]:
    """The entries of a book as facts; `fill` are the names that placeholders such as `{{char}}` stand for.

    Raises Invalid for what is no book, TooLarge past ENTRIES_MAX entries.
    """
    entries = book.get("entries")
    rows = list(entries.values()) if isinstance(entries, Mapping) else entries
    if not isinstance(rows, list):
        raise Invalid(f"the lorebook of {name!r} has no entries", hint="it needs a list or a map `entries`")
    if len(rows) > ENTRIES_MAX:
        raise TooLarge(f"the lorebook of {name!r} has {len(rows)} entries", hint=f"{ENTRIES_MAX} is the most")
    facts: list[Fact] = []
    taken: set[str] = set()
    for place, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise Invalid(f"entry {place} of the lorebook of {name!r} is no object", hint="export it again")
        facts += _entry(row, f"{name} {place}", slug(name), fill, known_by, dropped, taken)
    return facts


def slug(text: str) -> str:
    """The text as a part of an id: small letters, digits and hyphens; a number where it has none of them."""
    bare = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return _SLUG.sub("-", bare).strip("-")[:60] or f"n{zlib.crc32(text.encode()):08x}"


def filled(text: str, fill: Mapping[str, str]) -> str:
    """The text with names in the place of its placeholders."""
    for mark, instead in fill.items():
        text = re.sub(rf"\{{\{{\s*{mark}\s*\}}\}}|<{mark}>", instead.replace("\\", r"\\"), text, flags=re.IGNORECASE)
    return text


def _entry(
    row: Mapping[str, Any],
    where: str,
    book: str,
    fill: Mapping[str, str],
    known_by: tuple[str, ...],
    dropped: list[Dropped],
    taken: set[str],
) -> list[Fact]:
    title = _text(row, "comment", where) or _text(row, "name", where)
    shown = f"entry {title or where!r}"
    if row.get("enabled") is False or row.get("disable") is True:
        dropped.append(Dropped(shown, "it is switched off"))
        return []
    content = filled(_text(row, "content", where), fill)
    decorators = _DECORATOR.findall(content)
    if decorators:
        dropped.append(Dropped(f"{shown}: @@{', @@'.join(decorators)}", "decorators steer another program's prompt"))
        content = _DECORATOR.sub("", content)
    content = content.strip()
    if not content:
        dropped.append(Dropped(shown, "it has no text"))
        return []
    if len(content) > CONTENT_CHARACTERS_MAX:
        raise TooLarge(f"{shown} has {len(content)} characters", hint=f"{CONTENT_CHARACTERS_MAX} is the most")
    keys = _keys(row, ("keys", "key"), where, fill, dropped)
    constant = row.get("constant") is True
    if not keys and not constant:
        dropped.append(Dropped(shown, "nothing calls it: it has no key and is not constant"))
        return []
    values: dict[str, Value] = {lore.TEXT: content}
    if keys:
        values[lore.KEYS] = ", ".join(keys)
    too = _keys(row, ("secondary_keys", "keysecondary"), where, fill, dropped)
    if too and row.get("selective") is not False:
        values[lore.KEYS_TOO] = ", ".join(too)
        values[lore.LOGIC] = _LOGICS.get(row.get("selectiveLogic") or 0, "any")
    order = row.get("insertion_order", row.get("order"))
    if isinstance(order, int | float) and not isinstance(order, bool) and abs(order) < 1e9:
        values[lore.ORDER] = float(order)
    if constant:
        values[lore.CONSTANT] = True
    subject = _subject(book, title or (keys[0] if keys else ""), taken)
    return [Fact(subject=subject, predicate=key, value=value, known_by=known_by) for key, value in values.items()]


def _subject(book: str, title: str, taken: set[str]) -> str:
    """An id for the entry that no other of the book has."""
    first = found = f"{lore.PREFIX}{book}-{slug(title)}"[:120]
    number = 2
    while found in taken:
        found = f"{first}-{number}"
        number += 1
    taken.add(found)
    return found


def _keys(
    row: Mapping[str, Any], names: tuple[str, ...], where: str, fill: Mapping[str, str], dropped: list[Dropped]
) -> list[str]:
    given = next((row[name] for name in names if row.get(name) is not None), ())
    texts = given.split(",") if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise Invalid(f"the keys of {where!r} are no list of texts", hint="export it again")
    found: list[str] = []
    for text in texts:
        if _REGEX.fullmatch(text.strip()):
            dropped.append(Dropped(f"key {text.strip()[:80]!r}", "a pattern of another program is not run"))
            continue
        found += [each.strip()[:KEY_CHARACTERS_MAX] for each in filled(text, fill).split(",") if lore.words_of(each)]
    if len(found) > KEYS_MAX:
        dropped.append(Dropped(f"{len(found) - KEYS_MAX} keys of {where!r}", f"{KEYS_MAX} is the most"))
    return found[:KEYS_MAX]


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Invalid(f"`{name}` of {where!r} is no text", hint="export it again")
    return value
