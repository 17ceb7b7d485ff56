"""Colors stay apart for eyes that see no red, no green, no blue, or no color at all."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from app.modules.pathfinding.pictures import palette

SIMULATED = {
    "usual": (1, 0, 0, 0, 1, 0, 0, 0, 1),
    "protanopia": (0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998),
    "deuteranopia": (0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881),
    "tritanopia": (1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900),
}
"""Machado, Oliveira and Fernandes 2009, severity 1, over linear RGB."""
APART = 10.0
"""Least distance in CIELAB (1976); about 2.3 is just seen by practiced eyes."""


def lab(color: palette.Color, eye: str) -> NDArray[np.float64]:
    rgb = np.array(color) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = (np.reshape(SIMULATED[eye], (3, 3)) @ linear).clip(0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    ratio = xyz / np.array([0.9505, 1.0, 1.089])
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def apart(one: palette.Color, other: palette.Color, eye: str) -> float:
    return float(np.linalg.norm(lab(one, eye) - lab(other, eye)))


ISLANDS = [palette.mixed(palette.TERRAINS[0], hue, palette.ISLAND_SHARE) for hue in palette.ISLANDS]


@pytest.mark.parametrize("eye", SIMULATED)
def test_islands_stay_apart_from_each_other_and_from_the_main_region(eye: str) -> None:
    close = {
        (one, other): round(distance)
        for one, other in itertools.combinations([palette.TERRAINS[0], palette.BLOCKED, *ISLANDS], 2)
        if (distance := apart(one, other, eye)) < APART
    }
    assert not close


@pytest.mark.parametrize("eye", SIMULATED)
def test_what_lies_on_the_ground_stays_apart_from_it(eye: str) -> None:
    for top in (palette.PATHS[0], palette.LINK, palette.OBSTACLE_STRIPE, palette.DANGER):
        for ground in (*palette.TERRAINS, palette.BLOCKED, palette.CHEAP_TO_DEAR[0]):
            assert apart(top, ground, eye) > APART, (top, ground)


@pytest.mark.parametrize("eye", SIMULATED)
def test_costs_darken_step_by_step_and_end_above_blocked(eye: str) -> None:
    lightness = [lab((int(r), int(g), int(b)), eye)[0] for r, g, b in palette.cost_colors(16)]
    assert (np.diff(lightness) < 0).all()
    assert lightness[-1] > lab(palette.BLOCKED, eye)[0] + 5


@pytest.mark.parametrize("eye", SIMULATED)
def test_terrains_stay_apart(eye: str) -> None:
    for one, other in itertools.combinations(palette.TERRAINS, 2):
        assert apart(one, other, eye) > APART / 2, (one, other)
