"""The reference page tells of every message, field, fault, flag and limit of the wire, and its schema is sound."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from app.modules.behavior import frames, messages, raw, schema_files
from app.modules.behavior.reflexes import Reflexes
from app.modules.behavior.rule import SteeringRule
from app.modules.behavior.schema_files import SchemaFile
from tests.servers import ROOT

PAGE = (ROOT / "docs" / "reference" / "behavior.md").read_text()
TOLD: tuple[Any, ...] = (
    messages.Decide, messages.Decided, messages.RowError, messages.Lists, messages.Seen, messages.Explain,
    messages.Explained, messages.Tipping, messages.SetIntent, messages.Assign, messages.WriteBoard, SteeringRule,
    messages.Steer, messages.SetSchedule, messages.SetSquad, messages.SquadTold, messages.GetFormation,
    messages.Pose, messages.Places, SchemaFile,
)  # fmt: skip


@pytest.mark.parametrize("kind", TOLD, ids=lambda kind: kind.__name__)
def test_every_field_is_in_the_reference(kind: Any) -> None:
    fields = set(kind.__struct_fields__) - {"world"}
    assert {name for name in fields if f"`{name}`" not in PAGE and f'"{name}"' not in PAGE} == set()


def test_every_fault_has_its_number_and_every_flag_its_value() -> None:
    told = dict(re.findall(r"^\| (\d) \| `(\w+)` \|", PAGE, re.MULTILINE))
    assert told == {str(number): code for number, code in enumerate(frames.FAULTS)}
    flags = {name: int(value) for value, name in re.findall(r"flag (\d+) \((\w+)\)", PAGE, re.IGNORECASE)}
    assert flags == {flag.name: int(flag) for flag in raw.Flag if flag is not raw.Flag.TICK}


def test_the_schema_on_the_page_works() -> None:
    text = re.search(r"```toml\n(name = .*?)```", PAGE, re.DOTALL)
    assert text is not None
    shop = schema_files.read(text[1].encode(), "shop.toml")
    obs = shop.encode([{"is_helper": 1.0, "slot0_here": 1.0, "slot0_distance": 1.0}, {"is_keeper": 1.0, "hour": 21.0}])
    choice = Reflexes(shop).follow(obs, np.ones((2, 4), np.uint8))
    assert [shop.intent_names[intent] for intent in choice.intents] == ["serve", "close"]
