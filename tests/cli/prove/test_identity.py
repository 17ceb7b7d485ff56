"""The identity suite's own reckoning: what it expects of whom, and that it counts what is otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.prove.identity import _wycheproof
from app.cli.prove.matrix import Route, Verdicts, expected
from app.cli.prove.office import Credential
from app.core.module import Scope

NOBODY = Credential("unknown key", "Bearer x")
VIEWER = Credential("key of viewer", "Bearer x", "north", Scope.READ)
TOKEN = Credential("token of viewer", "Bearer x", "north", Scope.READ, by_token=True)


@pytest.mark.parametrize(
    ("path", "scope", "caller", "status"),
    [
        ("/health/live", None, NOBODY, 200),
        ("/v1/worlds", Scope.READ, NOBODY, 401),
        ("/v1/worlds", Scope.READ, VIEWER, 200),
        ("/v1/usage", Scope.USAGE, VIEWER, 403),
        ("/v1/auth/token", Scope(0), VIEWER, 200),
        ("/v1/auth/token", Scope(0), TOKEN, 403),
    ],
)
def test_what_is_expected_comes_from_the_permission_map(
    path: str, scope: Scope | None, caller: Credential, status: int
) -> None:
    assert expected(Route("get", path, scope), caller) == status


def test_every_answer_that_is_not_the_expected_one_is_counted() -> None:
    verdicts = Verdicts()
    for due, status in ((401, 200), (401, 404), (403, 200), (401, 403), (403, 401), (200, 401), (200, 403)):
        verdicts.note("x", expected=due, status=status)
    assert (len(verdicts.allowed), len(verdicts.denied)) == (3, 4)
    for due, status in ((401, 401), (403, 403), (200, 200), (200, 404), (200, 400), (200, 503)):
        verdicts.note("x", expected=due, status=status)
    assert (verdicts.asked, len(verdicts.allowed), len(verdicts.denied)) == (13, 3, 4)


def test_vectors_that_are_not_there_are_told(tmp_path: Path) -> None:
    (told,) = _wycheproof(tmp_path / "none")
    assert "vectors" in told.lacks  # type: ignore[union-attr]  # a gap
