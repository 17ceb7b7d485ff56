"""Audits of whole quest databases: every planted fault is found and called by its name, and sound quests stay so."""

from __future__ import annotations

import pytest

from app.modules.quests.auditing.audit import audited
from app.modules.quests.auditing.entry import entries_of
from app.modules.quests.auditing.judge import Judge
from app.modules.quests.module import load_library
from app.modules.quests.report import Report
from app.modules.quests.settings import Settings
from tests.modules.quests import planted
from tests.modules.quests.planted import Base

LIBRARY = load_library()


def audit(base: Base) -> Report:
    return audited(Judge(LIBRARY, base.state(), Settings()), entries_of(tuple(base.quests)))


@pytest.mark.parametrize("seed", range(8))
def test_sound_quests_raise_no_alarm(seed: int) -> None:
    report = audit(planted.sound(seed, 60))
    assert [found for found in report.found if found.weight != "warning"] == []
    assert set(report.verdicts) <= {"verified", "verified_with_assumptions"}


@pytest.mark.parametrize("make", planted.SOUND, ids=lambda make: make.__name__)
def test_each_sound_kind_of_quest_is_verified(make) -> None:  # type: ignore[no-untyped-def]  # a function of the list
    base = planted.based(1)
    make(base)
    report = audit(base)
    assert report.found == (), report.found
    assert set(report.verdicts) <= {"verified", "verified_with_assumptions"}


@pytest.mark.parametrize("make", planted.FAULTS, ids=lambda make: make.__name__)
def test_each_planted_fault_is_called_by_its_name(make) -> None:  # type: ignore[no-untyped-def]  # as above
    base = planted.sound(3, 20)
    make(base)
    _found_whole(base, audit(base))


@pytest.mark.parametrize("seed", range(6))
def test_all_faults_together_are_found_whole_and_nothing_else(seed: int) -> None:
    base = planted.spoiled(seed, 80)
    _found_whole(base, audit(base))


def _found_whole(base: Base, report: Report) -> None:
    wrong = [found for found in report.found if found.weight == "fault"]
    for plant in base.plants:
        assert any(found.quests[0] == plant.quest and found.fault in plant.faults for found in wrong), (
            plant,
            [found for found in report.found if plant.quest in found.quests],
        )
    known = {plant.quest for plant in base.plants}
    assert [found for found in wrong if found.quests[0] not in known] == []
    falls = {quest for plant in base.plants for quest in plant.falls}
    assert {found.quests[0] for found in report.found if found.weight == "follows"} - known == falls
    broken = {row.quest for row in report.rows if row.verdict in ("rejected", "blocked")}
    assert broken == known | falls
