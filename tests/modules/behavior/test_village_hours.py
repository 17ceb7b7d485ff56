"""The shipped schedule in the village: people visibly keep hours over simulated days, and do not starve for it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.learning.envs.environment import DT_S, Environment
from app.learning.envs.village import MERCHANT, PLACE_CELLS, VILLAGER, Village
from app.modules.behavior import considerations, logic, schedules
from app.modules.behavior.considerations import Authored
from tests.modules.behavior.stage import LAYOUT

DAY_S, VILLAGES, NPCS = 240.0, 12, 40


@dataclass
class Life:
    """What people did, one row a step: the hour, shares at home and at work, the share that starves."""

    hours: NDArray[np.float64]
    home: NDArray[np.float64]
    work: NDArray[np.float64]
    starving: NDArray[np.float64]

    def between(self, first: float, last: float) -> NDArray[np.bool_]:
        late, early = self.hours >= first, self.hours < last
        return late & early if first < last else late | early


def day_blind() -> considerations.Rules:
    """The shipped rules without what makes people rest or go home because it is night."""
    text = (resources.files("app.modules.behavior") / "utility" / "open_world.toml").read_bytes()
    authored = msgspec.toml.decode(text, type=Authored)
    kept = [
        option
        for option in authored.options
        if option.intent not in ("rest", "home") or "is_night" not in {curve.feature for curve in option.when}
    ]
    return considerations.compile_rules(msgspec.structs.replace(authored, options=tuple(kept)), LAYOUT)


def live(*, scheduled: bool) -> Life:
    """Two days of villages with guards and wolves around them; the first one is not told."""
    table = schedules.load(LAYOUT, "", ["village"])
    assert table is not None
    environment, brain = Environment(VILLAGES, NPCS, 5), logic.rule_brain(day_blind())
    village = environment.village
    village.clock_s[:], village.day_s[:], village.weather[:] = DAY_S / 3.0, DAY_S, 0.0
    environment.senses.look(village)
    owners = np.array([table.owners.get(role, -1) for role in LAYOUT.roles], np.int16)
    which, handles = owners[village.role.reshape(-1)], np.arange(village.x.size, dtype=np.uint32)
    rows = []
    for _ in range(round(2 * DAY_S / DT_S)):
        obs, mask = environment.observe()
        obs, told = obs.copy(), np.full(len(obs), -1, np.int16)
        if scheduled:
            table.ask(obs, which, handles, 0, told, 0, len(obs))
            keeping = np.flatnonzero(told >= 0)
            obs[keeping, LAYOUT.block("told").start + told[keeping]] = 1.0
        environment.step(*brain(obs, mask))
        rows.append(_told(village))
    found = np.array(rows[len(rows) // 3 :])
    return Life(*found.T)


def _told(village: Village) -> tuple[float, float, float, float]:
    people = ((village.role == VILLAGER) | (village.role == MERCHANT)) & (village.alive == 1)
    at_home = np.hypot(village.x - village.home_x, village.y - village.home_y) < PLACE_CELLS
    at_work = np.hypot(village.x - village.work_x, village.y - village.work_y) < PLACE_CELLS
    hour = float(village.clock_s[0]) / DAY_S * 24.0 % 24.0
    return hour, at_home[people].mean(), at_work[people].mean(), (village.hunger > 0.75)[people].mean()


def test_people_with_hours_sleep_at_home_and_work_in_the_morning() -> None:
    kept, free = live(scheduled=True), live(scheduled=False)
    night, morning = kept.between(22.0, 2.0), kept.between(7.5, 11.5)
    rhythm = [life.home[night].mean() - life.home[morning].mean() for life in (kept, free)]
    assert rhythm[0] > 1.5 * rhythm[1], "more at home by night than by day, by far"
    assert kept.home[night].mean() > max(0.5, 1.25 * free.home[night].mean())
    assert kept.home[morning].mean() < 0.15
    assert kept.work[morning].mean() > 1.2 * free.work[morning].mean()
    assert kept.starving.mean() < free.starving.mean() + 0.08


def test_a_village_does_not_move_as_one() -> None:
    table = schedules.load(LAYOUT, "", ["village"])
    assert table is not None
    handles = np.arange(200, dtype=np.uint32)
    obs = np.zeros((200, 64), np.float32)
    obs[:, LAYOUT.columns["energy"]] = obs[:, LAYOUT.columns["hp"]] = 1.0
    asleep = []
    for hour in np.arange(19.5, 21.6, 0.1):
        obs[:, LAYOUT.columns["day_sin"]] = np.sin(hour * np.pi / 12)
        obs[:, LAYOUT.columns["day_cos"]] = np.cos(hour * np.pi / 12)
        told = np.full(200, -1, np.int16)
        table.ask(obs, np.zeros(200, np.int16), handles, 0, told, 0, 200)
        asleep.append(int((told == LAYOUT.intent_index["rest"]).sum()))
    assert asleep == sorted(asleep)
    assert (asleep[0], asleep[-1]) == (0, 200)
    assert max(np.diff(asleep)) < 40, "they go to bed over an hour and a half"
