"""The baselines that a policy is measured against are the module's own brains."""

from __future__ import annotations

import numpy as np

from app.cli import baselines
from app.learning.envs.environment import Environment
from app.modules.behavior import considerations, logic


def test_the_compiled_rules_decide_as_the_module_s_do_over_a_whole_life() -> None:
    seen, swift = baselines.rules()
    slow = logic.rule_brain(considerations.load(baselines.SCHEMA, seen))
    environment = Environment(3, 40, 2)
    for _ in range(40):
        obs, mask = environment.observe()
        ours, theirs = swift(obs, mask), slow(obs, mask)
        assert (ours[0] == theirs[0]).all()
        assert (ours[1] == theirs[1]).all()
        environment.step(*ours)


def test_every_other_baseline_decides_within_the_mask() -> None:
    seen, _ = baselines.rules()
    obs, mask = Environment(1, 40, 2).observe()
    for start in baselines.others(seen).values():
        intents, _ = start()(obs, mask)
        assert mask[np.arange(len(obs)), intents].all()
