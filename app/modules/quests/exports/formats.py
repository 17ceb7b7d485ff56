"""Which formats there are, and one way to each: a quest, or many drafts, as the text of a file.

Formats that an import reads are those from which every draft comes back the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import get_args

from app.core.errors import Invalid, nearest
from app.modules.quests.draft import Draft
from app.modules.quests.exports import files, graph, ink, picture, sql, twee, yarn
from app.modules.quests.exports.drafts import drafts_of
from app.modules.quests.exports.schema import Format
from app.modules.quests.planning.domain import Vocabulary
from app.modules.quests.quest import Quest

MEDIA_TYPES: Mapping[Format, str] = {
    "json": "application/json",
    "ink": "text/plain",
    "yarn": "text/plain",
    "yarn-strings": "text/csv",
    "twee": "text/plain",
    "sql": "application/sql",
    "svg": "image/svg+xml",
}
ENDINGS: Mapping[Format, str] = {
    "json": ".json", "ink": ".ink", "yarn": ".yarn", "yarn-strings": ".csv", "twee": ".twee", "sql": ".sql",
    "svg": ".svg",
}  # fmt: skip
READERS: Mapping[str, Callable[[str, str], tuple[Draft, ...]]] = {
    ".json": files.read,
    ".ink": ink.read,
    ".yarn": yarn.read,
}
"""Ending of a file's name -> what reads its text; the name is given for errors."""


def written(quests: Sequence[Draft], format: Format, *, columns: str = "", language: str = "en") -> str:
    """The file of many drafts; `columns` is the column map that SQL needs, as TOML. Raises Invalid."""
    _require_use(columns, format)
    match format:
        case "json":
            return files.write(quests)
        case "ink":
            return ink.write(quests)
        case "yarn":
            return yarn.write(quests)
        case "yarn-strings":
            return yarn.texts(quests, language=language, file="quests.yarn")
        case "twee":
            return twee.write(quests)
        case "sql":
            if not columns:
                raise Invalid("rows need a column map", hint="docs/reference/quests.md shows one")
            return sql.write(quests, sql.read_map(columns, "columns"))
        case "svg":
            if len(quests) != 1:
                raise Invalid(f"a picture shows one quest, not {len(quests)}", hint="name the one")
            return picture.draw(graph.of_draft(quests[0])).decode()


def written_quest(vocabulary: Vocabulary, quest: Quest, format: Format, *, columns: str = "") -> str:
    """The file of one quest as the server holds it; its picture shows the certificate, too."""
    _require_use(columns, format)
    if format == "svg":
        return picture.draw(graph.of_quest(quest)).decode()
    return written(drafts_of(vocabulary, quest), format, columns=columns, language=quest.language)


def _require_use(columns: str, format: Format) -> None:
    """Raise Invalid for a column map that the format would not look at."""
    if columns and format != "sql":
        raise Invalid(f"columns are given, and {format!r} has no rows", hint="leave columns out, or ask for sql")


def read(text: str, file: str) -> tuple[Draft, ...]:
    """The drafts of a file, by the ending of its name; raises Invalid."""
    ending = f".{file.rpartition('.')[2]}"
    if ending not in READERS:
        raise Invalid(f"{file!r} is in no format that can be read back", hint=f"one of {', '.join(READERS)}")
    return READERS[ending](text, file)


def format_of(name: str) -> Format:
    """The format of that name; raises Invalid with the nearest."""
    for known in get_args(Format):
        if known == name:
            found: Format = known
            return found
    raise Invalid(f"{name!r} is no format", hint=nearest(name, get_args(Format)))
