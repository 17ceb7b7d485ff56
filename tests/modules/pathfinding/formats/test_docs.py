"""The samples in the documentation are files that the readers take, and every field has its line."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from app.modules.pathfinding import formats
from app.modules.pathfinding.formats import READERS, Format, godot, npz, recast, unity
from app.modules.pathfinding.formats.letters import MOVINGAI
from tests.modules.pathfinding.formats.cases import Limits

DOCS = Path(__file__).resolve().parents[4] / "docs"
REFERENCE = DOCS / "reference" / "map-formats.md"
PAGES = [REFERENCE, *sorted((DOCS / "how-to").glob("maps-from-*.md"))]
SAMPLE = re.compile(r"^```(\w+) (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAMPLES = [(page.name, *found) for page in PAGES for found in SAMPLE.findall(page.read_text())]
LIMITS = Limits(map_cells_max=1 << 20, side_cells_max=4_096)


def test_every_format_has_samples() -> None:
    assert {format for _, _, format, _ in SAMPLES} == set(READERS) == set(get_args(Format))
    assert len(PAGES) == 4


@pytest.mark.parametrize(("page", "language", "format", "text"), SAMPLES)
def test_a_sample_is_read(
    page: str, language: str, format: Format, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = text.encode()
    if language == "python":
        monkeypatch.chdir(tmp_path)
        exec(compile(text, page, "exec"), {})  # noqa: S102 - the sample writes the file
        data = Path("map.npz").read_bytes()
    formats.read(data, format, LIMITS)


@pytest.mark.parametrize(
    ("format", "names"),
    [
        ("unity", unity.Triangulation.__struct_fields__),
        ("godot", godot.Navigation.__struct_fields__),
        ("recast", recast.PolyMesh.__struct_fields__),
        ("npz", tuple(npz.KINDS)),
        ("movingai", tuple(MOVINGAI)),
    ],
)
def test_every_field_of_a_format_is_in_its_section(format: str, names: tuple[str, ...]) -> None:
    section = REFERENCE.read_text().partition(f"\n## {format}\n")[2].partition("\n## ")[0]
    assert not [name for name in names if f"`{name}`" not in section]


def test_every_limit_is_in_the_reference() -> None:
    text = REFERENCE.read_text()
    assert not [limit.name for limit in fields(Limits) if f"`{limit.name}`" not in text]
