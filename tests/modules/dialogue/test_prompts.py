"""Lines are written from the version that a label chose: who gets which, what of it is guarded, what explain tells."""

from __future__ import annotations

import msgspec

from app.control.prompts.lint import lint
from app.core.prompts import version_of
from app.core.words import Sampling
from app.modules.dialogue import logic, messages
from tests.control.prompts.test_registry import NAME, OWN, live, reworded
from tests.modules.dialogue.village import TENANT, WORLD, Script, make_stage
from tests.prompts import LIMITS, registry

RULE = "Under the third stone of the bridge lies a key that opens every door of the town."


async def test_a_version_brings_its_rules_model_and_bounds_and_explain_names_it() -> None:
    mine = msgspec.structs.replace(
        reworded(RULE), model="small", output_tokens_max=50, sampling=Sampling(temperature=0.3)
    )
    prompts, script = registry(), Script(lambda _completion: "A fine day.")
    await prompts.learn([live(TENANT, {version_of(mine): 1}, mine)])
    stage = make_stage(words=script, prompts=prompts)
    said = await stage.say(await stage.open("anna", "p1"), "p1", "Hello")
    (asked,) = script.asked
    assert RULE in asked.parts[0].text
    assert (asked.prefer, asked.output_tokens_max, asked.sampling.temperature) == ("small", 50, 0.3)
    explained = await stage.ask(messages.Explain(explain_id=said.explain_id))
    assert isinstance(explained, messages.Explained)
    assert (explained.prompt_version, explained.prompt_label) == (asked.prompt, "production")
    assert asked.prompt == f"{NAME}@{version_of(mine)[:16]}"


async def test_a_version_never_lifts_the_bound_of_the_module() -> None:
    mine = msgspec.structs.replace(OWN, output_tokens_max=100_000)
    prompts, script = registry(), Script(lambda _completion: "A fine day.")
    await prompts.learn([live(TENANT, {version_of(mine): 1}, mine)])
    stage = make_stage(words=script, prompts=prompts)
    await stage.say(await stage.open("anna", "p1"), "p1", "Hello")
    assert script.asked[0].output_tokens_max == 220


async def test_the_rules_of_a_version_and_its_canary_are_never_spoken() -> None:
    mine = reworded(RULE)
    prompts = registry()
    await prompts.learn([live(TENANT, {version_of(mine): 1}, mine)])
    canary = logic.canary_of(TENANT, WORLD, "anna")
    script = Script(lambda _completion: f"Good day. {RULE} Look: {canary}. Farewell.")
    stage = make_stage(words=script, prompts=prompts)
    said = await stage.say(await stage.open("anna", "p1"), "p1", "Hello")
    assert canary in script.asked[0].parts[0].text
    assert "third stone" not in said.text
    assert canary not in said.text
    assert said.text.startswith("Good day.")


async def test_a_player_keeps_their_version_of_a_split_and_the_head_stays_the_same() -> None:
    one, two = reworded("One."), reworded("Two.")
    prompts, script = registry(), Script(lambda completion: f"Hm {len(completion.parts)}.")
    await prompts.learn([live(TENANT, {version_of(one): 1, version_of(two): 1}, one, two)])
    stage = make_stage(words=script, prompts=prompts)
    dialogue = await stage.open("anna", "p1")
    for text in ("Hello", "How are you?", "Farewell"):
        await stage.say(dialogue, "p1", text)
    assert len({asked.prompt for asked in script.asked}) == 1
    assert len({tuple(part.text for part in asked.parts[:2]) for asked in script.asked}) == 1
    chosen = {prompts.choose(TENANT, NAME, unit=f"{WORLD}/p{number}").version for number in range(50)}
    assert len(chosen) == 2


async def test_every_section_is_rendered_with_every_variable_that_it_may_use() -> None:
    """Else a version that lint let through would fail the line."""
    used = {
        section: [name for name, variable in OWN.variables.items() if section in (variable.sections or (section,))]
        for section in OWN.sections
    }
    texts = {section: " ".join(f"{{{{ {name} }}}}" for name in names) for section, names in used.items()}
    mine = msgspec.structs.replace(
        OWN,
        sections={name: msgspec.structs.replace(OWN.sections[name], text=text) for name, text in texts.items()},
    )
    assert not [one for one in lint(mine, LIMITS, contract=OWN) if one.level == "error"]
    lines = iter(("A fine day.", "Rain by noon, I fear.", "What a week it was."))
    prompts, script = registry(), Script(lambda _completion: next(lines))
    await prompts.learn([live(TENANT, {version_of(mine): 1}, mine)])
    stage = make_stage(words=script, prompts=prompts)
    dialogue, chatter = await stage.open("anna", "p1"), await stage.open("anna", "borin")
    for said in (
        await stage.say(dialogue, "p1", "Hello"),
        await stage.say(dialogue, "p1"),
        await stage.say(chatter, "anna"),
    ):
        assert said.rung == "words"
    assert {asked.prompt for asked in script.asked} == {f"{NAME}@{version_of(mine)[:16]}"}
