"""Barks: short, authored, fitting what happened, and not the same twice."""

from __future__ import annotations

import msgspec
import pytest

from app.core.errors import Conflict, NotFound
from app.modules.dialogue import messages
from app.modules.dialogue.asides import bark, load_asides
from app.modules.dialogue.settings import Settings
from app.world.entities import Persona
from tests.modules.dialogue.village import Script, Stage, make_stage


async def shout(stage: Stage, npc: str = "anna", event: str = "", **about: str) -> messages.Barked:
    barked = await stage.ask(messages.Bark(npc=npc, event=event, **about))
    assert isinstance(barked, messages.Barked)
    return barked


async def test_a_bark_fits_its_event_names_those_concerned_and_leaves_no_trace() -> None:
    script = Script(lambda _: "never asked")
    stage = make_stage(words=script)
    lines = [(await shout(stage, event="attacked", actor="p2", target="tom")) for _ in range(5)]
    assert {line.event for line in lines} == {"attacked"}
    assert any("Sly" in line.text for line in lines)
    assert any("Tom" in line.text for line in lines)
    assert set(lines[0].heard_by) == {"p1", "p2", "tom"}
    assert not script.asked, "no model is paid for it"
    assert not stage.journal.events
    assert not stage.chunks


async def test_barks_do_not_come_again_as_long_as_there_are_others_nor_from_a_neighbor() -> None:
    stage = make_stage()
    mine = [(await shout(stage)).text for _ in range(4)]
    theirs = [(await shout(stage, "tom")).text for _ in range(4)]
    assert len({*mine, *theirs}) == 8


async def test_when_all_was_said_the_oldest_comes_again() -> None:
    stage = make_stage(settings=Settings(bark_lines_max=64))
    said = [(await shout(stage)).text for _ in range(20)]
    assert all(said)
    assert said[8:16] == said[:8]


async def test_an_npcs_own_lines_come_first() -> None:
    stage = make_stage()
    persona = Persona(lines={"bark_stole": ("Not my {item}!",), "bark": ("Hmpf.",)})
    anna = msgspec.structs.replace(stage.world.npc("anna"), persona=persona)
    stage.world.state.npcs["anna"] = anna
    assert (await shout(stage, event="stole", item="crown")).text == "Not my silver crown!"
    unknown = await shout(stage, event="sneezed")
    assert (unknown.text, unknown.event) == ("Hmpf.", "")


async def test_the_dead_and_the_unknown_are_refused() -> None:
    stage = make_stage()
    with pytest.raises(Conflict, match="dead"):
        await shout(stage, "olaf")
    with pytest.raises(NotFound, match="no entity 'nobody'"):
        await shout(stage, actor="nobody")


def test_a_line_that_names_something_unknown_is_never_taken() -> None:
    asides = load_asides()
    for event in asides["en"].bark:
        for seed in range(20):
            text = bark(
                asides, Persona(), [event], {"actor": "Sly", "target": "", "item": "", "place": ""}, (), seed
            ).text
            assert "{" not in text
            assert text
