"""Usage: folded by day, NPC, player and engine; bounded in time; nothing is lost when old days become months."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from app.core.messages import Event
from app.world import reducers, usage
from app.world.events import WordsUsed, decoder, encoder
from app.world.state import State
from app.world.usage import DAY_MS, DAYS_KEPT, MONTHS_KEPT, Used

ONE = Used(calls=1, tokens_in=10, tokens_out=2, cached_tokens_in=4, cost_nano_usd=7)


def paid(seq: int, day: int, *, npc: str = "mira", player: str = "p1", engine: str = "openai") -> Event:
    change = WordsUsed(
        npc=npc, player=player, engine=engine, model="m-1", tokens_in=10, tokens_out=2, cached_tokens_in=4,
        cost_nano_usd=7,
    )  # fmt: skip
    return Event(seq=seq, id=str(seq), wall_ms=day * DAY_MS + 5, game_s=0.0, change=change)


def test_a_day_is_counted_by_npc_player_and_engine() -> None:
    state = State()
    events = [paid(1, 20_000), paid(2, 20_000), paid(3, 20_000, player="p2"), paid(4, 20_001, engine="llama")]
    for event in events:
        reducers.apply(state, event)
    rows = [(row.period, row.npc, row.player, row.engine, row.used.calls) for row in usage.rows_of(state.usage)]
    assert rows == [
        ("2024-10-04", "mira", "p1", "openai", 2),
        ("2024-10-04", "mira", "p2", "openai", 1),
        ("2024-10-05", "mira", "p1", "llama", 1),
    ]
    told = usage.summary(state.usage)
    assert told["total"].cost_nano_usd == 28
    assert told["players"]["p1"].tokens_in == 30
    assert told["months"] == {"2024-10": told["total"]}


@given(st.lists(st.tuples(st.integers(0, 1_500), st.sampled_from("ab"), st.sampled_from("pq")), max_size=60))
def test_nothing_is_lost_however_old_it_gets(turns: list[tuple[int, str, str]]) -> None:
    state = State()
    for seq, (day, npc, player) in enumerate(sorted(turns), 1):
        reducers.apply(state, paid(seq, 20_000 + day, npc=npc, player=player))
    assert usage.summary(state.usage)["total"].calls == len(turns)
    days = [period for period in state.usage if len(period) == 10]
    months = [period for period in state.usage if len(period) == 7]
    assert len(days) <= DAYS_KEPT + 1
    assert len(months) <= MONTHS_KEPT + 1


def test_a_state_that_was_stored_goes_on_to_the_same_bytes() -> None:
    straight, stored = State(), State()
    encode = msgspec.msgpack.Encoder().encode
    for seq in range(1, 200):
        event = paid(seq, 20_000 + seq, player=f"p{seq % 3}")
        reducers.apply(straight, event)
        reducers.apply(stored, event)
        if seq % 20 == 0:
            stored = msgspec.msgpack.decode(encode(stored), type=State)
    assert encode(straight) == encode(stored)


def test_rows_that_were_copied_before_an_event_stay_as_they_were() -> None:
    state = State()
    reducers.apply(state, paid(1, 20_000))
    before = dict(state.usage)
    reducers.apply(state, paid(2, 20_000))
    assert usage.summary(before)["total"] == ONE


def test_a_state_of_an_older_release_has_used_nothing() -> None:
    old = {name: value for name, value in msgspec.to_builtins(State()).items() if name != "usage"}
    assert msgspec.convert(old, State).usage == {}


def test_the_event_reads_back_as_it_was_written() -> None:
    change = paid(1, 20_000).change
    assert decoder.decode(encoder.encode(change)) == change
