"""A quest's picture shows all that is known of it, as well-formed SVG, whatever its texts hold."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings

from app.modules.quests.draft import Draft
from app.modules.quests.exports import graph, picture
from tests.modules.quests.exports import drawing
from tests.modules.quests.exports.quests import OATH

ROOT = Path(__file__).resolve().parents[4]
SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: bytes) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314  # our own bytes


def test_the_picture_tells_all_that_the_certificate_says() -> None:
    told = texts(picture.draw(graph.of_quest(OATH)))
    joined = " ".join(told)
    assert "verified with assumptions" in told
    assert "V0 V1 V2 V3 V4 V5 V6 V7" in joined
    digest = OATH.certificate.plan_sha256
    assert all(digest[at : at + picture.HASH_CHARS] in told for at in range(0, 64, picture.HASH_CHARS))
    assert "33%" in told
    for knockout in OATH.certificate.knockouts:
        at = told.index(f"{knockout.entity}: {knockout.harm}")
        assert told[at + 1] == picture.OUTCOMES[knockout.outcome][1]
    assert "alive(brom)" in told
    assert "Once sold, it is gone for good." in told
    assert ["Without paying" in told, "By the sword" in told] == [True, True]
    for role, entity in OATH.roles.items():
        assert role in told
        assert entity in told
    for way in (OATH.steps, *(branch.steps for branch in OATH.branches)):
        for step in way:
            assert step.action.upper() in told


def test_each_outcome_has_a_color_of_its_own() -> None:
    assert len({color for color, _ in picture.OUTCOMES.values()}) == len(picture.OUTCOMES)
    svg = picture.draw(graph.of_quest(OATH)).decode()
    used = {knockout.outcome for knockout in OATH.certificate.knockouts}
    assert all(
        (picture.OUTCOMES[outcome][0] in svg.split("</style>")[1]) == (outcome in used) for outcome in picture.OUTCOMES
    )
    assert "prefers-color-scheme:dark" in svg


def test_no_box_lies_on_another_and_all_lie_on_the_page() -> None:
    svg = picture.draw(graph.of_quest(OATH))
    root = ET.fromstring(svg)  # noqa: S314  # our own bytes
    width, height = int(root.attrib["width"]), int(root.attrib["height"])
    boxes = [
        tuple(float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
        for rect in root.iter(f"{SVG}rect")
        if rect.attrib.get("class", "").startswith("box")
    ]
    assert len(boxes) == 2 + 2 + 3 + 3, "common steps once, then those of each way"
    for number, (x, y, w, h) in enumerate(boxes):
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height  # noqa: PT018  # one box
        for other_x, other_y, other_w, other_h in boxes[:number]:
            apart = x >= other_x + other_w or other_x >= x + w or y >= other_y + other_h or other_y >= y + h
            assert apart


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(draft=drawing.drafts)
def test_whatever_an_author_writes_is_text_in_the_picture(draft: Draft) -> None:
    svg = picture.draw(graph.of_draft(draft))
    root = ET.fromstring(svg)  # noqa: S314  # our own bytes
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg", "title", "desc", "style", "rect", "text", "path", "circle",
    }  # fmt: skip
    assert "not proved yet" in texts(svg)


def test_the_same_quest_gives_the_same_bytes_in_any_process() -> None:
    program = (
        "import sys; from app.modules.quests.exports import graph, ink, picture, twee, yarn\n"
        "from tests.modules.quests.exports.quests import OATH\n"
        "from tests.modules.quests.exports.drawing import BEFORE, RING\n"
        "sys.stdout.buffer.write(picture.draw(graph.of_quest(OATH)))\n"
        "for each in (ink, yarn, twee): sys.stdout.buffer.write(each.write((BEFORE, RING)).encode())\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, cwd=ROOT, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_the_example_in_the_docs_is_drawn_by_this_release() -> None:
    assert (ROOT / "docs" / "images" / "quest.svg").read_bytes() == picture.draw(graph.of_quest(OATH))


@pytest.mark.parametrize(("text", "chars", "most", "lines"), [
    ("", 10, 3, []),
    ("one two three", 7, 3, ["one two", "three"]),
    ("one two three", 7, 1, ["one tw…"]),
    ("abcdefghij", 4, 3, ["abcd", "efgh", "ij"]),
])  # fmt: skip
def test_texts_are_broken_between_words(text: str, chars: int, most: int, lines: list[str]) -> None:
    assert list(graph.lines_of(text, chars, most)) == lines


def test_a_picture_holds_no_reference_to_anything_outside_of_it() -> None:
    svg = picture.draw(graph.of_quest(OATH)).decode()
    assert re.findall(r"(?:href|src|url\(|@import)", svg) == []
