"""Pictures of navmeshes show polygons from above, in units, with what is known about them."""

from __future__ import annotations

import numpy as np
import pytest

from app.core.errors import Invalid
from app.modules.pathfinding.pictures import palette
from app.modules.pathfinding.pictures.frame import LEFT_PX, TOP_PX
from app.modules.pathfinding.pictures.mesh import MeshLayers, draw_mesh, draw_mesh_svg
from app.modules.pathfinding.pictures.options import Options, read_options
from app.modules.pathfinding.surfaces import Link
from tests.modules.pathfinding.pictures.drawn import elements, has, navmesh, pixels, points

MARGIN = 12
ZOOM = (1024 - 2 * MARGIN) / 30
"""Pixels of a unit, three squares of 10 units being fitted in."""


def at(png: bytes, x: float, z: float) -> tuple[int, ...]:
    """The color at a point of the world."""
    color: list[int] = pixels(png)[TOP_PX + MARGIN + int(z * ZOOM), LEFT_PX + MARGIN + int(x * ZOOM)].tolist()
    return tuple(color)


@pytest.mark.parametrize("up", [1, 2])
def test_polygons_have_the_colors_of_their_areas_whichever_axis_is_height(up: int) -> None:
    png = draw_mesh(navmesh(up=up), MeshLayers(), Options())
    assert [at(png, x, 4) for x in (5, 15, 25)] == [palette.TERRAINS[0], palette.TERRAINS[1], palette.BLOCKED]
    assert pixels(png)[TOP_PX + 3, LEFT_PX + 3].tolist() == list(palette.PAGE)
    assert png == draw_mesh(navmesh(up=up), MeshLayers(), Options())


def test_a_path_lies_where_its_points_are() -> None:
    path = np.array([[1, 0, 5], [9.5, 0, 5], [19, 5, 2]])
    png = draw_mesh(navmesh(), MeshLayers(paths=[path]), Options())
    assert at(png, 5, 5) == palette.PATHS[0]
    for given in (path, path[:, [0, 2]]):
        (line,) = elements(draw_mesh_svg(navmesh(), MeshLayers(paths=[given]), Options()), "polyline", "path")
        assert np.allclose(points(line), path[:, [0, 2]] * ZOOM + MARGIN, atol=0.01)


def test_islands_dangers_and_costs_color_polygons() -> None:
    tinted = draw_mesh(navmesh(), MeshLayers(labels=np.array([3, 1, 0], np.int32)), Options())
    expected = palette.mixed(palette.TERRAINS[0], palette.ISLANDS[0], palette.ISLAND_SHARE)
    assert np.abs(np.subtract(at(tinted, 5, 4), expected)).max() <= 1
    assert at(tinted, 15, 4) == palette.TERRAINS[1], "of regions of equal size the lowest label is the main one"
    endangered = draw_mesh(navmesh(), MeshLayers(overlay=np.array([1, 5, 5], np.float32)), Options())
    red = palette.mixed(palette.TERRAINS[1], palette.DANGER, palette.DANGER_SHARE_MAX)
    assert at(endangered, 5, 4) == palette.TERRAINS[0]
    assert np.abs(np.subtract(at(endangered, 15, 4), red)).max() <= 1
    assert at(endangered, 25, 4) == palette.BLOCKED
    costs = draw_mesh(navmesh(), MeshLayers(), read_options(show="costs"))
    assert [at(costs, x, 4) for x in (5, 15)] == [palette.CHEAP_TO_DEAR[0], palette.CHEAP_TO_DEAR[-1]]


def test_a_higher_floor_covers_a_lower_one() -> None:
    mesh = navmesh()
    vertices = mesh.vertices.copy()
    vertices[4:8, 0] -= 10
    png = draw_mesh(mesh._replace(vertices=vertices), MeshLayers(), Options())
    assert at(png, 5, 4) == palette.TERRAINS[1]


def test_links_are_drawn_between_floors() -> None:
    mesh = navmesh()._replace(links=(Link((2, 0, 2), (18, 5, 8), 3.0, one_way=True),))
    svg = draw_mesh_svg(mesh, MeshLayers(), Options())
    assert len(elements(svg, "path", "link-head")) == 2, "the link and the legend"
    assert has(pixels(draw_mesh(mesh, MeshLayers(), Options())), palette.LINK)


def test_a_crop_in_units_is_filled_by_them() -> None:
    png = draw_mesh(navmesh(), MeshLayers(), read_options(crop="10.5,1,8,8"))
    inside = pixels(png)[TOP_PX : TOP_PX + 1024, LEFT_PX : LEFT_PX + 1024]
    assert (inside == palette.TERRAINS[1]).all()
    with pytest.raises(Invalid, match="is outside the map") as caught:
        draw_mesh(navmesh(), MeshLayers(), read_options(crop="40,0,2,2"))
    assert "from (0, 0) to (30, 10)" in caught.value.hint


def test_a_scale_that_would_make_too_large_a_picture_is_refused() -> None:
    wide = navmesh()._replace(vertices=navmesh().vertices * 100)
    with pytest.raises(Invalid, match="scale_px 64 makes 192000 pixels"):
        draw_mesh(wide, MeshLayers(), read_options(scale_px=64))
    assert pixels(draw_mesh(navmesh(), MeshLayers(), read_options(scale_px=2))).shape[1] == 460


def test_a_mesh_without_extent_or_far_away_can_be_drawn() -> None:
    mesh = navmesh()
    assert pixels(draw_mesh(mesh._replace(vertices=mesh.vertices * 0 + 1e6), MeshLayers(), Options())).shape[1] >= 400
    assert pixels(draw_mesh(mesh._replace(vertices=mesh.vertices * 1e-3), MeshLayers(), Options())).shape[1] == 1086


def test_a_layer_of_another_shape_and_an_empty_mesh_are_refused() -> None:
    with pytest.raises(Invalid, match=r"labels has the shape \(2,\)"):
        draw_mesh(navmesh(), MeshLayers(labels=np.ones(2, np.int32)), Options())
    with pytest.raises(Invalid, match="no polygons"):
        draw_mesh(navmesh()._replace(areas=np.empty(0, np.int32)), MeshLayers(), Options())
