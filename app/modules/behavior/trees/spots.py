"""A compiled tree's nodes: numbers instead of names, each with the words of memory that are its own.

`plan.py` makes them from what an author wrote; `twin.py` ticks them one NPC at a time, `program.py` lays them out flat.

Memory is bits and floats per NPC. Transient bits and floats count only while their node is RUNNING: a node that was not
ticked has been halted, so what it held is forgotten without being visited. A subtree's transient words are a range.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from app.modules.behavior.trees.expressions import Expression


class Status(IntEnum):
    """What a node answers."""

    SKIPPED = 0
    SUCCESS = 1
    FAILURE = 2
    RUNNING = 3


class Aim(IntEnum):
    """How an action picks its target among the slots of its intent."""

    NONE = 0
    NEAREST = 1
    TRADER = 2
    SLOT = 3
    """the slot `which`"""
    KEY = 4
    """the slot whose number the key `which` holds"""


class Source(IntEnum):
    """Where a written value comes from."""

    NUMBER = 0
    KEY = 1
    FEATURE = 2


@dataclass(slots=True, kw_only=True)
class Spot:
    """A node. Ranges are half open, over the tree's transient bits and floats."""

    number: int
    """In preorder; also what a draw of chance depends on."""
    path: str
    label: str
    """What the author called this kind of node."""
    children: list[Spot] = field(default_factory=list)
    bits: tuple[int, int] = (0, 0)
    floats: tuple[int, int] = (0, 0)


@dataclass(slots=True, kw_only=True)
class Ordered(Spot):
    """Sequence (`passes` SUCCESS) or selector (`passes` FAILURE)."""

    passes: Status
    resume: int = -1
    """First of one bit for each child but the first: it was RUNNING; -1 without memory."""
    seen: int = -1
    """Bit: an earlier child was not skipped; -1 where no child can be skipped or without memory."""


@dataclass(slots=True, kw_only=True)
class Star(Spot):
    """Sequence whose place is kept by persistent bits, one for each child but the first."""

    kept: int


@dataclass(slots=True, kw_only=True)
class Together(Spot):
    """Parallel of py_trees. `wanted` has one entry per child; with `any_of` one of them is enough, else all."""

    wanted: tuple[bool, ...]
    any_of: bool
    done: int = -1
    """First of one bit per child that has succeeded; -1 where all are ticked each time."""


@dataclass(slots=True, kw_only=True)
class Counted(Spot):
    """Parallel of BehaviorTree.CPP; with `full` every child comes to its end first."""

    successes: int
    lenient: bool
    """Skipped children count as successes."""
    failures: int
    full: bool
    done: int
    """First of two bits per child: has succeeded, has failed."""


@dataclass(slots=True, kw_only=True)
class Branch(Spot):
    """If-then-else, or while-do-else where `resume` is -1; else two bits: the second or third child was RUNNING."""

    resume: int


@dataclass(slots=True, kw_only=True)
class Choice(Spot):
    """Switch: the child of the first case that holds, else the last."""

    cases: tuple[Expression, ...]


@dataclass(slots=True, kw_only=True)
class Mapped(Spot):
    """Statuses exchanged: what success, failure and running become."""

    to: tuple[Status, Status, Status]


@dataclass(slots=True, kw_only=True)
class Cycled(Spot):
    """Repeat (`counts` SUCCESS) or retry (`counts` FAILURE); `limit` 0 is for ever."""

    counts: Status
    limit: int
    at_once: bool
    counter: int
    """First bit of the count."""
    width: int
    """Bits of the count."""


class Mode(IntEnum):
    """What a time limit does."""

    DELAY = 0
    TIMEOUT = 1
    CUTOFF = 2


@dataclass(slots=True, kw_only=True)
class Timed(Spot):
    """`limit` in seconds, or in ticks; `word` is 0 or 1 + the time gone by."""

    mode: Mode
    limit: float
    in_ticks: bool
    word: int


@dataclass(slots=True, kw_only=True)
class Cooled(Spot):
    """Fails while its persistent `word`, the time left, is above 0."""

    limit: float
    in_ticks: bool
    word: int


@dataclass(slots=True, kw_only=True)
class Once(Spot):
    """Two persistent bits: it is over, it succeeded."""

    kept: int
    on_success: bool
    then_skip: bool


@dataclass(slots=True, kw_only=True)
class Guarded(Spot):
    """`otherwise` where `when` does not hold; `running` is a bit: not asked while it is set, -1 always asked."""

    when: Expression
    otherwise: Status
    running: int = -1


@dataclass(slots=True, kw_only=True)
class Test(Spot):
    """A condition."""

    when: Expression


@dataclass(slots=True, kw_only=True)
class Act(Spot):
    """An action (`intent` -1: a wait)."""

    intent: int
    aim: Aim = Aim.NONE
    which: int = 0
    must_aim: bool = False
    until: Expression | None = None
    limit: float = 0.0
    """0: no limit."""
    in_ticks: bool = False
    word: int = -1


@dataclass(slots=True, kw_only=True)
class Write(Spot):
    """A key is set, or added to."""

    key: int
    adds: bool
    source: Source
    which: int
    """the key or the column"""
    value: float
    """the number, or what the feature is multiplied by"""


@dataclass(slots=True, kw_only=True)
class Fixed(Spot):
    """One status."""

    status: Status


Leaf = Test | Act | Write | Fixed


def walk(root: Spot) -> list[Spot]:
    """All nodes in preorder, which is the order of their numbers."""
    found, waiting = [], [root]
    while waiting:
        spot = waiting.pop()
        found.append(spot)
        waiting.extend(reversed(spot.children))
    return found
