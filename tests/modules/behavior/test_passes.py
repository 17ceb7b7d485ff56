"""The compiled passes against their numpy twins: the same bits, whatever the rows hold and however they are cut."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.modules.behavior import considerations, kernels, logic, messages
from app.modules.behavior.considerations import Authored, Curve, Option
from app.modules.behavior.logic import Choice, Taste
from app.modules.behavior.passes import Passes, Slow
from tests.modules.behavior.stage import LAYOUT, Net, handles, observations, stage

RULES = considerations.load("open_world", LAYOUT)
FAST, SLOW = kernels.Fast(LAYOUT, RULES), Slow(LAYOUT, RULES)
TABLE = logic.taste_table(12, 0.3)
SIZES = (1, 2, 7, 31, 63, 64, 65, 128, 200, 257, 500)


@dataclass
class Rows:
    """Random rows, some of them broken."""

    obs: NDArray[np.float32]
    mask: NDArray[np.uint8]
    logits: NDArray[np.float32]
    handles: NDArray[np.uint32]
    seed: int


@st.composite
def rows(draw: st.DrawFn) -> Rows:
    count = draw(st.sampled_from((0, *SIZES)))
    seed = draw(st.integers(0, 2**63 - 1))
    generator = np.random.default_rng(seed)
    obs = generator.random((count, 64), np.float32) * (generator.random((count, 64)) < 0.6)
    obs[:, LAYOUT.role_columns] = np.eye(5)[generator.integers(0, 5, count)]
    logits = np.round(generator.normal(0.0, 4.0, (count, 16)), draw(st.sampled_from((0, 6))))
    for matrix in (obs, logits):
        for value in draw(st.lists(st.sampled_from((np.nan, np.inf, -np.inf, 9.0, -9.0)), max_size=3)):
            if count:
                matrix[generator.integers(0, count), generator.integers(0, matrix.shape[1])] = value
    mask = (generator.random((count, 12)) < draw(st.sampled_from((0.05, 0.5, 1.0)))).astype(np.uint8)
    known = generator.integers(0, 2**32, count, dtype=np.uint32)
    return Rows(obs.astype(np.float32), mask, logits.astype(np.float32), known, seed)


def surveyed(passes: Passes, given_rows: Rows, edges: list[int]) -> tuple[NDArray[np.uint8], int]:
    flags = np.full(len(given_rows.obs), 77, np.uint8)
    seen = 0
    for first, last in itertools.pairwise(edges):
        seen |= passes.survey(given_rows.obs, given_rows.mask, given_rows.handles, 2**31, flags, first, last)
    return flags, seen


def chosen(
    passes: Passes, given_rows: Rows, edges: list[int], *, led: NDArray[np.intp], rules: bool
) -> tuple[list[NDArray[np.generic]], int]:
    count = len(given_rows.obs)
    obs, _ = logic.clip(LAYOUT, given_rows.obs, surveyed(SLOW, given_rows, [0, count])[0])
    if rules:
        choice = Choice.over(np.empty((count, 12), np.float32), np.empty((count, 4), np.float32))
    else:
        logits = given_rows.logits.copy()
        choice = Choice.over(logits[:, :12], logits[:, 12:])
    taste = Taste(TABLE, given_rows.seed, given_rows.handles)
    sound = np.full(count, 77, np.uint8)
    unsound = 0
    for first, last in itertools.pairwise(edges):
        if rules:
            passes.weigh(obs, choice, first, last)
        unsound += passes.choose(obs, given_rows.mask, taste, led, 8.0, choice, sound, first, last)
    fine = sound == 1
    parts = (choice.intents, choice.targets, choice.confidence, choice.scores, choice.aim)
    return [sound, *(part[fine] for part in parts)], unsound


def edges_of(count: int, cut: float) -> list[int]:
    return [0, int(count * cut), count]


@given(rows(), st.floats(0.0, 1.0))
def test_what_is_wrong_with_a_row_is_found_alike(given_rows: Rows, cut: float) -> None:
    count = len(given_rows.obs)
    slow, slow_seen = surveyed(SLOW, given_rows, [0, count])
    fast, fast_seen = surveyed(FAST, given_rows, edges_of(count, cut))
    assert fast.tobytes() == slow.tobytes()
    assert fast_seen == slow_seen


@given(rows(), st.floats(0.0, 1.0), st.sampled_from(((), (0, 3))), st.booleans())
def test_decisions_have_the_same_bits(given_rows: Rows, cut: float, roles: tuple[int, ...], rules: bool) -> None:
    count = len(given_rows.obs)
    led = LAYOUT.role_columns[list(roles)] if roles else np.empty(0, np.intp)
    slow, slow_unsound = chosen(SLOW, given_rows, [0, count], led=led, rules=rules)
    fast, fast_unsound = chosen(FAST, given_rows, edges_of(count, cut), led=led, rules=rules)
    assert fast_unsound == slow_unsound
    for one, other in zip(fast, slow, strict=True):
        assert np.array_equal(one, other)


def test_bent_curves_and_several_options_of_an_intent_score_alike() -> None:
    """A power is a library's: numpy's and the compiler's agree to a few units in the last place."""
    options = (
        Option(name="a", intent="flee", weight=0.7, when=(Curve("hp", 1.0, 0.0, 2.5), Curve("hunger", 0.0, 1.0, 0.5))),
        Option(name="b", intent="flee", weight=0.4, roles=("guard", "prey")),
        Option(name="c", intent="rest", weight=-0.2, when=(Curve("energy", 0.0, 1.0),)),
    )
    rules = considerations.compile_rules(Authored(schema="x", held=0.1, told=0.2, options=options), LAYOUT)
    obs = observations(300)
    found = []
    for passes in (kernels.Fast(LAYOUT, rules), Slow(LAYOUT, rules)):
        choice = Choice.over(np.empty((300, 12), np.float32), np.empty((300, 4), np.float32))
        passes.weigh(obs, choice, 0, 300)
        found.append(choice.scores)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("policy", [True, False])
async def test_a_tick_is_answered_alike_before_and_after_warming(policy: bool) -> None:
    count = kernels.Fast.loop_rows_max + 700
    on = await stage(Net("nan", roles="guard,prey") if policy else None, npcs=count)
    obs, mask = observations(count), np.ones((count, 12), np.uint8)
    obs[3, 5], obs[count - 2, 9], mask[17] = np.nan, 40.0, 0
    asked = messages.Decide(tick=5, handles=handles(count), obs=obs.tobytes(), mask=mask.tobytes())
    cold = await on.ask(asked, deadline_ms=5_000)
    cold_engine = on.notes["engine"]
    assert on.module.warm is not None
    on.module.warm()
    assert await on.ask(asked, deadline_ms=5_000) == cold
    assert (cold_engine, on.notes["engine"]) == (("double", "double") if policy else ("numpy", "numba"))
