"""Which lines a response cache may keep, and that they are said again only where a model would have read the same."""

from __future__ import annotations

import msgspec
import pytest

from app.core.words import Keep
from app.modules.dialogue import messages
from app.world.entities import Fact
from app.world.events import FactAsserted, Happened
from app.world.state import World
from tests.engines.responses.kept import Writer, cache_over
from tests.modules.dialogue.village import Stage, feel, make_stage, make_world, quest

GREETING = "Good morning, come in and sit down."


def stage_with(world: World | None = None, **limits: int) -> tuple[Stage, Writer]:
    """A village whose words come through a response cache."""
    writer = Writer(write=lambda _asked, _number: GREETING)
    return make_stage(words=cache_over(writer, **limits), world=world), writer


async def meets(stage: Stage, text: str = "Good morning!", player: str = "p1") -> messages.Said:
    """A player's first words to Mira, in a dialogue of their own."""
    return await stage.say(await stage.open("mira", player), player, text)


async def explained(stage: Stage, said: messages.Said) -> messages.Explained:
    found = await stage.ask(messages.Explain(explain_id=said.explain_id))
    assert isinstance(found, messages.Explained)
    return found


async def test_a_greeting_in_the_same_state_comes_from_the_cache_and_explain_says_so() -> None:
    stage, writer = stage_with(variants_max=1)
    feel(stage.world, "mira", "p1", 0.2)  # so that a kind word more does not change what she reads
    first, again = await meets(stage), await meets(stage, "  good MORNING ")
    assert (first.text, again.text) == (GREETING, GREETING)
    assert len(writer.asked) == 1
    assert ((await explained(stage, first)).cache, (await explained(stage, again)).cache) == ("miss", "hit")
    assert again.ai_generated, "whoever wrote it once, it is a model's line"
    assert (again.engine, again.cost_usd) == ("writer", 0.0)
    assert first.cost_usd > 0.0


async def test_an_authored_line_does_not_say_that_it_was_looked_for() -> None:
    writer = Writer(fails=True, write=lambda _asked, _number: "")
    stage = make_stage(words=cache_over(writer))
    assert (await explained(stage, await meets(stage))).cache == "off"


@pytest.mark.parametrize(
    "change",
    [
        FactAsserted(fact=Fact(subject="world", predicate="weather", value="a hard frost")),
        FactAsserted(fact=Fact(subject="inn", predicate="rumor", value="They say the well is dry")),
        quest("q9", giver="mira"),
    ],
    ids=["weather", "a fact", "a quest"],
)
async def test_another_state_of_the_world_gets_another_line(change: object) -> None:
    stage, writer = stage_with(variants_max=1)
    feel(stage.world, "mira", "p1", 0.2)
    await meets(stage)
    await stage.journal.append("studio", "vale", [change])  # type: ignore[list-item]  # a change
    await meets(stage)
    assert len(writer.asked) == 2


async def test_what_goes_on_or_asks_is_written_anew() -> None:
    stage, writer = stage_with(variants_max=1)
    dialogue = await stage.open("mira", "p1")
    await stage.say(dialogue, "p1", "Good morning!")
    await stage.say(dialogue, "p1", "Good morning!")
    await meets(stage, "Where is Borin?")
    kept = [completion.keep is not None for completion in writer.asked]
    assert kept == [True, False, False]


async def test_a_player_hears_no_line_that_was_written_for_another() -> None:
    stage, writer = stage_with(variants_max=1)
    await meets(stage)
    await meets(stage, player="p2")
    assert len(writer.asked) == 2
    assert all(f"player:{asked.player}" in (asked.keep or Keep(said="")).state for asked in writer.asked)


async def test_a_context_that_tells_of_another_player_is_not_kept() -> None:
    world = make_world()
    stage, writer = stage_with(world)
    await meets(stage)
    await stage.journal.append(
        "studio", "vale", [FactAsserted(fact=Fact(subject="p2", predicate="fame", value="high"))]
    )
    await meets(stage)
    assert [completion.keep is not None for completion in writer.asked] == [True, False]


async def test_news_of_another_player_is_not_kept() -> None:
    stage, writer = stage_with()
    events = await stage.journal.append(
        "studio", "vale", [Happened(verb="killed", actor="p2", target="tom", location="inn")]
    )
    assert stage.module.react is not None
    for event in events:
        stage.module.react(stage.world, event)
    await meets(stage)
    scene = writer.asked[0].scene
    assert scene is not None
    assert "Sly" in msgspec.json.encode(scene).decode()
    assert writer.asked[0].keep is None
