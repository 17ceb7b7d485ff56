"""The table of vectors: what events mean, the same bytes on replay, once for each event."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import Conflict, Invalid
from app.core.messages import Event
from app.modules.quests import codec
from app.modules.quests.messages import Certificate, Quest, Reward
from app.stores.features import view as views
from app.stores.features.table import Table
from app.world.entities import Npc
from app.world.events import EntityRemoved, EntityUpserted, Happened
from tests.stores.features import stage
from tests.stores.features.stage import PEOPLE


def value(table: Table, id: str, name: str, now_s: float) -> float:
    kind = stage.kind_of(id)
    vector = table.gather(kind, table.rows(kind, [id]), now_s)[0]
    return float(vector[PEOPLE.names.index(name)])


@given(stage.logs(), stage.moments)
def test_vectors_equal_what_the_events_say_one_by_one(log: list[Event], now_s: float) -> None:
    table = stage.folded(PEOPLE, log)
    for id in stage.EVERYONE:
        kind = stage.kind_of(id)
        found = table.gather(kind, table.rows(kind, [id]), now_s)[0]
        expected = stage.twin(PEOPLE, stage.PEOPLE_FEATURES, log, id, now_s)
        # An entity that is seen after `now_s` is read as of then.
        np.testing.assert_array_equal(found, expected, err_msg=id)


@given(stage.logs(), st.data())
def test_replay_and_repeats_give_the_same_bytes(log: list[Event], data: st.DataObject) -> None:
    once = stage.folded(PEOPLE, log).dump()
    cut = data.draw(st.integers(0, len(log)))
    table = Table.load(PEOPLE, stage.folded(PEOPLE, log[:cut]).dump())
    for event in (*log[:cut], *log[cut:], *log):
        table.fold(event)
    assert table.dump() == once


def test_a_gap_in_the_events_is_refused() -> None:
    log = stage.events_of([(stage.arrive("mara"), 0.0)] * 3)
    table = stage.folded(PEOPLE, log[:1])
    with pytest.raises(Conflict, match="event 3 came after 1"):
        table.fold(log[2])


def test_a_window_forgets_pane_by_pane_without_any_event() -> None:
    talk = Happened(verb="talked", actor="ann", target="mara")
    log = stage.events_of([(stage.arrive("ann"), 0.0), (stage.arrive("mara"), 0.0), (talk, 100.0), (talk, 3_000.0)])
    table = stage.folded(PEOPLE, log)
    seen = [value(table, "ann", "talks_1h", now_s) for now_s in (3_000.0, 3_599.0, 3_600.0, 6_599.0, 6_600.0)]
    assert seen == [2.0, 2.0, 1.0, 1.0, 0.0]
    assert value(table, "ann", "talks", 1e9) == 2.0
    assert value(table, "mara", "talked_to_1h", 3_000.0) == 2.0


def test_an_event_told_late_counts_from_when_it_was_known() -> None:
    talk = Happened(verb="talked", actor="ann")
    log = stage.events_of([(stage.arrive("ann"), 0.0), (talk, 7_200.0), (talk, 10.0)])
    assert value(stage.folded(PEOPLE, log), "ann", "talks_1h", 7_200.0) == 2.0


def test_a_row_of_npcs_is_the_worlds_handle() -> None:
    log = stage.events_of([(stage.arrive(id), 0.0) for id in ("ann", "oskar", "ben", "mara")])
    table = stage.folded(PEOPLE, log)
    assert list(table.rows("npc", ["oskar", "mara", "nobody"])) == [0, 1, -1]
    known = np.isfinite(table.gather("npc", np.array([1, 0, 2, -1, 10**6]), 5.0)[:, 0])
    assert list(known) == [True, True, False, False, False]


def test_who_is_gone_is_unknown_and_comes_back_empty() -> None:
    talk = Happened(verb="talked", actor="mara")
    steps = [(stage.arrive("mara"), 0.0), (talk, 1.0), (EntityRemoved(entity_kind="npc", id="mara"), 2.0)]
    table = stage.folded(PEOPLE, stage.events_of(steps))
    assert np.isnan(table.gather("npc", np.array([0]), 3.0)).all()
    table = stage.folded(PEOPLE, stage.events_of([*steps, (stage.arrive("mara"), 4.0)]))
    assert value(table, "mara", "talks", 5.0) == 0.0
    assert value(table, "mara", "age_s", 5.0) == 1.0


def test_the_table_grows_past_its_first_rows() -> None:
    log = stage.events_of([(EntityUpserted(entity=Npc(id=f"n{i}")), float(i)) for i in range(300)])
    table = stage.folded(PEOPLE, log)
    ages = table.gather("npc", np.arange(300), 300.0)[:, PEOPLE.names.index("age_s")]
    np.testing.assert_array_equal(ages, np.arange(300, 0, -1))


def test_a_quest_as_its_module_records_it_moves_player_and_giver() -> None:
    proof = Certificate(domain_version=1, checks=(), world_seq=0, seed=0, plan=(), plan_sha256="")
    quest = Quest(
        id="q", state="completed", giver="mara", player="ann", title="", description="", level=1, goals=(), steps=(),
        reward=Reward(experience=1, coins=1, effort=1.0), certificate=proof,
    )  # fmt: skip
    steps = [(stage.arrive("mara"), 0.0), (stage.arrive("ann"), 0.0), (codec.record(quest), 1.0)]
    table = stage.folded(PEOPLE, stage.events_of(steps))
    assert value(table, "ann", "quests_completed", 1.0) == 1.0
    assert value(table, "mara", "errands_fulfilled", 1.0) == 1.0


def test_a_dump_of_another_view_or_a_damaged_one_is_refused() -> None:
    other = views.parse(
        'name = "people"\nkinds = ["npc"]\npanes = 1\n[[feature]]\nname = "x"\nof = ["gave"]', origin="x"
    )
    with pytest.raises(Invalid, match="not of this version"):
        Table.load(PEOPLE, Table(other).dump())
    with pytest.raises(Invalid, match="cannot be read"):
        Table.load(PEOPLE, b"torn")


@pytest.mark.parametrize(
    ("feature", "told"),
    [
        ('of = ["gived"]', "did you mean 'gave'"),
        ('of = ["happened", "gave"]', "holds every verb already"),
        ("", "does not go with"),
        ('measure = "age"\nwindow_s = 5.0', "does not go with"),
        ('of = ["gave"]\nwindow_s = -1.0', "window_s is -1.0"),
        ('of = ["gave"]\nrole = "at"', "Invalid enum value 'at'"),
    ],
)
def test_a_view_that_means_nothing_is_refused(feature: str, told: str) -> None:
    text = f'name = "v"\nkinds = ["npc"]\npanes = 2\n[[feature]]\nname = "x"\n{feature}\n'
    with pytest.raises(Invalid) as refused:
        views.parse(text, origin="v.toml")
    assert told in f"{refused.value.message} {refused.value.hint}"


def test_the_fingerprint_follows_the_meaning() -> None:
    text = 'name = "v"\nkinds = ["npc"]\npanes = 2\n[[feature]]\nname = "x"\nof = ["gave"]\n'
    assert views.parse(text, origin="a").fingerprint == views.parse(f"# a remark\n{text}", origin="b").fingerprint
    other = views.parse(text.replace("panes = 2", "panes = 3"), origin="c")
    assert other.fingerprint != views.parse(text, origin="a").fingerprint
