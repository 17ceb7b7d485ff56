"""An NPC tells its story: it begins, waits for its choices, survives a restart, and is nobody else's."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from app.core.errors import Invalid, NotFound
from app.core.messages import Change, Event
from app.modules.dialogue import intents
from app.modules.dialogue.stories import shelf
from app.modules.dialogue.stories.limits import Limits
from app.modules.dialogue.stories.told import Stories, Told
from app.world import reducers
from app.world.entities import Fact, Item, Npc, Player
from app.world.events import EntityUpserted, FactAsserted, RelationChanged
from app.world.state import State, World

INK = """\
Good evening. # warm
* [Ask about the cellar] -> cellar
* {has_item("key")} [Show the key]
    ~ give_item("crown")
    Then take it.
    -> DONE
* {fact("anna", "secret") != ""} [Ask about the toll]
    {fact("anna", "secret")}.
    -> DONE
+ [Leave] -> DONE
== cellar
Nobody goes there. # paraphrase # must: nobody goes
+ [Insist] Well then. -> END
+ [Drop it] -> DONE
"""


def world_of(story: str = "tavern") -> World:
    world = World("studio", "vale")
    for entity in (
        Npc(id="anna", name="Anna", location="inn", attributes={"story": story}),
        Npc(id="tom", name="Tom"),
        Player(id="p1", name="Robin", location="inn"),
        Player(id="p2", name="Sly", location="inn"),
        Item(id="crown", holder="anna"),
        Item(id="k1", item_kind="key", holder="p2"),
    ):
        happen(world, EntityUpserted(entity=entity))
    happen(world, FactAsserted(fact=Fact(subject="anna", predicate="secret", value="She took it", known_by=("anna",))))
    return world


def happen(world: World, change: Change) -> None:
    reducers.check(world, change)
    seq = world.state.seq + 1
    reducers.apply(world.state, Event(seq=seq, id=str(seq), wall_ms=seq, game_s=float(seq), change=change))


def stories(folder: Path, text: str = INK, limits: Limits = Limits()) -> Stories:  # noqa: B008  # frozen
    (folder / "stories").mkdir(exist_ok=True)
    (folder / "stories" / "tavern.ink").write_text(text)
    shelved = shelf.load(str(folder), limits)
    return Stories(shelved, intents.load("en"), limits, day_s=86_400.0, day_start_share=0.5)


def say(told: Stories, world: World, player: str, heard: str, *, thread: str = "d1") -> Told | None:
    """One turn whose change is committed."""
    found = told.turn(world, "anna", player, heard, seed=7, thread=thread)
    if found is not None:
        happen(world, found.change)
    return found


def test_a_story_begins_waits_and_goes_on_by_what_is_typed(tmp_path: Path) -> None:
    told, world = stories(tmp_path), world_of()
    first = say(told, world, "p1", "hello")
    assert first is not None
    assert (first.text, first.lines[0].tags) == ("Good evening.", ("warm",))
    assert first.choices == ("Ask about the cellar", "Leave")
    assert say(told, world, "p1", "where is the smith?") is None, "ordinary talk answers"
    assert told.choices(world, "anna", "p1") == first.choices, "and the choices stay open"
    second = say(told, world, "p1", "what about the cellar?")
    assert second is not None
    assert (second.chosen, second.text) == ("Ask about the cellar", "Nobody goes there.")
    assert second.choices == ("Insist", "Drop it")


def test_each_player_stands_elsewhere_in_it(tmp_path: Path) -> None:
    told, world = stories(tmp_path), world_of()
    say(told, world, "p1", "")
    say(told, world, "p1", "1")
    other = say(told, world, "p2", "")
    assert other is not None
    assert other.choices == ("Ask about the cellar", "Show the key", "Leave")
    assert told.choices(world, "anna", "p1") == ("Insist", "Drop it")


def test_what_is_done_for_now_begins_again_in_another_talk_and_what_is_over_never(tmp_path: Path) -> None:
    told, world = stories(tmp_path), world_of()
    say(told, world, "p1", "")
    assert say(told, world, "p1", "leave") is not None
    assert say(told, world, "p1", "hello") is None
    again = say(told, world, "p1", "hello", thread="d2")
    assert again is not None
    assert again.choices == ("Ask about the cellar", "Leave")
    say(told, world, "p1", "1", thread="d2")
    say(told, world, "p1", "1", thread="d2")
    assert say(told, world, "p1", "hello", thread="d3") is None
    assert told.choices(world, "anna", "p1") == ()


def test_an_act_is_a_proposal_and_the_world_stays_as_it_is(tmp_path: Path) -> None:
    told, world = stories(tmp_path), world_of()
    say(told, world, "p2", "")
    found = say(told, world, "p2", "show the key")
    assert found is not None
    assert [(act.action, act.arguments) for act in found.acts] == [("give_item", {"item": "crown"})]
    assert world.state.items["crown"].holder == "anna"


def test_what_the_npc_may_not_tell_is_no_fact_to_its_story(tmp_path: Path) -> None:
    told, world = stories(tmp_path), world_of()
    first = say(told, world, "p1", "")
    assert first is not None
    assert "Ask about the toll" not in first.choices
    happen(world, RelationChanged(npc="anna", other="p2", delta=0.9))
    trusted = say(told, world, "p2", "")
    assert trusted is not None
    assert "Ask about the toll" in trusted.choices
    answer = say(told, world, "p2", "ask about the toll")
    assert answer is not None
    assert answer.text == "She took it."


def test_a_restart_and_a_rolled_back_save_find_the_story_where_it_stood(tmp_path: Path) -> None:
    told, world = stories(tmp_path), world_of()
    say(told, world, "p1", "")
    saved = msgspec.msgpack.encode(world.state)
    say(told, world, "p1", "1")
    world.state = msgspec.msgpack.decode(saved, type=State)
    assert stories(tmp_path).choices(world, "anna", "p1") == ("Ask about the cellar", "Leave")


def test_a_story_that_was_changed_begins_again_with_what_it_knew(tmp_path: Path) -> None:
    text = "VAR met = 0\n~ met++\nMet {met}.\n+ [Go on] -> DONE"
    told, world = stories(tmp_path, text), world_of()
    say(told, world, "p1", "")
    changed = stories(tmp_path, text.replace("Met", "We met"))
    assert changed.choices(world, "anna", "p1") == ()
    again = say(changed, world, "p1", "hello")
    assert again is not None
    assert again.text == "We met 2."


def test_an_npc_can_tell_one_node_of_a_story_or_none(tmp_path: Path) -> None:
    told = stories(tmp_path)
    found = say(told, world_of("tavern.cellar"), "p1", "")
    assert found is not None
    assert found.text == "Nobody goes there."
    for attached in ("", "elsewhere", "tavern.nowhere"):
        assert say(told, world_of(attached), "p1", "") is None


def test_a_run_that_grew_too_large_begins_again(tmp_path: Path) -> None:
    text = 'VAR t = "aaaaaaaaaaaaaaaa"\n- (top) On.\n~ t = t + t\n+ [More] -> top'
    told, world = stories(tmp_path, text, Limits(run_bytes_max=600)), world_of()
    say(told, world, "p1", "")
    for _ in range(20):
        found = told.turn(world, "anna", "p1", "more", seed=1, thread="d1")
        if found is None or found.faults:
            break
        happen(world, found.change)
    assert found is not None
    assert "begins again" in found.faults[0]
    assert found.change.run == b""


def test_a_content_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no folder"):
        shelf.load(str(tmp_path / "nowhere"), Limits())
    assert shelf.load("", Limits()) == shelf.load(str(tmp_path), Limits()) == {}


def test_two_stories_of_one_name_and_faulty_tags_are_refused_at_start(tmp_path: Path) -> None:
    stories(tmp_path)
    (tmp_path / "stories" / "tavern.yarn").write_text("title: Start\n---\nHi.\n===\n")
    with pytest.raises(Invalid, match="another story 'tavern'"):
        shelf.load(str(tmp_path), Limits())
    (tmp_path / "stories" / "tavern.yarn").unlink()
    (tmp_path / "stories" / "bad.ink").write_text("Hi %x%. # fill: x = y\n")
    with pytest.raises(Invalid, match=r"bad\.ink.*no words to fall back on"):
        shelf.load(str(tmp_path), Limits())
