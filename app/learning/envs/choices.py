"""The arithmetic of learning beside the network: drawing actions, advantages, and the slopes of the losses.

Compiled, over plain arrays; it knows the order of logits (intents, then slots) and which slots an intent may aim at,
not the network that made them. Chance comes from a key alone, so a round can be played again.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from app.learning.envs.compiled import compiled, inlined
from app.learning.envs.sensing import SLOT_COLUMN
from app.learning.envs.village import AIMS, F32, I8, INTENTS, SLOTS

U8 = NDArray[np.uint8]
Bools = NDArray[np.bool_]

OPTIONS = len(INTENTS)
_WORD = (1 << 64) - 1
OBEY_SHARE = 0.1
"""What keeping to the mask unasked weighs beside the loss."""
FIRST_AIM = tuple(aims[0] if aims else -1 for aims in AIMS)
"""The nearer of the two slots side by side that each intent may aim at, or -1."""


def mix(*numbers: int) -> int:
    """One key below 2**63 of several numbers, for `choose`."""
    found = 0
    for number in numbers:
        z = (found ^ number) * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019 & _WORD
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _WORD
        found = (z ^ (z >> 29)) & _WORD >> 1
    return found


@inlined
def _chance(key: int, row: int) -> float:
    """In [0, 1), of a key and a row (splitmix64; Steele, Lea and Flood 2014)."""
    z = np.uint64(key) + np.uint64(row + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@compiled
def _odds(logits: F32, mask: U8, odds: F32) -> np.float32:
    """Chances of the allowed intents of one row into `odds` (12,); returns the log of what they were divided by."""
    top, total = np.float32(-1e30), np.float32(0.0)
    for k in range(OPTIONS):
        if mask[k] != 0 and logits[k] > top:
            top = logits[k]
    for k in range(OPTIONS):
        odds[k] = np.float32(math.exp(logits[k] - top)) if mask[k] != 0 else np.float32(0.0)
        total += odds[k]
    for k in range(OPTIONS):
        odds[k] /= total
    return top + np.float32(math.log(total))


@compiled
def _obey(logits: F32, odds: F32, weight: float, slope: F32) -> None:
    """Add the slope of `weight` times minus the log of what falls on allowed intents when no mask is applied.

    One row; without it nothing is ever learned of a forbidden intent, and a game that sends no mask would get it.
    """
    top, total = logits[0], np.float32(0.0)
    for k in range(1, OPTIONS):
        top = max(top, logits[k])
    for k in range(OPTIONS):
        total += np.float32(math.exp(logits[k] - top))
    for k in range(OPTIONS):
        slope[k] += weight * (np.float32(math.exp(logits[k] - top)) / total - odds[k])


@inlined
def _open(obs: F32, row: int, intent: int) -> int:
    """Which of the intent's two slots hold someone: bit 0 the nearer, bit 1 the other."""
    first = FIRST_AIM[intent]
    if first < 0:
        return 0
    nearer = obs[row, SLOT_COLUMN + 4 * first + 2] > 0.0
    other = obs[row, SLOT_COLUMN + 4 * first + 6] > 0.0
    return int(nearer) + 2 * int(other)


@inlined
def _second_odds(logits: F32, row: int, first: int, filled: int) -> float:
    """Chance of the farther of two slots."""
    if filled == 1:
        return 0.0
    if filled == 2:
        return 1.0
    return 1.0 / (1.0 + math.exp(logits[row, OPTIONS + first] - logits[row, OPTIONS + first + 1]))


@compiled
def choose(logits: F32, obs: F32, mask: U8, key: int, intents: I8, slots: I8, filled: U8, likely: F32) -> None:
    """Draw an intent and a slot for each row.

    `logits` (n, 16), `obs` (n, 64), `mask` (n, 12) -> `intents`, `slots` (n,) int8 (-1 = none), `filled` (n,) as bits
    (see `_open`) and `likely` (n,) the log-probability of both. `key` is below 2**63.
    """
    odds = np.empty(OPTIONS, np.float32)
    for row in range(len(logits)):
        scale = _odds(logits[row], mask[row], odds)
        dice, running, intent = _chance(key, 2 * row), 0.0, -1
        for k in range(OPTIONS):
            if odds[k] > 0.0 and (intent < 0 or running <= dice):
                intent = k
            running += odds[k]
        first, open_bits = FIRST_AIM[intent], _open(obs, row, intent)
        slot, sure = -1, 0.0
        if open_bits != 0:
            second = _second_odds(logits, row, first, open_bits)
            takes = _chance(key, 2 * row + 1) < second
            slot = first + 1 if takes else first
            sure = math.log(second if takes else 1.0 - second)
        intents[row], slots[row], filled[row] = intent, slot, open_bits
        likely[row] = logits[row, intent] - scale + sure


@compiled
def best(logits: F32, obs: F32, mask: U8, intents: I8, slots: I8) -> None:
    """As `choose`, the most likely instead of a draw, as the policy is served."""
    for row in range(len(logits)):
        intent, top = 0, np.float32(-1e30)
        for k in range(OPTIONS):
            if mask[row, k] != 0 and logits[row, k] > top:
                intent, top = k, logits[row, k]
        first, open_bits = FIRST_AIM[intent], _open(obs, row, intent)
        slot = -1
        if open_bits != 0:
            slot = first + 1 if _second_odds(logits, row, first, open_bits) > 0.5 else first
        intents[row], slots[row] = intent, slot


@compiled
def advantages(rewards: F32, values: F32, ends: Bools, discount: float, trace: float, out: F32) -> None:
    """Generalized advantages (Schulman et al. 2016) of (steps, rows); a death ends what counts.

    `values` (steps + 1, rows) has one step more: what is expected after the last.
    """
    steps, rows = rewards.shape
    running = np.zeros(rows, np.float32)
    for step in range(steps - 1, -1, -1):
        for row in range(rows):
            goes_on = np.float32(0.0) if ends[step, row] else np.float32(1.0)
            surprise = rewards[step, row] + np.float32(discount) * values[step + 1, row] * goes_on - values[step, row]
            running[row] = surprise + np.float32(discount * trace) * goes_on * running[row]
            out[step, row] = running[row]


@compiled
def scale(advantage: F32, role: I8, counts: Bools, roles: int) -> None:
    """Bring advantages (steps, rows) to mean 0 and spread 1 within each role, so that no role drowns another.

    `role` (rows,), `counts` (steps, rows) marks those that learn; the rest become 0.
    """
    number, total, square = np.zeros(roles), np.zeros(roles), np.zeros(roles)
    steps, rows = advantage.shape
    for step in range(steps):
        for row in range(rows):
            if counts[step, row]:
                gain = float(advantage[step, row])
                number[role[row]] += 1.0
                total[role[row]] += gain
                square[role[row]] += gain * gain
    mean = total / np.maximum(number, 1.0)
    spread = np.sqrt(np.maximum(square / np.maximum(number, 1.0) - mean * mean, 0.0)) + 1e-6
    for step in range(steps):
        for row in range(rows):
            kind = role[row]
            gain = (advantage[step, row] - mean[kind]) / spread[kind]
            advantage[step, row] = gain if counts[step, row] else 0.0


@compiled
def push(
    logits: F32, mask: U8, intents: I8, slots: I8, filled: U8, likely: F32, advantage: F32, wanted: I8,
    clip: float, bonus: float, anchor: float, total: int, slope: F32,
) -> tuple[float, float]:  # fmt: skip
    """The slope of PPO's clipped loss (Schulman et al. 2017) and of the mask, minus `bonus` times the entropy.

    `anchor` times the cross-entropy to the intents `wanted` is added ("kickstarting", Schmitt et al. 2018). Rows as
    from `choose`, a part of a step of `total`; fills `slope` (n, 16), that of the mean loss by each logit. Returns the
    sum of the entropies and the number of rows that were clipped.
    """
    odds = np.empty(OPTIONS, np.float32)
    spread, clipped = 0.0, 0.0
    for row in range(len(logits)):
        scale_log = _odds(logits[row], mask[row], odds)
        intent, first = intents[row], FIRST_AIM[intents[row]]
        second = _second_odds(logits, row, first, filled[row]) if filled[row] != 0 else 0.0
        now = logits[row, intent] - scale_log
        if filled[row] != 0:
            now += math.log(max(1e-9, second if slots[row] > first else 1.0 - second))
        ratio, gain = math.exp(min(20.0, now - likely[row])), advantage[row]
        stays = ratio <= 1.0 + clip if gain > 0.0 else ratio >= 1.0 - clip
        pull = -gain * ratio / total if stays else 0.0
        clipped += 0.0 if stays else 1.0
        entropy = 0.0
        for k in range(OPTIONS):
            entropy -= odds[k] * (logits[row, k] - scale_log) if odds[k] > 0.0 else 0.0
        for k in range(OPTIONS):
            part = 0.0
            if odds[k] > 0.0:
                part = pull * ((1.0 if k == intent else 0.0) - odds[k])
                part += bonus / total * odds[k] * (logits[row, k] - scale_log + entropy)
                part += anchor / total * (odds[k] - (1.0 if k == wanted[row] else 0.0))
            slope[row, k] = part
        _obey(logits[row], odds, OBEY_SHARE / total, slope[row])
        for k in range(SLOTS):
            slope[row, OPTIONS + k] = 0.0
        if filled[row] == 3:
            push_second = pull * ((1.0 if slots[row] > first else 0.0) - second)
            slope[row, OPTIONS + first + 1], slope[row, OPTIONS + first] = push_second, -push_second
        spread += entropy
    return spread, clipped


@compiled
def copy(logits: F32, obs: F32, mask: U8, wanted: I8, weight: float, total: int, slope: F32) -> float:
    """The slope of the cross-entropy to the intents `wanted` (n,), of the mask, and `weight` times that to the slot.

    Fills `slope` (n, 16) as `push` does. Returns how many rows agree already.
    """
    odds = np.empty(OPTIONS, np.float32)
    agree = 0.0
    for row in range(len(logits)):
        _odds(logits[row], mask[row], odds)
        intent = max(0, wanted[row])
        first, open_bits = FIRST_AIM[intent], _open(obs, row, intent)
        agree += 1.0 if odds[intent] >= odds.max() else 0.0
        for k in range(OPTIONS):
            slope[row, k] = (odds[k] - (1.0 if k == intent else 0.0)) / total if mask[row, k] != 0 else 0.0
        _obey(logits[row], odds, OBEY_SHARE / total, slope[row])
        for k in range(SLOTS):
            slope[row, OPTIONS + k] = 0.0
        if open_bits == 3:
            second = weight / total * _second_odds(logits, row, first, open_bits)
            slope[row, OPTIONS + first + 1], slope[row, OPTIONS + first] = second, -second
    return agree
