"""What requests may write about pictures, and what is said where they may not."""

from __future__ import annotations

import pytest

from app.core.errors import Invalid, TooLarge
from app.modules.pathfinding.pictures.options import PATHS_MAX, SHOWN_AT_FIRST, Crop, Options, read_options, read_pairs


def test_nothing_asked_for_is_the_whole_map_without_costs() -> None:
    assert read_options() == Options()
    assert "costs" not in SHOWN_AT_FIRST


def test_layers_and_a_crop_are_read() -> None:
    options = read_options(show="costs, path", crop="1,2,30,4.5", scale_px=8)
    assert options.show == {"costs", "path"}
    assert options.crop == Crop(x=1, y=2, width=30, height=4.5)
    assert options.scale_px == 8


def test_an_unknown_layer_is_named_with_the_nearest_one() -> None:
    with pytest.raises(Invalid, match="'pathes'") as caught:
        read_options(show="costs,pathes")
    assert "'path'" in caught.value.hint


@pytest.mark.parametrize(
    "crop", ["1,2,3", "1,2,3,4,5", "a,b,c,d", "0,0,0,5", "0,0,5,-5", "nan,0,1,1", "1e3,0,1,1", ","]
)
def test_a_crop_that_is_none_is_refused_with_its_text(crop: str) -> None:
    with pytest.raises(Invalid, match="crop is") as caught:
        read_options(crop=crop)
    assert crop in caught.value.message
    assert "x,y,width,height" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "value"), [("scale_px", 0), ("scale_px", 65), ("edge_px_max", 63), ("edge_px_max", 4097)]
)
def test_a_number_out_of_bounds_is_refused_with_the_bounds(name: str, value: int) -> None:
    with pytest.raises(Invalid, match=f"{name} is {value}") as caught:
        read_options(**{name: value})  # type: ignore[arg-type]  # all of them are numbers
    assert " to " in caught.value.hint


def test_pairs_are_starts_and_goals() -> None:
    assert read_pairs("1,2;3,4") == (((1, 2), (3, 4)),)
    assert read_pairs("-1,2.5 ; 3,4|0,0;9,9") == (((-1, 2.5), (3, 4)), ((0, 0), (9, 9)))


@pytest.mark.parametrize(
    "text", ["", "1,2", "1,2;3", "1,2;3,4;5,6", "1,2;3,4|", "1;2", "x,y;1,2", "inf,0;1,1", "٣,1;1,1"]
)
def test_a_pair_that_is_none_is_refused_with_the_form_expected(text: str) -> None:
    with pytest.raises(Invalid, match="path has") as caught:
        read_pairs(text)
    assert "x1,y1;x2,y2" in caught.value.hint


def test_ways_are_counted_before_they_are_read() -> None:
    assert len(read_pairs("|".join(["1,2;3,4"] * PATHS_MAX))) == PATHS_MAX
    with pytest.raises(TooLarge, match=str(PATHS_MAX)):
        read_pairs("|".join(["1,2;3,4"] * (PATHS_MAX + 1)))


def test_a_long_text_is_cut_in_the_error() -> None:
    with pytest.raises(Invalid) as caught:
        read_pairs("9" * 10_000)
    assert len(caught.value.message) < 100
