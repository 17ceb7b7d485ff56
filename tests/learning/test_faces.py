"""The village through the field's own interfaces, checked by their own checkers."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import parallel_api_test

from app.core.errors import Invalid
from app.learning.envs import faces, sensing
from app.learning.envs.environment import Environment
from app.modules.behavior import considerations, logic, schema

LAYOUT = schema.load("open_world")
RULES = logic.rule_brain(considerations.load("open_world", LAYOUT))


def test_pettingzoo_accepts_the_village(capsys: pytest.CaptureFixture[str]) -> None:
    parallel_api_test(faces.Parallel(npcs=20, steps_max=60), num_cycles=100)
    assert "Passed" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:.*spec.*")
def test_gymnasium_accepts_one_npc_of_the_village() -> None:
    check_env(faces.as_gymnasium(faces.Solo)(RULES, role="merchant", npcs=20), skip_render_check=True)


def test_gymnasium_s_own_wrappers_take_all_npcs_as_a_vector() -> None:
    village = faces.as_gymnasium(faces.Vector)(villages=2, npcs=20, steps_max=30)
    counted = gymnasium.wrappers.vector.RecordEpisodeStatistics(village)
    obs, info = counted.reset(seed=3)
    assert obs in counted.observation_space
    dice = np.random.default_rng(0)
    ended = 0
    for _ in range(35):
        actions = np.array([dice.choice(np.flatnonzero(may)) for may in info["action_mask"]])
        assert actions in counted.action_space
        obs, rewards, _, over, info = counted.step(actions)
        ended += int(over.all())
        assert rewards.shape == over.shape == (40,)
    assert ended == 1


def test_the_same_seed_and_actions_give_the_same_run_and_old_answers_stay() -> None:
    runs = []
    for _ in range(2):
        village = faces.Vector(villages=1, npcs=24)
        obs, info = village.reset(seed=8)
        kept, first = obs, obs.copy()
        for step in range(20):
            actions = np.array([np.flatnonzero(may)[step % may.sum()] for may in info["action_mask"]])
            obs, _, _, _, info = village.step(actions)
        assert (kept == first).all()
        runs.append(obs.tobytes())
    assert runs[0] == runs[1]


def test_a_legal_action_never_aims_at_an_empty_slot_and_is_what_it_says() -> None:
    environment = Environment(2, 30, 5)
    obs, mask = environment.observe()
    may = faces.legal(obs, mask)
    assert may.any(axis=1).all()
    for row in range(len(obs)):
        for action in np.flatnonzero(may[row]).tolist():
            intents, slots = faces.split(np.array([action]))
            assert mask[row, intents[0]] == 1
            if slots[0] >= 0:
                assert obs[row, sensing.SLOT_COLUMN + 4 * int(slots[0]) + 2] > 0.0


def test_a_stranger_s_action_and_an_unknown_role_are_named() -> None:
    village = faces.Parallel(npcs=20)
    village.reset(seed=1)
    with pytest.raises(Invalid, match="guard_99"):
        village.step({"guard_99": 0})
    with pytest.raises(Invalid, match="guardian"):
        faces.Solo(RULES, role="guardian")
