"""The file of many quests, and the JSON Schemas of what a studio writes and reads.

The schemas are those of the very types that the server decodes, so they cannot drift from what it takes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from app.core.messages import Message
from app.modules.quests.draft import Draft
from app.modules.quests.quest import Certificate, Quest

Format = Literal["json", "ink", "yarn", "yarn-strings", "twee", "sql", "svg"]
"""What quests can be written as."""
FORMAT = "innkeeper.quests"
VERSION = 1
QUESTS_MAX = 100_000
FILE_BYTES_MAX = 64 * 1024 * 1024
DIALECT = "https://json-schema.org/draft/2020-12/schema"


class QuestFile(Message, frozen=True, kw_only=True):
    """Many quests in one file. `version` grows when an older reader would misread what is new."""

    format: Literal["innkeeper.quests"]
    version: Literal[1]
    quests: Annotated[tuple[Draft, ...], msgspec.Meta(max_length=QUESTS_MAX)]


def draft_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one hand-written quest."""
    return _schema(Draft)


def file_schema() -> dict[str, Any]:
    """That of a file of them."""
    return _schema(QuestFile)


def quest_schema() -> dict[str, Any]:
    """That of a quest as the server tells it, with its certificate."""
    return _schema(Quest)


def certificate_schema() -> dict[str, Any]:
    """That of a certificate alone."""
    return _schema(Certificate)


SCHEMAS = {
    "draft": draft_schema,
    "file": file_schema,
    "quest": quest_schema,
    "certificate": certificate_schema,
}
"""By the name that `manage.py quests schema` takes."""


def _schema(kind: type[Message]) -> dict[str, Any]:
    return {"$schema": DIALECT, **msgspec.json.schema(kind)}
