"""Draws, advantages and slopes by the kernels are those of plain numpy and of torch's own differentiation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.learning.envs import choices
from app.learning.envs.environment import Environment
from app.learning.envs.sensing import SLOT_COLUMN
from app.learning.envs.village import AIMS

SEEDS = st.integers(0, 2**32)


def scene(seed: int, rows: int = 96) -> tuple[Any, Any, Any, np.random.Generator]:
    """Logits, observations and masks of a village that never was."""
    dice = np.random.default_rng(seed)
    environment = Environment(2, rows // 2, seed)
    obs, mask = (part.copy() for part in environment.observe())
    return dice.normal(0.0, 2.0, (rows, 16)).astype(np.float32), obs, mask, dice


def drawn(logits: Any, obs: Any, mask: Any, key: int) -> tuple[Any, ...]:
    rows = len(logits)
    made = [np.empty(rows, kind) for kind in (np.int8, np.int8, np.uint8, np.float32)]
    choices.choose(logits, obs, mask, key, *made)
    return tuple(made)


def test_intents_are_drawn_as_often_as_their_odds_say_and_never_against_the_mask() -> None:
    logits, obs, mask, _ = scene(1, 2)
    many = 40_000
    rows = [np.repeat(part[:1], many, axis=0) for part in (logits, obs, mask)]
    intents, slots, _, likely = drawn(*rows, key=choices.mix(7, 7))
    raw = np.where(mask[0] != 0, np.exp(logits[0, :12].astype(float)), 0.0)
    odds = raw / raw.sum()
    found = np.bincount(intents, minlength=12) / many
    assert found == pytest.approx(odds, abs=0.01)
    plain = [intent for intent in range(12) if not AIMS[intent] and odds[intent] > 0.0]
    for intent in plain:
        mine = likely[intents == intent]
        assert mine == pytest.approx(np.log(odds[intent]), abs=1e-4)
    assert (slots[np.isin(intents, plain)] == -1).all()


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_a_slot_is_drawn_exactly_where_the_intent_may_aim_at_somebody(seed: int) -> None:
    logits, obs, mask, _ = scene(seed)
    intents, slots, _, _ = drawn(logits, obs, mask, seed)
    for row, (intent, slot) in enumerate(zip(intents.tolist(), slots.tolist(), strict=True)):
        assert mask[row, intent]
        filled = [aim for aim in AIMS[intent] if obs[row, SLOT_COLUMN + 4 * aim + 2] > 0.0]
        assert (slot in filled) if filled else slot == -1


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, steps=st.integers(1, 12))
def test_advantages_are_the_discounted_sums_of_surprises_until_a_death(seed: int, steps: int) -> None:
    dice = np.random.default_rng(seed)
    rewards, values = dice.normal(size=(steps, 5)).astype("f4"), dice.normal(size=(steps + 1, 5)).astype("f4")
    ends = dice.random((steps, 5)) < 0.2
    found = np.empty_like(rewards)
    choices.advantages(rewards, values, ends, 0.9, 0.8, found)
    for row in range(5):
        for step in range(steps):
            expected, weight = 0.0, 1.0
            for later in range(step, steps):
                following = 0.0 if ends[later, row] else 0.9 * values[later + 1, row]
                expected += weight * (rewards[later, row] + following - values[later, row])
                weight *= 0.9 * 0.8
                if ends[later, row]:
                    break
            assert found[step, row] == pytest.approx(expected, abs=1e-4)


def test_advantages_have_the_same_spread_in_each_role_and_none_where_nobody_learns() -> None:
    dice = np.random.default_rng(3)
    role = np.repeat(np.arange(3, dtype=np.int8), 40)
    advantage = (dice.normal(size=(8, 120)) * (1.0 + 10.0 * role) + role).astype(np.float32)
    learns = dice.random((8, 120)) < 0.8
    choices.scale(advantage, role, learns, 3)
    for kind in range(3):
        mine = advantage[:, role == kind][learns[:, role == kind]]
        assert mine.mean() == pytest.approx(0.0, abs=1e-3)
        assert mine.std() == pytest.approx(1.0, abs=1e-3)
    assert not advantage[~learns].any()


def torch_odds(logits: Any, mask: Any) -> Any:
    import torch

    return torch.log_softmax(logits[:, :12].masked_fill(torch.from_numpy(mask) == 0, -1e9), dim=1)


def torch_lawless(logits: Any, mask: Any) -> Any:
    """How little falls on allowed intents when no mask is applied."""
    import torch

    raw = logits[:, :12]
    allowed = raw.masked_fill(torch.from_numpy(mask) == 0, -1e9)
    return (torch.logsumexp(raw, 1) - torch.logsumexp(allowed, 1)).mean()


def torch_slots(logits: Any, obs: Any, intents: Any) -> tuple[Any, Any]:
    import torch

    aims = torch.tensor([[slot in aims for slot in range(4)] for aims in AIMS])
    hp = torch.from_numpy(obs[:, [SLOT_COLUMN + 4 * slot + 2 for slot in range(4)]])
    filled = aims[torch.from_numpy(intents.astype(np.int64))] & (hp > 0.0)
    return torch.log_softmax(logits[:, 12:].masked_fill(~filled, -1e9), dim=1), filled


@pytest.mark.needs_torch
@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_the_slope_of_ppo_is_what_torch_finds_for_the_written_loss(seed: int) -> None:
    import torch

    logits, obs, mask, dice = scene(seed)
    rows = len(logits)
    intents, slots, filled, likely = drawn(logits, obs, mask, seed)
    now = torch.from_numpy(logits + dice.normal(0.0, 0.3, logits.shape).astype(np.float32)).requires_grad_()
    gain = dice.normal(size=rows).astype(np.float32)
    odds, (aims, some) = torch_odds(now, mask), torch_slots(now, obs, intents)
    picked = torch.from_numpy(np.maximum(slots, 0).astype(np.int64))[:, None]
    log = odds.gather(1, torch.from_numpy(intents.astype(np.int64))[:, None])[:, 0]
    log = log + torch.where(some.any(1), aims.gather(1, picked)[:, 0], torch.tensor(0.0))
    ratio = (log - torch.from_numpy(likely)).exp()
    weight = torch.from_numpy(gain)
    goal = torch.min(ratio * weight, ratio.clamp(0.8, 1.2) * weight).mean()
    wanted = np.array([dice.choice(np.flatnonzero(may)) for may in mask], np.int8)
    away = -odds.gather(1, torch.from_numpy(wanted.astype(np.int64))[:, None]).mean()
    entropy = -(odds.exp() * odds.clamp(min=-1e8)).sum(1)
    (-goal - 0.01 * entropy.mean() + choices.OBEY_SHARE * torch_lawless(now, mask) + 0.3 * away).backward()
    slope = np.empty_like(logits)
    spread, _ = choices.push(
        now.detach().numpy(), mask, intents, slots, filled, likely, gain, wanted, 0.2, 0.01, 0.3, rows, slope
    )
    assert slope == pytest.approx(now.grad.numpy(), abs=2e-5)
    assert spread == pytest.approx(float(entropy.sum().detach()), rel=1e-3)


@pytest.mark.needs_torch
@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_the_slope_of_imitation_is_what_torch_finds_for_the_written_loss(seed: int) -> None:
    import torch

    logits, obs, mask, dice = scene(seed)
    rows = len(logits)
    wanted = np.array([dice.choice(np.flatnonzero(may)) for may in mask], np.int8)
    now = torch.from_numpy(logits).requires_grad_()
    odds, (aims, some) = torch_odds(now, mask), torch_slots(now, obs, wanted)
    nearer = torch.tensor([AIMS[intent][0] if AIMS[intent] else 0 for intent in wanted])[:, None]
    both = some.sum(1) == 2  # with one alone there is nothing to choose
    loss = -odds.gather(1, torch.from_numpy(wanted.astype(np.int64))[:, None])[:, 0].mean()
    loss = loss + choices.OBEY_SHARE * torch_lawless(now, mask)
    (loss - 0.2 * torch.where(both, aims.gather(1, nearer)[:, 0], torch.tensor(0.0)).mean()).backward()
    slope = np.empty_like(logits)
    choices.copy(logits, obs, mask, wanted, 0.2, rows, slope)
    assert slope == pytest.approx(now.grad.numpy(), abs=2e-5)


@pytest.mark.needs_torch
def test_the_pass_without_allocation_gives_torch_s_own_values_and_gradients() -> None:
    import torch

    from app.learning.nets import WEIGHTS, Pass, Policy, views

    torch.manual_seed(3)
    policy, dice = Policy(), np.random.default_rng(1)
    with torch.no_grad():
        policy.flat.add_(0.05 * torch.randn(WEIGHTS))
    obs, slope = dice.normal(size=(700, 64)).astype("f4"), dice.normal(size=(700, 16)).astype("f4")
    error = dice.normal(size=700).astype("f4")
    seen = torch.from_numpy(obs)
    logits, worth = policy.logits(seen), policy.worth(seen)
    torch.autograd.backward([logits, worth], [torch.from_numpy(slope), torch.from_numpy(error)])
    expected = torch.cat([each.grad.flatten() for each in policy.parameters()])
    with torch.no_grad():
        passes, found = Pass(policy), torch.zeros(WEIGHTS)
        assert passes.logits(obs) == pytest.approx(logits.detach().numpy(), abs=1e-4)
        assert passes.worth(obs) == pytest.approx(worth.detach().numpy(), abs=1e-4)
        passes.backward(slope, error, views(found))
    assert found.numpy() == pytest.approx(expected.numpy(), abs=5e-3, rel=1e-3)
