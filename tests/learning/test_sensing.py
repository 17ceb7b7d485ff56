"""The sweep sees what a search of every pair sees, whatever the village looks like."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.learning.envs.environment import draw_villages
from app.learning.envs.sensing import COUNT_COLUMN, Senses, log1p
from tests.learning import twins


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    npcs=st.integers(1, 70),
    side=st.sampled_from([3, 20, 60, 400]),
    whole=st.booleans(),
)
def test_targets_and_counts_are_those_of_a_search_of_every_pair(seed: int, npcs: int, side: int, whole: bool) -> None:
    village = draw_villages(2, npcs, seed)
    generator = np.random.default_rng(seed)
    shape = village.x.shape
    village.role[:] = generator.integers(0, 5, shape)
    village.alive[:] = generator.random(shape) < 0.85
    village.stock[:] = generator.choice([0.0, 0.5, 3.0, 9.5, 10.0], shape)
    village.gold[:] = generator.choice([0.0, 1.0, 30.0], shape)
    for place in (village.x, village.y):
        place[:] = generator.random(shape) * side
        if whole:
            np.round(place, out=place)  # So that many stand at one spot, or at one distance.
    senses = Senses(2, npcs)
    generator.permuted(senses.order, axis=1, out=senses.order)
    senses.look(village)
    for v in range(2):
        for i in range(npcs):
            targets, counts = twins.senses(village, v, i)
            assert senses.targets[v, i].tolist() == targets
            found = senses.obs[v, i, COUNT_COLUMN : COUNT_COLUMN + 4] * 8.0
            assert found.tolist() == [min(8, count) for count in counts]


def test_the_compiled_logarithm_is_the_logarithm() -> None:
    values = np.concatenate([[0.0], np.geomspace(1e-6, 1e9, 5_000)]).astype(np.float32)
    found = values.copy()
    log1p(found)
    assert found == pytest.approx(np.log1p(values.astype(float)), abs=3e-7, rel=3e-7)


def test_the_dead_are_seen_by_nobody() -> None:
    village = draw_villages(1, 30, 4)
    village.alive[0, ::2] = 0
    senses = Senses(1, 30)
    senses.look(village)
    seen = senses.targets[senses.targets >= 0]
    assert len(seen)
    assert (seen % 2 == 1).all()
