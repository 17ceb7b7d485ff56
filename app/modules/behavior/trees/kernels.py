"""A tree ticked for many NPCs at once: an interpreter over blocks of 64, each mask one machine word.

It knows the tables of `program.py`; `twin.py` is what it must equal, bit for bit. Importing this file imports numba and
loads or compiles it (seconds on a machine's first start), so only worker threads do.
"""

from __future__ import annotations

import threading
from typing import Literal

import numpy as np
from numba import types
from numpy.typing import NDArray

from app.modules.behavior.compiled import HOUSE
from app.modules.behavior.schema import F32, U8, Schema
from app.modules.behavior.trees import lanes, program, spots, steps
from app.modules.behavior.trees.expressions import Kind, tick_seed
from app.modules.behavior.trees.lanes import EMPTY, LANES, NOBODY, ONE, M
from app.modules.behavior.trees.memory import I16, U32, U64, Memory, Outcome
from app.modules.behavior.trees.program import I32, Op, Program
from app.modules.behavior.trees.steps import HIT

ALL = M(0xFFFF_FFFF_FFFF_FFFF)
STACK = 16
ZERO, SECOND = np.float32(0.0), np.float32(1.0)
LEAST = np.nextafter(ZERO, SECOND)
OP, FRAME, A, B, C, E = program.OP, program.FRAME, program.A, program.B, program.C, program.E
JUMP, EXIT, NODE, EXPRESSION, NUMBER = (
    program.JUMP, program.EXIT, program.NODE, program.EXPRESSION, program.NUMBER
)  # fmt: skip
NODE_OF, INTENT, AIM, MUST_AIM = program.NODE_OF, program.INTENT, program.AIM, program.MUST_AIM
WORD, IN_TICKS, UNTIL = program.WORD, program.IN_TICKS, program.UNTIL
NO_AIM = int(spots.Aim.NONE)
FROM_KEY, FROM_FEATURE = int(spots.Source.KEY), int(spots.Source.FEATURE)
SUCCESS, FAILURE, RUNNING = int(spots.Status.SUCCESS), int(spots.Status.FAILURE), int(spots.Status.RUNNING)
TIMEOUT = int(spots.Mode.TIMEOUT)
(
    END, TEST, ACT, WRITE, FIXED, ORDERED, SEQUENCE_NEXT, SELECTOR_NEXT, STAR, STAR_NEXT, TOGETHER, TOGETHER_NEXT,
    COUNTED, COUNTED_NEXT, BRANCH, BRANCH_NEXT, CASE, CHOICE, CHOICE_NEXT, MAP, CYCLE, LOOP, LOOP_NEXT, TIMED,
    TIMED_NEXT, COOLED, COOLED_NEXT, ONCE, ONCE_NEXT, GUARDED, GUARDED_NEXT,
) = (int(op) for op in Op)  # fmt: skip
"""Instructions as plain numbers, which the compiler turns into a jump table."""


@HOUSE.bare_part
def _remember(
    memory_bits: U64, memory_floats: F32, fresh: F32, handles: U32, base: int, count: int, packed: U64, past: U64,
    every: int, keys: F32, old: F32, cold: F32, cooled: I32, dt_s: np.float32,
) -> None:  # fmt: skip
    """Read what a block's NPCs remember; time goes by for cooldowns."""
    capacity, board, floats = len(memory_bits), len(keys), len(old)
    kept = board + floats + len(cooled)
    for word in range(memory_bits.shape[1]):
        for lane in range(LANES):
            packed[lane] = EMPTY
        for lane in range(count):
            if handles[base + lane] < capacity:
                packed[lane] = memory_bits[handles[base + lane], word]
        lanes.transpose_in(packed, past, 64 * word, min(64 * word + 64, every))
    for lane in range(count if kept > 0 else 0):
        handle = handles[base + lane]
        known = handle < capacity
        for at in range(board):
            keys[at, lane] = memory_floats[handle, at] if known else fresh[at]
        for at in range(floats):
            old[at, lane] = memory_floats[handle, board + at] if known else ZERO
        for at in range(len(cooled)):
            left = memory_floats[handle, board + floats + at] if known else ZERO
            cold[at, lane] = max(ZERO, left - (SECOND if cooled[at] else dt_s))


@HOUSE.bare_part
def _keep(
    memory_bits: U64, memory_floats: F32, handles: U32, base: int, count: int, packed: U64, bits: U64, every: int,
    keys: F32, new: F32, cold: F32,
) -> None:  # fmt: skip
    """Write what a block's NPCs will remember."""
    capacity, board, floats = len(memory_bits), len(keys), len(new)
    for word in range(memory_bits.shape[1]):
        lanes.transpose_out(packed, bits, 64 * word, min(64 * word + 64, every))
        for lane in range(count):
            if handles[base + lane] < capacity:
                memory_bits[handles[base + lane], word] = packed[lane]
    for lane in range(count if board + floats + len(cold) > 0 else 0):
        handle = handles[base + lane]
        if handle < capacity:
            for at in range(board):
                memory_floats[handle, at] = keys[at, lane]
            for at in range(floats):
                memory_floats[handle, board + at] = new[at, lane]
            for at in range(len(cold)):
                memory_floats[handle, board + floats + at] = cold[at, lane]


@HOUSE.bare_part
def _act(
    acts: I32, act: int, slots: I32, aims: U8, mask: U8, base: int, count: int, active: M, holds: M, edge: np.float32,
    dt_s: np.float32, seen: F32, keys: F32, old: F32, new: F32, goal: U8, nearest: F32,
) -> tuple[M, M, M]:  # fmt: skip
    """Who is done with an action, who cannot do it, and who does it now; `goal` is where they aim."""
    may, over, word = active, EMPTY, acts[act, WORD]
    if acts[act, INTENT] >= 0:
        may &= lanes.may(acts[act, INTENT], mask, base, count)
    if acts[act, UNTIL]:
        over |= may & holds
    if word >= 0:
        lanes.elapse(old, word, SECOND if acts[act, IN_TICKS] else dt_s)
        over |= may & lanes.reached(old, word, edge)
    wants = may & ~over
    if acts[act, AIM] != NO_AIM:
        aimed = lanes.aim(acts, act, slots, aims, seen, keys, goal, nearest)
        wants &= aimed if acts[act, MUST_AIM] else ALL
    else:
        for lane in range(LANES):
            goal[lane] = NOBODY
    if word >= 0:
        lanes.put(new, old, word, wants)
    return over, active & ~(over | wants), wants


@HOUSE.bare_part
def _write(code: I32, pc: int, active: M, value: np.float32, keys: F32, seen: F32) -> None:
    """Set a key, or add to it."""
    key, which, source, adds = code[pc, A], code[pc, E], code[pc, C], code[pc, B]
    for lane in range(LANES):
        if (active >> M(lane)) & ONE != EMPTY:
            given = value
            if source == FROM_KEY:
                given = keys[which, lane]
            elif source == FROM_FEATURE:
                given = seen[which, lane] * value
            keys[key, lane] = keys[key, lane] + given if adds else given


@HOUSE.bare_part
def _run(
    code: I32, ranges: I32, acts: I32, expressions: I32, tokens: I32, terms: I32, bounds: F32, numbers: F32,
    slots: I32, aims: U8, mask: U8, handles: U32, base: int, count: int, ticked: M, dt_s: np.float32, stack: U64,
    visited: U64, past: U64, bits: U64, frames: U64, seen: F32, keys: F32, old: F32, new: F32, cold: F32, goal: U8,
    nearest: F32, decided: I16, intents: U8, target: U8, active: M,
) -> tuple[M, M, M, M]:  # fmt: skip
    """Run the program for a block: who succeeded, failed, is RUNNING, and who acted."""
    s = f = r = acted = EMPTY
    pc = 0
    while True:
        op, level, after, gone = code[pc, OP], code[pc, FRAME], -1, EMPTY
        holds = ALL
        if code[pc, EXPRESSION] >= 0:
            holds = lanes.evaluate(
                code[pc, EXPRESSION], expressions, tokens, terms, bounds, stack, seen, keys, handles, base, count,
                ticked,
            )  # fmt: skip
        if op == END:
            break
        if op <= FIXED:
            if code[pc, EXIT] > 0:
                for node in range(code[pc, JUMP], code[pc, EXIT]):
                    visited[node] &= ~active
            visited[code[pc, NODE]] |= active
        if op == TEST:
            s, f, r = active & holds, active & ~holds, EMPTY
        elif op == ACT:
            act = code[pc, A]
            s, f, wants = _act(
                acts, act, slots, aims, mask, base, count, active, holds, numbers[code[pc, NUMBER]], dt_s, seen, keys,
                old, new, goal, nearest,
            )  # fmt: skip
            r = wants
            if not acts[act, UNTIL] and acts[act, WORD] < 0:
                s, r = wants, EMPTY
            if acts[act, INTENT] >= 0 and wants != EMPTY:
                acted |= wants
                doer, intent = np.int16(acts[act, NODE_OF]), np.uint8(acts[act, INTENT])
                for lane in range(LANES):
                    wanted = (wants >> M(lane)) & ONE != EMPTY
                    decided[lane] = doer if wanted else decided[lane]
                    intents[lane] = intent if wanted else intents[lane]
                    target[lane] = goal[lane] if wanted else target[lane]
        elif op == WRITE:
            _write(code, pc, active, numbers[code[pc, NUMBER]], keys, seen)
            s, f, r = active, EMPTY, EMPTY
        elif op == FIXED:
            s = active if code[pc, A] == SUCCESS else EMPTY
            f = active if code[pc, A] == FAILURE else EMPTY
            r = active if code[pc, A] == RUNNING else EMPTY
        elif op == ORDERED:
            s, f, r, active, after, gone = steps.ordered(code, pc, frames, level, past, bits, active)
        elif op == SEQUENCE_NEXT:
            s, f, r, active, after, gone = steps.ordered_next(code, pc, frames, level, past, bits, s, f, r)
        elif op == SELECTOR_NEXT:
            f, s, r, active, after, gone = steps.ordered_next(code, pc, frames, level, past, bits, f, s, r)
        elif op == STAR:
            s, f, r, active, after, gone = steps.star(code, pc, frames, level, past, bits, active)
        elif op == STAR_NEXT:
            s, f, r, active, after, gone = steps.star_next(code, pc, frames, level, past, bits, s, f, r)
        elif op == TOGETHER:
            s, f, r, active, after, gone = steps.together(code, pc, frames, level, past, bits, active)
        elif op == TOGETHER_NEXT:
            s, f, r, active, after, gone = steps.together_next(code, pc, frames, level, past, bits, s, f, r)
        elif op == COUNTED:
            s, f, r, active, after, gone = steps.counted(code, pc, frames, level, past, bits, numbers, active)
        elif op == COUNTED_NEXT:
            s, f, r, active, after, gone = steps.counted_next(code, pc, frames, level, past, bits, numbers, s, f, r)
        elif op == BRANCH:
            s, f, r, active, after, gone = steps.branch(code, pc, frames, level, past, bits, active)
        elif op == BRANCH_NEXT:
            s, f, r, active, after, gone = steps.branch_next(code, pc, frames, level, past, bits, s, f, r)
        elif op == CASE:
            steps.case(code, pc, frames, level, active, holds)
        elif op == CHOICE:
            s, f, r, active, after, gone = steps.choice(code, pc, frames, level)
        elif op == CHOICE_NEXT:
            s, f, r, active, after, gone = steps.choice_next(code, pc, frames, level, s, f, r)
        elif op == MAP:
            s, f, r, active, after, gone = steps.mapped(code, pc, s, f, r)
        elif op == CYCLE:
            s, f, r, active, after, gone = steps.cycle(code, pc, past, bits, s, f, r)
        elif op == LOOP:
            s, f, r, active, after, gone = steps.loop(code, pc, frames, level, active)
        elif op == LOOP_NEXT:
            s, f, r, active, after, gone = steps.loop_next(code, pc, frames, level, past, bits, s, f, r)
        elif op == TIMED:
            lanes.elapse(old, code[pc, A], SECOND if code[pc, C] else dt_s)
            edge = numbers[code[pc, NUMBER]]
            if code[pc, B] == TIMEOUT:
                edge = np.nextafter(edge, np.float32(np.inf))
            over = lanes.reached(old, code[pc, A], edge)
            s, f, r, active, after, gone = steps.timed(code, pc, frames, level, active, over)
        elif op == TIMED_NEXT:
            s, f, r, active, after, gone = steps.timed_next(code, pc, frames, level, s, f, r)
            lanes.put(new, old, code[pc, A], r)
        elif op == COOLED:
            hot = active & lanes.reached(cold, code[pc, A], LEAST)
            s, f, r, active, after, gone = steps.answered(code, pc, frames, level, active, hot)
        elif op == COOLED_NEXT:
            ended = s | f
            for lane in range(LANES):
                if (ended >> M(lane)) & ONE != EMPTY:
                    cold[code[pc, A], lane] = numbers[code[pc, NUMBER]]
            f |= frames[level, HIT]
        elif op == ONCE:
            s, f, r, active, after, gone = steps.answered(code, pc, frames, level, active, active & bits[code[pc, A]])
        elif op == ONCE_NEXT:
            s, f, r, active, after, gone = steps.once_next(code, pc, frames, level, bits, s, f, r)
        elif op == GUARDED:
            free = past[code[pc, A]] if code[pc, A] >= 0 else EMPTY
            s, f, r, active, after, gone = steps.answered(code, pc, frames, level, active, active & ~holds & ~free)
        elif op == GUARDED_NEXT:
            s, f, r, active, after, gone = steps.guarded_next(code, pc, frames, level, bits, s, f, r)
        if gone != EMPTY:
            lanes.forget(ranges, code[pc, NODE], gone, past, bits, old, new)
        pc = after if after >= 0 else pc + 1
    return s, f, r, acted


@HOUSE.bare_part
def _answer(
    s: M, f: M, r: M, acted: M, everyone: M, base: int, count: int, visited: U64, decided: I16, intent: U8,
    target: U8, status: U8, intents: U8, targets: U8, leaf: I16,
) -> None:  # fmt: skip
    """Write a block's decisions; of who did not act the last node visited is told."""
    for lane in range(count):
        place = M(lane)
        status[base + lane] = (
            ((s >> place) & ONE) * M(SUCCESS) + ((f >> place) & ONE) * M(FAILURE) + ((r >> place) & ONE) * M(RUNNING)
        )
    if acted != everyone:
        for node in range(len(visited)):
            left = visited[node] & ~acted
            if left != EMPTY:
                for lane in range(LANES):
                    decided[lane] = np.int16(node) if (left >> M(lane)) & ONE != EMPTY else decided[lane]
    for lane in range(count):
        intents[base + lane], targets[base + lane], leaf[base + lane] = intent[lane], target[lane], decided[lane]


def _read(kind: types.Type, axes: int, layout: Literal["C"] = "C") -> types.Type:
    """An array that a kernel only reads; a writable one may be given as well."""
    return types.Array(kind, axes, layout, readonly=True)


_F, _B, _W, _Q, _I, _N, _H = (
    types.float32, types.uint8, types.uint32, types.uint64, types.int32, types.intp, types.int16
)  # fmt: skip


@HOUSE.bare(
    _read(_I, 2), _read(_I, 2), _read(_I, 2), _read(_I, 2), _read(_I, 1), _read(_I, 2), _read(_F, 2), _read(_F, 1),
    _read(_N, 1), _read(_I, 2), _read(_I, 1), _read(_I, 1), _read(_B, 2), _read(_F, 2), _read(_B, 2), _read(_W, 1),
    _Q[:, ::1], _F[:, ::1], _read(_F, 1), _Q, _F, _B[::1], _B[::1], _B[::1], _H[::1], _Q[::1], _Q[:, ::1], _F[:, ::1],
    _B[::1], _H[::1], _N, _N,
)  # fmt: skip
def tick(
    code: I32, ranges: I32, acts: I32, expressions: I32, tokens: I32, terms: I32, bounds: F32, numbers: F32,
    used: NDArray[np.intp], slots: I32, cooled: I32, sizes: I32, aims: U8, obs: F32, mask: U8, handles: U32,
    memory_bits: U64, memory_floats: F32, fresh: F32, ticked: M, dt_s: np.float32,
    status: U8, intents: U8, targets: U8, leaf: I16, masks: U64, frames: U64, floats: F32, marks: U8, decided: I16,
    first: int, last: int,
) -> None:  # fmt: skip
    """Tick rows first .. last: read their memory, run the program, write their memory and what they do.

    `masks`, `frames`, `floats` (words, 64), `marks` (3 x 64,) and `decided` (64,) are room to work in, see Fast.
    """
    nodes, transient, every, board, words = sizes[0], sizes[2], sizes[3], sizes[4], sizes[5]
    seen, keys, rest = floats[: len(used)], floats[len(used) : len(used) + board], floats[len(used) + board :]
    old, new, cold = rest[:words], rest[words : 2 * words], rest[2 * words : 2 * words + len(cooled)]
    nearest, goal = rest[2 * words + len(cooled)], marks[:LANES]
    target, intent = marks[LANES : 2 * LANES], marks[2 * LANES :]
    packed, stack, visited = masks[:LANES], masks[LANES : LANES + STACK], masks[LANES + STACK : LANES + STACK + nodes]
    past, bits = masks[LANES + STACK + nodes : LANES + STACK + nodes + every], masks[LANES + STACK + nodes + every :]
    for base in range(first, last, LANES):
        count = min(LANES, last - base)
        everyone = ALL if count == LANES else (ONE << M(count)) - ONE
        for lane in range(count):
            for at in range(len(used)):
                seen[at, lane] = obs[base + lane, used[at]]
        _remember(
            memory_bits, memory_floats, fresh, handles, base, count, packed, past, every, keys, old, cold, cooled, dt_s
        )
        for word in range(words):
            for lane in range(LANES):
                new[word, lane] = ZERO
        for bit in range(every):
            bits[bit] = past[bit] if bit >= transient else EMPTY
        for node in range(nodes):
            visited[node] = EMPTY
        for lane in range(LANES):
            decided[lane], intent[lane], target[lane] = -1, NOBODY, NOBODY
        s, f, r, acted = _run(
            code, ranges, acts, expressions, tokens, terms, bounds, numbers, slots, aims, mask, handles, base, count,
            ticked, dt_s, stack, visited, past, bits, frames, seen, keys, old, new, cold, goal, nearest, decided,
            intent, target, everyone,
        )  # fmt: skip
        _answer(s, f, r, acted, everyone, base, count, visited, decided, intent, target, status, intents, targets, leaf)
        _keep(memory_bits, memory_floats, handles, base, count, packed, bits, every, keys, new, cold)


class Fast:
    """See trees.tree.Ticker."""

    name = "numba"
    loop_rows_max = 8_192

    def __init__(self, program: Program, schema: Schema) -> None:
        self._tables = (
            program.code, program.ranges, program.acts, program.expressions, program.tokens, program.terms,
            program.bounds, program.numbers, program.used, program.slots, program.cooled, program.sizes, schema.aims,
        )  # fmt: skip
        nodes, frames, _, bits, keys, floats = program.sizes.tolist()
        self._masks = LANES + STACK + nodes + 2 * bits
        self._frames = (frames, steps.FRAME_WORDS)
        self._floats = (len(program.used) + keys + 2 * floats + len(program.cooled) + 1, LANES)
        self._draws = bool((program.terms[:, 0] == Kind.CHANCE).any())
        self._own = threading.local()

    def tick(
        self, obs: F32, mask: U8, handles: U32, memory: Memory, seed: int, number: int, dt_s: float, out: Outcome,
        first: int, last: int,
    ) -> None:  # fmt: skip
        """See trees.tree.Tree.tick."""
        room = getattr(self._own, "room", None)
        if room is None:
            room = self._own.room = (
                np.zeros(self._masks, M), np.zeros(self._frames, M), np.zeros(self._floats, np.float32),
                np.zeros(3 * LANES, np.uint8), np.zeros(LANES, np.int16),
            )  # fmt: skip
        ticked = M(tick_seed(seed, number)) if self._draws else EMPTY
        masks, frames, floats, marks, decided = room
        tick(
            *self._tables, obs, mask, handles, memory.bits, memory.floats, memory.fresh, ticked, np.float32(dt_s),
            out.status, out.intents, out.targets, out.leaf, masks, frames, floats, marks, decided, first, last,
        )  # fmt: skip
