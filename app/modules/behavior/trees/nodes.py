"""The native format of a tree: what an author may write in JSON or TOML, as structs.

It knows names and fields, not what they do: `docs/how-to/behavior-trees.md` says that, `twin.py` does it.
Imported formats are turned into these same structs.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from app.modules.behavior.trees.limits import COUNT_MAX, SECONDS_MAX

Label = Annotated[str, msgspec.Meta(max_length=128)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Key = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)]
AnyKey = Annotated[str, msgspec.Meta(pattern=r"^@?[A-Za-z_][A-Za-z0-9_]*$", max_length=64)]
"""A key; with @ one of the outermost blackboard."""
Count = Annotated[int, msgspec.Meta(ge=1, le=COUNT_MAX)]
Cycles = Annotated[int, msgspec.Meta(ge=-1, le=COUNT_MAX)]
Time = Annotated[float, msgspec.Meta(gt=0, le=SECONDS_MAX)]
Outcome = Literal["success", "failure", "running"]
Settled = Literal["success", "failure", "running", "skipped"]


class Named(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    name: Label = ""


class Composite(Named, frozen=True, kw_only=True, forbid_unknown_fields=True):
    children: Annotated[tuple[Node, ...], msgspec.Meta(min_length=1, max_length=256)]


class Decorator(Named, frozen=True, kw_only=True, forbid_unknown_fields=True):
    child: Node


class Timed(Decorator, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exactly one of `seconds` (of game time) and `ticks`."""

    seconds: Time | None = None
    ticks: Count | None = None


class Sequence(Composite, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="sequence"):
    """Children in order until one does not succeed; with memory it goes on at the one that was RUNNING."""

    memory: bool


class Selector(Composite, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="selector"):
    """Children in order until one does not fail; with memory it goes on at the one that was RUNNING."""

    memory: bool


class StarSequence(Composite, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="star_sequence"):
    """A sequence that also goes on where it was after a failure or a halt (SequenceWithMemory)."""


class Parallel(Composite, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="parallel"):
    """All children each tick, as py_trees does: fails with any; succeeds with all, with one, or with those named."""

    success: Literal["all", "one"] | Annotated[tuple[Label, ...], msgspec.Meta(min_length=1, max_length=256)] = "all"
    synchronize: bool = True
    """Children that have succeeded wait for the others; not with `one`."""


class CountedParallel(Composite, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="parallel_counted"):
    """Children until so many have succeeded or failed (BehaviorTree.CPP's Parallel); negative counts from the end."""

    successes: Annotated[int, msgspec.Meta(ge=-256, le=256)] = -1
    failures: Annotated[int, msgspec.Meta(ge=-256, le=256)] = 1


class FullParallel(Composite, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="parallel_all"):
    """Every child to its end, then failure where at least so many failed (ParallelAll)."""

    failures: Annotated[int, msgspec.Meta(ge=-256, le=256)] = 1


class IfThenElse(Composite, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="if_then_else"):
    """The first child chooses the second or third, which then runs to its end."""


class WhileDoElse(Composite, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="while_do_else"):
    """The first child chooses the second or third anew in each tick."""


class Switch(Composite, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="switch"):
    """The child whose case the variable equals, else the last."""

    variable: Text
    cases: Annotated[tuple[float | Text, ...], msgspec.Meta(min_length=1, max_length=6)]


class Inverter(Decorator, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="inverter"):
    """Success for failure and failure for success."""


class ForceSuccess(Decorator, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="force_success"):
    """Success for failure."""


class ForceFailure(Decorator, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="force_failure"):
    """Failure for success."""


class UntilFail(Decorator, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="until_fail"):
    """RUNNING for success, success for failure."""


class Map(Decorator, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="map"):
    """Any other exchange of statuses, such as running = "failure"."""

    success: Outcome = "success"
    failure: Outcome = "failure"
    running: Outcome = "running"


class Repeat(Decorator, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="repeat"):
    """One cycle a tick until so many succeeded; -1 for ever."""

    cycles: Cycles


class Retry(Decorator, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="retry"):
    """One attempt a tick until so many failed; -1 for ever."""

    attempts: Cycles


class RepeatAtOnce(Decorator, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="repeat_at_once"):
    """Cycles within the tick until so many succeeded (BehaviorTree.CPP's Repeat)."""

    cycles: Cycles


class RetryAtOnce(Decorator, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="retry_at_once"):
    """Attempts within the tick until so many failed (RetryUntilSuccessful)."""

    attempts: Cycles


class Delay(Timed, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="delay"):
    """RUNNING for a while before the child starts."""


class Timeout(Timed, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="timeout"):
    """Failure where the child is still RUNNING after that time: it is ticked first (py_trees)."""


class Cutoff(Timed, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="cutoff"):
    """Failure at that time, without ticking the child any more (BehaviorTree.CPP's Timeout)."""


class Cooldown(Timed, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="cooldown"):
    """Failure for that time after the child has come to an end."""


class OneShot(Decorator, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="one_shot"):
    """The child to its end once, from then on its result."""

    on: Literal["completion", "success"] = "completion"


class RunOnce(Decorator, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="run_once"):
    """The child to its end once; from then on skipped, or its result."""

    then_skip: bool = True


class Guard(Decorator, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="guard"):
    """The child while the expression holds, checked in each tick."""

    when: Text
    otherwise: Settled = "failure"


class StartIf(Decorator, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="start_if"):
    """The child where the expression holds when it would start; not checked while it is RUNNING."""

    when: Text
    otherwise: Settled = "failure"


class SubTree(Named, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="subtree"):
    """Another tree of the file in this place; `remap` gives its keys other names here."""

    tree: Label
    remap: Annotated[dict[Key, str], msgspec.Meta(max_length=64)] = {}
    """Its key -> a key here, or a number."""
    autoremap: bool = True
    """Keys not remapped are those of the same name here; else they are its own."""


class Condition(Named, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="condition"):
    """Success where the expression holds, else failure."""

    when: Text


class Action(Named, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="action"):
    """An intent: RUNNING until an expression holds or a time is over; success at once where it names neither."""

    intent: Label
    target: Label = "nearest"
    """`nearest` or `trader` of the intent's slots, `none`, `slot0` and so on, or `{key}` that holds a slot."""
    must_aim: bool = False
    """Fail where the target is not there, unless the action is over."""
    until: Text | None = None
    seconds: Time | None = None
    ticks: Count | None = None


class Wait(Named, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="wait"):
    """RUNNING until an expression holds or a time is over, without an intent."""

    until: Text | None = None
    seconds: Time | None = None
    ticks: Count | None = None


class Set(Named, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="set"):
    """Write a number, another key or a linear feature to a key of the blackboard; success."""

    key: AnyKey
    to: float | Text


class Add(Named, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="add"):
    """Add to a key of the blackboard; success."""

    key: AnyKey
    by: float | Text


class Always(Named, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="always"):
    """One status in every tick."""

    status: Settled


Node = (
    Sequence | Selector | StarSequence | Parallel | CountedParallel | FullParallel | IfThenElse | WhileDoElse | Switch
    | Inverter | ForceSuccess | ForceFailure | UntilFail | Map | Repeat | Retry | RepeatAtOnce | RetryAtOnce | Delay
    | Timeout | Cutoff | Cooldown | OneShot | RunOnce | Guard | StartIf | SubTree | Condition | Action | Wait | Set
    | Add | Always
)  # fmt: skip


class Authored(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file: trees by name, the one that starts, and the keys of its blackboard with their first values."""

    schema: Label
    root: Label
    trees: Annotated[dict[Label, Node], msgspec.Meta(min_length=1, max_length=256)]
    about: str = ""
    blackboard: Annotated[dict[Key, float], msgspec.Meta(max_length=256)] = {}
