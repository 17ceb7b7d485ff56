"""Every column and every field of an event has a class; what is confidential is not kept in the clear."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec

from app.stores import tables
from app.stores.classes import CLEAR, COLUMNS, RETENTIONS, data_map
from app.world import entities
from app.world.classes import FIELDS
from app.world.events import AnyChange
from app.world.personal import _LEAVES

PARTS = (
    *get_args(entities.AnyEntity),
    *(entities.Persona, entities.Fact, entities.StoredMap),
    *(entities.Obstacle, entities.Circle, entities.Box, entities.CellSet, entities.Squad),
)


def test_every_column_has_a_class_and_a_retention() -> None:
    declared = {(table, column) for table, columns in COLUMNS.items() for column in columns}
    there = {(table.name, column.name) for table in tables.metadata.tables.values() for column in table.columns}
    assert there - declared == set(), "declare them in app/stores/classes.py"
    assert declared - there == set(), "these are gone"
    assert all(held.retention in RETENTIONS for columns in COLUMNS.values() for held in columns.values())


def test_what_is_confidential_or_personal_is_not_kept_in_the_clear() -> None:
    clear = {
        f"{table}.{column}"
        for table, columns in COLUMNS.items()
        for column, held in columns.items()
        if held.class_ in ("confidential", "personal") and held.kept == "clear"
    }
    assert clear == set(CLEAR)


def fields() -> Iterator[tuple[str, str]]:
    for kind in (*get_args(AnyChange), *PARTS):
        for field in msgspec.structs.fields(kind):
            yield kind.__name__, field.name


def test_every_field_of_an_event_has_a_class() -> None:
    declared = {(kind, name) for kind, names in FIELDS.items() for name in names}
    assert set(fields()) == declared, "declare them in app/world/classes.py"


def test_what_is_declared_personal_is_what_is_sealed() -> None:
    names = {"EntityUpserted": "Player", "FactAsserted": "Fact"}
    for kind, leaves in _LEAVES.items():
        fields = FIELDS[names.get(kind.__name__, kind.__name__)]
        assert {name for name, class_ in fields.items() if class_ == "personal"} == set(leaves.__struct_fields__)
    sealed = {names.get(kind.__name__, kind.__name__) for kind in _LEAVES}
    assert {kind for kind, fields in FIELDS.items() if "personal" in fields.values()} == sealed


def test_the_data_map_is_what_the_classes_say() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "data-map.md"
    assert page.read_text() == data_map(), "write it with manage.py privacy data-map"
