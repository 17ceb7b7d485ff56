"""Pictures of grids show what is so: pixels of PNG, shapes of SVG, bounds of both."""

from __future__ import annotations

import math

import numpy as np
import pytest

from app.core.errors import Invalid
from app.modules.pathfinding.pictures import palette
from app.modules.pathfinding.pictures.frame import LEFT_PX, TOP_PX
from app.modules.pathfinding.pictures.grid import Layers, draw_grid, draw_grid_svg
from app.modules.pathfinding.pictures.ground import DANGER_LEVELS, MAGNIFIED_PX_MAX
from app.modules.pathfinding.pictures.marks import LINKS_MAX
from app.modules.pathfinding.pictures.options import PATHS_MAX, Options, read_options
from app.modules.pathfinding.surfaces import Link, Surface, Terrain
from tests.modules.pathfinding.pictures.drawn import TERRAINS, cell, elements, grid, has, map_part, pixels, points

ROOM = grid(
    ".....#..",
    ".##..#..",
    ".,,..#..",
    "........",
)
Z = MAGNIFIED_PX_MAX


def open_ground(rows: int, columns: int) -> Surface:
    return Surface(np.ones((rows, columns), np.uint8), TERRAINS, None)


def test_each_cell_has_the_color_of_its_terrain() -> None:
    png = draw_grid(ROOM, Layers(), Options())
    assert cell(png, 1, 1, Z) == palette.BLOCKED
    assert cell(png, 0, 0, Z) == palette.TERRAINS[0]
    assert cell(png, 1, 2, Z) == palette.TERRAINS[1]


def test_equal_maps_give_equal_bytes() -> None:
    layers = Layers(paths=[np.array([[0, 0], [0, 3], [7, 3]])])
    assert draw_grid(ROOM, layers, Options()) == draw_grid(ROOM, layers, Options())
    assert draw_grid_svg(ROOM, layers, Options()) == draw_grid_svg(ROOM, layers, Options())


def test_a_path_runs_through_the_middles_of_its_cells() -> None:
    path = np.array([[0, 0], [0, 3], [7, 3], [7, 0]], np.int16)
    png = draw_grid(ROOM, Layers(paths=[path]), Options())
    known = [(0, 1), (0, 2), (0, 3), (3, 3), (6, 3), (7, 2), (7, 1), (7, 0)]
    assert {cell(png, x, y, Z) for x, y in known} == {palette.PATHS[0]}
    assert cell(png, 0, 0, Z) == palette.CASING, "the start is a ring"
    assert cell(png, 2, 0, Z) == palette.TERRAINS[0]


def test_fractional_points_lie_between_cells() -> None:
    path = np.array([[0.0, 3.0], [6.5, 3.0], [6.5, 0.0]])
    png = draw_grid(ROOM, Layers(paths=[path]), Options())
    assert cell(png, 6.5, 1.5, Z) == palette.PATHS[0]
    assert cell(png, 6, 1, Z) == cell(png, 7, 1, Z) == palette.TERRAINS[0]


def test_several_paths_have_colors_of_their_own_and_too_many_are_refused() -> None:
    paths = [np.array([[0, y], [4, y]]) for y in (0, 3)]
    png = draw_grid(ROOM, Layers(paths=paths), Options())
    assert cell(png, 2, 0, Z) == palette.PATHS[0]
    assert cell(png, 2, 3, Z) == palette.PATHS[1]
    with pytest.raises(Invalid, match=str(PATHS_MAX + 1)):
        draw_grid(ROOM, Layers(paths=[paths[0]] * (PATHS_MAX + 1)), Options())


def test_a_path_of_one_cell_or_none_is_a_dot_or_nothing() -> None:
    png = draw_grid(ROOM, Layers(paths=[np.array([[3, 3]]), np.empty((0, 2))]), Options())
    assert cell(png, 3, 3, Z) == palette.PATHS[0]


@pytest.mark.parametrize("path", [np.zeros(4), np.zeros((2, 1)), np.array([[0.0, math.nan]])])
def test_a_path_that_is_none_is_refused(path: np.ndarray) -> None:
    with pytest.raises(Invalid, match="a way has the shape"):
        draw_grid(ROOM, Layers(paths=[path]), Options())


def test_islands_are_tinted_and_the_main_region_is_not() -> None:
    surface = grid("....#.#.", "....#.#.")
    labels = np.pad(np.array([[7, 7, 7, 7, 0, 2, 0, 9]] * 2, np.int32), 1)
    for given in (labels.ravel(), labels[1:-1, 1:-1]):
        png = draw_grid(surface, Layers(labels=given), Options())
        assert cell(png, 0, 0, Z) == palette.TERRAINS[0]
        tints = [cell(png, x, 0, Z) for x in (5, 7)]
        expected = [palette.mixed(palette.TERRAINS[0], hue, palette.ISLAND_SHARE) for hue in palette.ISLANDS[:2]]
        assert np.abs(np.array(tints) - np.array(expected)).max() <= 1
    plain = draw_grid(surface, Layers(labels=labels.ravel()), read_options(show="path"))
    assert cell(plain, 5, 0, Z) == palette.TERRAINS[0]


def test_costs_go_from_light_to_dark_and_blocked_stays_blocked() -> None:
    surface = Surface(np.array([[1, 2, 1, 0]], np.uint8), TERRAINS, np.array([[1, 1, 2, 1]], np.float32))
    png = draw_grid(surface, Layers(), read_options(show="costs"))
    assert cell(png, 0, 0, Z) == palette.CHEAP_TO_DEAR[0]
    assert cell(png, 1, 0, Z) == palette.CHEAP_TO_DEAR[-1]
    middle = palette.CHEAP_TO_DEAR[len(palette.CHEAP_TO_DEAR) // 2]
    assert np.abs(np.subtract(cell(png, 2, 0, Z), middle)).max() <= 6, "2 is half way from 1 to 4 by its logarithm"
    assert cell(png, 3, 0, Z) == palette.BLOCKED


def test_an_agent_s_own_costs_take_the_place_of_the_map_s() -> None:
    costs = np.array([[5.0, 1.0, math.inf, math.nan]], np.float32)
    png = draw_grid(open_ground(1, 4), Layers(costs=costs), read_options(show="costs"))
    assert cell(png, 0, 0, Z) == palette.CHEAP_TO_DEAR[-1]
    assert cell(png, 1, 0, Z) == palette.CHEAP_TO_DEAR[0]
    assert cell(png, 2, 0, Z) == cell(png, 3, 0, Z) == palette.BLOCKED


def test_danger_reddens_the_ground_under_it() -> None:
    overlay = np.array([[1.0, 2.0, 8.0, 8.0, math.nan]], np.float32)
    png = draw_grid(grid("...#."), Layers(overlay=overlay), Options())
    red = [
        palette.mixed(palette.TERRAINS[0], palette.DANGER, palette.DANGER_SHARE_MAX * share) for share in (0, 1 / 3, 1)
    ]
    for x, expected in enumerate(red):
        assert np.abs(np.subtract(cell(png, x, 0, Z), expected)).max() <= 256 / DANGER_LEVELS
    assert cell(png, 3, 0, Z) == palette.BLOCKED
    assert cell(png, 4, 0, Z) == palette.TERRAINS[0]


def test_obstacles_are_striped_where_cells_are_large_and_plain_where_they_are_small() -> None:
    obstacles = np.zeros((4, 8), np.uint8)
    obstacles[0, 2] = 1
    part = map_part(draw_grid(ROOM, Layers(obstacles=obstacles), Options()), 8 * Z, 4 * Z)
    assert has(part[:Z, 2 * Z : 3 * Z], palette.OBSTACLE_STRIPE)
    assert has(part[:Z, 2 * Z : 3 * Z], palette.OBSTACLE)
    assert not has(part[:, : 2 * Z], palette.OBSTACLE)
    small = map_part(draw_grid(ROOM, Layers(obstacles=np.pad(obstacles, 1).ravel()), read_options(scale_px=2)), 16, 8)
    assert (small[:2, 4:6] == palette.OBSTACLE).all()
    assert not has(small, palette.OBSTACLE_STRIPE)


def test_small_maps_are_magnified_with_lines_between_cells() -> None:
    part = map_part(draw_grid(open_ground(10, 10), Layers(), Options()), 10 * Z, 10 * Z)
    assert (part[: Z - 1, : Z - 1] == palette.TERRAINS[0]).all()
    assert (part[Z - 1, :Z] != palette.TERRAINS[0]).any(axis=1).all()


def test_large_maps_are_shrunk_to_mean_colors() -> None:
    terrain = np.ones((256, 256), np.uint8)
    terrain[:, ::2] = 0
    part = map_part(draw_grid(Surface(terrain, TERRAINS, None), Layers(), read_options(edge_px_max=128)), 128, 128)
    assert np.abs(part.astype(int) - np.array(palette.mixed(palette.BLOCKED, palette.TERRAINS[0], 0.5))).max() <= 1


def test_a_crop_shows_only_its_cells_and_numbers_them_as_the_map_does() -> None:
    options = read_options(crop="1,1,3,2")
    png = draw_grid(ROOM, Layers(paths=[np.array([[0, 0], [3, 2]])]), options)
    assert cell(png, 0, 0, Z) == palette.BLOCKED
    assert cell(png, 2, 0, Z) == palette.TERRAINS[0]
    assert pixels(png).shape[0] < pixels(draw_grid(ROOM, Layers(), Options())).shape[0]
    svg = draw_grid_svg(ROOM, Layers(), options)
    ruler = [text.text for text in elements(svg, "text") if text.get("text-anchor") in ("middle", "end")]
    assert ruler == ["2", "2"]


def test_a_crop_over_the_edge_is_cut_and_one_outside_is_refused() -> None:
    assert draw_grid(ROOM, Layers(), read_options(crop="-5,-5,8,8")) == draw_grid(
        ROOM, Layers(), read_options(crop="0,0,3,3")
    )
    with pytest.raises(Invalid, match=r"\(8\.0, 0\.0, 2\.0, 2\.0\) is outside") as caught:
        draw_grid(ROOM, Layers(), read_options(crop="8,0,2,2"))
    assert "8 x 4" in caught.value.hint
    with pytest.raises(Invalid, match="crop is") as caught:
        draw_grid(ROOM, Layers(), read_options(crop="0.5,0,2,2"))
    assert "whole cells" in caught.value.hint


def test_a_scale_that_would_make_too_large_a_picture_is_refused_with_one_that_does_not() -> None:
    with pytest.raises(Invalid, match="scale_px 64 makes 25600 pixels") as caught:
        draw_grid(open_ground(1, 400), Layers(), read_options(scale_px=64))
    assert "at most 5, or a crop of at most 32 cells" in caught.value.hint


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 4096), (4096, 1), (2048, 2048)])
def test_pictures_stay_within_the_bounds_whatever_the_map_s_shape(rows: int, columns: int) -> None:
    height, width, _ = pixels(draw_grid(open_ground(rows, columns), Layers(), Options())).shape
    assert 400 <= width <= 2048 + 62
    assert 1 <= height - TOP_PX <= 2048 + 100


def test_the_legend_tells_size_terrains_costs_and_regions() -> None:
    labels = np.array([[1, 1, 0, 2]], np.int32)
    svg = draw_grid_svg(grid("..#,"), Layers(labels=labels), Options(), title="the mill")
    texts = [text.text for text in elements(svg, "text")]
    assert texts[:2] == ["the mill", f"4 x 1 cells · {Z} px a cell · 2 regions"]
    assert {"blocked", "grass · cost 1", "mud · cost 4", "1 island out of reach of the main region"} <= set(texts)
    below = pixels(draw_grid(grid("..#,"), Layers(labels=labels), Options()))[TOP_PX + Z + 2 :]
    for color in (palette.BLOCKED, *palette.TERRAINS[:2], palette.INK):
        assert has(below, color)


def test_many_terrains_do_not_make_a_legend_without_end() -> None:
    terrains = (TERRAINS[0], *(Terrain(f"ground {number}", 1.0) for number in range(255)))
    svg = draw_grid_svg(Surface(np.ones((2, 2), np.uint8), terrains, None), Layers(), Options())
    texts = [text.text for text in elements(svg, "text")]
    assert "and 231 more terrains" in texts
    assert len(texts) < 40


def test_hostile_names_stay_words() -> None:
    hostile = '</text><script>alert("1")</script>\x00\n\u202e&' + "x" * 10_000
    surface = Surface(np.ones((2, 2), np.uint8), (TERRAINS[0], Terrain(hostile, 1.0)), None)
    svg = draw_grid_svg(surface, Layers(), Options(), title=hostile)
    assert not elements(svg, "script")
    texts = [text.text or "" for text in elements(svg, "text")]
    assert any(text.startswith('</text><script>alert("1")') for text in texts)
    assert max(map(len, texts)) < 60
    assert pixels(draw_grid(surface, Layers(), Options(), title=hostile)).shape[1] < 1_000


def test_svg_holds_the_path_at_the_middles_of_its_cells() -> None:
    path = np.array([[0, 0], [0, 3], [6.25, 3]])
    svg = draw_grid_svg(ROOM, Layers(paths=[path]), Options())
    (line,) = elements(svg, "polyline", "path")
    assert points(line) == [tuple(point) for point in ((path + 0.5) * Z).tolist()]
    (part,) = elements(svg, "svg", "map")
    assert (part.get("x"), part.get("y"), part.get("width")) == (str(LEFT_PX), str(TOP_PX), str(8 * Z))


def test_svg_reaches_for_nothing_outside_itself() -> None:
    svg = draw_grid_svg(ROOM, Layers(), Options())
    (image,) = elements(svg, "image")
    assert image.get("{http://www.w3.org/1999/xlink}href", "").startswith("data:image/png;base64,")
    assert svg.count(b"http") == 2, "the two names of the markup"


def test_layers_are_parted_by_paper_and_named() -> None:
    surface = grid("...", "...", "###", "...", "..#", layers=2)
    png = draw_grid(surface, Layers(), Options())
    assert cell(png, 2, 2, Z) == palette.PAGE
    assert cell(png, 2, 4, Z) == palette.BLOCKED
    texts = [text.text for text in elements(draw_grid_svg(surface, Layers(), Options()), "text")]
    assert f"2 layers of 3 x 2 cells · {Z} px a cell" in texts
    assert "layer 1, from y = 3" in texts


def test_links_are_dashed_arcs_with_a_head_where_they_lead_one_way() -> None:
    links = (Link((0, 0), (0, 3), 1.0), Link((3, 0), (7, 3), 1.0, one_way=True))
    surface = ROOM._replace(links=links)
    svg = draw_grid_svg(surface, Layers(), Options())
    dashes = [line.get("d", "").count("M") for line in elements(svg, "path", "link")]
    assert len(elements(svg, "path", "link-head")) == 2, "the link and the legend"
    assert len(elements(svg, "circle", "link-end")) == 4
    assert min(dashes[:2]) > 5
    assert has(map_part(draw_grid(surface, Layers(), Options()), 8 * Z, 4 * Z), palette.LINK)


def test_links_without_number_are_cut_and_the_legend_says_so() -> None:
    surface = ROOM._replace(links=(Link((0, 0), (7, 3), 1.0),) * (LINKS_MAX + 5))
    svg = draw_grid_svg(surface, Layers(), Options())
    assert len(elements(svg, "path", "link")) == LINKS_MAX + 1
    assert "link, the first 1,000 of 1,005" in [text.text for text in elements(svg, "text")]


def test_a_flow_field_has_arrows_where_it_leads_somewhere() -> None:
    field = np.zeros((4, 8, 2), np.float32)
    field[3, 2] = (1, 0)
    svg = draw_grid_svg(ROOM, Layers(field=field), Options())
    shafts = elements(svg, "polyline", "field")
    (tail, neck), _ = points(shafts[0]), points(shafts[1])
    assert tail[1] == neck[1] == 3.5 * Z
    assert tail[0] < 2.5 * Z < neck[0] + 10
    assert has(map_part(draw_grid(ROOM, Layers(field=field), Options()), 8 * Z, 4 * Z), palette.ARROW)


def test_arrows_keep_apart_however_many_are_asked_for() -> None:
    field = np.ones((300, 300, 2), np.float32)
    svg = draw_grid_svg(open_ground(300, 300), Layers(field=field), read_options(field_every_cells=1, scale_px=1))
    assert elements(svg, "path", "field")[0].get("d", "").count("M") == 30 * 30


@pytest.mark.parametrize("name", ["labels", "costs", "overlay", "obstacles", "field"])
def test_a_layer_of_another_shape_is_refused(name: str) -> None:
    kinds = {"labels": np.int32, "obstacles": np.uint8}
    layer = np.ones((4, 7), kinds.get(name, np.float32))
    with pytest.raises(Invalid, match=rf"{name} has the shape \(4, 7\)"):
        draw_grid(ROOM, Layers(**{name: layer}), read_options(show="costs,overlay,obstacles,field"))


def test_what_is_not_asked_for_is_not_drawn() -> None:
    layers = Layers(
        overlay=np.full((4, 8), 9, np.float32),
        obstacles=np.ones((4, 8), np.uint8),
        paths=[np.array([[0, 0], [0, 3]])],
        field=np.ones((4, 8, 2), np.float32),
    )
    assert draw_grid(ROOM, layers, read_options(show="components")) == draw_grid(ROOM, Layers(), Options())


def test_a_map_without_any_ground_can_be_seen_too() -> None:
    surface = grid("##", "##")
    png = draw_grid(surface, Layers(labels=np.zeros(16, np.int32)), read_options(show="costs,components"))
    assert cell(png, 0, 0, Z) == palette.BLOCKED
