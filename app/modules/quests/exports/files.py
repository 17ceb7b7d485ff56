"""The file of quests as JSON: written lean, read with the line of whatever is wrong in it.

It knows JSON (RFC 8259) and `schema.QuestFile`. Fields that have their default are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from app.core.errors import Invalid
from app.core.messages import Message
from app.modules.quests.draft import Draft
from app.modules.quests.exports.naming import require_distinct
from app.modules.quests.exports.schema import FORMAT, VERSION, QuestFile

_decoder = msgspec.json.Decoder(QuestFile)
_PATH = re.compile(r" - at `\$(.*)`$")
_TOKEN = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")
_SPACE = re.compile(r"[\s,:]*")


def write(quests: Sequence[Draft]) -> str:
    """The file's text; raises Invalid where ids are not distinct."""
    require_distinct(quests)
    tree = {"format": FORMAT, "version": VERSION, "quests": [lean(quest) for quest in quests]}
    return json.dumps(tree, ensure_ascii=False, indent=2) + "\n"


def lean(value: Any) -> Any:
    """A message as plain values, without the fields that have their default."""
    if isinstance(value, Message):
        fields = ((field, getattr(value, field.name)) for field in msgspec.structs.fields(type(value)))
        return {field.name: lean(found) for field, found in fields if found != field.default}
    return [lean(each) for each in value] if isinstance(value, tuple) else value


def read(text: str, file: str) -> tuple[Draft, ...]:
    """The drafts of a file; raises Invalid with file, line, value and mend."""
    try:
        quests = _decoder.decode(text).quests
    except msgspec.ValidationError as error:
        raise _invalid(text, file, str(error)) from error
    except msgspec.DecodeError as error:
        raise Invalid(
            f"{file}:{_broken(text)}: this is not JSON: {error}", hint="mend the line, or export anew"
        ) from error
    require_distinct(quests)
    return quests


def _broken(text: str) -> int:
    """The line where JSON ends to be JSON."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.lineno
    return 1


def _invalid(text: str, file: str, said: str) -> Invalid:
    path = _PATH.search(said)
    start = _found(text, path[1] if path else "")
    what = said.removesuffix(path[0]) if path else said
    value = text[start : start + 60].splitlines()[0].rstrip(", ") if start < len(text) else ""
    line = text.count("\n", 0, start) + 1
    hint = "manage.py quests schema file prints what may stand there"
    return Invalid(f"{file}:{line}: {value!r}: {what}{f' (at {path[1][1:]})' if path else ''}", hint=hint)


def _found(text: str, path: str) -> int:
    """Where the value at a path such as `.quests[3].steps[0].count` begins; as far down as the path can be followed."""
    at = _skip(text, 0)
    for name, number in _TOKEN.findall(path):
        inner = _member(text, at, name) if name else _item(text, at, int(number or 0))
        if inner < 0:
            break
        at = inner
    return at


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _past(text: str, at: int) -> int:
    """Where the value that begins here ends."""
    return json.JSONDecoder().raw_decode(text, at)[1]


def _member(text: str, at: int, name: str) -> int:
    at = _skip(text, at + 1) if text[at] == "{" else len(text)
    while at < len(text) and text[at] == '"':
        key, at = json.JSONDecoder().raw_decode(text, at)
        at = _skip(text, at)
        if key == name:
            return at
        at = _skip(text, _past(text, at))
    return -1


def _item(text: str, at: int, number: int) -> int:
    at = _skip(text, at + 1) if text[at] == "[" else len(text)
    for _ in range(number):
        if at >= len(text) or text[at] == "]":
            return -1
        at = _skip(text, _past(text, at))
    return at
