"""Random worlds as event logs, and the features of an entity computed the slow way from the events themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.core.messages import Change, Event
from app.stores.features import view as views
from app.stores.features.history import Row
from app.stores.features.table import Table
from app.stores.features.view import Feature, View
from app.world.entities import Item, Npc, Player
from app.world.events import EntityRemoved, EntityUpserted, Happened, QuestRecorded, RelationChanged

PEOPLE = views.load("people")
NPCS, PLAYERS = ("mara", "oskar"), ("ann", "ben")
EVERYONE = (*NPCS, *PLAYERS)
DAY_MS = 86_400_000


def kind_of(id: str) -> str:
    return "npc" if id in NPCS else "player"


def arrive(id: str) -> EntityUpserted:
    return EntityUpserted(entity=Npc(id=id) if id in NPCS else Player(id=id))


def quest(state: str, *, player: str, giver: str) -> QuestRecorded:
    return QuestRecorded(id="q", state=state, body=msgspec.msgpack.encode({"player": player, "giver": giver, "x": 1}))


def events_of(steps: Sequence[tuple[Change, float]], *, wall_step_ms: int = 1000) -> list[Event]:
    """The changes as a world's log; each comes with its own game_s."""
    return [
        Event(seq=i, id=f"e{i:025d}", wall_ms=i * wall_step_ms, game_s=game_s, change=change)
        for i, (change, game_s) in enumerate(steps, start=1)
    ]


def folded(view: View, events: Sequence[Event]) -> Table:
    table = Table(view)
    for event in events:
        table.fold(event)
    return table


def history_rows(view: View, events: Sequence[Event]) -> list[Row]:
    """What history holds after the events."""
    table, rows = Table(view), []
    for event in events:
        for found in table.fold(event):
            held = table.kinds[found.kind]
            rows.append(
                Row(
                    found.kind, found.id, event.seq, table.clock_s, event.wall_ms, event.id,
                    found.id in held.present, held.slots[found.row].copy(),
                )
            )  # fmt: skip
    return rows


def twin(
    view: View, features: Sequence[Feature], events: Sequence[Event], id: str, now_s: float
) -> NDArray[np.float32]:
    """(features,) float32 of `id` from a list of its events alone; no rings, no rows, no state but a list."""
    clock_s, seen_s = 0.0, math.nan
    deeds: list[tuple[float, frozenset[str], str, float]] = []
    for event in events:
        clock_s = max(clock_s, event.game_s)
        change = event.change
        keys, by, to, amount = _told(change)
        if isinstance(change, EntityUpserted) and change.entity.id == id:
            seen_s = clock_s
        elif isinstance(change, EntityRemoved) and change.id == id:
            deeds, seen_s = [], math.nan
        elif not math.isnan(seen_s) and id in (by, to):
            seen_s = clock_s
            deeds += [(clock_s, keys, role, amount) for role, who in (("by", by), ("to", to)) if who == id]
    if math.isnan(seen_s):
        return np.full(len(features), np.nan, np.float32)
    now_s = max(now_s, seen_s)
    return np.array([_feature(view, one, deeds, seen_s, now_s) for one in features], np.float32)


def _told(change: Change) -> tuple[frozenset[str], str, str, float]:
    if isinstance(change, Happened):
        return frozenset({"happened", change.verb}), change.actor, change.target, change.quantity
    if isinstance(change, RelationChanged):
        return frozenset({"relation"}), change.npc, change.other, change.delta
    if isinstance(change, QuestRecorded):
        parties = msgspec.msgpack.decode(change.body)
        return frozenset({f"quest.{change.state}"}), parties["player"], parties["giver"], 1.0
    return frozenset(), "", "", 0.0


def _feature(
    view: View,
    feature: Feature,
    deeds: Sequence[tuple[float, frozenset[str], str, float]],
    seen_s: float,
    now_s: float,
) -> float:
    if feature.measure == "age":
        return now_s - seen_s
    total = 0.0
    for at_s, keys, role, amount in deeds:
        if role != feature.role or not keys & set(feature.of):
            continue
        if feature.window_s:
            pane_s = feature.window_s / view.panes
            if math.floor(at_s / pane_s) <= math.floor(now_s / pane_s) - view.panes:
                continue
        total += amount if feature.measure == "sum" else 1.0
    return total


def declared(view_text: str) -> tuple[Feature, ...]:
    """The features of a view's TOML."""
    import tomllib

    return msgspec.convert(tomllib.loads(view_text), views.Declared).feature


PEOPLE_FEATURES = declared((views.VIEWS / "people.toml").read_text())

_someone = st.sampled_from(EVERYONE)
_changes: st.SearchStrategy[Change] = st.one_of(
    st.builds(
        Happened,
        verb=st.sampled_from(["talked", "gave", "attacked", "killed", "died", "moved", "stole"]),
        actor=_someone,
        target=st.sampled_from(["", *EVERYONE]),
        quantity=st.sampled_from([1.0, 2.0]),
    ),
    # Deltas are sums of powers of two, so that float32 and float64 agree to the last bit.
    st.builds(RelationChanged, npc=st.sampled_from(NPCS), other=_someone, delta=st.sampled_from([0.25, -0.5, 0.125])),
    st.builds(
        quest, st.sampled_from(["active", "completed", "failed"]), player=st.sampled_from(PLAYERS), giver=_someone
    ),
    st.builds(arrive, _someone),
    st.just(EntityUpserted(entity=Item(id="cup"))),
    st.sampled_from(EVERYONE).map(lambda id: EntityRemoved(entity_kind=kind_of(id), id=id)),
)
_game_s = st.one_of(st.integers(0, 60).map(float), st.integers(0, 20).map(lambda n: n * 600.0), st.just(90_000.0))


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """A log in which everyone arrives and then anything happens, some of it told late."""
    happened = draw(st.lists(st.tuples(_changes, _game_s), max_size=30))
    return events_of([*((arrive(id), 0.0) for id in EVERYONE), *happened])


moments = st.one_of(_game_s, st.sampled_from([0.5, 599.0, 3_599.0, 4_200.0, 200_000.0]))
