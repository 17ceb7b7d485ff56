"""What is exported comes back the same, as drafts and as bytes; what cannot be read says where, and how to mend it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from app.core.errors import Invalid
from app.modules.quests.draft import Draft
from app.modules.quests.exports import files, ink, yarn
from tests.modules.quests.exports import drawing
from tests.modules.quests.exports.drawing import BEFORE, RING

Write = Callable[[tuple[Draft, ...]], str]
Read = Callable[[str, str], tuple[Draft, ...]]
FORMATS: dict[str, tuple[Write, Read]] = {
    "json": (files.write, files.read),
    "ink": (ink.write, ink.read),
    "yarn": (yarn.write, yarn.read),
}
SOME = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
each_format = pytest.mark.parametrize("format", FORMATS)


@each_format
@SOME
@given(quests=drawing.files)
def test_what_is_exported_comes_back(format: str, quests: tuple[Draft, ...]) -> None:
    write, read = FORMATS[format]
    text = write(quests)
    back = read(text, "file")
    assert back == quests
    assert write(back) == text


@each_format
@SOME
@given(quests=drawing.files)
def test_a_file_may_pass_through_a_tool_that_writes_other_line_ends(format: str, quests: tuple[Draft, ...]) -> None:
    write, read = FORMATS[format]
    assert read("\ufeff" * (format != "json") + write(quests).replace("\n", "\r\n"), "file") == quests


@pytest.mark.parametrize("format", ["ink", "yarn"])
def test_a_text_that_a_writer_edits_is_the_text(format: str) -> None:
    write, read = FORMATS[format]
    text = write((RING,))
    edited = text.replace("Brom lost his ring at the weir. It was his mother's.", "Brom lost it.").replace(
        "Buy the ring.", "Buy the ring back."
    )
    (back,) = read(edited, "file")
    assert back.description == "Brom lost it."
    assert back.branches[0].steps[0].text == "Buy the ring back."
    assert msgspec.structs.replace(back, description=RING.description, branches=RING.branches) == RING


@pytest.mark.parametrize("format", ["ink", "yarn"])
def test_lines_that_a_writer_adds_change_nothing(format: str) -> None:
    write, read = FORMATS[format]
    lines = write((RING, BEFORE)).split("\n")
    place = next(number for number, line in enumerate(lines) if "step:ask" in line.replace(": ", ":"))
    lines[place:place] = [
        "Mara: Come in. # mood: warm" if format == "ink" else "Mara: Come in. #mood:warm",
        "// a note",
    ]
    assert read("\n".join(lines), "file") == (RING, BEFORE)


@pytest.mark.parametrize(
    ("format", "old", "new", "line_of", "said"),
    [
        ("ink", "# target: mara", "# taget: mara", "step: ask", "has a tag 'taget', which is no field of a step"),
        ("ink", "# count: 3", "# count: three", "count: three", "cannot be read: Expected `int`, got `str`"),
        ("ink", "# count: 3", "# count: 0", "count: 0", "Expected `int` >= 1"),
        ("yarn", "#level:3", "#level:3 #level:4", "#level:4", "has two tags 'level'"),
        ("json", '"count": 3', '"count": "3"', '"count"', "Expected `int`, got `str`"),
        ("json", '"giver": "brom",', "", '"title": "The', "missing required field `giver`"),
        ("json", '"giver": "brom",', '"giver": "brom"', '"level"', "this is not JSON"),
        ("json", '"giver": "brom",', '"giver": "brom", "gver": 1,', '"id": "q7"', "unknown field `gver`"),
    ],
)
def test_an_error_names_file_line_value_and_mend(format: str, old: str, new: str, line_of: str, said: str) -> None:
    write, read = FORMATS[format]
    text = write((BEFORE, RING)).replace(old, new)
    with pytest.raises(Invalid) as caught:
        read(text, "quests.file")
    file, line, what = caught.value.message.split(":", 2)
    assert file == "quests.file"
    assert line_of in "\n".join(text.split("\n")[int(line) - 1 : int(line) + 2])
    assert said in what
    assert caught.value.hint


@each_format
def test_two_quests_of_one_id_are_refused(format: str) -> None:
    with pytest.raises(Invalid, match="two quests of the file share the id 'q7'"):
        FORMATS[format][0]((RING, RING))
