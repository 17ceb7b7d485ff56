"""Failpoints: named places between RAM, disk and answer where a proof ends or breaks the process.

The environment is read once, at start; unset, a place is a call that does nothing. What stands here is for
`manage.py prove` and tests, and a server that starts with one armed says so in its log.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Mapping

from app.core.errors import Invalid, StoreDown, nearest
from app.core.ports import Log

Reached = Callable[[str], None]
VARIABLE = "INNKEEPER_FAILPOINTS"
PLACES = (
    "call.applied",  # in RAM, not yet queued
    "batch.taken",  # queued, no transaction yet
    "batch.inserted",  # in the transaction, before its commit
    "batch.committed",  # durable, nobody told
    "batch.acknowledged",  # callers may go on, no answer is on the wire
    "events.published",  # subscribers were told
    "world.inserted",  # a new world, before its commit
    "world.committed",  # a new world, durable and not in RAM
    "checkpoint.encoded",  # a running world's checkpoint, in RAM alone
    "checkpoint.replaced",  # a new checkpoint, before its commit
    "worlds.restored",  # the start has replayed, the port is closed
)
FALLIBLE = frozenset({"batch.taken", "batch.inserted", "world.inserted", "checkpoint.encoded", "checkpoint.replaced"})
"""Places where a database may refuse; elsewhere `fail` would be a fault that cannot happen."""
_FORM = re.compile(r"([a-z.]+)=(kill|fail)@([1-9]\d*)")


def nothing(_place: str) -> None:
    """What every place does unless it is armed."""


def from_environment(environment: Mapping[str, str], log: Log) -> Reached:
    """The function that each place calls.

    `PLACE=ACTION@N`, joined by commas: on its Nth passing PLACE does `kill` (SIGKILL to this process) or
    `fail` (StoreDown, as from a driver). Raises Invalid.
    """
    text = environment.get(VARIABLE, "")
    if not text:
        return nothing
    log.warning("failpoints.armed", value=text)
    armed = dict(_parsed(part.strip()) for part in text.split(","))
    passed = dict.fromkeys(armed, 0)

    def reached(place: str) -> None:
        if place in armed:
            action, number = armed[place]
            passed[place] += 1
            if passed[place] == number:
                _act(place, action)

    return reached


def _parsed(part: str) -> tuple[str, tuple[str, int]]:
    form = _FORM.fullmatch(part)
    if form is None:
        raise Invalid(f"{VARIABLE}: {part!r} cannot be read", hint="write batch.committed=kill@3")
    if form[1] not in PLACES:
        raise Invalid(f"{VARIABLE}: {form[1]!r} is no failpoint", hint=nearest(form[1], PLACES))
    if form[2] == "fail" and form[1] not in FALLIBLE:
        raise Invalid(f"{VARIABLE}: {form[1]!r} cannot fail", hint=f"kill there, or fail at one of {sorted(FALLIBLE)}")
    return form[1], (form[2], int(form[3]))


def _act(place: str, action: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise StoreDown(f"the failpoint {place!r} was reached", hint=f"unset {VARIABLE}")
