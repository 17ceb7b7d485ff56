"""`quests.export` over a real world: what is generated can be taken out, proved anew, and kept."""

from __future__ import annotations

import json

import msgspec
import pytest

from app.core.errors import Invalid, NotFound, TooLarge
from app.modules.quests.draft import Draft, DraftStep
from app.modules.quests.exports import files, formats, schema
from app.modules.quests.exports.drafts import drafts_of
from app.modules.quests.messages import Export, Exported, Generate, Keep, Kept, Quest, Verdict, Verify
from app.modules.quests.planning.domain import load_vocabulary
from app.modules.quests.settings import Settings
from tests.modules.quests.exports.quests import OATH
from tests.modules.quests.stage import Stage
from tests.modules.quests.villages import friends, village

VOCABULARY = load_vocabulary()
COLUMNS = 'dialect = "sqlite"\n[[tables]]\nname = "q"\neach = "quest"\ncolumns = { id = "{quest.id}" }\n'


async def generated(seed: int) -> tuple[Stage, Quest]:
    stage = Stage(village(seed))
    return stage, await stage.quest(Generate(giver=friends(stage.world)[0], player="hero", seed=seed))


async def exported(stage: Stage, quest: str, format: schema.Format, columns: str = "") -> str:
    reply = await stage.ask(Export(quest=quest, format=format, columns=columns))
    assert isinstance(reply, Exported)
    assert reply.media_type == formats.MEDIA_TYPES[format]
    assert reply.file == f"quests{formats.ENDINGS[format]}"
    return reply.text


@pytest.mark.parametrize("seed", range(16))
async def test_what_is_generated_comes_out_as_a_draft_that_is_proved_anew(seed: int) -> None:
    stage, quest = await generated(seed)
    drafts = files.read(await exported(stage, quest.id, "json"), "quests.json")
    for draft in drafts:
        verdict = await stage.ask(Verify(quest=draft))
        assert isinstance(verdict, Verdict)
        assert verdict.verdict in ("verified", "verified_with_assumptions"), verdict.reason
    (first, *_) = drafts
    assert (first.title, first.giver, first.level) == (quest.title, quest.giver, quest.level)
    needed = [step for step in quest.steps if step.goal]
    texts = {step.text for draft in drafts for step in draft.steps} | {
        step.text for draft in drafts for branch in draft.branches for step in branch.steps
    }
    assert needed
    assert {step.text for step in needed} <= texts


@pytest.mark.parametrize("format", ["ink", "yarn", "twee", "yarn-strings", "sql", "svg"])
async def test_every_format_is_answered_and_changes_nothing(format: schema.Format) -> None:
    stage, quest = await generated(3)
    seq = stage.world.state.seq
    text = await exported(stage, quest.id, format, COLUMNS if format == "sql" else "")
    assert text == await exported(stage, quest.id, format, COLUMNS if format == "sql" else "")
    assert stage.world.state.seq == seq
    if format in ("ink", "yarn"):
        assert formats.read(text, f"quests.{format}") == drafts_of(VOCABULARY, quest)


async def test_a_kept_quest_comes_out_as_it_was_handed_in() -> None:
    stage = Stage(village(1))
    steps = (DraftStep(id="s1", action="goto", location="place1", text="Go.\nThen look."),)
    draft = Draft(id="walk", title="A walk", giver="npc0", steps=steps, requires=("none",))
    kept = await stage.ask(Keep(quest=draft))
    assert isinstance(kept, Kept)
    for format in ("json", "ink", "yarn"):
        text = await exported(stage, "walk", format)
        assert formats.read(text, f"quests.{format}") == (draft,)
    await stage.ask(Keep(quest=msgspec.structs.replace(draft, id="void", giver="nobody")))
    assert "not proved yet" in await exported(stage, "void", "svg"), "a draft that is not verified has no certificate"


async def test_what_cannot_be_exported_says_why() -> None:
    stage, quest = await generated(2)
    with pytest.raises(NotFound) as caught:
        await stage.ask(Export(quest=quest.id[:-1]))
    assert quest.id in caught.value.hint
    with pytest.raises(Invalid, match="rows need a column map"):
        await stage.ask(Export(quest=quest.id, format="sql"))
    with pytest.raises(Invalid, match="columns: "):
        await stage.ask(Export(quest=quest.id, format="sql", columns="dialect = 3"))
    for format in ("ink", "svg"):
        with pytest.raises(Invalid, match=f"'{format}' has no rows"):
            await stage.ask(Export(quest=quest.id, format=format, columns=COLUMNS))
    narrow = Stage(stage.world, Settings(export_bytes_max=100))
    with pytest.raises(TooLarge, match="bytes"):
        await narrow.ask(Export(quest=quest.id, format="svg"))


def test_the_ways_of_a_quest_are_the_branches_of_its_draft() -> None:
    (draft,) = drafts_of(VOCABULARY, OATH)
    assert [step.action for step in draft.steps] == ["learn", "goto"]
    assert draft.steps[0].target == "mara"
    assert [(branch.id, branch.text, branch.forbid) for branch in draft.branches] == [
        ("main", "", ()),
        ("theft", "Without paying", ("kill", "trade")),
        ("blood", "By the sword", ()),
    ]
    spy = draft.branches[1].steps[0]
    assert (spy.action, spy.target, spy.topic) == ("spy", "fence", "fence sleeps"), "the plan knows whom, the event not"
    assert spy.after == (draft.steps[-1].id,)
    assert [failure.entity for failure in draft.failures] == ["brom", "ring"]
    assert draft.reward is not None
    assert (draft.reward.experience, draft.reward.coins, draft.reward.items) == (120, 30, ("hammer",))
    assert draft.requires == ("q6",)


def test_ways_that_share_nothing_become_drafts_of_their_own() -> None:
    other = msgspec.structs.replace(OATH.branches[1], steps=OATH.branches[1].steps[2:4], goals=())
    quest = msgspec.structs.replace(OATH, branches=(other,))
    first, second = drafts_of(VOCABULARY, quest)
    assert (first.id, second.id) == ("q7", "q7.blood")
    assert [step.action for step in first.steps] == ["learn", "goto", "trade", "give"]
    assert [step.action for step in second.steps] == ["kill", "loot"]


@pytest.mark.parametrize("seed", range(4))
async def test_the_schemas_say_what_files_and_quests_look_like(seed: int) -> None:
    import jsonschema

    stage, quest = await generated(seed)
    whole = json.loads(await exported(stage, quest.id, "json"))
    jsonschema.validate(whole, schema.file_schema())
    for draft in whole["quests"]:
        jsonschema.validate(draft, schema.draft_schema())
    jsonschema.validate(json.loads(msgspec.json.encode(quest)), schema.quest_schema())
    jsonschema.validate(json.loads(msgspec.json.encode(quest.certificate)), schema.certificate_schema())
    whole["quests"][0]["steps"][0]["count"] = 0
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(whole, schema.file_schema())
