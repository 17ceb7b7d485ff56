"""The hours that NPCs keep: a timetable as arrays, and which intent it asks of whom at this moment.

It knows the time of day from the observation, a day of the week that it is given, and needs that win over any
schedule. It sets no directive that is an event. Pure numpy; `nudge_kernels.py` does the same at speed, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, nearest
from app.modules.behavior.considerations import Curve
from app.modules.behavior.content import read_folder
from app.modules.behavior.curves import HALF, Curves, lay_out
from app.modules.behavior.logic import mix
from app.modules.behavior.schema import F32, Schema

I16 = NDArray[np.int16]
SALT = 0x5C4ED01E
"""Keeps an NPC's jitter apart from its taste."""
DAYS = 7
ATAN = (0.9998660, -0.3302995, 0.1801410, -0.0851330, 0.0208351)
"""Arctangent over [0, 1] to 1e-5 (Abramowitz and Stegun, 4.4.49): the same bits wherever it is computed."""
QUARTER, HALF_TURN, TURN = np.float32(math.pi / 2), np.float32(math.pi), np.float32(2 * math.pi)
HOURS_IN_RADIAN = np.float32(12.0 / math.pi)
HOURS = np.float32(24.0)

Hour = Annotated[float, msgspec.Meta(ge=0.0, le=24.0)]


class Block(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"start": "from"}):
    """Hours of a day with one intent; `to` before `from` goes over midnight, equal to it means the whole day.

    `days` are days of the week on which it begins, 0 to 6, none meaning all. `when` must hold (its product over
    0.5), else a later block of the same time applies.
    """

    start: Hour
    to: Hour
    intent: str
    days: Annotated[tuple[Annotated[int, msgspec.Meta(ge=0, le=6)], ...], msgspec.Meta(max_length=DAYS)] = ()
    when: Annotated[tuple[Curve, ...], msgspec.Meta(max_length=8)] = ()


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way to spend the days. The first block that fits counts; where one of `needs` is over 0.5, none does.

    Every NPC is up to `jitter_hours` early or late, always as much.
    """

    name: str
    archetypes: tuple[str, ...] = ()
    jitter_hours: Annotated[float, msgspec.Meta(ge=0.0, le=6.0)] = 0.0
    needs: Annotated[tuple[Curve, ...], msgspec.Meta(max_length=16)] = ()
    hours: Annotated[tuple[Block, ...], msgspec.Meta(min_length=1, max_length=48)]


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule file as written."""

    schema: str
    schedules: tuple[Schedule, ...]


@dataclass(frozen=True, slots=True)
class Timetable:
    """All schedules of one schema, laid out: S schedules of E blocks."""

    schema: Schema
    names: tuple[str, ...]
    owners: Mapping[str, int]
    """Archetype -> its schedule, where a file that the profile names says so."""
    curves: Curves
    blocks: F32
    """(E, 2) from and to in hours"""
    heads: NDArray[np.intp]
    """(E, 4): the intent, its first curve, the end of its curves, its days as bits"""
    spans: NDArray[np.intp]
    """(S, 4): first block, end of the blocks, first need, end of the needs"""
    jitter: F32
    """(S,) hours"""
    clock: tuple[int, int]
    """Columns of the sine and the cosine of the time of day"""

    def ask(
        self, obs: F32, which: I16, handles: NDArray[np.uint32], day: int, told: I16, first: int, last: int
    ) -> None:
        """Write each row's scheduled intent into `told` (n,) int16 where that is -1 and the row tells none itself.

        `which` (n,) is each row's schedule or -1, `day` the day of the week.
        """
        block = self.schema.block("told")
        rows = np.arange(first, last)
        rows = rows[(told[rows] < 0) & (which[rows] >= 0) & ~(obs[rows, block] != 0.0).any(axis=1)]
        for schedule in np.unique(which[rows]).tolist():
            mine = rows[which[rows] == schedule]
            told[mine] = self._asked(schedule, obs[mine], handles[mine], day)

    def _asked(self, schedule: int, obs: F32, handles: NDArray[np.uint32], day: int) -> I16:
        first, last, need, needs_end = self.spans[schedule].tolist()
        time = hours(obs[:, self.clock[0]], obs[:, self.clock[1]])
        known = time >= 0.0
        time += lateness(handles) * self.jitter[schedule]
        days = np.where(time < 0.0, day - 1, np.where(time >= HOURS, day + 1, day))
        time += np.where(time < 0.0, HOURS, np.where(time >= HOURS, -HOURS, np.float32(0.0)))
        heights = self.curves.heights(obs)
        free = known & ~(heights[need:needs_end] > HALF).any(axis=0)
        found = np.full(len(obs), -1, np.int16)
        for at in range(first, last):
            begin, end = self.blocks[at]
            intent, curve, curves_end, bits = self.heads[at].tolist()
            wraps = end <= begin
            inside = (time >= begin) | (time < end) if wraps else (time >= begin) & (time < end)
            since = days - (wraps & (time < begin))
            product = np.ones(len(obs), np.float32)
            for one in range(curve, curves_end):
                product *= heights[one]
            fits = inside & ((bits >> (since % DAYS)) & 1 == 1) & (product > HALF)
            found[(found < 0) & free & fits] = intent
        return found


def hours(sine: F32, cosine: F32) -> F32:
    """The time of day in [0, 24) from its sine and cosine, both 0 giving -1: there is no clock."""
    high, low = np.maximum(abs(cosine), abs(sine)), np.minimum(abs(cosine), abs(sine))
    share = np.asarray(low / np.where(high > 0.0, high, 1.0), np.float32)
    square = share * share
    curve: F32 = np.full_like(share, ATAN[-1])
    for coefficient in ATAN[-2::-1]:
        curve = np.float32(coefficient) + square * curve
    angle: F32 = share * curve
    turns = ((abs(sine) > abs(cosine), QUARTER), (cosine < 0.0, HALF_TURN), (sine < 0.0, TURN))
    for where, whole in turns:
        angle[where] = whole - angle[where]
    angle *= HOURS_IN_RADIAN
    angle[angle >= HOURS] -= HOURS
    angle[high == 0.0] = -1.0
    return angle


def lateness(handles: NDArray[np.uint32]) -> F32:
    """How late each NPC is by nature, in [-1, 1); the same in every process."""
    mixed = mix(handles.astype(np.uint64) + np.uint64(SALT)) >> np.uint64(40)
    return mixed.astype(np.float32) * np.float32(2.0**-23) - np.float32(1.0)


def load(schema: Schema, content_folder: str, assigned: Sequence[str]) -> Timetable | None:
    """Every schedule for `schema`; those of the files `assigned` are their archetypes' own.

    None where there is no schedule for it. Raises Invalid naming the file.
    """
    files = read_folder("schedules", content_folder, File)
    for name in assigned:
        if name not in files:
            raise Invalid(f"there is no schedule file {name!r}", hint=nearest(name, files))
    mine = [(name, each) for name, file in files.items() if file.schema == schema.name for each in file.schedules]
    return compile_timetable(mine, schema, assigned) if mine else None


def compile_timetable(schedules: Sequence[tuple[str, Schedule]], schema: Schema, assigned: Sequence[str]) -> Timetable:
    """Lay out (file, schedule) pairs; raises Invalid for what the schema lacks or a name that comes twice."""
    names: list[str] = []
    owners: dict[str, int] = {}
    curves: list[Curve] = []
    blocks: list[tuple[float, float]] = []
    heads: list[tuple[int, int, int, int]] = []
    spans: list[tuple[int, int, int, int]] = []
    for file, schedule in schedules:
        where = f"schedules/{file}.toml, {schedule.name!r}"
        _check(schedule, schema, names, where)
        if file in assigned:
            owners.update(dict.fromkeys(schedule.archetypes, len(names)))
        names.append(schedule.name)
        first, need = len(blocks), len(curves)
        curves += schedule.needs
        needs_end = len(curves)
        for block in schedule.hours:
            bits = sum(1 << day for day in set(block.days or range(DAYS)))
            heads.append((schema.intent_index[block.intent], len(curves), len(curves) + len(block.when), bits))
            curves += block.when
            blocks.append((block.start, block.to))
        spans.append((first, len(blocks), need, needs_end))
    return Timetable(
        schema=schema,
        names=tuple(names),
        owners=owners,
        curves=lay_out(curves, schema, "schedules"),
        blocks=np.array(blocks, np.float32).reshape(-1, 2),
        heads=np.array(heads, np.intp).reshape(-1, 4),
        spans=np.array(spans, np.intp).reshape(-1, 4),
        jitter=np.array([schedule.jitter_hours for _, schedule in schedules], np.float32),
        clock=(schema.column("day_sin"), schema.column("day_cos")),
    )


def _check(schedule: Schedule, schema: Schema, names: Sequence[str], where: str) -> None:
    if schedule.name in names or not schedule.name:
        raise Invalid(f"{where}: the name is taken or empty", hint="give every schedule a name of its own")
    for block in schedule.hours:
        if block.intent not in schema.intent_index:
            raise Invalid(f"{where} names intent {block.intent!r}", hint=nearest(block.intent, schema.intent_index))
    lay_out([*schedule.needs, *(curve for block in schedule.hours for curve in block.when)], schema, where)
