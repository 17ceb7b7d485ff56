"""What a story is, whoever wrote it: nodes of steps, expressions, and the state of one run through it.

Plain frozen values. A node's steps run in order; `at` is the number of a step in the same node. It knows no syntax.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Syntax = Literal["ink", "yarn"]


class Target(msgspec.Struct, frozen=True, tag="target"):
    """A node as a value, as in `-> knot`."""

    node: str


Value = bool | int | float | str | Target


# Expressions.


class Constant(msgspec.Struct, frozen=True):
    value: Value


class Variable(msgspec.Struct, frozen=True):
    name: str
    line: int = 0


class Unary(msgspec.Struct, frozen=True):
    op: Literal["-", "not"]
    of: Expr


class Binary(msgspec.Struct, frozen=True):
    op: str
    left: Expr
    right: Expr


class Visits(msgspec.Struct, frozen=True):
    """How often a node was visited."""

    node: str


class Call(msgspec.Struct, frozen=True):
    """A function: one of the language, of the world, or a node of the story; `line` is where it stands."""

    name: str
    arguments: tuple[Expr, ...]
    line: int = 0


Expr = Constant | Variable | Unary | Binary | Visits | Call


# Steps.


class Say(msgspec.Struct, frozen=True):
    """A piece of the line that is being made."""

    text: str


class Show(msgspec.Struct, frozen=True):
    """The value of an expression as a piece of the line."""

    of: Expr


class Newline(msgspec.Struct, frozen=True):
    """The line ends here, unless nothing was said or glue holds it open."""


class Glue(msgspec.Struct, frozen=True):
    """What stands on both sides is one line."""


class TagMark(msgspec.Struct, frozen=True):
    """What is said between a mark with `begins` and one without is a tag."""

    begins: bool


class Set(msgspec.Struct, frozen=True):
    name: str
    to: Expr
    temporary: bool = False


class Do(msgspec.Struct, frozen=True):
    """Evaluate for what it does."""

    of: Expr


class Unless(msgspec.Struct, frozen=True):
    """Go on at `at` where the condition is false."""

    condition: Expr
    at: int


class Goto(msgspec.Struct, frozen=True):
    at: int


class Sequence(msgspec.Struct, frozen=True):
    """Go on at one of `ats`, by how often this was passed; `key` counts it."""

    key: str
    kind: Literal["stopping", "cycle", "once", "shuffle", "shuffle once", "shuffle stopping"]
    ats: tuple[int, ...]
    end: int


class Pick(msgspec.Struct, frozen=True):
    """Go on at the branch whose condition holds, the most exact first, then the least visited; at `end` if none."""

    key: str
    branches: tuple[Branch, ...]
    end: int


class Branch(msgspec.Struct, frozen=True):
    at: int
    condition: Expr | None = None
    once: bool = False


class Divert(msgspec.Struct, frozen=True):
    """Go to a node; a tunnel comes back, a thread gathers what the node offers and goes on here."""

    to: Expr
    kind: Literal["go", "tunnel", "thread"] = "go"
    arguments: tuple[Expr, ...] = ()
    line: int = 0


class Return(msgspec.Struct, frozen=True):
    """The end of a function, with its value, or of a tunnel, which may lead elsewhere."""

    of: Expr | None = None
    tunnel: bool = False


class Offer(msgspec.Struct, frozen=True):
    """A choice: `start` is shown and said, `only` is shown. Chosen, the run goes on in `node` at `at`."""

    node: str
    start: tuple[Step, ...]
    only: tuple[Step, ...] = ()
    at: int = 0
    condition: Expr | None = None
    once: bool = False
    key: str = ""
    """What counts how often it was taken, where `once`."""
    fallback: bool = False
    """Taken by itself when nothing else is left, and never shown."""
    line: int = 0


class Wait(msgspec.Struct, frozen=True):
    """Stop for the choices offered so far; go on where there are none."""


class Act(msgspec.Struct, frozen=True):
    """Something that the story wants done; its arguments are made like lines."""

    action: str
    arguments: tuple[tuple[str, tuple[Step, ...]], ...]
    line: int = 0


class End(msgspec.Struct, frozen=True):
    """The flow ends: for now, or `final`ly."""

    final: bool = False


Step = (
    Say | Show | Newline | Glue | TagMark | Set | Do | Unless | Goto | Sequence | Pick | Divert | Return | Offer
    | Wait | Act | End
)  # fmt: skip


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A place in the story with a name. `headers` are its metadata and tags."""

    name: str
    steps: tuple[Step, ...] = ()
    parameters: tuple[str, ...] = ()
    kind: Literal["node", "function", "choice", "gather"] = "node"
    counts: Literal["entered", "left"] = "entered"
    """When a visit is counted."""
    within: tuple[str, ...] = ()
    """The knot and the stitch that it stands in: each counts a visit when it is entered from outside of it."""
    headers: tuple[tuple[str, str], ...] = ()
    line: int = 0


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """A whole dialogue graph, checked: every name in it means something. `digest` tells versions apart."""

    name: str
    syntax: Syntax
    nodes: dict[str, Node]
    start: str
    variables: dict[str, Value] = {}
    smart: dict[str, Expr] = {}
    """Variables that are worked out whenever they are read."""
    tags: tuple[str, ...] = ()
    digest: str = ""
    file: str = ""


# The state of a run.


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """A place to go on from, with what is known only there."""

    node: str
    at: int = 0
    temps: dict[str, Value] = {}
    tunnel: bool = False


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A choice that is open: what is shown, and where it leads."""

    text: str
    tags: tuple[str, ...] = ()
    frames: tuple[Frame, ...]
    origin: str = ""
    """The node that offered it."""
    key: str = ""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Where one player stands in the story of one NPC. Every table is by the name of a node or of a variable."""

    story: str
    digest: str = ""
    seed: int = 0
    turn: int = 0
    drawn: int = 0
    """Random numbers used so far."""
    variables: dict[str, Value] = {}
    visits: dict[str, int] = {}
    seen: dict[str, int] = {}
    """Node -> the turn of the last visit."""
    choices: tuple[Choice, ...] = ()
    over: Literal["", "done", "end"] = ""
    """`done` may begin again in another talk, `end` never."""
    thread: str = ""
    """The talk in which it was last played."""


class Spoken(msgspec.Struct, frozen=True, kw_only=True):
    """One line as written, with what stands beside it."""

    text: str
    tags: tuple[str, ...] = ()
    speaker: str = ""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An act that the story proposes; the truth gate has not seen it."""

    action: str
    arguments: dict[str, str]


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """What one step of a run gave: lines to say in order, acts to propose, and the run after it.

    `faults` says what in the story went wrong, for its author; the run stops there and stays usable.
    """

    run: Run
    lines: tuple[Spoken, ...] = ()
    acts: tuple[Wanted, ...] = ()
    faults: tuple[str, ...] = ()


encoder = msgspec.msgpack.Encoder()
runs: msgspec.msgpack.Decoder[Run] = msgspec.msgpack.Decoder(Run)
