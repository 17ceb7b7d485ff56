"""Small maps to draw, and what is found in the pictures."""

from __future__ import annotations

import io
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.modules.pathfinding.pictures.frame import LEFT_PX, TOP_PX
from app.modules.pathfinding.pictures.palette import Color
from app.modules.pathfinding.surfaces import Link, Mesh, Surface, Terrain

Pixels = NDArray[np.uint8]
TERRAINS = (Terrain("blocked", math.inf), Terrain("grass", 1.0), Terrain("mud", 4.0))
SVG = "{http://www.w3.org/2000/svg}"


def grid(*rows: str, links: tuple[Link, ...] = (), layers: int = 1) -> Surface:
    """A map of '#' blocked, '.' grass and ',' mud."""
    terrain = np.array([["#.,".index(letter) for letter in row] for row in rows], np.uint8)
    return Surface(terrain, TERRAINS, None, links, layers)


def pixels(png: bytes) -> Pixels:
    """The whole picture, (height, width, 3)."""
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def map_part(png: bytes, width_px: int, height_px: int) -> Pixels:
    """The map in the picture, without what stands around it."""
    return pixels(png)[TOP_PX : TOP_PX + height_px, LEFT_PX : LEFT_PX + width_px]


def cell(png: bytes, x: float, y: float, zoom: int) -> Color:
    """The color a little off the middle of a drawn cell, counted from the first that is in view."""
    column, row = LEFT_PX + int((x + 0.5) * zoom), TOP_PX + int((y + 0.5) * zoom)
    red, green, blue = pixels(png)[row, column].tolist()
    return red, green, blue


def has(part: Pixels, color: Color) -> bool:
    """Whether any pixel has exactly this color."""
    return bool((part == color).all(axis=2).any())


def elements(svg: bytes, tag: str, name: str | None = None) -> list[ElementTree.Element]:
    """The elements of a tag, and of a class where one is named."""
    root = ElementTree.fromstring(svg)  # noqa: S314  # our own
    return [found for found in root.iter(SVG + tag) if name is None or found.get("class") == name]


def points(element: ElementTree.Element) -> list[tuple[float, ...]]:
    """The points of a polyline."""
    return [tuple(map(float, pair.split(","))) for pair in element.get("points", "").split()]


def navmesh(*, up: int = 1) -> Mesh:
    """Three squares of 10 units in a row along x, the last blocked; the second lies 5 higher."""
    flat = [(0, 0), (10, 0), (10, 10), (0, 10)]
    corners = [(x + 10 * square, 5 * square, z) for square in range(3) for x, z in flat]
    vertices = np.array(corners if up == 1 else [(x, z, y) for x, y, z in corners], np.float32)
    first, areas = np.arange(0, 13, 4, dtype=np.int32), np.array([1, 2, 0], np.int32)
    return Mesh(vertices, first, np.arange(12, dtype=np.int32), areas, TERRAINS, (), up)
