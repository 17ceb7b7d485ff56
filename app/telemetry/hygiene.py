"""What may stand in a log line: known fields alone, no secret in any of them, and nothing that ends the line.

Values come from strangers: a world's id, a header, an error of a library. It knows nothing of files or formats.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any

FIELDS = frozenset(
    (
        "event", "level", "timestamp", "error",
        "account", "after", "after_ms", "alias", "bad_rows", "broker", "bytes", "cells", "certificate", "change",
        "changes", "clipped", "code", "cost_nano_usd", "dialogue", "engine", "entries", "events", "fence", "file",
        "forwarded_to", "group", "id", "key", "library", "message", "mode", "module", "ms", "npcs", "number", "op",
        "outcome", "path", "persons", "pid", "public", "queries", "quests", "reason", "resumed", "rows", "rung", "seq",
        "server", "stream", "tenant", "tokens", "tries", "url", "value", "verb", "verdict", "view", "what", "world",
        "worlds",
    )
)  # fmt: skip
"""Every field that is ever logged; what is not listed here is withheld. None holds what somebody said."""
OURS = frozenset(("level", "timestamp"))
"""Fields that the log itself writes."""
WITHHELD = "(withheld)"
REDACTED = "(secret)"
VALUE_MAX = 2_000
"""Characters of one value."""
FRAMES_MAX = 30
SHORT_MAX = 64
"""Characters of a value that is looked through once and then known."""

SECRETS = re.compile(
    r"(?P<keep>"
    r"(?i:\bbearer\s+|\bbasic\s+)"
    r"|(?i:\b[\w-]{0,32}(?:password|passwd|pwd|secret|token|api[_-]?key|authorization|cookie|credential)[\w-]{0,32}"
    r"['\"]?\s{0,4}[=:]\s{0,4}['\"]?(?:bearer\s+|basic\s+)?)"
    r"(?=[^\s'\"]))"
    r"[^\s'\"&,;@)}\]]+"
    r"|(?P<url>://[^/\s:@]*:)[^\s@]+(?=@)"
    r"|\bik_[0-9a-zA-Z]{4,}_[\w-]+"
    r"|\b(?:sk|pk|rk|xox[a-z]|gh[a-z])[-_][\w-]{12,}"
    r"|\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)
"""Keys of ours and of vendors, tokens, passwords in URLs and behind their names, private keys."""
_HARMLESS = re.compile(r"[A-Za-z0-9.-]{0,14}")
"""Words too short for a secret, which most values are; looking at them closely would take most of the time."""
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""What ends a line, moves a cursor, hides text or turns its direction."""


def clean(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The fields of one event, fit to be written; a structlog processor."""
    error = fields.pop("exc_info", None)
    if isinstance(error, BaseException):
        fields["error"] = told(error)
    for name, value in fields.items():
        if name in OURS:
            continue
        if name not in FIELDS:
            fields[name] = WITHHELD
        elif isinstance(value, str):
            fields[name] = text(value)
        elif not isinstance(value, (bool, int, float)) and value is not None:
            fields[name] = text(repr(value))
    return fields


def text(value: str) -> str:
    """The value on one line and without secrets."""
    if _HARMLESS.fullmatch(value):
        return value
    return _short(value) if len(value) <= SHORT_MAX else _looked_through(value)


def _looked_through(value: str) -> str:
    return _UNSAFE.sub(_escaped, SECRETS.sub(_redacted, value[: 2 * VALUE_MAX]))[:VALUE_MAX]


_short = lru_cache(maxsize=1_024)(_looked_through)
"""Names of worlds, events and ways come again and again."""


def told(error: BaseException) -> str:
    """An exception with the places that it came through, innermost first, as one line."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES_MAX:]
    places = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return f"{type(error).__name__}: {error} at {places}" if places else f"{type(error).__name__}: {error}"


def _redacted(found: re.Match[str]) -> str:
    return f"{found.group('keep') or found.group('url') or ''}{REDACTED}"


def _escaped(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
