"""One event is one line whatever is in it, and no secret is on it."""

from __future__ import annotations

import ast
import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.control.auth import ALL_SCOPES
from app.control.keys import make_key
from app.telemetry.hygiene import FIELDS, REDACTED, WITHHELD, text
from app.telemetry.logs import _Handed, open_log

APP = Path(__file__).resolve().parents[2] / "app"
Format = Literal["console", "json"]
HOSTILE = (
    "a\nlevel=error event=admin.signed_in",
    "a\r\n2026-01-01 [info] server.stopped",
    '"}\n{"event":"forged"}',
    "\x1b[2J\x1b[31mred",
    "\x9b31mred",
    "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei",
    "\u202egnp.exe\u2066\u200b\ufeff",
    "\x00\ud800\udfff\x7f\x08",
    "%s%n{event}${jndi:ldap://x}",
)


def secrets() -> list[tuple[str, str]]:
    """(a text with a secret, the part that must not be seen)."""
    key = make_key(label="x", scopes=ALL_SCOPES, created_ms=0).text
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlLW9mLXRva2Vu"
    return [
        (f"the key {key} fails", key.rpartition("_")[2]),
        (f"Authorization: Bearer {key}", key.rpartition("_")[2]),
        (f"Bearer {token}", "c2lnbmF0dXJlLW9mLXRva2Vu"),
        (f"token={token}&x=1", "c2lnbmF0dXJlLW9mLXRva2Vu"),
        ("Authorization: Basic dXNlcjpodW50ZXIy", "dXNlcjpodW50ZXIy"),
        ("postgresql://app:hunter2@db/npc failed", "hunter2"),
        ("redis://:hunter2@cache:6379", "hunter2"),
        ("password=hunter2", "hunter2"),
        ("{'password': 'hunter2', 'user': 'x'}", "hunter2"),
        ('{"api_key": "hunter2"}', "hunter2"),
        ("client_secret: hunter2", "hunter2"),
        ("Set-Cookie: sid=hunter2hunter2", "hunter2hunter2"),
        ("OPENAI_API_KEY=sk-proj-abcdefghijkl0123", "abcdefghijkl0123"),
        ("Incorrect API key provided: sk-ant-api03-abcdefghijkl", "abcdefghijkl"),
        ("-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\n-----END PRIVATE KEY-----", "MIGHAgEAMBMG"),
    ]


def written(monkeypatch: pytest.MonkeyPatch, format: Format, event: str, **fields: Any) -> str:
    """What one event writes."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict", newline="")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        open_log(level="debug", format=format).warning(event, **fields)
    stream.flush()
    return stream.buffer.getvalue().decode()  # type: ignore[attr-defined]  # the BytesIO below


@pytest.mark.parametrize("format", ["console", "json"])
@pytest.mark.parametrize("hostile", HOSTILE)
def test_an_event_is_one_line_whatever_is_in_it(monkeypatch: pytest.MonkeyPatch, format: Format, hostile: str) -> None:
    try:
        raise ValueError(hostile)
    except ValueError as error:
        out = written(
            monkeypatch, format, "session.closed", reason=hostile, world=hostile, what=[hostile], exc_info=error
        )
    assert out.splitlines() == [out.removesuffix("\n")]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]", out)
    if format == "json":
        told = json.loads(out)
        assert told["event"] == "session.closed"
        assert set(told) == {"event", "level", "timestamp", "reason", "world", "what", "error"}
        assert "test_hygiene.py" in told["error"]


@given(st.text())
def test_any_text_becomes_one_line(value: str) -> None:
    assert len(text(value).splitlines()) <= 1
    text(value).encode()


@pytest.mark.parametrize("format", ["console", "json"])
@pytest.mark.parametrize(("said", "secret"), secrets())
def test_no_secret_is_written_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch, format: Format, said: str, secret: str
) -> None:
    try:
        raise RuntimeError(said)
    except RuntimeError as error:
        out = written(monkeypatch, format, "redis.lost", reason=said, url=said, value={"a": [said]}, exc_info=error)
    assert secret not in out
    assert REDACTED in out


def test_what_is_no_secret_stays() -> None:
    for plain in (
        "world w-1 of tenant studio", "http://127.0.0.1:8717/v1", "the token is of another key", "GET /v1/auth/token",
        "sqlite:///data/innkeeper.db", "key:1a2b3c4d", "server.tls_key", "220 tokens", "a sk-8 road",
    ):  # fmt: skip
        assert text(plain) == plain


@pytest.mark.parametrize("format", ["console", "json"])
def test_a_field_that_nobody_listed_is_withheld(monkeypatch: pytest.MonkeyPatch, format: Format) -> None:
    out = written(monkeypatch, format, "dialogue.said", prompt="what the player said", world="w")
    assert "what the player said" not in out
    assert WITHHELD in out
    assert "w" in out


def logged(tree: ast.AST) -> Iterator[str]:
    """The names of the fields that the code logs, or adds to the line of a request."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("call.notes"):
                yield ast.literal_eval(node.slice)
            continue
        owner = ast.unparse(node.func.value)
        logs = node.func.attr in ("debug", "info", "warning", "error") and owner.split(".")[-1] in ("log", "_log")
        if logs or (node.func.attr == "update" and owner.endswith("call.notes")):
            yield from (keyword.arg for keyword in node.keywords if keyword.arg)


def test_every_field_that_the_code_logs_is_listed_and_none_holds_what_was_said() -> None:
    used = {field for path in APP.rglob("*.py") for field in logged(ast.parse(path.read_text()))} - {"exc_info"}
    assert used - FIELDS == set(), "list it in app/telemetry/hygiene.py, if it holds no text of a player's"
    assert FIELDS & {"text", "prompt", "line", "heard", "context", "utterance", "body", "headers"} == set()


@pytest.mark.parametrize("format", ["console", "json"])
def test_what_a_library_warns_of_is_an_event_like_any_other(monkeypatch: pytest.MonkeyPatch, format: Format) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        handler = _Handed(open_log(level="info", format=format))
        try:
            raise ValueError("boom\nboom")
        except ValueError:
            record = logging.LogRecord(
                "uvicorn.error", logging.ERROR, "x", 1, "bad %s\n", ("Bearer hunter2",), sys.exc_info()
            )
        handler.emit(record)
    stream.flush()
    out = stream.buffer.getvalue().decode()  # type: ignore[attr-defined]  # the BytesIO below
    assert len(out.splitlines()) == 1
    assert "library.warned" in out
    assert "hunter2" not in out
