"""Failpoints: nothing unless armed, at the passing that was named, and every place is really in the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import structlog

from app.core.errors import Invalid, StoreDown
from app.stores import failpoints

STORES = Path(failpoints.__file__).parent


def armed(text: str) -> failpoints.Reached:
    return failpoints.from_environment({failpoints.VARIABLE: text}, structlog.get_logger())


def test_without_the_variable_a_place_does_nothing() -> None:
    assert failpoints.from_environment({}, structlog.get_logger()) is failpoints.nothing


def test_a_place_fails_at_its_numbered_passing_and_only_then() -> None:
    reached = armed("batch.inserted=fail@3, world.inserted=fail@1")
    reached("batch.inserted")
    reached("batch.taken")
    reached("batch.inserted")
    with pytest.raises(StoreDown, match=r"batch\.inserted"):
        reached("batch.inserted")
    reached("batch.inserted")
    with pytest.raises(StoreDown, match=r"world\.inserted"):
        reached("world.inserted")


@pytest.mark.parametrize("text", ["batch.inserted", "batch.inserted=stop@1", "batch.inserted=kill@0"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="cannot be read"):
        armed(text)


def test_an_unknown_place_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(Invalid) as refused:
        armed("batch.comitted=kill@1")
    assert "batch.committed" in refused.value.hint


def test_a_place_where_nothing_can_fail_only_kills() -> None:
    with pytest.raises(Invalid, match="cannot fail"):
        armed("batch.committed=fail@1")


def test_every_place_is_passed_somewhere_in_the_stores() -> None:
    passed = {name for path in STORES.glob("*.py") for name in re.findall(r'_reached\("([a-z.]+)"\)', path.read_text())}
    assert passed == set(failpoints.PLACES)
