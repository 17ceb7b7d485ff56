"""Reflexes of the schema's file: those of the open world do what was once written in code, and whatever is allowed."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.modules.behavior import logic, schema
from app.modules.behavior.reflexes import COMPARISONS, Reflexes
from app.modules.behavior.schema import NONE
from tests.modules.behavior.stage import LAYOUT, observations

F32 = NDArray[np.float32]


def by_hand(obs: F32) -> F32:
    """What the open world's reflexes came to as scores: the highest one that is allowed, the first of equals."""
    index, column = LAYOUT.intent_index, LAYOUT.columns
    scores = np.zeros((len(obs), 12), np.float32)

    def seen(name: str) -> F32:
        found: F32 = obs[:, column[name]]
        return found

    foe = (seen("slot0_hp") > 0.0).astype(np.float32)
    night = seen("is_night")
    fighter = np.maximum(seen("is_guard"), seen("is_predator"))
    scores[:, index["rest"]] = 0.2
    scores[:, index["home"]] = 0.1 + 0.2 * night
    scores[:, index["work"]] = 0.3 * (1.0 - night) * np.maximum(seen("is_villager"), seen("is_merchant"))
    scores[:, index["patrol"]] = 0.3 * seen("is_guard")
    scores[:, index["eat"]] = 0.8 * (seen("hunger") > 0.6)
    scores[:, index["attack"]] = foe * fighter * (seen("hp") > 0.4)
    scores[:, index["flee"]] = foe * (1.0 - scores[:, index["attack"]])
    return scores


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from((0.1, 0.5, 0.9, 1.0)))
def test_the_open_world_s_reflexes_are_what_they_were(seed: int, allowed: float) -> None:
    generator = np.random.default_rng(seed)
    obs = observations(60, seed=seed)
    obs[:, LAYOUT.columns["is_night"]] = generator.integers(0, 2, 60)
    obs[generator.random(60) < 0.4, LAYOUT.columns["slot0_hp"]] = 0.0
    obs[generator.random(60) < 0.2] = 0.0
    mask = (generator.random((60, 12)) < allowed).astype(np.uint8)
    found = Reflexes(LAYOUT).follow(obs, mask)
    aim = logic.nearest_slots(LAYOUT, obs)
    wanted = logic.choose(LAYOUT, obs, mask, by_hand(obs), aim, sharpness=8.0, taste=None)
    assert found.intents.tolist() == wanted.intents.tolist()
    assert found.targets.tolist() == wanted.targets.tolist()


@settings(deadline=None)
@given(st.sampled_from(("open_world", "arena")), st.integers(0, 2**32 - 1))
def test_the_first_line_that_holds_and_is_allowed_decides(name: str, seed: int) -> None:
    layout = schema.load(name)
    generator = np.random.default_rng(seed)
    obs = (generator.random((20, len(layout.features))) * (generator.random((20, len(layout.features))) < 0.6)).astype(
        np.float32
    )
    mask = generator.integers(0, 2, (20, len(layout.intents))).astype(np.uint8)
    choice = Reflexes(layout).follow(obs, mask)
    for row in range(20):
        allowed = np.flatnonzero(mask[row]).tolist()
        expected = allowed[0] if allowed else NONE
        for line in reversed(layout.reflexes):
            mine = not line.roles or any(obs[row, layout.columns[f"is_{role}"]] > 0.5 for role in line.roles)
            holds = all(
                COMPARISONS[test.is_](
                    obs[row, layout.columns[test.feature]],
                    np.float32(layout.features[layout.columns[test.feature]].encode(test.value)),
                )
                for test in line.when
            )
            if mine and holds and mask[row, layout.intent_index[line.intent]]:
                expected = layout.intent_index[line.intent]
        assert choice.intents[row] == expected
