"""The whole step: the same for any number of threads, resumable from its state, and rewards that are data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.core.errors import Invalid
from app.learning.envs import village as life
from app.learning.envs.environment import Environment
from app.learning.envs.recording import record
from app.learning.envs.rewards import Rewards, read
from app.learning.envs.village import Village
from app.modules.behavior import considerations, logic, schema

RULES = logic.rule_brain(considerations.load("open_world", schema.load("open_world")))


def lived(environment: Environment, steps: int) -> bytes:
    rewards = b""
    for _ in range(steps):
        rewards = environment.step(*RULES(*environment.observe())).reward.tobytes()
    return rewards + b"".join(array.tobytes() for array in environment.village) + environment.senses.obs.tobytes()


def test_any_number_of_threads_lives_the_same_life() -> None:
    assert len({lived(Environment(5, 30, 2, threads=threads), 80) for threads in (1, 2, 3, 8)}) == 1


def test_a_life_goes_on_from_its_state_alone_as_if_never_interrupted() -> None:
    whole = Environment(3, 40, 9)
    lived(whole, 60)
    state = Village(*(array.copy() for array in whole.village))
    assert lived(Environment.over(state), 60) == lived(whole, 60)


def test_parts_of_an_environment_live_as_the_whole_does() -> None:
    whole, other = Environment(4, 30, 6), Environment(4, 30, 6)
    shares = other.split(3)
    for _ in range(40):
        whole.step(*RULES(*whole.observe()))
        for share in shares:
            share.step(*RULES(*share.observe()))
    assert sum(share.rows for share in shares) == whole.rows
    assert (whole.village.gold == other.village.gold).all()
    assert (whole.village.x == other.village.x).all()


def test_a_death_and_a_wound_cost_and_a_guard_s_kill_pays() -> None:
    environment = Environment(1, 30, 1)
    village = environment.village
    guard, predator = (int(np.flatnonzero(village.role[0] == role)[0]) for role in (life.GUARD, life.PREDATOR))
    village.x[0, predator], village.y[0, predator] = village.x[0, guard], village.y[0, guard]
    village.hp[0, predator] = 0.01
    environment = Environment.over(village)
    intents, slots = np.full(30, life.REST, np.int8), np.full(30, -1, np.int8)
    intents[guard], slots[guard] = life.ATTACK, 0
    moment = environment.step(intents, slots)
    assert moment.reward[0, guard] > 1.0
    assert moment.died[0, predator]
    assert moment.reward[0, predator] < -1.0


def test_rewards_of_a_file_replace_the_usual_ones_and_mistakes_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rewards.toml"
    path.write_text("gold = 0.5\n")
    assert read(path) == Rewards()._replace(gold=0.5)
    path.write_text("golt = 0.5\n")
    with pytest.raises(Invalid, match="golt") as raised:
        read(path)
    assert "gold" in raised.value.hint
    path.write_text("gold = nan\n")
    with pytest.raises(Invalid, match="nan"):
        read(path)
    path.write_text("gold = [")
    with pytest.raises(Invalid, match=r"rewards\.toml"):
        read(path)
    with pytest.raises(Invalid, match=r"nothing\.toml"):
        read(tmp_path / "nothing.toml")


def test_greed_is_rewarded_as_the_weights_say() -> None:
    usual, greedy = Environment(1, 40, 4), Environment(1, 40, 4, rewards=Rewards(gold=1.0))
    poor = rich = 0.0
    for _ in range(60):
        decided = RULES(*usual.observe())
        poor += float(usual.step(*decided).reward.sum())
        rich += float(greedy.step(*decided).reward.sum())
    assert (usual.village.gold == greedy.village.gold).all()
    assert poor != rich


def test_a_recording_holds_the_life_that_was_lived() -> None:
    made = record(RULES, RULES, [life.VILLAGER], seed=3, steps=40, npcs=30)
    assert made.xy.shape == (40, 30, 2)
    assert np.abs(np.diff(made.xy, axis=0)).max() > 0.1
    assert made.hour[0] == pytest.approx(5.05, abs=0.1)
    assert set(np.unique(made.intent)) <= set(range(12))
