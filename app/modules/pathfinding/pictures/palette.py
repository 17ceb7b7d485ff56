"""The colors of pictures: one light theme, told apart by eyes of every kind.

Ground is light and pale, what lies on it is strong and differs in lightness too, so that red-blind, green-blind and
gray prints keep the order. The hues of islands follow Okabe and Ito (2008, "Color Universal Design"); the tests hold
roles apart under the simulation of Machado, Oliveira and Fernandes (2009). It knows colors, not shapes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Color = tuple[int, int, int]
U8 = NDArray[np.uint8]

PAGE: Color = (255, 255, 255)
INK: Color = (44, 42, 40)
FAINT: Color = (140, 136, 130)
FRAME: Color = (176, 171, 163)

BLOCKED: Color = (58, 55, 52)
"""Where nobody walks: warm charcoal, darker than any ground, cost or island."""
TERRAINS: tuple[Color, ...] = (
    (245, 241, 230), (166, 200, 124), (247, 222, 150), (176, 214, 240), (120, 176, 160),
    (224, 160, 182), (172, 164, 214), (212, 210, 206), (150, 148, 96), (96, 138, 190),
)  # fmt: skip
"""Passable terrains in their order, again from the first where there are more."""
ISLANDS: tuple[Color, ...] = (
    (86, 180, 233), (240, 216, 46), (0, 140, 104), (150, 70, 200), (170, 96, 20), (0, 60, 150),
)  # fmt: skip
"""Regions out of reach of the main one, in the order of their labels; the main one keeps the colors of its terrain."""
ISLAND_SHARE = 0.7
"""How much of an island's color is its own hue; the rest is its terrain's."""
CHEAP_TO_DEAR: tuple[Color, ...] = ((232, 242, 238), (178, 215, 216), (98, 164, 192), (56, 112, 168), (44, 70, 140))
"""Costs from light to dark, one hue: the order is seen by lightness alone."""
DANGER: Color = (214, 28, 28)
DANGER_SHARE_MAX = 0.78
"""How much of the ground the worst danger covers."""
OBSTACLE: Color = (255, 190, 92)
OBSTACLE_STRIPE: Color = (196, 88, 0)
PATHS: tuple[Color, ...] = ((196, 20, 122), (24, 24, 24), (0, 88, 168), (0, 112, 84))
"""Ways in their order, again from the first where there are more; each lies on a white casing."""
CASING: Color = (255, 255, 255)
LINK: Color = (122, 52, 160)
ARROW: Color = (92, 88, 84)
EDGE: Color = (120, 116, 108)
"""Where polygons of a navmesh meet."""


def mixed(ground: Color, top: Color, share: float) -> Color:
    """`top` laid over `ground`, `share` of it in 0 .. 1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(ground, top, strict=True))
    return red, green, blue


def terrain_color(number: int) -> Color:
    """The color of a terrain by its number on the map; 0 is blocked."""
    return BLOCKED if number == 0 else TERRAINS[(number - 1) % len(TERRAINS)]


def cost_colors(levels: int) -> U8:
    """The colors of costs from cheap to dear, (levels, 3)."""
    stops = np.array(CHEAP_TO_DEAR, float)
    at = np.linspace(0, len(stops) - 1, levels)
    channels = [np.interp(at, np.arange(len(stops)), stops[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def written(color: Color) -> str:
    """The color as SVG writes it."""
    return "#{:02x}{:02x}{:02x}".format(*color)
