"""The instructions of composites and decorators as kernels: masks of 64 NPCs in, masks out.

Each takes the instruction `pc` of `code`, its node's `level` among the frames, the masks `past` and `bits` by bit of
memory, and the registers s, f, r (who succeeded, failed, is RUNNING; who is active and none of these was skipped). It
returns the registers, who is active now, the next instruction (-1: the one that follows) and whose subtree is to be
forgotten. `program.py` says what the columns of an instruction mean, `twin.py` what a node does.
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


@HOUSE.bare_part
def ordered(code: I32, pc: int, frames: U64, level: int, past: U64, bits: U64, active: M) -> Registers:
    """Sequence or selector: who was RUNNING in a later child waits for it."""
    waiting = NONE
    if code[pc, A] >= 0:
        for at in range(code[pc, B]):
            waiting |= past[code[pc, A] + at]
        waiting &= active
    frames[level, LIVE], frames[level, F], frames[level, R], frames[level, WAITING] = active, NONE, NONE, waiting
    frames[level, SEEN] = waiting & past[code[pc, C]] if code[pc, C] >= 0 else NONE
    active &= ~waiting
    return NONE, NONE, NONE, active, -1 if active != NONE else code[pc, JUMP], NONE


@HOUSE.bare_part
def ordered_next(
    code: I32, pc: int, frames: U64, level: int, past: U64, bits: U64, passed: M, other: M, r: M
) -> Registers:
    """After a child: `passed` goes on, `other` and RUNNING are results. Returns (passed, other, ...)."""
    stopped = other | r
    frames[level, SEEN] |= passed
    frames[level, LIVE] &= ~stopped
    frames[level, F] |= other
    frames[level, R] |= r
    if r != NONE:
        if code[pc, A] >= 0:
            bits[code[pc, A]] |= r
        if code[pc, C] >= 0:
            bits[code[pc, C]] |= r & frames[level, SEEN]
    if code[pc, E]:
        return frames[level, LIVE] & frames[level, SEEN], frames[level, F], frames[level, R], NONE, -1, NONE
    if frames[level, LIVE] == NONE:
        return NONE, NONE, NONE, NONE, code[pc, EXIT], NONE
    if code[pc, B] >= 0:
        frames[level, WAITING] &= ~past[code[pc, B]]
    active = frames[level, LIVE] & ~frames[level, WAITING]
    return NONE, NONE, NONE, active, -1 if active != NONE else code[pc, JUMP], NONE


@HOUSE.bare_part
def star(code: I32, pc: int, frames: U64, level: int, past: U64, bits: U64, active: M) -> Registers:
    """Sequence whose place is in persistent bits."""
    waiting = NONE
    for at in range(code[pc, C]):
        waiting |= bits[code[pc, A] + at]
    waiting &= active
    frames[level, LIVE], frames[level, F], frames[level, R], frames[level, WAITING], frames[level, SEEN] = (
        active,
        NONE,
        NONE,
        waiting,
        waiting,
    )
    active &= ~waiting
    return NONE, NONE, NONE, active, -1 if active != NONE else code[pc, JUMP], NONE


@HOUSE.bare_part
def star_next(code: I32, pc: int, frames: U64, level: int, past: U64, bits: U64, s: M, f: M, r: M) -> Registers:
    """After a child: who stopped comes back to it."""
    stopped, at = f | r, code[pc, B]
    frames[level, SEEN] |= s
    frames[level, LIVE] &= ~stopped
    frames[level, F] |= f
    frames[level, R] |= r
    if stopped != NONE:
        for place in range(code[pc, C]):
            bits[code[pc, A] + place] &= ~stopped
        if at > 0:
            bits[code[pc, A] + at - 1] |= stopped
    if code[pc, E]:
        for place in range(code[pc, C]):
            bits[code[pc, A] + place] &= ~frames[level, LIVE]
        return frames[level, LIVE] & frames[level, SEEN], frames[level, F], frames[level, R], NONE, -1, NONE
    frames[level, WAITING] &= ~bits[code[pc, A] + at]
    active = frames[level, LIVE] & ~frames[level, WAITING]
    return NONE, NONE, NONE, active, -1 if active != NONE else code[pc, JUMP], NONE


@HOUSE.bare_part
def together(code: I32, pc: int, frames: U64, level: int, past: U64, bits: U64, active: M) -> Registers:
    """Parallel of py_trees: all start, except children that are done."""
    frames[level, ENTERED], frames[level, F], frames[level, S], frames[level, SEEN], frames[level, WAITING] = (
        active,
        NONE,
        NONE,
        active,
        active,
    )
    if code[pc, A] >= 0:
        active &= ~past[code[pc, A]]
    frames[level, ACTIVE] = active
    return NONE, NONE, NONE, active, -1 if active != NONE else code[pc, JUMP], NONE


@HOUSE.bare_part
def together_next(code: I32, pc: int, frames: U64, level: int, past: U64, bits: U64, s: M, f: M, r: M) -> Registers:
    """After a child. SEEN: all wanted have succeeded so far; WAITING: all were skipped so far."""
    entered, at = frames[level, ENTERED], code[pc, B]
    skipped = frames[level, ACTIVE] & ~(s | f | r)
    if code[pc, A] >= 0:
        s |= entered & past[code[pc, A] + at]
        bits[code[pc, A] + at] |= s
    frames[level, F] |= f
    frames[level, S] |= s
    frames[level, WAITING] &= skipped
    if code[pc, C] & 1:
        frames[level, SEEN] &= s | skipped
    if code[pc, E]:
        failed, idle = frames[level, F], frames[level, WAITING]
        enough = frames[level, S] if code[pc, C] & 2 else frames[level, SEEN]
        s = entered & ~failed & ~idle & enough
        r = entered & ~failed & ~idle & ~enough
        return s, failed, r, NONE, -1, entered & ~r
    active = entered
    if code[pc, A] >= 0:
        active &= ~past[code[pc, A] + at + 1]
    frames[level, ACTIVE] = active
    return NONE, NONE, NONE, active, -1 if active != NONE else code[pc, JUMP], NONE


@HOUSE.bare_part
def _add(frames: U64, level: int, first: int, more: M) -> None:
    """Count one more for each of `more`."""
    for plane in range(PLANES):
        word = frames[level, first + plane]
        frames[level, first + plane] = word ^ more
        more &= word


@HOUSE.bare_part
def _at_least(frames: U64, level: int, first: int, least: int) -> M:
    """Who has counted `least` or more."""
    above, equal = NONE, ALL
    for step in range(PLANES):
        plane = PLANES - 1 - step
        word = frames[level, first + plane]
        if least >> plane & 1:
            equal &= word
        else:
            above |= equal & word
            equal &= ~word
    return above | equal


@HOUSE.bare_part
def counted(code: I32, pc: int, frames: U64, level: int, past: U64, bits: U64, numbers: F32, active: M) -> Registers:
    """Parallel of BehaviorTree.CPP: counts begin with the children that are done."""
    full = numbers[code[pc, NUMBER] + 3] != 0.0
    for word in range(GOOD, SETTLED + PLANES):
        frames[level, word] = NONE
    for at in range(code[pc, C]):
        good, bad = past[code[pc, A] + 2 * at] & active, past[code[pc, A] + 2 * at + 1] & active
        _add(frames, level, GOOD, good)
        _add(frames, level, BAD, bad)
        _add(frames, level, SETTLED, good | bad if full else good)
    frames[level, LIVE], frames[level, S], frames[level, F] = active, NONE, NONE
    active &= ~(past[code[pc, A]] | past[code[pc, A] + 1])
    frames[level, ACTIVE] = active
    return NONE, NONE, NONE, active, -1 if active != NONE else code[pc, JUMP], NONE


@HOUSE.bare_part
def counted_next(
    code: I32, pc: int, frames: U64, level: int, past: U64, bits: U64, numbers: F32, s: M, f: M, r: M
) -> Registers:
    """After a child: whose counts decide is done with, the others go on."""
    successes, lenient = int(numbers[code[pc, NUMBER]]), numbers[code[pc, NUMBER] + 1] != 0.0
    failures, full = int(numbers[code[pc, NUMBER] + 2]), numbers[code[pc, NUMBER] + 3] != 0.0
    count, place = code[pc, C], code[pc, A] + 2 * code[pc, B]
    skipped = frames[level, ACTIVE] & ~(s | f | r)
    _add(frames, level, GOOD, s)
    _add(frames, level, BAD, f)
    _add(frames, level, SKIPPED, skipped)
    _add(frames, level, SETTLED, s | f | skipped if full else s | skipped)
    bits[place] |= s | (past[place] & frames[level, LIVE])
    bits[place + 1] |= f | (past[place + 1] & frames[level, LIVE])
    if not full:
        good = frames[level, LIVE] & _at_least(frames, level, SETTLED if lenient else GOOD, successes)
        frames[level, S] |= good
        frames[level, LIVE] &= ~good
        bad = _at_least(frames, level, BAD, count - successes + 1)
        bad |= _at_least(frames, level, BAD, failures) & ~_at_least(frames, level, BAD, failures + 1)
        bad &= frames[level, LIVE]
        frames[level, F] |= bad
        frames[level, LIVE] &= ~bad
    if code[pc, E]:
        left = frames[level, LIVE] & ~_at_least(frames, level, SKIPPED, count)
        s, f = frames[level, S], frames[level, F]
        if full:
            ended = left & _at_least(frames, level, SETTLED, count)
            f = ended & _at_least(frames, level, BAD, failures)
            s = ended & ~f
            left &= ~ended
        return s, f, left, NONE, -1, s | f
    active = frames[level, LIVE] & ~(past[place + 2] | past[place + 3])
    frames[level, ACTIVE] = active
    return NONE, NONE, NONE, active, -1 if active != NONE else code[pc, JUMP], NONE


@HOUSE.bare_part
def branch(code: I32, pc: int, frames: U64, level: int, past: U64, bits: U64, active: M) -> Registers:
    """If-then-else: S waits for the second child, HIT for the third."""
    then = past[code[pc, A]] & active if code[pc, A] >= 0 else NONE
    other = past[code[pc, A] + 1] & active if code[pc, A] >= 0 else NONE
    frames[level, WAITING], frames[level, HIT] = then, other
    frames[level, S], frames[level, F], frames[level, R] = NONE, NONE, NONE
    active &= ~(then | other)
    return NONE, NONE, NONE, active, -1 if active != NONE else code[pc, JUMP], NONE


@HOUSE.bare_part
def branch_next(code: I32, pc: int, frames: U64, level: int, past: U64, bits: U64, s: M, f: M, r: M) -> Registers:
    """After the condition or a branch."""
    frames[level, R] |= r
    if code[pc, B] == 0:
        frames[level, WAITING] |= s
        if code[pc, C]:
            frames[level, HIT] |= f
        else:
            frames[level, F] |= f
        active = frames[level, WAITING]
    else:
        frames[level, S] |= s
        frames[level, F] |= f
        if code[pc, A] >= 0:
            bits[code[pc, A] + code[pc, B] - 1] |= r
        active = frames[level, HIT]
    if code[pc, E]:
        return frames[level, S], frames[level, F], frames[level, R], NONE, -1, NONE
    return NONE, NONE, NONE, active, -1 if active != NONE else code[pc, JUMP], NONE


@HOUSE.bare_part
def case(code: I32, pc: int, frames: U64, level: int, active: M, holds: M) -> None:
    """Who takes a case of a switch; LIVE is who has taken none yet."""
    if code[pc, B] == 0:
        frames[level, LIVE], frames[level, S], frames[level, F], frames[level, R] = active, NONE, NONE, NONE
    frames[level, CASES + code[pc, B]] = frames[level, LIVE] & holds
    frames[level, LIVE] &= ~holds


@HOUSE.bare_part
def choice(code: I32, pc: int, frames: U64, level: int) -> Registers:
    """The first child of a switch; the last is for the rest."""
    frames[level, CASES + code[pc, B]] = frames[level, LIVE]
    active = frames[level, CASES]
    return NONE, NONE, NONE, active, -1 if active != NONE else code[pc, JUMP], NONE


@HOUSE.bare_part
def choice_next(code: I32, pc: int, frames: U64, level: int, s: M, f: M, r: M) -> Registers:
    """After a child of a switch."""
    frames[level, S] |= s
    frames[level, F] |= f
    frames[level, R] |= r
    if code[pc, E]:
        return frames[level, S], frames[level, F], frames[level, R], NONE, -1, NONE
    active = frames[level, CASES + code[pc, B] + 1]
    return NONE, NONE, NONE, active, -1 if active != NONE else code[pc, JUMP], NONE


@HOUSE.bare_part
def mapped(code: I32, pc: int, s: M, f: M, r: M) -> Registers:
    """Statuses exchanged; who was RUNNING and is not any more is halted."""
    to_s = (
        (s if code[pc, A] == SUCCESS else NONE)
        | (f if code[pc, B] == SUCCESS else NONE)
        | (r if code[pc, C] == SUCCESS else NONE)
    )
    to_f = (
        (s if code[pc, A] == FAILURE else NONE)
        | (f if code[pc, B] == FAILURE else NONE)
        | (r if code[pc, C] == FAILURE else NONE)
    )
    to_r = (
        (s if code[pc, A] == RUNNING else NONE)
        | (f if code[pc, B] == RUNNING else NONE)
        | (r if code[pc, C] == RUNNING else NONE)
    )
    return to_s, to_f, to_r, NONE, -1, r & ~to_r


@HOUSE.bare_part
def _one_more(code: I32, pc: int, past: U64, hit: M) -> M:
    """Count `hit` in the bits of a repeating node; who has reached the limit."""
    full = hit
    for at in range(code[pc, B]):
        word = past[code[pc, A] + at]
        past[code[pc, A] + at] = word ^ hit
        hit &= word
        full &= past[code[pc, A] + at] if code[pc, C] >> at & 1 else ~past[code[pc, A] + at]
    return full if code[pc, C] > 0 else NONE


@HOUSE.bare_part
def cycle(code: I32, pc: int, past: U64, bits: U64, s: M, f: M, r: M) -> Registers:
    """After a cycle or an attempt, one a tick."""
    hit = s if code[pc, E] == SUCCESS else f
    full = _one_more(code, pc, past, hit)
    r |= hit & ~full
    for at in range(code[pc, B]):
        bits[code[pc, A] + at] |= past[code[pc, A] + at] & r
    if code[pc, E] == SUCCESS:
        return full, f, r, NONE, -1, hit & ~full
    return s, full, r, NONE, -1, hit & ~full


@HOUSE.bare_part
def loop(code: I32, pc: int, frames: U64, level: int, active: M) -> Registers:
    """The start of cycles within the tick."""
    frames[level, S], frames[level, F], frames[level, R], frames[level, CYCLES] = NONE, NONE, NONE, NONE
    return NONE, NONE, NONE, active, -1, NONE


@HOUSE.bare_part
def loop_next(code: I32, pc: int, frames: U64, level: int, past: U64, bits: U64, s: M, f: M, r: M) -> Registers:
    """After a cycle: who has more to do goes back, until the tick has seen enough."""
    hit = s if code[pc, E] == SUCCESS else f
    full = _one_more(code, pc, past, hit)
    again = hit & ~full
    frames[level, S] |= full if code[pc, E] == SUCCESS else s
    frames[level, F] |= f if code[pc, E] == SUCCESS else full
    frames[level, CYCLES] += M(1)
    goes_on = again != NONE and frames[level, CYCLES] < M(CYCLES_MAX)
    if not goes_on:
        r |= again
    frames[level, R] |= r
    for at in range(code[pc, B]):
        bits[code[pc, A] + at] |= past[code[pc, A] + at] & r
    if goes_on:
        return NONE, NONE, NONE, again, code[pc, JUMP], again
    return frames[level, S], frames[level, F], frames[level, R], NONE, -1, again


@HOUSE.bare_part
def timed(code: I32, pc: int, frames: U64, level: int, active: M, over: M) -> Registers:
    """A limit is entered; `over` is whose time has come."""
    frames[level, ENTERED], frames[level, HIT] = active, over & active
    if code[pc, B] == DELAY:
        active &= over
    elif code[pc, B] != TIMEOUT:
        active &= ~over
    return NONE, NONE, NONE, active, -1 if active != NONE else code[pc, JUMP], NONE


@HOUSE.bare_part
def timed_next(code: I32, pc: int, frames: U64, level: int, s: M, f: M, r: M) -> Registers:
    """After the child of a limit."""
    over = frames[level, HIT]
    if code[pc, B] == DELAY:
        return s, f, r | (frames[level, ENTERED] & ~over), NONE, -1, NONE
    if code[pc, B] == TIMEOUT:
        late = r & over
        return s, f | late, r & ~late, NONE, -1, late
    return s, f | over, r, NONE, -1, NONE


@HOUSE.bare_part
def answered(code: I32, pc: int, frames: U64, level: int, active: M, hit: M) -> Registers:
    """A decorator that answers some itself: `hit`."""
    frames[level, HIT] = hit
    active &= ~hit
    return NONE, NONE, NONE, active, -1 if active != NONE else code[pc, JUMP], NONE


@HOUSE.bare_part
def once_next(code: I32, pc: int, frames: U64, level: int, bits: U64, s: M, f: M, r: M) -> Registers:
    """After the only run of a child."""
    over = frames[level, HIT]
    bits[code[pc, A]] |= s if code[pc, B] else s | f
    bits[code[pc, A] + 1] |= s
    if not code[pc, C]:
        s |= over & bits[code[pc, A] + 1]
        f |= over & ~bits[code[pc, A] + 1]
    return s, f, r, NONE, -1, NONE


@HOUSE.bare_part
def guarded_next(code: I32, pc: int, frames: U64, level: int, bits: U64, s: M, f: M, r: M) -> Registers:
    """After a guarded child: who was kept away gets the other status."""
    hit = frames[level, HIT]
    if code[pc, A] >= 0:
        bits[code[pc, A]] |= r
    if code[pc, B] == SUCCESS:
        s |= hit
    elif code[pc, B] == FAILURE:
        f |= hit
    elif code[pc, B] == RUNNING:
        r |= hit
    return s, f, r, NONE, -1, NONE
