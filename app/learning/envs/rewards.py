"""What a moment is worth to an NPC: needs, wounds, trade, duty, steadiness and obedience as one number.

The weights are data: a TOML of some of the fields of Rewards replaces those, the rest stay. It knows the state
before and after a step, not how the step came about.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, nearest
from app.learning.envs.compiled import compiled
from app.learning.envs.sensing import SLOT_COLUMN
from app.learning.envs.village import (
    ATTACK,
    CRIMES,
    F32,
    FLEE,
    GUARD,
    HOME,
    I8,
    KILLS,
    MERCHANT,
    PREDATOR,
    STOPPED,
    VILLAGER,
    Village,
)  # fmt: skip

NEAR_DANGER = float(np.log1p(8.0) / np.log1p(512.0))
"""Encoded distance of a threat that one must react to: 8 cells."""
STEADY_S = 2.0
"""An intent that is dropped sooner than this, without danger, was dithering."""

_HP, _GOLD, _STOCK, _KILLS, _STOPPED, _HELD_S, _DANGER = range(7)
REMEMBERED = 7
Bools = NDArray[np.bool_]


class Rewards(NamedTuple):
    """Weights; those that punish are positive too."""

    need_per_s: float = 0.10
    """For full hunger or exhaustion, for a second; it grows with the square beyond 40 %."""
    wound: float = 1.5
    """For all of one's health lost."""
    death: float = 2.0
    gold: float = 0.10
    """A person's gain of one gold."""
    merchant_goods: float = 1.4
    """Gold that one good is worth to a merchant."""
    villager_goods: float = 0.7
    """Gold that one good is worth to a villager."""
    change: float = 0.02
    """For taking up another intent."""
    dither: float = 0.04
    """Beside that, when the last one was taken up within two seconds and no danger is near."""
    reckless: float = 0.10
    """For a merchant or villager in danger who neither flees, fights nor goes home, each step."""
    obey_per_s: float = 0.06
    guard_kill: float = 2.0
    guard_stop: float = 2.0
    """A guard brings down a predator that bit a person lately, beside `guard_kill`."""
    guard_crime: float = 0.3
    """Each guard, for each person killed."""
    guard_chase_per_s: float = 0.03
    predator_kill: float = 1.5
    """Times 0.3 plus its hunger."""


class Moment(NamedTuple):
    """What one step brought, per NPC (V, n); the buffers are used again by the next step."""

    reward: F32
    died: Bools
    switched: Bools
    """Dithered: dropped an intent within STEADY_S, without danger."""
    reckless: Bools
    obeyed: Bools
    told: Bools
    """Under a directive and not in danger."""


def moment(villages: int, npcs: int) -> Moment:
    """Buffers of an empty moment."""
    shape = (villages, npcs)
    return Moment(np.zeros(shape, np.float32), *(np.zeros(shape, np.bool_) for _ in range(5)))


def read(path: Path) -> Rewards:
    """The weights of a TOML file; raises Invalid naming an unknown field, or a value that is no finite number."""
    try:
        given = msgspec.toml.decode(path.read_bytes(), type=dict[str, float])
    except OSError as error:
        raise Invalid(f"rewards {path.name!r}: {error.strerror}", hint="name a TOML file") from error
    except msgspec.DecodeError as error:
        raise Invalid(f"rewards {path.name!r}: {error}", hint="write lines such as `gold = 0.2`") from error
    for name, value in given.items():
        if name not in Rewards._fields:
            raise Invalid(f"rewards {path.name!r} have no field {name!r}", hint=nearest(name, Rewards._fields))
        if not math.isfinite(value):
            raise Invalid(f"rewards {path.name!r}: {name} is {value!r}", hint="give a finite number")
    return Rewards(**given)


@compiled
def remember(village: Village, obs: F32, before: F32) -> None:
    """Note in `before` (V, n, REMEMBERED) what `judge` compares with; `obs` is what everyone saw."""
    villages, npcs = village.x.shape
    for v in range(villages):
        for i in range(npcs):
            before[v, i, _HP], before[v, i, _GOLD] = village.hp[v, i], village.gold[v, i]
            before[v, i, _STOCK], before[v, i, _HELD_S] = village.stock[v, i], village.held_s[v, i]
            before[v, i, _KILLS], before[v, i, _STOPPED] = village.tally[v, i, KILLS], village.tally[v, i, STOPPED]
            near = obs[v, i, SLOT_COLUMN] < NEAR_DANGER and obs[v, i, SLOT_COLUMN + 2] > 0.0
            before[v, i, _DANGER] = 1.0 if near and obs[v, i, SLOT_COLUMN + 1] > 0.0 else 0.0


@compiled
def crimes(village: Village, found: F32) -> None:
    """Persons killed in each village so far, into `found` (V,)."""
    for v in range(len(found)):
        found[v] = 0.0
        for i in range(village.x.shape[1]):
            found[v] += village.tally[v, i, CRIMES]


@compiled
def judge(
    village: Village, before: F32, lived: I8, did: I8, intents: I8, crimes_before: F32, rewards: Rewards, dt: float,
    out: Moment,
) -> None:  # fmt: skip
    """Fill `out`; `lived` and `did` (V, n) are `alive` and `intent` as they were, `before` as remembered."""
    villages, npcs = village.x.shape
    now = np.empty(villages, np.float32)
    crimes(village, now)
    for v in range(villages):
        for i in range(npcs):
            role, intent, alive = village.role[v, i], intents[v, i], lived[v, i] == 1
            hp, danger = before[v, i, _HP], before[v, i, _DANGER] > 0.0
            died = alive and village.alive[v, i] == 0
            changed = alive and intent != did[v, i]
            civil = role in (MERCHANT, VILLAGER)
            switched = changed and before[v, i, _HELD_S] < STEADY_S and not danger
            reckless = alive and civil and danger and intent != FLEE and intent != HOME and intent != ATTACK
            told = alive and village.told[v, i] >= 0 and not danger
            obeyed = told and village.told[v, i] == intent
            out.died[v, i], out.switched[v, i], out.reckless[v, i] = died, switched, reckless
            out.told[v, i], out.obeyed[v, i] = told, obeyed
            hungry = max(0.0, village.hunger[v, i] - 0.4) / 0.6
            tired = max(0.0, 0.4 - village.energy[v, i]) / 0.4
            worth = -dt * rewards.need_per_s * (hungry * hungry + tired * tired)
            worth -= rewards.wound * (hp if died else max(0.0, hp - village.hp[v, i])) + rewards.death * died
            if role <= VILLAGER and not died:
                price = rewards.merchant_goods if role == MERCHANT else rewards.villager_goods
                goods = (village.stock[v, i] - before[v, i, _STOCK]) if civil else 0.0
                worth += rewards.gold * (village.gold[v, i] - before[v, i, _GOLD] + price * goods)
            worth -= rewards.change * changed + rewards.dither * switched + rewards.reckless * reckless
            worth += dt * rewards.obey_per_s * obeyed
            kills = village.tally[v, i, KILLS] - before[v, i, _KILLS]
            if role == GUARD:
                worth += rewards.guard_kill * kills
                worth += rewards.guard_stop * (village.tally[v, i, STOPPED] - before[v, i, _STOPPED])
                worth -= rewards.guard_crime * (now[v] - crimes_before[v])
                worth += dt * rewards.guard_chase_per_s * (intent == ATTACK)
            elif role == PREDATOR:
                worth += rewards.predator_kill * kills * (0.3 + village.hunger[v, i])
            out.reward[v, i] = worth
