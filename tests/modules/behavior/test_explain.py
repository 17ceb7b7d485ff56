"""Why an NPC decided as it did, checked against doing it again with one thing changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.core.clock import Deadline
from app.core.ports import Arrays
from app.modules.behavior import considerations, logic, messages
from app.modules.behavior.messages import Seen
from app.modules.behavior.settings import Settings
from tests.modules.behavior.stage import LAYOUT, Net, Stage, asked, handles, observations, stage

F32 = NDArray[np.float32]
RULES = considerations.load("open_world", LAYOUT)
NO_TASTE = Settings(taste_share=0.0, reasons_max=64)


@dataclass
class Deep(Net):
    """A network of two layers, in which features work together."""

    seed: int = 0

    def logits(self, obs: F32) -> F32:
        generator = np.random.default_rng(self.seed)
        first = generator.normal(0.0, 0.4, (64, 32)).astype(np.float32)
        second = generator.normal(0.0, 0.6, (32, 16)).astype(np.float32)
        # Row by row, so that the bits do not depend on the batch.
        return np.stack([np.maximum(row @ first, 0.0) @ second for row in obs])

    async def run(self, inputs: Arrays, deadline: Deadline, **options: Any) -> Arrays:
        if self.fault:
            return await Net.run(self, inputs, deadline, **options)
        found = {"logits": self.logits(inputs["obs"])}
        if options.get("after") is not None:
            options["after"](0, len(inputs["obs"]), found)
        return found


async def why(on: Stage, npc: str = "npc-0") -> messages.Explained:
    return cast(messages.Explained, await on.ask(messages.Explain(npc=npc), deadline_ms=20_000))


def one(**named: float) -> dict[str, Any]:
    return {"handles": handles(1), "features": (named,)}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**16))
def test_the_policy_s_reasons_are_those_of_leaving_each_feature_out(seed: int) -> None:
    import asyncio

    net = Deep(seed=seed % 7)

    async def told() -> messages.Explained:
        on = await stage(net, settings=NO_TASTE)
        await asked(on, 1, obs=observations(1, seed=seed).tobytes())
        return await why(on)

    found = asyncio.run(told())
    obs = observations(1, seed=seed)[0]
    intent = LAYOUT.intent_index[found.intent]

    def leads(row: F32) -> tuple[float, float]:
        logits = net.logits(row[None])[0]
        lead = float(logits[intent] - np.delete(logits[:12], intent).max())
        if found.target is None:
            return lead, 0.0
        others = [slot for slot in LAYOUT.intents[intent].slots if slot != found.target]
        return lead, float(logits[12 + found.target] - max(logits[12 + slot] for slot in others))

    effects, aims = {}, {}
    for column, name in enumerate(LAYOUT.feature_names):
        if obs[column] != 0.0:
            without = obs.copy()
            without[column] = 0.0
            falls = [whole - part for whole, part in zip(leads(obs), leads(without), strict=True)]
            effects[name] = falls[0]
            if not name.endswith("_hp") or name == "hp":
                aims[name] = falls[1]

    def strongest(of: dict[str, float]) -> list[str]:
        return sorted(of, key=lambda name: -abs(of[name]))

    assert [reason.name for reason in found.reasons[:5]] == strongest(effects)[:5]
    assert {reason.name: reason.effect for reason in found.reasons} == pytest.approx(
        {name: effect for name, effect in effects.items() if effect}, abs=2e-4
    )
    if found.target is not None:
        assert [reason.name for reason in found.target_reasons[:3]] == strongest(aims)[:3]
    assert found.lead == pytest.approx(leads(obs)[0], abs=1e-3)


@pytest.mark.parametrize("rung", ["policy", "utility", "reflex"])
@pytest.mark.parametrize("seed", range(4))
async def test_what_would_have_tipped_a_decision_does_tip_it(rung: str, seed: int) -> None:
    net = Deep(seed=seed) if rung == "policy" else None
    on = await stage(net, settings=NO_TASTE, rungs=(rung,))
    obs = observations(5, seed=seed)
    await asked(on, obs=obs.tobytes())
    for row in range(5):
        told = await why(on, f"npc-{row}")
        assert told.rung == rung
        tipping = told.tipping
        if tipping is None:
            assert net is not None
            assert _steadfast(net, obs[row], LAYOUT.intent_index[told.intent])
            continue
        column = LAYOUT.columns[tipping.feature]
        item = LAYOUT.features[column]
        assert tipping.feature not in {f"is_{role}" for role in LAYOUT.roles}
        assert told.features[tipping.feature] == pytest.approx(tipping.value, abs=1e-3)
        assert item.low <= tipping.needed <= item.high * 1.0001
        assert 0.0 < tipping.share <= 1.0
        moved = obs[row].copy()
        moved[column] = np.float32(item.encode(tipping.needed))
        again = await asked(on, 1, handles=handles(5)[4 * row : 4 * row + 4], obs=moved.tobytes())
        assert LAYOUT.intent_names[again.intents[0]] == tipping.intent != told.intent
        less = obs[row].copy()
        less[column] += (moved[column] - less[column]) * np.float32(0.97)
        still = await asked(on, 1, handles=handles(5)[4 * row : 4 * row + 4], obs=less.tobytes())
        assert LAYOUT.intent_names[still.intents[0]] == told.intent
        await asked(on, obs=obs.tobytes())


def _steadfast(net: Deep, row: F32, intent: int) -> bool:
    """Whether no feature by itself changes the intent, wherever in its range it lies."""
    columns = [at for at in range(64) if at not in LAYOUT.role_columns]
    tried = [np.linspace(LAYOUT.low[column], LAYOUT.high[column], 9) for column in columns]
    rows = np.repeat(row[None], 9 * len(columns), axis=0)
    rows[np.arange(len(rows)), np.repeat(columns, 9)] = np.concatenate(tried)
    return bool((net.logits(rows)[:, :12].argmax(axis=1) == intent).all())


async def test_the_parts_of_a_utility_add_up_to_what_competed() -> None:
    on = await stage(settings=Settings(taste_share=0.2))
    obs = observations(5, seed=3)
    obs[:, LAYOUT.block("doing")] = 0.0
    obs[:, LAYOUT.columns["doing_rest"]] = 1.0
    obs[:, LAYOUT.columns["energy"]] = 0.0
    obs[:, LAYOUT.columns["home_distance"]] = 0.0
    obs[:, [LAYOUT.columns[f"slot{slot}_hp"] for slot in range(4)]] = 0.0
    obs[:, LAYOUT.columns["slot0_threat"]] = 0.0
    await on.ask(messages.SetIntent(npc="npc-1", intent="rest"))
    await asked(on, obs=obs.tobytes())
    found = [await why(on, f"npc-{row}") for row in range(5)]
    for told in found:
        assert told.intent == "rest"
        untasted = sum(part.effect for part in told.parts if part.name != "taste")
        assert untasted == pytest.approx(told.scores["rest"], abs=1e-3)
        assert told.rule == told.parts[0].name == "sleep at home"
        assert {part.name for part in told.parts} >= {"held"}
        assert 0.0 <= sum(part.effect for part in told.parts if part.name == "taste") <= 0.2
    assert [("told" in {part.name for part in told.parts}) for told in found] == [False, True, False, False, False]
    assert any("taste" in {part.name for part in told.parts} for told in found)


async def test_a_rule_without_considerations_has_no_reasons() -> None:
    on = await stage(settings=NO_TASTE)
    await asked(on, 1, **one(is_guard=1.0, hp=1.0, energy=1.0, home_distance=50.0))
    told = await why(on)
    assert (told.intent, told.rule, told.reasons) == ("patrol", "a guard walks the rounds", ())
    assert told.runner_up != ""
    assert told.lead > 0.0


async def test_a_reflex_names_its_line_and_what_held() -> None:
    on = await stage(rungs=("reflex",))
    await asked(on, 1, **one(is_guard=1.0, hp=0.9, slot0_hp=0.8, slot0_distance=4.0))
    told = await why(on)
    assert (told.intent, told.rung, told.target) == ("attack", "reflex", 0)
    assert told.rule == "attack when slot0_hp > 0 and hp > 0.4"
    assert [(reason.name, reason.value) for reason in told.reasons] == [("slot0_hp", 0.8), ("hp", 0.9)]
    assert told.tipping is not None
    assert told.tipping.feature == "slot0_hp" or told.tipping.feature == "hp"


async def test_a_target_is_explained_by_what_set_it_before_the_other() -> None:
    on = await stage(settings=NO_TASTE)
    foes = tuple(Seen(kind="foe", features={"distance": far, "threat": 0.9, "hp": 1.0}) for far in (12.0, 5.0))
    await asked(on, 1, **one(is_villager=1.0, hp=1.0, energy=1.0), seen=(foes,))
    told = await why(on)
    assert (told.intent, told.target) == ("flee", 0)
    assert {reason.name for reason in told.target_reasons} == {"slot0_distance", "slot1_distance"}
    assert told.target_reasons[0].name == "slot1_distance"
    assert told.target_reasons[0].effect > 0.0


async def test_a_policy_that_is_down_leaves_the_decision_told_without_reasons() -> None:
    net = Deep()
    on = await stage(net)
    await asked(on)
    net.fault = "down"
    told = await why(on)
    assert (told.rung, told.reasons, told.tipping) == ("policy", (), None)
    assert told.intent
    assert told.parts[0].name == "logit"


async def test_only_what_was_allowed_is_named_as_runner_up() -> None:
    on = await stage(settings=NO_TASTE)
    for allowed, runner_up in ((("rest", "wander"), True), (("rest",), False)):
        await asked(on, 1, **one(is_guard=1.0, hp=1.0), allowed=(allowed,))
        told = await why(on)
        assert (told.runner_up in allowed) is runner_up
        assert told.runner_up != told.intent
        if not runner_up:
            assert (told.runner_up, told.lead, told.tipping) == ("", 0.0, None)


async def test_who_had_no_decision_is_explained_as_such() -> None:
    on = await stage()
    await asked(on, 1, **one(is_guard=1.0), allowed=(("flae",),))
    told = await why(on)
    assert (told.intent, told.rule, told.reasons, told.runner_up, told.tipping) == ("", "", (), "", None)


async def test_the_console_is_told_the_same_without_asking_a_brain() -> None:
    net = Deep()
    on = await stage(net, settings=NO_TASTE)
    await asked(on)
    runs, told = net.runs, await why(on)
    assert on.module.describe is not None
    shown = on.module.describe("t", "w", "npc-0")
    whole = msgspec.to_builtins(told)
    assert net.runs == runs
    assert {**whole, "reasons": (), "target_reasons": (), "tipping": None} == shown


async def test_utilities_in_an_explanation_are_those_of_the_rules() -> None:
    on = await stage(settings=NO_TASTE)
    obs = observations(5, seed=9)
    await asked(on, obs=obs.tobytes())
    told = await why(on, "npc-2")
    scores = RULES.score(obs[2:3])[0]
    assert told.scores == pytest.approx(dict(zip(LAYOUT.intent_names, scores.tolist(), strict=True)), abs=1e-4)
    wanted = logic.follow_rules(RULES, obs[2:3], np.ones((1, 12), np.uint8))
    assert told.intent == LAYOUT.intent_names[wanted.intents[0]]
