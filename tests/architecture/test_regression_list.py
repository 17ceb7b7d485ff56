"""The page of what others suffered names tests that exist, for every entry of the list."""

from __future__ import annotations

import re

from tests.architecture.test_shape import ROOT

PAGE = (ROOT / "docs" / "regressions.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)


def test_every_test_of_the_page_is_there() -> None:
    missing = [f"{path}::{name}" for path, name in NAMED if f"def {name}(" not in (ROOT / path).read_text()]
    assert not missing


def test_every_entry_of_the_list_has_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if re.match(r"\| [\d–]", line)]
    numbers = {int(number) for row in rows for number in re.findall(r"\d+", row.split("|")[1])}
    assert numbers == set(range(1, 25))
    assert all("::test_" in row for row in rows)
