"""A situation: what a row of observations comes to when a planner looks at it, coarse enough to be shared.

It knows features, edges and words; NPCs in one situation get one plan. Pure numpy, no ids and no player's text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.modules.behavior.schedules import hours
from app.modules.behavior.schema import F32, U8, Schema

U64 = NDArray[np.uint64]


class Bucket(NamedTuple):
    """A feature, the values (in its unit) between its grades, and a word for each grade; an empty word is not said."""

    feature: str
    edges: tuple[float, ...]
    words: tuple[str, ...]


BUCKETS = (
    Bucket("hp", (0.35, 0.75), ("badly hurt", "hurt", "")),
    Bucket("hunger", (0.4, 0.75), ("fed", "hungry", "starving")),
    Bucket("energy", (0.15, 0.5), ("exhausted", "tired", "rested")),
    Bucket("mood", (-0.3, 0.4), ("miserable", "", "happy")),
    Bucket("stock", (1.0, 7.0), ("carries nothing", "carries some goods", "carries many goods")),
    Bucket("gold", (5.0, 50.0), ("poor", "", "rich")),
    Bucket("threats_near", (0.5, 1.5), ("", "one enemy in sight", "enemies in sight")),
    Bucket("quarry_near", (0.5,), ("", "prey in sight")),
    Bucket("bad_weather", (0.5,), ("", "a storm rages")),
    Bucket("home_distance", (4.0, 40.0), ("at home", "near home", "far from home")),
)
TIMES = ("", "night", "morning", "afternoon", "evening")
SQUADS = ("", "in a squad", "in a squad that breaks")


@dataclass(frozen=True, slots=True)
class Grades:
    """The buckets of one schema, and how grades become numbers."""

    buckets: tuple[tuple[int, F32, Bucket], ...]
    """(column, encoded edges, bucket) of those that the schema has."""
    clock: tuple[int, int] | None
    schema: Schema

    @classmethod
    def of(cls, schema: Schema) -> Grades:
        """The buckets whose features are in the schema."""
        found = []
        for bucket in BUCKETS:
            column = schema.columns.get(bucket.feature)
            if column is not None:
                edges = [schema.features[column].encode(edge) for edge in bucket.edges]
                found.append((column, np.array(edges, np.float32), bucket))
        both = {"day_sin", "day_cos"} <= schema.columns.keys()
        clock = (schema.columns["day_sin"], schema.columns["day_cos"]) if both else None
        return cls(tuple(found), clock, schema)

    def codes(self, obs: F32, mask: U8, squads: U8) -> U64:
        """A number for each row's situation (n,): grades, time, role, squad (0, 1 or 2) and what is allowed."""
        code = squads.astype(np.uint64)
        for column, edges, bucket in self.buckets:
            grade = np.searchsorted(edges, obs[:, column], side="right").astype(np.uint64)
            code = code * np.uint64(len(bucket.words)) + grade
        if self.clock is not None:
            time = hours(obs[:, self.clock[0]], obs[:, self.clock[1]])
            part = np.where(time < 0, 0, 1 + ((time + 2.0) % 24.0) // 6.0).astype(np.uint64)
            code = code * np.uint64(len(TIMES)) + part
        roles = obs[:, self.schema.role_columns]
        code = code * np.uint64(len(self.schema.roles) + 1) + np.where(
            roles.any(axis=1), 1 + roles.argmax(axis=1), 0
        ).astype(np.uint64)
        bits = (mask != 0).astype(np.uint64) << np.arange(mask.shape[1], dtype=np.uint64)
        mixed: U64 = code * np.uint64(0x9E3779B97F4A7C15) ^ bits.sum(axis=1, dtype=np.uint64)
        return mixed

    def words(self, row: F32, squad: int) -> str:
        """One row's situation in words, such as `hungry; tired; night`."""
        said = []
        for column, edges, bucket in self.buckets:
            said.append(bucket.words[int(np.searchsorted(edges, row[column], side="right"))])
        if self.clock is not None:
            time = float(hours(row[None, self.clock[0]], row[None, self.clock[1]])[0])
            said.append(TIMES[0 if time < 0 else 1 + int(((time + 2.0) % 24.0) // 6.0)])
        said.append(SQUADS[squad])
        return "; ".join(word for word in said if word)
