"""From a behavior.decide in any of its forms to arrays.

It checks sizes and ids against the schema and the world, and writes down what is wrong with single NPCs; it decides
nothing. Whoever sends lists pays for them here: see `is_slow`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, TooLarge
from app.modules.behavior.messages import Decide, Fault, Number
from app.modules.behavior.schema import F32, NONE, U8, Schema
from app.modules.behavior.settings import Settings
from app.world.state import World

S = TypeVar("S", bound=np.generic)
U32 = NDArray[np.uint32]

UNKNOWN = 0xFFFF_FFFF
"""The handle that stands for nobody."""
FAULTS: tuple[Fault, ...] = get_args(Fault)
"""What can be wrong with one NPC, the gravest first."""
LOOP_ROWS_MAX = 32
"""Rows of lists that are read on the loop: under half a millisecond."""
LOOP_CHARACTERS_MAX = 400_000
"""Base64 that is read on the loop."""


class Faults:
    """What is wrong with single NPCs, one thing each: the gravest."""

    def __init__(self, npcs: int) -> None:
        self.codes: U8 = np.full(npcs, NONE, np.uint8)
        """(n,) index into FAULTS, NONE where nothing is wrong"""
        self.any = False
        self._about: dict[int, tuple[Fault, str]] = {}

    def add(self, row: int, code: Fault, about: str) -> None:
        """Note a fault that reading found, and the value that was wrong."""
        number = FAULTS.index(code)
        if number < self.codes[row]:
            self.codes[row], self._about[row], self.any = number, (code, about), True

    def mark(self, rows: NDArray[np.bool_], code: Fault) -> None:
        """Note a fault of many rows, `rows` (n,)."""
        np.minimum(self.codes, np.uint8(FAULTS.index(code)), out=self.codes, where=rows)
        self.any = True

    def of(self, *codes: Fault) -> NDArray[np.bool_]:
        """Which rows have one of these faults (n,)."""
        return np.isin(self.codes, [FAULTS.index(code) for code in codes])

    def about(self, row: int) -> tuple[Fault, str]:
        """The fault of a row that has one, and the value that was wrong where reading saw it."""
        code = FAULTS[self.codes[row]]
        said = self._about.get(row)
        return code, said[1] if said is not None and said[0] == code else ""


@dataclass(frozen=True, slots=True)
class Tick:
    """What a request asks, as arrays of n rows."""

    number: int
    handles: U32
    """(n,) as sent; UNKNOWN where an id names no NPC"""
    obs: F32
    """(n, features), as sent, C-contiguous and aligned; NaN where a row could not be read"""
    mask: U8
    """(n, intents)"""
    archetypes: U8 | None
    """(n,) index of the role, NONE where it is unknown; None when the request does not say"""
    candidates: F32 | None
    """(n, k, 1 + slot features), k at least 1"""
    candidate_handles: U32 | None
    """(n, k)"""
    importance: F32 | None
    """(n,) finite"""
    faults: Faults


def is_slow(request: Decide) -> bool:
    """Whether reading it takes long enough to leave the loop for."""
    lists = (request.rows, request.features, request.allowed, request.archetype_names, request.seen, request.npcs)
    return max(map(len, lists)) > LOOP_ROWS_MAX or len(request.obs_b64) > LOOP_CHARACTERS_MAX


def read(request: Decide, schema: Schema, world: World, settings: Settings) -> Tick:
    """The arrays of a request; raises Invalid or TooLarge when its parts do not fit each other."""
    handles = _handles(request, world)
    count = len(handles)
    if count > settings.npcs_max:
        raise TooLarge(f"{count} NPCs in one tick, at most {settings.npcs_max}", hint="split the tick into frames")
    faults = Faults(count)
    obs = _observations(request, schema, count, faults)
    mask = _mask(request, schema, count, faults)
    candidates, who = _candidates(request, schema, world, count, settings.candidates_max, faults)
    return Tick(
        number=request.tick, handles=handles, obs=obs, mask=mask,
        archetypes=_archetypes(request, schema, count, faults), candidates=candidates, candidate_handles=who,
        importance=_importance(request, count), faults=faults,
    )  # fmt: skip


def _handles(request: Decide, world: World) -> U32:
    _one_of(request, "handles", "npcs")
    if request.npcs:
        known = world.state.handles
        return np.array([known.get(npc, UNKNOWN) for npc in request.npcs], np.uint32)
    if len(request.handles) % 4:
        raise Invalid(f"handles is {len(request.handles)} bytes long", hint="send 4 bytes (uint32) per NPC")
    return _aligned(np.frombuffer(request.handles, "<u4"))


def _one_of(request: Decide, *names: str) -> None:
    given = [name for name in names if getattr(request, name)]
    if len(given) > 1:
        raise Invalid(f"{' and '.join(given)} are both given", hint="send one of them")


def _observations(request: Decide, schema: Schema, npcs: int, faults: Faults) -> F32:
    forms = {"obs": request.obs, "obs_b64": request.obs_b64, "rows": request.rows, "features": request.features}
    given = [name for name, value in forms.items() if value]
    if npcs and len(given) != 1:
        raise Invalid(f"observations are given as {given!r}", hint="send exactly one of obs, obs_b64, rows, features")
    shape = (npcs, len(schema.features))
    if request.features:
        return _from_features(request, schema, _counted("features", request.features, npcs), faults)
    if request.rows:
        return _from_rows(request, shape[1], _counted("rows", request.rows, npcs), faults)
    data = request.obs
    if request.obs_b64:
        try:
            data = base64.b64decode(request.obs_b64, validate=True)
        except ValueError as error:
            raise Invalid(
                f"obs_b64 is not base64: {error}", hint="encode the float32 bytes as standard base64"
            ) from error
    return _array(data, np.float32, shape, "obs")


def _counted(name: str, lists: Sequence[object], npcs: int) -> int:
    if len(lists) != npcs:
        raise Invalid(f"{name} has {len(lists)} rows for {npcs} NPCs", hint="send one row per NPC")
    return npcs


def _from_rows(request: Decide, width: int, npcs: int, faults: Faults) -> F32:
    """Lists of encoded values; null is no number."""
    out = np.full((npcs, width), np.nan, np.float32)
    whole = [at for at, row in enumerate(request.rows) if len(row) == width]
    if whole:
        with np.errstate(over="ignore"):
            out[whole] = np.array([request.rows[at] for at in whole], np.float64).astype(np.float32)
    if len(whole) < npcs:
        for at, row in enumerate(request.rows):
            if len(row) != width:
                faults.add(at, "wrong_width", str(len(row)))
    return out


def _from_features(request: Decide, schema: Schema, npcs: int, faults: Faults) -> F32:
    """Natural values by name; what is left out is 0. A row with a name or a value that cannot be is NaN."""
    out = np.zeros((npcs, len(schema.features)), np.float32)
    known, at, columns, values = schema.columns, [], [], []
    for row, named in enumerate(request.features):
        for name, value in named.items():
            column = known.get(name)
            if column is None:
                faults.add(row, "unknown_feature", name)
            elif isinstance(value, int | float):
                at.append(row)
                columns.append(column)
                values.append(value)
            else:
                faults.add(row, "not_finite", f"{name} is {value!r}")
    out[at, columns] = schema.encode_at(np.array(values, np.float64), np.array(columns, np.intp))
    out[faults.of("unknown_feature", "not_finite")] = np.nan
    return out


def _mask(request: Decide, schema: Schema, npcs: int, faults: Faults) -> U8:
    _one_of(request, "mask", "allowed")
    shape = (npcs, len(schema.intents))
    if request.mask:
        return _array(request.mask, np.uint8, shape, "mask")
    if not request.allowed:
        return np.ones(shape, np.uint8)
    out = np.zeros(shape, np.uint8)
    _counted("allowed", request.allowed, npcs)
    for row, names in enumerate(request.allowed):
        for name in names:
            intent = schema.intent_index.get(name)
            if intent is None:
                faults.add(row, "unknown_intent", name)
            else:
                out[row, intent] = 1
    return out


def _archetypes(request: Decide, schema: Schema, npcs: int, faults: Faults) -> U8 | None:
    _one_of(request, "archetypes", "archetype_names")
    if request.archetype_names:
        names = request.archetype_names
        _counted("archetype_names", names, npcs)
        found = np.array([schema.role_index.get(name, NONE) for name in names], np.uint8)
        for row in np.flatnonzero(found == NONE).tolist():
            faults.add(row, "unknown_archetype", names[row])
        return found
    if not request.archetypes:
        return None
    sent = _array(request.archetypes, np.uint8, (npcs,), "archetypes")
    for row in np.flatnonzero(sent >= len(schema.roles)).tolist():
        faults.add(row, "unknown_archetype", str(sent[row]))
    return np.where(sent < len(schema.roles), sent, NONE).astype(np.uint8)


def _candidates(
    request: Decide, schema: Schema, world: World, npcs: int, most: int, faults: Faults
) -> tuple[F32 | None, U32 | None]:
    """(n, k, 1 + slot features) and their handles (n, k), where they are given."""
    _one_of(request, "candidates", "seen")
    width = 1 + len(schema.slot_features)
    if request.seen:
        each = max(len(row) for row in request.seen)
        _few(each, most)
        _counted("seen", request.seen, npcs)
        return _from_seen(request, schema, world, max(1, each), faults)
    if not request.candidates:
        if request.candidate_handles:
            raise Invalid("candidate_handles without candidates", hint="send both, or neither")
        return None, None
    each = request.candidates_each or len(request.candidates) // max(1, npcs * width * 4)
    _few(each, most)
    found = _array(request.candidates, np.float32, (npcs, each, width), "candidates")
    if not request.candidate_handles:
        return found, None
    return found, _array(request.candidate_handles, np.uint32, (npcs, each), "candidate_handles")


def _few(each: int, most: int) -> None:
    if each > most:
        raise TooLarge(f"{each} candidates for an NPC, at most {most}", hint="send the nearest of each kind")


def _from_seen(request: Decide, schema: Schema, world: World, each: int, faults: Faults) -> tuple[F32, U32]:
    """Named candidates; without its distance one is far, without its presence it is there."""
    ends = {name: at for at, name in enumerate(schema.slot_features)}
    blank = np.append(np.float32(0.0), schema.empty_slot)
    at_hand = ends[schema.slot_ends.present]
    blank[1 + at_hand] = schema.high[schema.slot_table[0, at_hand]]
    out = np.tile(blank, (len(request.seen), each, 1))
    who = np.full(out.shape[:2], UNKNOWN, np.uint32)
    kinds = {kind: 1 + at for at, kind in enumerate(schema.kinds)}
    for row, seen in enumerate(request.seen):
        for at, one in enumerate(seen):
            out[row, at, 0] = kinds.get(one.kind, -1)
            who[row, at] = world.state.handles.get(one.npc, UNKNOWN)
            if one.kind not in kinds:
                faults.add(row, "broken_candidate", f"{at} is of kind {one.kind!r}")
            columns = [ends.get(name) for name in one.features]
            if None in columns or not all(isinstance(value, int | float) for value in one.features.values()):
                faults.add(row, "broken_candidate", _odd(at, one.features, ends))
                out[row, at, 0] = -1.0
                continue
            places = np.array(columns, np.intp)
            values = np.array(list(one.features.values()), np.float64)
            out[row, at, 1 + places] = schema.encode_at(values, schema.slot_table[0, places])
    return out, who


def _odd(at: int, features: dict[str, Number], known: dict[str, int]) -> str:
    name, value = next(
        (name, value) for name, value in features.items() if name not in known or not isinstance(value, int | float)
    )
    return f"{at} has {name!r} = {value!r}"


def _importance(request: Decide, npcs: int) -> F32 | None:
    """As floats (n,), whichever way it was sent; what is no number is of no importance."""
    if not request.importance:
        return None
    if len(request.importance) == npcs:
        return _array(request.importance, np.uint8, (npcs,), "importance").astype(np.float32)
    return np.nan_to_num(_array(request.importance, np.float32, (npcs,), "importance"))


def _array(data: bytes, kind: type[S], shape: tuple[int, ...], name: str) -> NDArray[S]:
    size = kind().itemsize
    for length in shape:
        size *= length
    if len(data) != size:
        wanted = " x ".join(str(length) for length in shape)
        raise Invalid(
            f"{name} is {len(data)} bytes long, {wanted} x {kind().itemsize} are {size}",
            hint="send the whole matrix, row by row, little-endian; the first number is that of the NPCs",
        )
    return _aligned(np.frombuffer(data, np.dtype(kind).newbyteorder("<")).reshape(shape))


def _aligned(found: NDArray[S]) -> NDArray[S]:
    """The array itself, unless its numbers start at an odd address inside someone's buffer, or end first."""
    return found if found.flags.aligned and found.dtype.isnative else found.astype(found.dtype.newbyteorder("="))
