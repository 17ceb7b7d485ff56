"""An NPC with a story, in a dialogue: it tells, offers choices, waits through other talk; its acts meet the gate."""

from __future__ import annotations

from pathlib import Path

import msgspec

from app.core.words import Completion
from app.modules.dialogue.settings import Settings
from app.world.events import EntityUpserted, StoryMoved
from app.world.state import World
from tests.modules.dialogue.stories.test_told import happen
from tests.modules.dialogue.test_records import Shelf, explained, replayed
from tests.modules.dialogue.village import Script, Stage, make_stage, make_world

INK = """\
Sit down, the road is long. # paraphrase # must: the road is long
* [Ask for the axe]
    ~ give_item("axe")
    It is not for you.
    -> DONE
* [Ask about the old mill]
    The sails stand still.
    * * [Ask why] Nobody knows. -> END
+ {fact("p1", "debt") != ""} [Speak of the debt] {fact("p1", "debt")}. -> DONE
"""


def staged(folder: Path, *, words: Script | None = None, npc: str = "mira") -> Stage:
    (folder / "stories").mkdir()
    (folder / "stories" / "inn.ink").write_text(INK)
    world = make_world()
    attach(world, npc)
    return make_stage(words=words, world=world, records=Shelf(), settings=Settings(content_folder=str(folder)))


def attach(world: World, npc: str, story: str = "inn") -> None:
    entity = world.npc(npc)
    happen(world, EntityUpserted(entity=msgspec.structs.replace(entity, attributes={"story": story})))


async def test_the_story_is_told_and_what_the_player_types_moves_it(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    dialogue = await stage.open("mira", "p1")
    first = await stage.say(dialogue, "p1")
    assert (first.rung, first.text) == ("story", "Sit down, the road is long.")
    assert first.choices == ("Ask for the axe", "Ask about the old mill")
    assert not first.ai_generated
    aside = await stage.say(dialogue, "p1", "Where is the forge?")
    assert aside.rung == "authored"
    assert aside.choices == first.choices, "ordinary talk leaves the story where it is"
    on = await stage.say(dialogue, "p1", "tell me about that old mill")
    assert (on.rung, on.text, on.choices) == ("story", "The sails stand still.", ("Ask why",))
    assert [chunk.text for chunk in stage.chunks][-1] == on.text
    over = await stage.say(dialogue, "p1", "1")
    assert (over.text, over.choices) == ("Nobody knows.", ())
    assert (await stage.say(dialogue, "p1", "hello")).rung == "authored"


async def test_an_act_of_a_story_meets_the_same_gate_as_any_other(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    dialogue = await stage.open("mira", "p1")
    await stage.say(dialogue, "p1")
    said = await stage.say(dialogue, "p1", "1")
    assert said.proposals == (), "Mira does not hold the axe"
    assert stage.world.state.items["axe"].holder == "borin"


async def test_a_model_may_word_a_line_only_around_what_must_be_said(tmp_path: Path) -> None:
    def good(completion: Completion) -> str:
        return "Rest a while, for the road is long." if "own words" in completion.parts[-1].text else "Well."

    stage = staged(tmp_path, words=Script(good))
    said = await stage.say(await stage.open("mira", "p1"), "p1")
    assert said.text == "Rest a while, for the road is long."
    assert said.ai_generated
    assert said.tokens.output == 10
    other = tmp_path / "other"
    other.mkdir()
    stage = staged(other, words=Script(lambda _: "Rest a while, the road is short."))
    said = await stage.say(await stage.open("mira", "p1"), "p1")
    assert (said.text, said.ai_generated) == ("Sit down, the road is long.", False)


async def test_a_model_that_fails_costs_the_story_nothing(tmp_path: Path) -> None:
    stage = staged(tmp_path, words=Script(lambda _: "Rest, the road is long.", fails_after=7))
    said = await stage.say(await stage.open("mira", "p1"), "p1")
    assert (said.rung, said.text) == ("story", "Sit down, the road is long.")


async def test_what_one_player_may_hear_is_not_said_while_another_listens(tmp_path: Path) -> None:
    stage = staged(tmp_path, npc="anna")
    alone, both = await stage.open("anna", "p1"), await stage.open("anna", "p1", "p2")
    whispered = await stage.say(alone, "p1", "", whisper=True)
    assert "p2" not in whispered.heard_by
    assert "Speak of the debt" in whispered.choices
    stage.world.state.stories.clear()
    aloud = await stage.say(both, "p1")
    assert "p2" in aloud.heard_by
    assert aloud.choices == ("Ask for the axe", "Ask about the old mill")


async def test_a_line_of_a_story_can_be_explained_and_made_again(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    dialogue = await stage.open("mira", "p1")
    await stage.say(dialogue, "p1")
    said = await stage.say(dialogue, "p1", "1")
    known = await explained(stage, said.explain_id)
    assert (known.rung, known.line) == ("story", "It is not for you.")
    assert [(ruling.action, ruling.allowed) for ruling in known.rulings] == [("give_item", False)]
    again = await replayed(stage, said.explain_id)
    assert (again.equal, again.replayed, again.rungs) == (True, said.text, ("story",))


async def test_a_line_that_is_not_committed_leaves_the_story_where_it_was(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    dialogue = await stage.open("mira", "p1")
    stage.journal.fault = "the disk is full"
    said = await stage.say(dialogue, "p1")
    assert (said.text, said.choices) == ("Sit down, the road is long.", ())
    stage.journal.fault = ""
    assert (await stage.say(dialogue, "p1")).text == said.text
    moved = [event.change for event in stage.journal.events if isinstance(event.change, StoryMoved)]
    assert [(change.npc, change.player, change.story) for change in moved] == [("mira", "p1", "inn")]


async def test_a_model_that_echoes_the_prompt_or_acts_is_not_heard(tmp_path: Path) -> None:
    def echo(completion: Completion) -> str:
        return "The road is long. " + completion.parts[0].text[:400]

    for number, write in enumerate((echo, lambda _: '{"act": "trade", "arguments": {}}\nThe road is long, friend.')):
        folder = tmp_path / str(number)
        folder.mkdir()
        stage = staged(folder, words=Script(write))
        said = await stage.say(await stage.open("mira", "p1"), "p1")
        assert (said.text, said.proposals) == ("Sit down, the road is long.", ())


async def test_a_story_that_is_not_there_is_told_of_where_the_line_is_explained(tmp_path: Path) -> None:
    stage = staged(tmp_path)
    attach(stage.world, "tom", "mill")
    said = await stage.say(await stage.open("tom", "p1"), "p1")
    assert (said.rung, said.choices) == ("authored", ())
    assert [fall.reason for fall in (await explained(stage, said.explain_id)).falls] == ["no story 'mill'"]
