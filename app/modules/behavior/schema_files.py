"""Schema files: where they lie, how templates in them expand, and what is wrong with one.

A file is TOML; a studio's folder stands before the shipped one. Every fault is told with the file, the place in it
and the nearest name that would be right. It knows what brains need of a schema, and no brain.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Collection, Iterator, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeVar

import msgspec

from app.core.errors import Invalid, NotFound, nearest
from app.modules.behavior.schema import (
    Blend,
    Curve,
    Feature,
    Intent,
    Parameter,
    Reflex,
    Schema,
    Slot,
    SlotColumns,
)  # fmt: skip

T = TypeVar("T")
ROLES_MAX, SLOTS_MAX, INTENTS_MAX, FEATURES_MAX, PARAMETERS_MAX = 32, 16, 64, 1_024, 16
REFLEXES_MAX = 256
BYTES_MAX = 1 << 20
"""A file's size; some hundred times what one needs."""
SCHEMAS_MAX = 64
"""Schemas in a studio's folder."""
NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
TYPED = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)


class SchemaFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file as written: a feature whose name holds {role}, {intent} or {slot} stands for one of each."""

    name: str
    about: str
    roles: tuple[str, ...]
    slots: tuple[Slot, ...]
    slot: SlotColumns
    intents: tuple[Intent, ...]
    features: tuple[Feature, ...]
    reflexes: tuple[Reflex, ...] = ()
    parameters: tuple[Parameter, ...] = ()


FIELDS = {
    name
    for kind in (SchemaFile, Slot, SlotColumns, Intent, Feature, Reflex, Parameter, Blend)
    for name in kind.__struct_fields__
}


def shipped(name: str) -> Schema:
    """The schema of that name that comes with the server; raises NotFound."""
    return _load(_shipped_folder(), name)


def load(name: str, content: Path | None = None) -> Schema:
    """The schema of that name, a studio's own before the shipped one; raises NotFound naming the nearest, Invalid."""
    folder = content / "schemas" if content is not None else None
    if folder is not None and (folder / f"{name}.toml").is_file():
        return _load(folder, name)
    return shipped(name)


def names(content: Path | None = None) -> tuple[str, ...]:
    """Every schema that can be loaded, sorted; raises Invalid where a studio's folder holds too many."""
    folders: list[Traversable] = [_shipped_folder()]
    if content is not None and (content / "schemas").is_dir():
        folders.append(content / "schemas")
    found = {file.name.removesuffix(".toml") for folder in folders for file in _files(folder)}
    if len(found) > SCHEMAS_MAX:
        raise Invalid(f"{len(found)} schemas in {content}, at most {SCHEMAS_MAX}", hint="move some away")
    return tuple(sorted(found))


def read(data: bytes, file: str) -> Schema:
    """The schema that a file's bytes hold; raises Invalid. `file` is how to call it."""
    return expand(decode(data, SchemaFile, file, FIELDS), file)


def decode(data: bytes, type: type[T], file: str, fields: Collection[str]) -> T:
    """A TOML file's bytes as `type`; raises Invalid. `fields` are what an unknown key may mean."""
    if len(data) > BYTES_MAX:
        raise Invalid(f"{file} has {len(data)} bytes, at most {BYTES_MAX}", hint="see docs/reference/behavior.md")
    try:
        return msgspec.convert(tomllib.loads(data.decode()), type)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{file} is no TOML: {error}", hint="mend the line that it names") from error
    except msgspec.ValidationError as error:
        raise _mistyped(str(error), file, fields) from error


def expand(authored: SchemaFile, file: str) -> Schema:
    """The schema with its templates filled in, checked; raises Invalid."""
    schema = Schema(
        name=authored.name, about=authored.about, roles=authored.roles, places=authored.slots, slot_ends=authored.slot,
        intents=authored.intents, features=tuple(_filled(authored)), reflexes=authored.reflexes,
        parameters=authored.parameters,
    )  # fmt: skip
    _Check(schema, file).all()
    return schema


def _shipped_folder() -> Traversable:
    return resources.files("app.modules.behavior") / "schemas"


def _files(folder: Traversable) -> Iterator[Traversable]:
    return (file for file in folder.iterdir() if file.name.endswith(".toml"))


def _load(folder: Traversable, name: str) -> Schema:
    known = sorted(file.name.removesuffix(".toml") for file in _files(folder))
    if name not in known:
        raise NotFound(f"no schema {name!r}", hint=nearest(name, known))
    path = folder / f"{name}.toml"
    schema = read(path.read_bytes(), f"{name}.toml")
    if schema.name != name:
        raise Invalid(f"{name}.toml names its schema {schema.name!r}", hint="let the file be called as its schema")
    return schema


def _mistyped(what: str, file: str, fields: Collection[str]) -> Invalid:
    unknown = UNKNOWN.fullmatch(what)
    if unknown is not None:
        place = unknown["path"] or "the top"
        return Invalid(f"{file}: {place} has an unknown key {unknown['name']!r}", hint=nearest(unknown["name"], fields))
    found = TYPED.fullmatch(what)
    place = (found["path"] if found is not None else None) or "the top"
    said = found["what"] if found is not None else what
    return Invalid(f"{file}: {place}: {said}", hint="see docs/reference/behavior.md")


def _filled(authored: SchemaFile) -> Iterator[Feature]:
    """The features with {role}, {intent} and {slot} filled in; neighbors with {slot} go slot by slot."""
    pending: list[Feature] = []
    for feature in (*authored.features, None):
        if feature is not None and "{slot}" in feature.name:
            pending.append(feature)
            continue
        for number, slot in enumerate(authored.slots):
            yield from (_named(each, slot=str(number), about=slot.about) for each in pending)
        pending.clear()
        if feature is None:
            return
        if "{role}" in feature.name:
            yield from (_named(feature, role=role) for role in authored.roles)
        elif "{intent}" in feature.name:
            yield from (_named(feature, intent=intent.name) for intent in authored.intents)
        else:
            yield feature


def _named(feature: Feature, **words: str) -> Feature:
    name, about = feature.name, feature.about
    for word, value in words.items():
        name, about = name.replace(f"{{{word}}}", value), about.replace(f"{{{word}}}", value)
    return msgspec.structs.replace(feature, name=name, about=about)


class _Check:
    """Everything that a schema must be, told with the place in its file."""

    def __init__(self, schema: Schema, file: str) -> None:
        self._schema, self._file = schema, file

    def all(self) -> None:
        schema = self._schema
        self._names("name", [schema.name], 1)
        self._names("roles", schema.roles, ROLES_MAX)
        self._names("slots", schema.kinds, SLOTS_MAX, places=len(schema.places))
        self._names("intents", schema.intent_names, INTENTS_MAX)
        self._names("features", schema.feature_names, FEATURES_MAX)
        self._names("parameters", [parameter.name for parameter in schema.parameters], PARAMETERS_MAX, least=0)
        for feature in schema.features:
            self._range(feature)
        for at, intent in enumerate(schema.intents):
            self._slots_of(f"intents[{at}].slots", intent)
        self._columns()
        if len(schema.reflexes) > REFLEXES_MAX:
            raise self._fault("reflexes", f"holds {len(schema.reflexes)}, at most {REFLEXES_MAX}", "leave some out")
        for at, reflex in enumerate(schema.reflexes):
            self._reflex(f"reflexes[{at}]", reflex)
        for at, parameter in enumerate(schema.parameters):
            self._parameter(f"parameters[{at}]", parameter)

    def _fault(self, place: str, what: str, hint: str) -> Invalid:
        return Invalid(f"{self._file}: {place} {what}", hint=hint)

    def _names(self, place: str, found: Sequence[str], most: int, *, places: int | None = None, least: int = 1) -> None:
        count = len(found) if places is None else places
        if not least <= count <= most:
            raise self._fault(place, f"holds {count}, from {least} to {most} are allowed", "add some or leave some out")
        for name in found:
            if not NAME.fullmatch(name):
                hint = "use up to 48 of a-z, 0-9 and _, a letter first"
                raise self._fault(place, f"holds the name {name!r}", hint)
        twice = next((name for at, name in enumerate(found) if name in found[:at]), None)
        if twice is not None:
            raise self._fault(place, f"holds {twice!r} twice", "give each a name of its own")

    def _range(self, item: Feature) -> None:
        place = f"feature {item.name!r}"
        if not (math.isfinite(item.low) and math.isfinite(item.high) and item.low < item.high):
            raise self._fault(place, f"has low {item.low!r} and high {item.high!r}", "let low be less than high")
        if item.high <= 0.0:
            raise self._fault(place, f"has high {item.high!r}", "let high be above 0: values are divided by it")
        if item.scale == "log" and item.low < 0.0:
            raise self._fault(place, f"is on a log scale and has low {item.low!r}", "let low be 0 or more")

    def _slots_of(self, place: str, intent: Intent) -> None:
        for slot in intent.slots:
            if not 0 <= slot < self._schema.slots:
                raise self._fault(place, f"names slot {slot!r}", f"slots are 0 to {self._schema.slots - 1}")
        if len(set(intent.slots)) != len(intent.slots):
            raise self._fault(place, f"names a slot twice: {list(intent.slots)!r}", "name each once")

    def _columns(self) -> None:
        """The columns that brains look for: roles, slots alike, and what is done and told, in the intents' order."""
        schema = self._schema
        for role in schema.roles:
            self._needs(f"is_{role}")
        ends = schema.slot_features
        for key in ("present", "distance", "first"):
            end = getattr(schema.slot_ends, key)
            if end not in ends:
                raise self._fault(f"slot.{key}", f"is {end!r}, and no feature is slot0_{end}", nearest(end, ends))
        if not 0.0 < schema.slot_ends.first_counts <= 1.0:
            raise self._fault("slot.first_counts", f"is {schema.slot_ends.first_counts!r}", "choose from (0, 1]")
        for slot in range(schema.slots):
            for end in ends:
                self._needs(f"slot{slot}_{end}")
                self._alike(schema.features[schema.columns[f"slot{slot}_{end}"]], end)
        for name in schema.feature_names:
            found = re.fullmatch(r"slot(\d+)_(.+)", name)
            if found is not None and (int(found[1]) >= schema.slots or found[2] not in ends):
                raise self._fault(f"feature {name!r}", "is of no slot", f"each of {schema.slots} slots has {ends!r}")
        for prefix in ("doing", "told"):
            first = self._needs(f"{prefix}_{schema.intent_names[0]}")
            for at, intent in enumerate(schema.intent_names):
                if self._needs(f"{prefix}_{intent}") != first + at:
                    hint = f"write one feature {prefix}_{{intent}}"
                    raise self._fault(f"feature '{prefix}_{intent}'", "is not in the order of the intents", hint)

    def _needs(self, name: str) -> int:
        found = self._schema.columns.get(name)
        if found is None:
            raise self._fault("features", f"lacks {name!r}", nearest(name, self._schema.columns))
        return found

    def _alike(self, item: Feature, end: str) -> None:
        first = self._schema.features[self._schema.columns[f"slot0_{end}"]]
        if (item.low, item.high, item.scale) != (first.low, first.high, first.scale):
            raise self._fault(f"feature {item.name!r}", f"is not on the scale of {first.name!r}", "let slots be alike")

    def _reflex(self, place: str, reflex: Reflex) -> None:
        self._known(f"{place}.intent", reflex.intent, self._schema.intent_names)
        for role in reflex.roles:
            self._known(f"{place}.roles", role, self._schema.roles)
        for test in reflex.when:
            self._known(f"{place}.when", test.feature, self._schema.columns)

    def _parameter(self, place: str, item: Parameter) -> None:
        if not (math.isfinite(item.low) and math.isfinite(item.high) and item.low < item.high):
            raise self._fault(place, f"has low {item.low!r} and high {item.high!r}", "let low be less than high")
        intents = [blend.intent for blend in item.blends]
        for intent in intents:
            self._known(f"{place}.blends", intent, self._schema.intent_names)
        if len(set(intents)) != len(intents):
            raise self._fault(f"{place}.blends", f"has two for one intent: {intents!r}", "keep one")
        values = [item.default, *(value for blend in item.blends for value in (blend.start, blend.end))]
        outside = next((value for value in values if not item.low <= value <= item.high), None)
        if outside is not None:
            raise self._fault(place, f"has the value {outside!r}", f"stay from {item.low!r} to {item.high!r}")
        for curve in (curve for blend in item.blends for curve in blend.when):
            self._known(f"{place}.blends", curve.feature, self._schema.columns)
            self._wide(f"{place}.blends", curve)

    def _wide(self, place: str, curve: Curve) -> None:
        feature = self._schema.features[self._schema.columns[curve.feature]]
        if feature.encode(curve.start) == feature.encode(curve.end):
            raise self._fault(place, f"has a curve of {curve.feature!r} without width", "let from and to differ")

    def _known(self, place: str, name: str, known: Sequence[str] | dict[str, int]) -> None:
        if name not in known:
            raise self._fault(place, f"names {name!r}", nearest(name, known))
