"""A feature view: which features exist, declared as data, and how stored numbers become them.

An entity's stored numbers are its slots: one for a feature of the whole life, a ring of panes for one
with a window. `finish` turns slots into features at a moment; it is the same for RAM, a shared server and
history, so training sees what serving saw. It knows no entity and no event.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, nearest
from app.world.events import Verb

VIEWS = Path(__file__).parent / "views"
PANES_MAX = 64
EVERY_VERB = "happened"
QUEST_STATES = (
    "draft", "verified", "offered", "active", "suspended", "repaired", "completed", "failed", "expired", "compensated",
    "abandoned",
)  # fmt: skip
KEYS = frozenset({*get_args(Verb), EVERY_VERB, "relation", *(f"quest.{state}" for state in QUEST_STATES)})
"""What a feature may be made of."""


class Feature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One number of the vector; views/people.toml explains the words."""

    name: str
    of: tuple[str, ...] = ()
    role: Literal["by", "to"] = "by"
    measure: Literal["count", "sum", "age"] = "count"
    window_s: float = 0.0


class Declared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The TOML file."""

    name: str
    kinds: tuple[Literal["npc", "player"], ...]
    panes: int
    feature: tuple[Feature, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """Features that look back equally far: `columns` of the vector, slots from `first`, a ring each."""

    pane_s: float
    columns: tuple[int, ...]
    first: int


@dataclass(frozen=True, slots=True)
class Route:
    """Where an event's amount goes: the role that it moves, the first slot, and the window of its ring (-1: none)."""

    role: Literal["by", "to"]
    slot: int
    window: int
    counts: bool


class View:
    """A declared view, laid out.

    Slots: features of the whole life first, in order, then the rings, window by window.
    """

    def __init__(self, declared: Declared) -> None:
        self.name = declared.name
        self.kinds = declared.kinds
        self.panes = declared.panes
        self.names = tuple(feature.name for feature in declared.feature)
        self.fingerprint = _fingerprint(declared)
        """A hash of everything that gives a slot its meaning; 63 bits."""
        self.routes: dict[str, tuple[Route, ...]] = {}
        self.slot_names: tuple[str, ...] = ()
        self.ages: tuple[int, ...] = ()
        self.life: tuple[int, ...] = ()
        self.windows: tuple[Window, ...] = ()
        self._lay_out(declared.feature)
        self.record = np.dtype(
            [("fingerprint", "<i8"), ("seq", "<i8"), ("at_s", "<f8"), ("slots", "<f4", (len(self.slot_names),))]
        )
        """The packed value of an entity, little-endian without padding; `at_s` is NaN for one that is gone."""

    def finish(
        self, slots: NDArray[np.float32], at_s: NDArray[np.float64], now_s: float | NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """The features of entities at `now_s`.

        `slots` (n, slots) float32 as of the game second `at_s` (n,); the result is (n, features) float32. An
        entity without a time is unknown: its row is NaN. A moment before `at_s` counts as `at_s`.
        """
        known = np.isfinite(at_s)
        at = np.where(known, at_s, 0.0)
        now = np.maximum(at, now_s)
        out = np.empty((len(slots), len(self.names)), np.float32)  # (n, features)
        out[:, self.ages] = (now - at)[:, None]
        out[:, self.life] = slots[:, : len(self.life)]
        for window in self.windows:
            stop = window.first + len(window.columns) * self.panes
            rings = slots[:, window.first : stop].reshape(len(slots), len(window.columns), self.panes)
            fresh = self._fresh(window.pane_s, at, now)  # (n, panes) bool
            out[:, window.columns] = np.where(fresh[:, None, :], rings, np.float32(0)).sum(axis=2)
        out[~known] = np.nan
        return out

    def _fresh(self, pane_s: float, at: NDArray[np.float64], now: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which panes of rings that were written at `at` still lie inside the window at `now`; (n, panes)."""
        written = np.floor(at / pane_s)[:, None]
        oldest = np.floor(now / pane_s)[:, None] - self.panes
        holds = written - np.mod(written - np.arange(self.panes), self.panes)
        return holds > oldest

    def _lay_out(self, features: tuple[Feature, ...]) -> None:
        widths = sorted({feature.window_s for feature in features if feature.window_s})
        plain = [i for i, one in enumerate(features) if one.measure != "age" and not one.window_s]
        self.ages = tuple(i for i, one in enumerate(features) if one.measure == "age")
        self.life = tuple(plain)
        names = [features[i].name for i in plain]
        routes: list[tuple[int, Route]] = [(i, _route(features[i], slot, -1)) for slot, i in enumerate(plain)]
        windows = []
        for number, width in enumerate(widths):
            columns = tuple(i for i, one in enumerate(features) if one.window_s == width)
            windows.append(Window(width / self.panes, columns, len(names)))
            for i in columns:
                routes.append((i, _route(features[i], len(names), number)))
                names += [f"{features[i].name}_pane{pane}" for pane in range(self.panes)]
        self.windows, self.slot_names = tuple(windows), tuple(names)
        for i, route in routes:
            for key in features[i].of:
                self.routes[key] = (*self.routes.get(key, ()), route)


def load(name: str) -> View:
    """The shipped view of that name; raises Invalid for one that is unknown."""
    path = VIEWS / f"{name}.toml"
    known = [found.stem for found in VIEWS.glob("*.toml")]
    if name not in known:
        raise Invalid(f"no feature view {name!r}", hint=nearest(name, known))
    return parse(path.read_text("utf-8"), origin=str(path))


def parse(text: str, *, origin: str) -> View:
    """The view that TOML declares; raises Invalid, naming `origin` and the feature."""
    try:
        declared = msgspec.convert(tomllib.loads(text), Declared)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Invalid(f"{origin}: {error}", hint="compare it with views/people.toml") from error
    if not 1 <= declared.panes <= PANES_MAX:
        raise Invalid(f"{origin}: panes is {declared.panes!r}", hint=f"give 1 to {PANES_MAX}")
    seen: set[str] = set()
    for feature in declared.feature:
        _check(feature, origin)
        if not feature.name.isidentifier() or feature.name in seen:
            raise Invalid(
                f"{origin}: feature {feature.name!r} is no name, or there twice", hint="write words_like_this"
            )
        seen.add(feature.name)
    return View(declared)


def _check(feature: Feature, origin: str) -> None:
    """Raise Invalid for a feature that could not mean anything, or would count one event twice."""
    for key in feature.of:
        if key not in KEYS:
            raise Invalid(f"{origin}: {feature.name}: of names {key!r}", hint=nearest(key, KEYS))
    if EVERY_VERB in feature.of and len(feature.of) > 1:
        raise Invalid(f"{origin}: {feature.name}: {EVERY_VERB!r} holds every verb already", hint="leave the others out")
    if not (feature.window_s >= 0.0 and np.isfinite(feature.window_s)):
        raise Invalid(f"{origin}: {feature.name}: window_s is {feature.window_s!r}", hint="give game seconds")
    if (feature.measure == "age") == bool(feature.of) or (feature.measure == "age" and feature.window_s):
        raise Invalid(
            f"{origin}: {feature.name}: measure {feature.measure!r} does not go with its of and window_s",
            hint="an age has neither of nor window_s; a count or sum has of",
        )


def _route(feature: Feature, slot: int, window: int) -> Route:
    return Route(feature.role, slot, window, feature.measure == "count")


def _fingerprint(declared: Declared) -> int:
    return int.from_bytes(hashlib.sha256(msgspec.msgpack.encode(declared)).digest()[:8], "little") >> 1
