"""The verb: figures beside thresholds, an exit code that tells, and nothing left out silently."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from types import ModuleType

import pytest
from click.testing import CliRunner

from app.cli.main import cli
from app.cli.prove import command
from app.cli.prove.figures import Figure, Gap, Outcome, Plan, Suite, percentile
from app.cli.prove.suites import SUITES


def figure(value: float, bound: float) -> Figure:
    return Figure(suite="T", name="something", value=value, unit="s", bound=bound)


@pytest.fixture
def suite_of(monkeypatch: pytest.MonkeyPatch) -> object:
    """Make the verb run one suite of these outcomes."""

    def install(*outcomes: Outcome) -> None:
        def run(plan: Plan) -> Sequence[Outcome]:
            assert plan.folder.is_dir()
            assert plan.of(quick=1, full=2) == 1
            return outcomes

        module = ModuleType("a_suite")
        module.run = run  # type: ignore[attr-defined]  # a module made for this test
        monkeypatch.setitem(sys.modules, "a_suite", module)
        monkeypatch.setattr(command, "SUITES", (Suite("T", "a test", "a_suite:run"),))

    return install


def test_a_figure_that_falls_short_ends_with_1(suite_of) -> None:  # type: ignore[no-untyped-def]  # a fixture
    suite_of(figure(1.0, 2.0))
    assert CliRunner().invoke(cli, ["prove"]).exit_code == 0
    suite_of(figure(1.0, 2.0), figure(3.0, 2.0))
    result = CliRunner().invoke(cli, ["prove"])
    assert result.exit_code == 1
    assert "SHORT" in result.output


def test_a_busy_machine_is_excused_only_where_that_was_asked_for_and_only_its_slowness(suite_of) -> None:  # type: ignore[no-untyped-def]  # a fixture
    suite_of(figure(3.0, 2.0))
    result = CliRunner().invoke(cli, ["prove", "--judge", "counts"])
    assert result.exit_code == 0
    assert "SHORT" in result.output
    suite_of(Figure(suite="T", name="lost", value=1, unit="writes", bound=0))
    assert CliRunner().invoke(cli, ["prove", "--judge", "counts"]).exit_code == 1


def test_what_cannot_run_is_told(suite_of) -> None:  # type: ignore[no-untyped-def]  # a fixture
    suite_of(Gap(suite="T", name="something", lacks="a tool"))
    result = CliRunner().invoke(cli, ["prove"])
    assert "not run" in result.output
    assert "a tool" in result.output


def test_json_is_for_machines_and_repeats_the_seed(suite_of) -> None:  # type: ignore[no-untyped-def]  # a fixture
    suite_of(figure(1.0, 2.0), Gap(suite="T", name="other", lacks="a tool"))
    report = json.loads(CliRunner().invoke(cli, ["prove", "--json", "--seed", "5"]).stdout)
    assert (report["seed"], report["scale"]) == (5, "quick")
    assert report["figures"][0]["reached"] is True
    assert report["not_run"][0]["lacks"] == "a tool"


def test_every_suite_of_the_list_can_be_run() -> None:
    for suite in SUITES:
        where, _, name = suite.where.partition(":")
        assert callable(getattr(importlib.import_module(where), name))


def test_a_percentile_is_the_nearest_rank() -> None:
    assert percentile([], 0.95) == 0.0
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([float(number) for number in range(100)], 0.95) == 95.0


def test_at_least_is_reached_from_above() -> None:
    assert Figure(suite="T", name="n", value=3, unit="", bound=3, side="at_least").reached
    assert not Figure(suite="T", name="n", value=2, unit="", bound=3, side="at_least").reached
