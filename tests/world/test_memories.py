"""What is remembered of lines and happenings, by whom, and who may be told."""

from __future__ import annotations

import msgspec
import pytest

from app.core.messages import Change, Event
from app.world import memories
from app.world.entities import Item, Location, Npc, Player
from app.world.events import Happened, QuestRecorded
from app.world.state import World


@pytest.fixture
def world() -> World:
    found = World("t", "w")
    state = found.state
    state.locations["inn"] = Location(id="inn", name="the Sleeping Fox")
    state.npcs = {
        "greta": Npc(id="greta", name="Greta", location="inn"),
        "tom": Npc(id="tom", name="Tom", location="inn"),
        "late": Npc(id="late", name="Late", location="inn", alive=False),
        "far": Npc(id="far", name="Far", location="mill"),
    }
    state.players = {"p1": Player(id="p1", name="Ash", location="inn"), "p2": Player(id="p2")}
    state.items["axe"] = Item(id="axe", name="silver axe")
    return found


def _event(change: Change) -> Event:
    return Event(seq=7, id="01event", wall_ms=1, game_s=2.0, change=change)


def test_a_line_is_held_by_the_npcs_that_heard_it_and_known_to_all_who_did(world: World) -> None:
    noted = memories.line_noted(
        world, id="m", thread="d", speaker="p1", text="I swear I will come back", heard_by=("greta", "p2"),
        place="inn", ai_generated=False,
    )  # fmt: skip
    assert noted.holders == ("greta",)
    assert noted.known_by == ("p1", "greta", "p2")
    assert (noted.text, noted.speaker, noted.thread) == ("I swear I will come back", "p1", "d")


def test_a_promise_weighs_more_than_small_talk() -> None:
    assert memories.importance_of("I promise to pay my debt") > memories.importance_of("nice weather today")


@pytest.mark.parametrize(
    ("text", "feeling"),
    [("You filthy liar, I hate you", "angry"), ("Thank you, my friend", "happy"), ("The mill stands here", "neutral"),
     ("My brother died and I miss him", "sad"), ("I was so scared", "afraid")],
)  # fmt: skip
def test_words_carry_a_feeling(text: str, feeling: str) -> None:
    assert memories.emotion_of(text) == feeling


def test_a_happening_is_told_in_names_and_held_by_the_living_who_stood_there(world: World) -> None:
    gift = Happened(verb="gave", actor="p1", target="greta", item="axe", location="inn", topic="secret")
    noted = memories.happening_noted(world, _event(gift))
    assert noted is not None
    assert noted.text == "Ash gave the silver axe to Greta at the Sleeping Fox."
    assert noted.holders == ("greta", "tom")
    assert noted.known_by == ()
    assert noted.participants == ("p1", "greta")


def test_the_dead_remember_nothing_and_a_nameless_player_is_a_stranger(world: World) -> None:
    noted = memories.happening_noted(world, _event(Happened(verb="killed", actor="p2", target="late", location="inn")))
    assert noted is not None
    assert noted.text.startswith("A stranger killed Late")
    assert "late" not in noted.holders


def test_steps_and_talk_leave_no_trace_but_a_first_meeting_does(world: World) -> None:
    talked = _event(Happened(verb="talked", actor="p1", target="greta", location="inn"))
    assert memories.happening_noted(world, _event(Happened(verb="moved", actor="p1", location="inn"))) is None
    assert memories.happening_noted(world, talked) is None
    met = memories.happening_noted(world, talked, strangers=True)
    assert met is not None
    assert "met for the first time" in met.text


def test_a_death_weighs_more_than_a_trade(world: World) -> None:
    death = memories.happening_noted(world, _event(Happened(verb="died", actor="p1", location="inn")))
    trade = memories.happening_noted(world, _event(Happened(verb="traded", actor="p1", target="greta", item="axe")))
    assert death is not None
    assert trade is not None
    assert death.importance > trade.importance


def test_a_quest_is_remembered_by_its_giver_and_known_to_its_player_only(world: World) -> None:
    body = msgspec.msgpack.encode({"giver": "greta", "player": "p1", "title": "Rats", "description": ""})
    event = _event(QuestRecorded(id="q", state="completed", body=body))
    noted = memories.happening_noted(world, event)
    assert noted is not None
    assert noted.text == "Ash completed the quest “Rats”."
    assert set(noted.known_by) == {"p1", "greta"}
    again = memories.happening_noted(world, event)
    assert again is not None
    assert again.id == noted.id
