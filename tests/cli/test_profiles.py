"""`manage.py profile show`: every value, and no secret."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from app.cli.main import cli

SECRET = "hunter2-Xk9"


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        (f"database.url=postgresql://inn:{SECRET}@db.example/inn", "postgresql://inn:(secret)@db.example/inn"),
        (f"cache.url=redis://:{SECRET}@cache.example:6379/0", "redis://:(secret)@cache.example:6379/0"),
        (f"outbound.proxy=http://inn:{SECRET}@proxy.example:3128", "http://inn:(secret)@proxy.example:3128"),
        (f"engines.openai.base_url=https://x.example/v1?api_key={SECRET}", "https://x.example/v1?api_key=(secret)"),
        (f"engines.openai.model=sk-{SECRET}-{SECRET}", "(secret)"),
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_secret_in_the_profile_is_not_shown(setting: str, shown: str, form: list[str]) -> None:
    result = CliRunner().invoke(cli, ["profile", "show", "--set", setting, *form], env={"COLUMNS": "300"})
    assert result.exit_code == 0, result.output
    assert SECRET not in result.output
    if form:
        assert json.loads(result.output)[setting.partition("=")[0]]["value"] == shown
    else:
        assert shown in result.output


def test_a_secret_from_the_environment_is_not_shown_either() -> None:
    address = f"postgresql://inn:{SECRET}@db.example/inn"
    result = CliRunner().invoke(cli, ["profile", "show"], env={"INNKEEPER__DATABASE__URL": address, "COLUMNS": "300"})
    assert result.exit_code == 0, result.output
    assert SECRET not in result.output
    assert "postgresql://inn:(secret)@db.example/inn" in result.output


@pytest.mark.parametrize("key", [f"sk-{SECRET}", "0f3a9c7be1d24f68a5b0c9d8e7f6a5b4"])
def test_a_key_that_stands_where_its_variable_belongs_is_refused_and_not_shown(key: str) -> None:
    result = CliRunner().invoke(cli, ["profile", "show", "--set", f"engines.openai.key_env={key}"])
    assert result.exit_code != 0
    assert key not in result.output
    assert key not in str(result.exception)
    assert "key_env" in f"{result.output} {result.exception}"
