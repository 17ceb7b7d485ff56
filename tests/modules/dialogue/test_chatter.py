"""NPCs talk among themselves on a budget of their own, and past it in the author's words."""

from __future__ import annotations

from app.core.words import Completion
from app.modules.dialogue.chatter import Chatter
from app.modules.dialogue.settings import Settings
from app.world.events import WordsUsed
from app.world.usage import Used, add, row_key
from tests.doubles import ManualClock
from tests.modules.dialogue.test_bills import Paid, stage_over
from tests.modules.dialogue.village import Script, make_stage, make_world


class Numbered:
    """Something new each time, so that nothing is cut as said before."""

    def __init__(self) -> None:
        self.lines = 0

    def __call__(self, _completion: Completion) -> str:
        self.lines += 1
        return f"That makes {self.lines} of them, friend."


async def test_past_the_lines_of_an_hour_npcs_are_authored_and_players_are_not() -> None:
    script = Script(Numbered())
    stage = make_stage(words=script, settings=Settings(npc_lines_hour_max=3))
    pair = await stage.open("anna", "tom")
    rungs = [(await stage.say(pair, speaker)).rung for speaker in ("anna", "tom") * 3]
    assert rungs == ["words"] * 3 + ["authored"] * 3
    assert (await stage.say(await stage.open("anna", "p1"), "p1", "Hello")).rung == "words"
    stage.world.state.game_s += 3_601.0
    assert (await stage.say(pair, "anna")).rung == "words"


async def test_past_the_tokens_of_a_day_npcs_are_authored_and_players_are_not() -> None:
    script = Script(Numbered())
    stage = make_stage(words=script, settings=Settings(npc_tokens_day_max=100))
    assert (await stage.say(await stage.open("anna", "tom"), "anna")).rung == "authored"
    assert not script.asked, "what might take more than there is is not begun"
    assert (await stage.say(await stage.open("anna", "p1"), "p1", "Hello")).rung == "words"


def test_what_was_taken_and_not_used_is_given_back_and_a_new_day_begins_anew() -> None:
    clock, world = ManualClock(), make_world()
    chatter = Chatter(Settings(npc_tokens_day_max=1_000), clock)
    assert chatter.take(world, 900)
    assert not chatter.take(world, 200)
    chatter.settle(world, 900, 100)
    assert chatter.take(world, 900)
    assert not chatter.take(world, 1)
    clock.now_s += 86_400.0
    assert chatter.take(world, 1_000)


def test_a_restart_remembers_what_was_spent_on_lines_to_no_player() -> None:
    clock, world = ManualClock(), make_world()
    table = add({}, clock.wall_ms(), row_key("anna", "", "a"), Used(tokens_in=600, tokens_out=100))
    world.state.usage = add(table, clock.wall_ms(), row_key("anna", "p1", "a"), Used(tokens_in=5_000))
    chatter = Chatter(Settings(npc_tokens_day_max=1_000), clock)
    assert not chatter.take(world, 301)
    assert chatter.take(world, 300)


async def test_lines_among_npcs_are_charged_to_no_player() -> None:
    stage = stage_over(Paid(Numbered()))
    await stage.say(await stage.open("anna", "tom", "p1"), "anna", to="tom")
    (cost,) = [event.change for event in stage.journal.events if isinstance(event.change, WordsUsed)]
    assert (cost.npc, cost.player) == ("anna", "")
