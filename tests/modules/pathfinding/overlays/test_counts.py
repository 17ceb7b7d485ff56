"""Counts decay as the twin says, tell a place or nothing, and survive being saved."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.core.messages import Event
from app.modules.pathfinding.overlays import counts
from app.modules.pathfinding.overlays.counts import DEATH, KINDS, STUCK, VISIT, Incident, SavedTally, Tally
from app.world.events import Happened, IntentSet
from tests.modules.pathfinding.overlays import twin

ROWS, COLUMNS = 20, 35
TOLD = st.lists(
    st.tuples(
        st.integers(0, len(KINDS) - 1), st.integers(0, COLUMNS - 1), st.integers(0, ROWS - 1),
        st.floats(0.0, 100_000.0), st.floats(0.01, 100.0),
    ),
    max_size=30,
)  # fmt: skip


def tallied(told: list[twin.Told], half_life_s: float = 600.0) -> Tally:
    tally = Tally(ROWS, COLUMNS, half_life_s)
    for kind, x, y, at_s, weight in told:
        tally.record(kind, x, y, at_s, weight)
    return tally


def event(change: Any, game_s: float = 5.0) -> Event:
    return Event(seq=1, id="e1", wall_ms=0, game_s=game_s, change=change)


def died(**details: Any) -> Event:
    return event(Happened(verb="died", actor="anna", details=details))


@settings(max_examples=100, deadline=None)
@given(told=TOLD, later_s=st.floats(0.0, 5_000.0), half_life_s=st.sampled_from([60.0, 600.0, 86_400.0]))
def test_counts_decay_as_the_twin_says_in_whatever_order_events_come(
    told: list[twin.Told], later_s: float, half_life_s: float
) -> None:
    at_s = max((one[3] for one in told), default=0.0) + later_s
    found = tallied(told, half_life_s).decayed(at_s)
    assert found.shape == (3, 5, len(KINDS))
    for row, column, kind in np.ndindex(*found.shape):
        expected = twin.count(told, kind, row, column, at_s, half_life_s)
        assert found[row, column, kind] == pytest.approx(expected, rel=1e-4, abs=1e-4)


@settings(max_examples=50, deadline=None)
@given(told=TOLD, later_s=st.floats(0.0, 5_000.0))
def test_a_tally_is_the_same_after_being_saved(told: list[twin.Told], later_s: float) -> None:
    tally = tallied(told)
    data = msgspec.msgpack.encode(tally.saved())
    again = counts.restored(msgspec.msgpack.decode(data, type=SavedTally))
    for at_s in (0.0, later_s, 200_000.0):
        np.testing.assert_array_equal(again.decayed(at_s), tally.decayed(at_s))
        np.testing.assert_array_equal(again.since(at_s), tally.since(at_s))
    again.record(DEATH, 1, 1, 200_000.0)
    tally.record(DEATH, 1, 1, 200_000.0)
    np.testing.assert_array_equal(again.decayed(200_000.0), tally.decayed(200_000.0))


def test_a_saved_tally_of_another_size_is_refused() -> None:
    with pytest.raises(Invalid, match="bytes of counts"):
        counts.restored(msgspec.structs.replace(Tally(8, 8, 60.0).saved(), rows=9))


def test_reading_before_the_newest_event_reads_at_that_event() -> None:
    tally = tallied([(DEATH, 0, 0, 1_000.0, 1.0)])
    assert tally.decayed(0.0)[0, 0, DEATH] == tally.decayed(1_000.0)[0, 0, DEATH] == 1.0


def test_a_tally_forgets_all_at_once() -> None:
    tally = tallied([(DEATH, 0, 0, 1_000.0, 1.0)])
    tally.forget()
    assert not tally.decayed(1_000.0).any()
    assert np.isinf(tally.since(1_000.0)).all()
    assert tally.recorded == 0


def test_the_time_since_harm_is_that_of_the_newest() -> None:
    tally = tallied([(DEATH, 9, 0, 100.0, 1.0), (STUCK, 9, 0, 300.0, 1.0), (DEATH, 9, 0, 50.0, 1.0)])
    assert tally.since(400.0)[0, 1] == 300.0
    assert math.isinf(tally.since(400.0)[0, 0])


@pytest.mark.parametrize(
    ("kind", "x", "y", "at_s", "weight"),
    [(5, 0, 0, 0.0, 1.0), (-1, 0, 0, 0.0, 1.0), (0, COLUMNS, 0, 0.0, 1.0), (0, 0, -1, 0.0, 1.0),
     (0, math.nan, 0, 0.0, 1.0), (0, 0, 0, math.inf, 1.0), (0, 0, 0, 0.0, 0.0), (0, 0, 0, 0.0, 1e9)],
)  # fmt: skip
def test_what_is_no_event_of_the_map_is_refused_and_counts_nothing(
    kind: int, x: float, y: float, at_s: float, weight: float
) -> None:
    tally = tallied([(DEATH, 0, 0, 10.0, 1.0)])
    with pytest.raises(Invalid):
        tally.record(kind, x, y, at_s, weight)
    assert tally.decayed(10.0).sum() == 1.0


@pytest.mark.parametrize(("rows", "columns"), [(0, 5), (5, 16_385), (10**12, 10**12)])
def test_a_map_too_large_is_refused_before_it_takes_memory(rows: int, columns: int) -> None:
    with pytest.raises(Invalid, match="the map has"):
        Tally(rows, columns, 60.0)


def test_a_walk_visits_each_tile_that_it_enters_once_for_each_time_it_enters() -> None:
    tally = Tally(32, 32, 60.0)
    tally.walked(np.array([[0, 0], [20, 0], [20, 4], [9, 4]], np.int16), 0.0)
    assert tally.decayed(0.0)[0, :, VISIT].tolist() == [1.0, 2.0, 1.0, 0.0]
    diagonal = counts.entered(np.array([[1, 1], [20, 20]]))
    assert diagonal.tolist() == [[1, 1], [8, 8], [16, 16]]
    assert counts.entered(np.empty((0, 2), np.int16)).shape == (0, 2)


def test_an_event_with_a_place_is_an_incident() -> None:
    found = counts.incidents(died(map="vale", x=3.0, y=4.0))
    assert found == (Incident("vale", 3.0, 4.0, DEATH, 1.0, ""),)
    stuck = died(map="vale", x=3.0, y=4.0, incident="stuck", weight=2.0, agents="cart")
    assert counts.incidents(stuck) == (Incident("vale", 3.0, 4.0, STUCK, 2.0, "cart"),)


@pytest.mark.parametrize(
    "details",
    [{}, {"map": "vale"}, {"map": "vale", "x": 1.0}, {"map": 7.0, "x": 1.0, "y": 1.0},
     {"map": "vale", "x": "1", "y": 1.0}, {"map": "vale", "x": True, "y": 1.0},
     {"map": "vale", "x": 1.0, "y": math.nan},
     {"map": "vale", "x": 1.0, "y": 1.0, "incident": "rain"}, {"map": "vale", "x": 1.0, "y": 1.0, "weight": -1.0},
     {"map": "vale", "x": 1.0, "y": 1.0, "agents": 3.0}, {"map": "vale", "x": 1.0, "y": 1.0, "incident": False}],
)  # fmt: skip
def test_an_event_without_a_sound_place_is_passed_over(details: dict[str, Any]) -> None:
    assert counts.incidents(died(**details)) == ()


def test_changes_that_did_not_happen_to_anyone_are_passed_over() -> None:
    assert counts.incidents(event(IntentSet(npc="anna", intent="rest"))) == ()
    assert counts.incidents(event(Happened(verb="talked", actor="a", details={"map": "m", "x": 1.0, "y": 1.0}))) == ()
