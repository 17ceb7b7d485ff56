"""The instructions of composites and decorators as kernels: masks of 64 NPCs in, masks out.

Each takes an instruction `row`, the `frame` of its node, the masks `past` and `bits` by bit of memory, and the registers
s, f, r (who succeeded, failed, is RUNNING; who is active and none of these was skipped). It returns the registers, who
is active now, the next instruction's number (or -1: the one that follows) and whose subtree is to be forgotten.
`program.py` says what the columns of an instruction mean, `twin.py` what a node does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.modules.behavior.compiled import HOUSE
from app.modules.behavior.trees import program, spots
from app.modules.behavior.trees.limits import CYCLES_MAX

U64 = NDArray[np.uint64]
I32 = NDArray[np.int32]
F32 = NDArray[np.float32]
M = np.uint64
Registers = tuple[M, M, M, M, int, M]

NONE, ALL = M(0), M(0xFFFF_FFFF_FFFF_FFFF)
A, B, C, E = program.A, program.B, program.C, program.E
JUMP, EXIT, NUMBER = program.JUMP, program.EXIT, program.NUMBER
SUCCESS, FAILURE = int(spots.Status.SUCCESS), int(spots.Status.FAILURE)
RUNNING = int(spots.Status.RUNNING)
DELAY, TIMEOUT = int(spots.Mode.DELAY), int(spots.Mode.TIMEOUT)

ENTERED, LIVE, S, F, R, WAITING, SEEN, ACTIVE, HIT, CYCLES = range(10)
"""Words of a frame: who came in, who goes on, the results so far, who goes on at a later child, who was not skipped,
who is in the present child, whom the entry answered itself."""
CASES = 10
"""Words from here on: who takes which case of a switch."""
PLANES = 9
"""Bits of a count over the children of a node."""
GOOD, BAD, SKIPPED, SETTLED = 17, 26, 35, 44
"""Words from here on: four counts of a parallel, bit by bit."""
FRAME_WORDS = 53


@HOUSE.inlined
def ordered(row: I32, frame: U64, past: U64, bits: U64, active: M) -> Registers:
    """Sequence or selector: who was RUNNING in a later child waits for it."""
    waiting = NONE
    if row[A] >= 0:
        for at in range(row[B]):
            waiting |= past[row[A] + at]
        waiting &= active
    frame[LIVE], frame[F], frame[R], frame[WAITING] = active, NONE, NONE, waiting
    frame[SEEN] = waiting & past[row[C]] if row[C] >= 0 else NONE
    active &= ~waiting
    return NONE, NONE, NONE, active, -1 if active != NONE else row[JUMP], NONE


@HOUSE.inlined
def ordered_next(row: I32, frame: U64, past: U64, bits: U64, passed: M, other: M, r: M) -> Registers:
    """After a child: `passed` goes on, `other` and RUNNING are results. Returns (passed, other, ...)."""
    stopped = other | r
    frame[SEEN] |= passed
    frame[LIVE] &= ~stopped
    frame[F] |= other
    frame[R] |= r
    if r != NONE:
        if row[A] >= 0:
            bits[row[A]] |= r
        if row[C] >= 0:
            bits[row[C]] |= r & frame[SEEN]
    if row[E]:
        return frame[LIVE] & frame[SEEN], frame[F], frame[R], NONE, -1, NONE
    if frame[LIVE] == NONE:
        return NONE, NONE, NONE, NONE, row[EXIT], NONE
    if row[B] >= 0:
        frame[WAITING] &= ~past[row[B]]
    active = frame[LIVE] & ~frame[WAITING]
    return NONE, NONE, NONE, active, -1 if active != NONE else row[JUMP], NONE


@HOUSE.inlined
def star(row: I32, frame: U64, past: U64, bits: U64, active: M) -> Registers:
    """Sequence whose place is in persistent bits."""
    waiting = NONE
    for at in range(row[C]):
        waiting |= bits[row[A] + at]
    waiting &= active
    frame[LIVE], frame[F], frame[R], frame[WAITING], frame[SEEN] = active, NONE, NONE, waiting, waiting
    active &= ~waiting
    return NONE, NONE, NONE, active, -1 if active != NONE else row[JUMP], NONE


@HOUSE.inlined
def star_next(row: I32, frame: U64, past: U64, bits: U64, s: M, f: M, r: M) -> Registers:
    """After a child: who stopped comes back to it."""
    stopped, at = f | r, row[B]
    frame[SEEN] |= s
    frame[LIVE] &= ~stopped
    frame[F] |= f
    frame[R] |= r
    if stopped != NONE:
        for place in range(row[C]):
            bits[row[A] + place] &= ~stopped
        if at > 0:
            bits[row[A] + at - 1] |= stopped
    if row[E]:
        for place in range(row[C]):
            bits[row[A] + place] &= ~frame[LIVE]
        return frame[LIVE] & frame[SEEN], frame[F], frame[R], NONE, -1, NONE
    frame[WAITING] &= ~bits[row[A] + at]
    active = frame[LIVE] & ~frame[WAITING]
    return NONE, NONE, NONE, active, -1 if active != NONE else row[JUMP], NONE


@HOUSE.inlined
def together(row: I32, frame: U64, past: U64, bits: U64, active: M) -> Registers:
    """Parallel of py_trees: all start, except children that are done."""
    frame[ENTERED], frame[F], frame[S], frame[SEEN], frame[WAITING] = active, NONE, NONE, active, active
    if row[A] >= 0:
        active &= ~past[row[A]]
    frame[ACTIVE] = active
    return NONE, NONE, NONE, active, -1 if active != NONE else row[JUMP], NONE


@HOUSE.inlined
def together_next(row: I32, frame: U64, past: U64, bits: U64, s: M, f: M, r: M) -> Registers:
    """After a child. SEEN: all wanted have succeeded so far; WAITING: all were skipped so far."""
    entered, at = frame[ENTERED], row[B]
    skipped = frame[ACTIVE] & ~(s | f | r)
    if row[A] >= 0:
        s |= entered & past[row[A] + at]
        bits[row[A] + at] |= s
    frame[F] |= f
    frame[S] |= s
    frame[WAITING] &= skipped
    if row[C] & 1:
        frame[SEEN] &= s | skipped
    if row[E]:
        failed, idle = frame[F], frame[WAITING]
        enough = frame[S] if row[C] & 2 else frame[SEEN]
        s = entered & ~failed & ~idle & enough
        r = entered & ~failed & ~idle & ~enough
        return s, failed, r, NONE, -1, entered & ~r
    active = entered
    if row[A] >= 0:
        active &= ~past[row[A] + at + 1]
    frame[ACTIVE] = active
    return NONE, NONE, NONE, active, -1 if active != NONE else row[JUMP], NONE


@HOUSE.inlined
def _add(frame: U64, first: int, more: M) -> None:
    """Count one more for each of `more`."""
    for plane in range(PLANES):
        word = frame[first + plane]
        frame[first + plane] = word ^ more
        more &= word


@HOUSE.inlined
def _at_least(frame: U64, first: int, least: int) -> M:
    """Who has counted `least` or more."""
    above, equal = NONE, ALL
    for step in range(PLANES):
        plane = PLANES - 1 - step
        word = frame[first + plane]
        if least >> plane & 1:
            equal &= word
        else:
            above |= equal & word
            equal &= ~word
    return above | equal


@HOUSE.inlined
def counted(row: I32, frame: U64, past: U64, bits: U64, numbers: F32, active: M) -> Registers:
    """Parallel of BehaviorTree.CPP: counts begin with the children that are done."""
    full = numbers[row[NUMBER] + 3] != 0.0
    for word in range(GOOD, SETTLED + PLANES):
        frame[word] = NONE
    for at in range(row[C]):
        good, bad = past[row[A] + 2 * at] & active, past[row[A] + 2 * at + 1] & active
        _add(frame, GOOD, good)
        _add(frame, BAD, bad)
        _add(frame, SETTLED, good | bad if full else good)
    frame[LIVE], frame[S], frame[F] = active, NONE, NONE
    active &= ~(past[row[A]] | past[row[A] + 1])
    frame[ACTIVE] = active
    return NONE, NONE, NONE, active, -1 if active != NONE else row[JUMP], NONE


@HOUSE.inlined
def counted_next(row: I32, frame: U64, past: U64, bits: U64, numbers: F32, s: M, f: M, r: M) -> Registers:
    """After a child: whose counts decide is done with, the others go on."""
    successes, lenient = int(numbers[row[NUMBER]]), numbers[row[NUMBER] + 1] != 0.0
    failures, full = int(numbers[row[NUMBER] + 2]), numbers[row[NUMBER] + 3] != 0.0
    count, place = row[C], row[A] + 2 * row[B]
    skipped = frame[ACTIVE] & ~(s | f | r)
    _add(frame, GOOD, s)
    _add(frame, BAD, f)
    _add(frame, SKIPPED, skipped)
    _add(frame, SETTLED, s | f | skipped if full else s | skipped)
    bits[place] |= s | (past[place] & frame[LIVE])
    bits[place + 1] |= f | (past[place + 1] & frame[LIVE])
    if not full:
        good = frame[LIVE] & _at_least(frame, SETTLED if lenient else GOOD, successes)
        frame[S] |= good
        frame[LIVE] &= ~good
        bad = _at_least(frame, BAD, count - successes + 1)
        bad |= _at_least(frame, BAD, failures) & ~_at_least(frame, BAD, failures + 1)
        bad &= frame[LIVE]
        frame[F] |= bad
        frame[LIVE] &= ~bad
    if row[E]:
        left = frame[LIVE] & ~_at_least(frame, SKIPPED, count)
        s, f = frame[S], frame[F]
        if full:
            ended = left & _at_least(frame, SETTLED, count)
            f = ended & _at_least(frame, BAD, failures)
            s = ended & ~f
            left &= ~ended
        return s, f, left, NONE, -1, s | f
    active = frame[LIVE] & ~(past[place + 2] | past[place + 3])
    frame[ACTIVE] = active
    return NONE, NONE, NONE, active, -1 if active != NONE else row[JUMP], NONE


@HOUSE.inlined
def branch(row: I32, frame: U64, past: U64, bits: U64, active: M) -> Registers:
    """If-then-else: S waits for the second child, HIT for the third."""
    then = past[row[A]] & active if row[A] >= 0 else NONE
    other = past[row[A] + 1] & active if row[A] >= 0 else NONE
    frame[WAITING], frame[HIT] = then, other
    frame[S], frame[F], frame[R] = NONE, NONE, NONE
    active &= ~(then | other)
    return NONE, NONE, NONE, active, -1 if active != NONE else row[JUMP], NONE


@HOUSE.inlined
def branch_next(row: I32, frame: U64, past: U64, bits: U64, s: M, f: M, r: M) -> Registers:
    """After the condition or a branch."""
    frame[R] |= r
    if row[B] == 0:
        frame[WAITING] |= s
        if row[C]:
            frame[HIT] |= f
        else:
            frame[F] |= f
        active = frame[WAITING]
    else:
        frame[S] |= s
        frame[F] |= f
        if row[A] >= 0:
            bits[row[A] + row[B] - 1] |= r
        active = frame[HIT]
    if row[E]:
        return frame[S], frame[F], frame[R], NONE, -1, NONE
    return NONE, NONE, NONE, active, -1 if active != NONE else row[JUMP], NONE


@HOUSE.inlined
def case(row: I32, frame: U64, active: M, holds: M) -> None:
    """Who takes a case of a switch; LIVE is who has taken none yet."""
    if row[B] == 0:
        frame[LIVE], frame[S], frame[F], frame[R] = active, NONE, NONE, NONE
    frame[CASES + row[B]] = frame[LIVE] & holds
    frame[LIVE] &= ~holds


@HOUSE.inlined
def choice(row: I32, frame: U64) -> Registers:
    """The first child of a switch; the last is for the rest."""
    frame[CASES + row[B]] = frame[LIVE]
    active = frame[CASES]
    return NONE, NONE, NONE, active, -1 if active != NONE else row[JUMP], NONE


@HOUSE.inlined
def choice_next(row: I32, frame: U64, s: M, f: M, r: M) -> Registers:
    """After a child of a switch."""
    frame[S] |= s
    frame[F] |= f
    frame[R] |= r
    if row[E]:
        return frame[S], frame[F], frame[R], NONE, -1, NONE
    active = frame[CASES + row[B] + 1]
    return NONE, NONE, NONE, active, -1 if active != NONE else row[JUMP], NONE


@HOUSE.inlined
def mapped(row: I32, s: M, f: M, r: M) -> Registers:
    """Statuses exchanged; who was RUNNING and is not any more is halted."""
    to_s = (s if row[A] == SUCCESS else NONE) | (f if row[B] == SUCCESS else NONE) | (r if row[C] == SUCCESS else NONE)
    to_f = (s if row[A] == FAILURE else NONE) | (f if row[B] == FAILURE else NONE) | (r if row[C] == FAILURE else NONE)
    to_r = (s if row[A] == RUNNING else NONE) | (f if row[B] == RUNNING else NONE) | (r if row[C] == RUNNING else NONE)
    return to_s, to_f, to_r, NONE, -1, r & ~to_r


@HOUSE.inlined
def _one_more(row: I32, past: U64, hit: M) -> M:
    """Count `hit` in the bits of a repeating node; who has reached the limit."""
    full = hit
    for at in range(row[B]):
        word = past[row[A] + at]
        past[row[A] + at] = word ^ hit
        hit &= word
        full &= past[row[A] + at] if row[C] >> at & 1 else ~past[row[A] + at]
    return full if row[C] > 0 else NONE


@HOUSE.inlined
def cycle(row: I32, past: U64, bits: U64, s: M, f: M, r: M) -> Registers:
    """After a cycle or an attempt, one a tick."""
    hit = s if row[E] == SUCCESS else f
    full = _one_more(row, past, hit)
    r |= hit & ~full
    for at in range(row[B]):
        bits[row[A] + at] |= past[row[A] + at] & r
    if row[E] == SUCCESS:
        return full, f, r, NONE, -1, hit & ~full
    return s, full, r, NONE, -1, hit & ~full


@HOUSE.inlined
def loop(row: I32, frame: U64, active: M) -> Registers:
    """The start of cycles within the tick."""
    frame[S], frame[F], frame[R], frame[CYCLES] = NONE, NONE, NONE, NONE
    return NONE, NONE, NONE, active, -1, NONE


@HOUSE.inlined
def loop_next(row: I32, frame: U64, past: U64, bits: U64, s: M, f: M, r: M) -> Registers:
    """After a cycle: who has more to do goes back, until the tick has seen enough."""
    hit = s if row[E] == SUCCESS else f
    full = _one_more(row, past, hit)
    again = hit & ~full
    frame[S] |= full if row[E] == SUCCESS else s
    frame[F] |= f if row[E] == SUCCESS else full
    frame[CYCLES] += M(1)
    goes_on = again != NONE and frame[CYCLES] < M(CYCLES_MAX)
    if not goes_on:
        r |= again
    frame[R] |= r
    for at in range(row[B]):
        bits[row[A] + at] |= past[row[A] + at] & r
    if goes_on:
        return NONE, NONE, NONE, again, row[JUMP], again
    return frame[S], frame[F], frame[R], NONE, -1, again


@HOUSE.inlined
def timed(row: I32, frame: U64, active: M, over: M) -> Registers:
    """A limit is entered; `over` is whose time has come."""
    frame[ENTERED], frame[HIT] = active, over & active
    if row[B] == DELAY:
        active &= over
    elif row[B] != TIMEOUT:
        active &= ~over
    return NONE, NONE, NONE, active, -1 if active != NONE else row[JUMP], NONE


@HOUSE.inlined
def timed_next(row: I32, frame: U64, s: M, f: M, r: M) -> Registers:
    """After the child of a limit."""
    over = frame[HIT]
    if row[B] == DELAY:
        return s, f, r | (frame[ENTERED] & ~over), NONE, -1, NONE
    if row[B] == TIMEOUT:
        late = r & over
        return s, f | late, r & ~late, NONE, -1, late
    return s, f | over, r, NONE, -1, NONE


@HOUSE.inlined
def answered(row: I32, frame: U64, active: M, hit: M) -> Registers:
    """A decorator that answers some itself: `hit`."""
    frame[HIT] = hit
    active &= ~hit
    return NONE, NONE, NONE, active, -1 if active != NONE else row[JUMP], NONE


@HOUSE.inlined
def once_next(row: I32, frame: U64, bits: U64, s: M, f: M, r: M) -> Registers:
    """After the only run of a child."""
    over = frame[HIT]
    bits[row[A]] |= s if row[B] else s | f
    bits[row[A] + 1] |= s
    if not row[C]:
        s |= over & bits[row[A] + 1]
        f |= over & ~bits[row[A] + 1]
    return s, f, r, NONE, -1, NONE


@HOUSE.inlined
def guarded_next(row: I32, frame: U64, bits: U64, s: M, f: M, r: M) -> Registers:
    """After a guarded child: who was kept away gets the other status."""
    hit = frame[HIT]
    if row[A] >= 0:
        bits[row[A]] |= r
    if row[B] == SUCCESS:
        s |= hit
    elif row[B] == FAILURE:
        f |= hit
    elif row[B] == RUNNING:
        r |= hit
    return s, f, r, NONE, -1, NONE
