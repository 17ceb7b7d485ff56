"""The functions that a story may call: those of ink, those of Yarn, and what it may ask of the world.

Each has a name, how many arguments it takes, and a pure rule over values. Asking the world only reads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from app.modules.dialogue.stories.model import Syntax, Value
from app.modules.dialogue.stories.values import Fault, bounded, number, shown, truth


class View(Protocol):
    """What a story may know of the world: nothing that its NPC may not tell this player."""

    def fact(self, subject: str, predicate: str) -> Value:
        """The value of a fact; an empty text where none holds that may be told."""
        ...

    def relation(self) -> float:
        """How the NPC feels about the player, in [-1, 1]."""
        ...

    def has_item(self, item: str) -> bool:
        """Whether the player holds the item of that id, or one of that kind."""
        ...

    def quest_state(self, quest: str) -> str:
        """The state of a quest; empty where there is none, or it is another player's."""
        ...

    def hour(self) -> float:
        """The hour of the day, in [0, 24)."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What the functions of one run draw on: the world, and the next random number in [0, 1)."""

    view: View
    draw: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Function:
    """`least` to `most` arguments; `call` raises Fault where their values do not fit."""

    least: int
    most: int
    call: Callable[[Tools, tuple[Value, ...]], Value]


WORLD: Mapping[str, Function] = {
    "fact": Function(2, 2, lambda tools, given: tools.view.fact(shown(given[0]), shown(given[1]))),
    "relation": Function(0, 0, lambda tools, _given: tools.view.relation()),
    "has_item": Function(1, 1, lambda tools, given: tools.view.has_item(shown(given[0]))),
    "quest_state": Function(1, 1, lambda tools, given: tools.view.quest_state(shown(given[0]))),
    "hour": Function(0, 0, lambda tools, _given: tools.view.hour()),
}
"""What may be asked of the world, in both languages."""


def _whole(value: float) -> int:
    return int(bounded(math.trunc(number(value))))


def _between(tools: Tools, low: Value, high: Value) -> int:
    first, last = _whole(number(low)), _whole(number(high))
    if last < first:
        raise Fault(f"no whole number lies between {first} and {last}")
    return first + int(tools.draw() * (last - first + 1))


def _power(left: Value, right: Value) -> int | float:
    try:
        found = math.pow(number(left), number(right))
    except (OverflowError, ValueError) as error:
        raise Fault("a power left its range") from error
    return bounded(int(found) if found.is_integer() and isinstance(left, int) and isinstance(right, int) else found)


def _places(value: Value, places: Value) -> float:
    return round(float(number(value)), max(0, min(9, _whole(number(places)))))


_INK: Mapping[str, Function] = {
    "RANDOM": Function(2, 2, lambda tools, given: _between(tools, given[0], given[1])),
    "MIN": Function(2, 2, lambda _tools, given: min(number(given[0]), number(given[1]))),
    "MAX": Function(2, 2, lambda _tools, given: max(number(given[0]), number(given[1]))),
    "POW": Function(2, 2, lambda _tools, given: _power(given[0], given[1])),
    "FLOOR": Function(1, 1, lambda _tools, given: math.floor(number(given[0]))),
    "CEILING": Function(1, 1, lambda _tools, given: math.ceil(number(given[0]))),
    "INT": Function(1, 1, lambda _tools, given: _whole(number(given[0]))),
    "FLOAT": Function(1, 1, lambda _tools, given: float(number(given[0]))),
}
_YARN: Mapping[str, Function] = {
    "random": Function(0, 0, lambda tools, _given: tools.draw()),
    "random_range": Function(2, 2, lambda tools, given: _between(tools, given[0], given[1])),
    "dice": Function(1, 1, lambda tools, given: _between(tools, 1, given[0])),
    "round": Function(1, 1, lambda _tools, given: round(number(given[0]))),
    "round_places": Function(2, 2, lambda _tools, given: _places(given[0], given[1])),
    "floor": Function(1, 1, lambda _tools, given: math.floor(number(given[0]))),
    "ceil": Function(1, 1, lambda _tools, given: math.ceil(number(given[0]))),
    "inc": Function(1, 1, lambda _tools, given: math.floor(number(given[0])) + 1),
    "dec": Function(1, 1, lambda _tools, given: math.ceil(number(given[0])) - 1),
    "int": Function(1, 1, lambda _tools, given: _whole(number(given[0]))),
    "decimal": Function(1, 1, lambda _tools, given: math.fmod(number(given[0]), 1.0)),
    "min": Function(2, 2, lambda _tools, given: min(number(given[0]), number(given[1]))),
    "max": Function(2, 2, lambda _tools, given: max(number(given[0]), number(given[1]))),
    "string": Function(1, 1, lambda _tools, given: shown(given[0])),
    "number": Function(1, 1, lambda _tools, given: number(given[0])),
    "bool": Function(1, 1, lambda _tools, given: truth(given[0])),
}
FUNCTIONS: Mapping[Syntax, Mapping[str, Function]] = {"ink": {**_INK, **WORLD}, "yarn": {**_YARN, **WORLD}}
"""By language and name."""
COUNTING: Mapping[Syntax, tuple[str, ...]] = {
    "ink": ("TURNS", "TURNS_SINCE", "READ_COUNT", "CHOICE_COUNT"),
    "yarn": ("visited", "visited_count"),
}
"""Functions that the machine answers itself, from the state of the run."""
