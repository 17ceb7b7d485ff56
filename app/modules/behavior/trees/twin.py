"""The meaning of every node, one NPC at a time: what the kernel must equal, and what explains a decision.

It is plain recursion over spots. It knows no format and no batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from app.modules.behavior.schema import F32, NONE, U8, Schema
from app.modules.behavior.trees import spots
from app.modules.behavior.trees.expressions import EQUAL, Expression, draw, holds, tick_seed
from app.modules.behavior.trees.limits import CYCLES_MAX
from app.modules.behavior.trees.memory import U32, Memory, Moments, Outcome
from app.modules.behavior.trees.plan import Plan
from app.modules.behavior.trees.spots import Aim, Mode, Source, Spot, Status

ZERO, ONE = np.float32(0.0), np.float32(1.0)
SUCCESS, FAILURE, RUNNING, SKIPPED = Status.SUCCESS, Status.FAILURE, Status.RUNNING, Status.SKIPPED


class Visit(NamedTuple):
    """A node that was ticked, and what it answered."""

    path: str
    status: Status
    number: int


@dataclass(slots=True)
class Row:
    """One NPC in one tick: what it sees, what it remembered, what it will remember."""

    plan: Plan
    schema: Schema
    obs: F32
    mask: U8
    handle: int
    ticked: int
    dt_s: np.float32
    before: int
    """Transient bits of the tick before."""
    bits: int
    """All bits as they will be: transient ones start at 0."""
    keys: list[np.float32]
    past: list[np.float32]
    """Transient floats of the tick before."""
    floats: list[np.float32]
    cooldowns: list[np.float32]
    actor: spots.Act | None = None
    target: int = NONE
    leaf: int = -1
    visits: list[Visit] = field(default_factory=list)

    @classmethod
    def of(
        cls, plan: Plan, schema: Schema, obs: F32, mask: U8, moments: Moments, at: int, *, handle: int, ticked: int,
        dt_s: float,
    ) -> Row:  # fmt: skip
        """The row `at` of some moments, at the start of a tick."""
        whole = sum(int(word) << 64 * index for index, word in enumerate(moments.bits[at]))
        floats = list(moments.floats[at])
        first, last = len(plan.keys), len(plan.keys) + plan.transient_floats
        row = cls(
            plan, schema, obs, mask, handle, ticked, np.float32(dt_s), before=whole & ((1 << plan.transient_bits) - 1),
            bits=whole >> plan.transient_bits << plan.transient_bits, keys=floats[:first], past=floats[first:last],
            floats=[ZERO] * plan.transient_floats, cooldowns=floats[last:],
        )  # fmt: skip
        for spot in plan.cooled:
            step = ONE if spot.in_ticks else row.dt_s
            row.cooldowns[spot.word] = max(ZERO, row.cooldowns[spot.word] - step)
        return row

    def had(self, bit: int) -> bool:
        """A transient bit of the tick before."""
        return bool(self.before >> bit & 1)

    def put(self, bit: int) -> None:
        self.bits |= 1 << bit

    def kept(self, bit: int) -> bool:
        """A persistent bit."""
        return bool(self.bits >> self.plan.transient_bits + bit & 1)

    def keep(self, bit: int, value: int) -> None:
        """Set a persistent bit."""
        place = self.plan.transient_bits + bit
        self.bits = self.bits & ~(1 << place) | value << place

    def forget(self, first: Spot, last: Spot) -> None:
        """Halt the subtrees from one node to another, in this tick and for what is left of it."""
        mask = ~((1 << last.bits[1]) - (1 << first.bits[0]))
        self.bits, self.before = self.bits & mask, self.before & mask
        for word in range(first.floats[0], last.floats[1]):
            self.past[word] = self.floats[word] = ZERO

    def elapsed(self, word: int, *, in_ticks: bool) -> np.float32:
        """1 + the time since a node started."""
        past = self.past[word]
        return ONE if past == ZERO else past + (ONE if in_ticks else self.dt_s)

    def holds(self, expression: Expression, node: int) -> bool:
        return holds(expression, self.obs, self.keys, draw(self.ticked, self.handle, node))

    def open(self, intent: int, slot: int) -> bool:
        """Whether the intent may aim at the slot and somebody is there."""
        return bool(self.schema.aims[intent, slot] and self.obs[self.schema.slot_columns[slot]] > 0.0)

    def tick(self, spot: Spot) -> Status:
        """Tick a node and all that it ticks."""
        at = len(self.visits)
        self.visits.append(Visit(spot.path, SKIPPED, spot.number))
        status = _TICKS[type(spot)](spot, self)
        self.visits[at] = Visit(spot.path, status, spot.number)
        if not spot.children:
            self.leaf = spot.number
        return status


def _ordered(spot: spots.Ordered, row: Row) -> Status:
    start, seen = 0, False
    if spot.resume >= 0:
        start = next((at for at in range(1, len(spot.children)) if row.had(spot.resume + at - 1)), 0)
        seen = spot.seen >= 0 and start > 0 and row.had(spot.seen)
    for at, child in enumerate(spot.children[start:], start):
        status = row.tick(child)
        if status == RUNNING and spot.resume >= 0:
            if at > 0:
                row.put(spot.resume + at - 1)
            if seen and spot.seen >= 0:
                row.put(spot.seen)
        if status not in (spot.passes, SKIPPED):
            return status
        seen |= status == spot.passes
    return spot.passes if seen else SKIPPED


def _star(spot: spots.Star, row: Row) -> Status:
    places = range(len(spot.children) - 1)
    start = next((at + 1 for at in places if row.kept(spot.kept + at)), 0)
    seen = start > 0
    for at, child in enumerate(spot.children[start:], start):
        status = row.tick(child)
        if status in (RUNNING, FAILURE):
            for place in places:
                row.keep(spot.kept + place, place + 1 == at)
            return status
        seen |= status == SUCCESS
    for place in places:
        row.keep(spot.kept + place, 0)
    return SUCCESS if seen else SKIPPED


def _together(spot: spots.Together, row: Row) -> Status:
    found = []
    for at, child in enumerate(spot.children):
        waits = spot.done >= 0 and row.had(spot.done + at)
        found.append(SUCCESS if waits else row.tick(child))
    enough = [status in (SUCCESS, SKIPPED) for status, wanted in zip(found, spot.wanted, strict=True) if wanted]
    if FAILURE in found:
        result = FAILURE
    elif all(status == SKIPPED for status in found):
        result = SKIPPED
    elif SUCCESS in found if spot.any_of else all(enough):
        result = SUCCESS
    else:
        for at, status in enumerate(found):
            if spot.done >= 0 and status == SUCCESS:
                row.put(spot.done + at)
        return RUNNING
    row.forget(spot, spot)
    return result


def _counted(spot: spots.Counted, row: Row) -> Status:
    count = len(spot.children)
    done = [(row.had(spot.done + 2 * at), row.had(spot.done + 2 * at + 1)) for at in range(count)]
    skipped = 0
    for at, child in enumerate(spot.children):
        if not any(done[at]):
            status = row.tick(child)
            done[at] = (status == SUCCESS, status == FAILURE)
            skipped += status == SKIPPED
        good, bad = (sum(pair[which] for pair in done) for which in (0, 1))
        if spot.full:
            continue
        if good >= spot.successes or (spot.lenient and good + skipped >= spot.successes):
            row.forget(spot, spot)
            return SUCCESS
        if count - bad < spot.successes or bad == spot.failures:
            row.forget(spot, spot)
            return FAILURE
    if skipped == count:
        return SKIPPED
    if spot.full and skipped + good + bad >= count:
        row.forget(spot, spot)
        return FAILURE if bad >= spot.failures else SUCCESS
    for at, pair in enumerate(done):
        for which in (0, 1):
            if pair[which]:
                row.put(spot.done + 2 * at + which)
    return RUNNING


def _branch(spot: spots.Branch, row: Row) -> Status:
    chosen = next((at for at in (1, 2) if spot.resume >= 0 and row.had(spot.resume + at - 1)), 0)
    if chosen == 0:
        status = row.tick(spot.children[0])
        if status in (RUNNING, SKIPPED):
            return status
        if status == FAILURE and len(spot.children) == 2:
            return FAILURE
        chosen = 1 if status == SUCCESS else 2
    status = row.tick(spot.children[chosen])
    if status == RUNNING and spot.resume >= 0:
        row.put(spot.resume + chosen - 1)
    return status


def _choice(spot: spots.Choice, row: Row) -> Status:
    cases = (at for at, case in enumerate(spot.cases) if row.holds(case, spot.number))
    return row.tick(spot.children[next(cases, len(spot.cases))])


def _mapped(spot: spots.Mapped, row: Row) -> Status:
    status = row.tick(spot.children[0])
    if status == SKIPPED:
        return SKIPPED
    found = spot.to[status - 1]
    if status == RUNNING != found:
        row.forget(spot.children[0], spot.children[0])
    return found


def _cycled(spot: spots.Cycled, row: Row) -> Status:
    child = spot.children[0]
    count = sum(row.had(spot.counter + bit) << bit for bit in range(spot.width))
    for _ in range(CYCLES_MAX if spot.at_once else 1):
        status = row.tick(child)
        if status == spot.counts:
            count += 1
            if count == spot.limit:
                return status
            row.forget(child, child)
        elif status == RUNNING:
            break
        else:
            return status
    for bit in range(spot.width):
        if count >> bit & 1:
            row.put(spot.counter + bit)
    return RUNNING


def _timed(spot: spots.Timed, row: Row) -> Status:
    elapsed, edge, child = (
        row.elapsed(spot.word, in_ticks=spot.in_ticks),
        np.float32(1.0 + spot.limit),
        spot.children[0],
    )
    if spot.mode == Mode.CUTOFF and elapsed >= edge:
        return FAILURE
    waits = spot.mode == Mode.DELAY and elapsed < edge
    status = RUNNING if waits else row.tick(child)
    if spot.mode == Mode.TIMEOUT and status == RUNNING and elapsed > edge:
        row.forget(child, child)
        return FAILURE
    if status == RUNNING:
        row.floats[spot.word] = elapsed
    return status


def _cooled(spot: spots.Cooled, row: Row) -> Status:
    if row.cooldowns[spot.word] > ZERO:
        return FAILURE
    status = row.tick(spot.children[0])
    if status in (SUCCESS, FAILURE):
        row.cooldowns[spot.word] = np.float32(spot.limit)
    return status


def _once(spot: spots.Once, row: Row) -> Status:
    if row.kept(spot.kept):
        result = SUCCESS if row.kept(spot.kept + 1) else FAILURE
        return SKIPPED if spot.then_skip else result
    status = row.tick(spot.children[0])
    if status == SUCCESS or (status == FAILURE and not spot.on_success):
        row.keep(spot.kept, 1)
        row.keep(spot.kept + 1, status == SUCCESS)
    return status


def _guarded(spot: spots.Guarded, row: Row) -> Status:
    if not (spot.running >= 0 and row.had(spot.running)) and not row.holds(spot.when, spot.number):
        return spot.otherwise
    status = row.tick(spot.children[0])
    if status == RUNNING and spot.running >= 0:
        row.put(spot.running)
    return status


def _test(spot: spots.Test, row: Row) -> Status:
    return SUCCESS if row.holds(spot.when, spot.number) else FAILURE


def _act(spot: spots.Act, row: Row) -> Status:
    if spot.intent >= 0 and not row.mask[spot.intent]:
        return FAILURE
    over, elapsed = spot.until is not None and row.holds(spot.until, spot.number), ZERO
    if spot.word >= 0:
        elapsed = row.elapsed(spot.word, in_ticks=spot.in_ticks)
        over |= bool(elapsed >= np.float32(1.0 + spot.limit))
    if over:
        return SUCCESS
    if spot.must_aim and target_of(spot, row) == NONE:
        return FAILURE
    if spot.word >= 0:
        row.floats[spot.word] = elapsed
    if spot.intent >= 0:
        row.actor, row.target = spot, target_of(spot, row)
    return SUCCESS if spot.until is None and spot.word < 0 else RUNNING


def _write(spot: spots.Write, row: Row) -> Status:
    value = np.float32(spot.value)
    if spot.source == Source.KEY:
        value = row.keys[spot.which]
    elif spot.source == Source.FEATURE:
        value = row.obs[spot.which] * value
    row.keys[spot.key] = row.keys[spot.key] + value if spot.adds else value
    return SUCCESS


def _fixed(spot: spots.Fixed, row: Row) -> Status:
    return spot.status


_TICKS: dict[type[Spot], Callable[[Any, Row], Status]] = {
    spots.Ordered: _ordered, spots.Star: _star, spots.Together: _together, spots.Counted: _counted,
    spots.Branch: _branch, spots.Choice: _choice, spots.Mapped: _mapped, spots.Cycled: _cycled, spots.Timed: _timed,
    spots.Cooled: _cooled, spots.Once: _once, spots.Guarded: _guarded, spots.Test: _test, spots.Act: _act,
    spots.Write: _write, spots.Fixed: _fixed,
}  # fmt: skip


def target_of(spot: spots.Act, row: Row) -> int:
    """The slot that an action aims at now, or NONE."""
    slots = [slot for slot in range(row.schema.slots) if spot.intent >= 0 and row.open(spot.intent, slot)]
    trades, distance = row.schema.aim_columns.T
    match spot.aim:
        case Aim.NONE:
            return NONE
        case Aim.SLOT:
            slots = [slot for slot in slots if slot == spot.which]
        case Aim.KEY:
            slots = [slot for slot in slots if abs(row.keys[spot.which] - np.float32(slot)) <= np.float32(EQUAL)]
        case Aim.TRADER:
            slots = [slot for slot in slots if row.obs[trades[slot]] > 0.0]
    return min(slots, key=lambda slot: float(row.obs[distance[slot]]), default=NONE)


def tick_row(row: Row) -> tuple[Status, int, int, int]:
    """Tick the tree for one NPC: status, intent, target, the node that decided."""
    status = row.tick(row.plan.root)
    if row.actor is None:
        return status, NONE, NONE, row.leaf
    return status, row.actor.intent, row.target, row.actor.number


def tick(
    plan: Plan, schema: Schema, obs: F32, mask: U8, handles: U32, memory: Memory, seed: int, number: int, dt_s: float,
    out: Outcome, first: int, last: int,
) -> None:  # fmt: skip
    """See trees.tree.Tree.tick."""
    moments, ticked = memory.take(handles[first:last]), tick_seed(seed, number)
    for at in range(last - first):
        place, handle = first + at, int(handles[first + at])
        row = Row.of(plan, schema, obs[place], mask[place], moments, at, handle=handle, ticked=ticked, dt_s=dt_s)
        found = tick_row(row)
        out.status[place], out.intents[place], out.targets[place], out.leaf[place] = found
        if handle < memory.capacity:
            for word in range(memory.bits.shape[1]):
                memory.bits[handle, word] = row.bits >> 64 * word & 0xFFFF_FFFF_FFFF_FFFF
            memory.floats[handle] = [*row.keys, *row.floats, *row.cooldowns]
