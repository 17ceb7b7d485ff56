"""Audits of whole quest databases: every planted fault is found and called by its name, and sound quests stay so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.core.errors import DeadlineExceeded, NotFound
from app.modules.quests.auditing.audit import audited
from app.modules.quests.auditing.entry import entries_of
from app.modules.quests.auditing.judge import Judge
from app.modules.quests.messages import Audit, Audited
from app.modules.quests.module import load_library
from app.modules.quests.report import Report
from app.modules.quests.settings import Settings
from app.world.entities import Location
from app.world.state import World
from tests.modules.quests import planted
from tests.modules.quests.planted import Base
from tests.modules.quests.stage import Stage

LIBRARY = load_library()


def audit(base: Base) -> Report:
    return audited(Judge(LIBRARY, base.state(), Settings()), entries_of(tuple(base.quests)))


@pytest.mark.parametrize("seed", range(8))
def test_sound_quests_raise_no_alarm(seed: int) -> None:
    report = audit(planted.sound(seed, 60))
    assert [found for found in report.found if found.weight != "warning"] == []
    assert set(report.verdicts) <= {"verified", "verified_with_assumptions"}


@pytest.mark.parametrize("make", planted.SOUND, ids=lambda make: make.__name__)
def test_each_sound_kind_of_quest_is_verified(make: Callable[[Base], None]) -> None:
    base = planted.based(1)
    make(base)
    report = audit(base)
    assert report.found == (), report.found
    assert set(report.verdicts) <= {"verified", "verified_with_assumptions"}


@pytest.mark.parametrize("make", planted.FAULTS, ids=lambda make: make.__name__)
def test_each_planted_fault_is_called_by_its_name(make: Callable[[Base], None]) -> None:
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


def _stage(base: Base) -> Stage:
    return Stage(World("studio", "vale", base.state()))


async def test_the_message_reports_what_the_command_line_would() -> None:
    base = planted.spoiled(2, 20)
    reply = await _stage(base).ask(Audit(quests=tuple(base.quests)))
    assert isinstance(reply, Audited)
    assert reply.report == audit(base)
    assert reply.seq == 0


async def test_an_unknown_start_is_refused_with_the_nearest() -> None:
    base = planted.sound(2, 2)
    with pytest.raises(NotFound) as refused:
        await _stage(base).ask(Audit(quests=tuple(base.quests), start="place_00"))
    assert "place_" in refused.value.hint


def test_an_audit_stops_when_it_is_told_to() -> None:
    base = planted.sound(2, 10)
    heard: list[str] = []

    def proving(title: str, _total: int) -> Callable[[], None]:
        def told() -> None:
            heard.append(title)
            if len(heard) == 3:
                raise DeadlineExceeded("auditing quests")

        return told

    with pytest.raises(DeadlineExceeded):
        audited(Judge(LIBRARY, base.state(), Settings()), entries_of(tuple(base.quests)), proving=proving)
    assert heard == ["quests"] * 3


def test_prerequisites_are_tried_in_the_order_that_works() -> None:
    base = planted.based(1)
    tower, keeper = base.locked(), base.person()
    key = base.item(base.place(), attributes={"opens": tower})
    use = base.quest(planted.step("a", "unlock", location=tower), failures=planted.means(key), giver=keeper, level=3)
    away = base.quest(
        planted.step("a", "give", item=key, target=base.person()),
        failures=planted.means(key),
        forbid=("steal",),
        level=3,
    )
    last = base.quest(planted.step("a", "explore", location=tower), requires=(away.id, use.id), level=4)
    found = [each for each in audit(base).found if each.quests[0] == last.id]
    assert [each for each in found if each.fault == "chain"] == []


def test_what_respawns_may_be_slain_twice() -> None:
    base = planted.based(1)
    foe = base.foe(level=2, attributes={"respawn_s": 60.0})
    one = base.quest(planted.step("a", "kill", target=foe), level=3)
    base.quest(planted.step("a", "kill", target=foe), level=3, requires=(one.id,))
    base.quest(planted.step("a", "kill", target=foe), level=3)
    assert audit(base).found == ()


def test_two_quests_that_each_take_the_same_life_shut_each_other_out() -> None:
    base = planted.based(1)
    foe = base.foe(level=2)
    pair = [base.quest(planted.step("a", "kill", target=foe), level=3, failures=planted.means(foe)) for _ in range(2)]
    found = [(each.fault, each.quests) for each in audit(base).found]
    assert found == [("rivals", (pair[0].id, pair[1].id)), ("rivals", (pair[1].id, pair[0].id))]


def test_a_gap_between_levels_is_a_warning() -> None:
    base = planted.based(1)
    for level in (2, 9):
        base.quest(planted.step("a", "goto", location=base.place()), level=level)
    (found,) = audit(base).found
    assert (found.fault, found.weight) == ("levels", "warning")
    assert "3 to 8" in found.reason


def test_where_newcomers_enter_decides_whom_they_can_reach() -> None:
    base = planted.based(1)
    island = base.add(Location(id="island"))
    base.quest(planted.step("a", "explore", location=island), giver=base.person(island))
    entries = entries_of(tuple(base.quests))
    assert audited(Judge(LIBRARY, base.state(), Settings()), entries).found[0].fault == "giver"
    assert audited(Judge(LIBRARY, base.state(), Settings(), start=island), entries).found == ()
