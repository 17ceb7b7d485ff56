"""`manage.py moderation`: a rating can be looked at, a sentence tried, and the classifier measured and made again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli.moderation import moderation
from app.core.errors import Invalid
from app.learning.moderation import lessons, measure, measured, words_of
from app.world.moderation.classifier import unpack


def run(*arguments: str) -> Result:
    return CliRunner().invoke(moderation, list(arguments), catch_exceptions=False)


def test_a_sentence_is_judged_by_the_profile_s_rating_or_the_one_that_is_named() -> None:
    done = run("judge", "What a shit day.")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["text"] == "What a muck day."
    assert json.loads(run("judge", "--rating", "pegi16", "What a shit day.").stdout)["allowed"] is True
    assert json.loads(run("judge", "--set", "modules.dialogue.rating=esrb_m", "Hello.").stdout)["rating"] == "esrb_m"
    with pytest.raises(Invalid, match="no age rating"):
        run("judge", "--rating", "pegi99", "Hello.")


def test_ratings_and_their_actions_are_listed() -> None:
    assert "esrb_t  as pegi12" in run("packs").stdout
    assert "hate              bar" in run("packs", "pegi12").stdout


def test_the_figures_are_printed_and_good_enough() -> None:
    done = run("test", "--json")
    assert done.exit_code == 0, done.stdout
    told = json.loads(done.stdout)
    assert {row["category"] for row in told["rows"]} == {"self_harm", "sexual", "contact", "hate"}
    assert told["benign"] == 60


def test_no_sentence_that_is_measured_was_taught() -> None:
    taught = {tuple(words_of(text)) for _, _, text in lessons()}
    assert len(taught) > 5_000
    assert not [text for text in measured() if tuple(words_of(text)) in taught]


def test_a_classifier_that_knows_nothing_fails_the_measure() -> None:
    data = Path(__file__).parents[2].joinpath("app", "world", "moderation", "classifier.bin").read_bytes()
    start = len(data) // 4
    blank = data[:start] + bytes(len(data) - start)
    assert unpack(blank).head == unpack(data).head
    assert min(row.recall for row in measure(blank).rows) < 0.75
