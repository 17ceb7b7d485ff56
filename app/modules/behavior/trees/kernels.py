"""A tree ticked for many NPCs at once: an interpreter over blocks of 64, each mask one machine word.

It knows the tables of `program.py`; `twin.py` is what it must equal, bit for bit. Importing this file imports numba and
loads or compiles it (seconds on a machine's first start), so only worker threads do.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import types
from numpy.typing import NDArray

from app.modules.behavior.compiled import HOUSE
from app.modules.behavior.schema import F32, NONE, U8, Schema
from app.modules.behavior.trees import spots, steps
from app.modules.behavior.trees.expressions import AND, CHANCES, EQUAL, GOLDEN, NOT, Kind, tick_seed
from app.modules.behavior.trees.memory import I16, U32, U64, Memory, Outcome
from app.modules.behavior.trees.program import EXPRESSION, FRAME, NODE, NUMBER, OP, A, B, C, E, EXIT, JUMP, I32, Op, Program
from app.modules.behavior.trees.steps import CYCLES, ENTERED, HIT

LANES = 64
M = np.uint64
EMPTY, ALL, ONE = M(0), M(0xFFFF_FFFF_FFFF_FFFF), M(1)
STACK = 16
MIX_1, MIX_2, MIX_3 = M(GOLDEN), M(0xBF58476D1CE4E5B9), M(0x94D049BB133111EB)
NEAR, LEAST = np.float32(EQUAL), np.nextafter(np.float32(0.0), np.float32(1.0))
FEATURE, KEY, KEYS, FEATURE_KEY = int(Kind.FEATURE), int(Kind.KEY), int(Kind.KEYS), int(Kind.FEATURE_KEY)
AIM_NONE, AIM_TRADER, AIM_SLOT, AIM_KEY = (
    int(aim) for aim in (spots.Aim.NONE, spots.Aim.TRADER, spots.Aim.SLOT, spots.Aim.KEY)
)
FROM_KEY, FROM_FEATURE = int(spots.Source.KEY), int(spots.Source.FEATURE)
SUCCESS, FAILURE, RUNNING = int(spots.Status.SUCCESS), int(spots.Status.FAILURE), int(spots.Status.RUNNING)
DELAY, TIMEOUT = int(spots.Mode.DELAY), int(spots.Mode.TIMEOUT)
(
    END, TEST, ACT, WRITE, FIXED, ORDERED, SEQUENCE_NEXT, SELECTOR_NEXT, STAR, STAR_NEXT, TOGETHER, TOGETHER_NEXT,
    COUNTED, COUNTED_NEXT, BRANCH, BRANCH_NEXT, CASE, CHOICE, CHOICE_NEXT, MAP, CYCLE, LOOP, LOOP_NEXT, TIMED,
    TIMED_NEXT, COOLED, COOLED_NEXT, ONCE, ONCE_NEXT, GUARDED, GUARDED_NEXT,
) = (int(op) for op in Op)  # fmt: skip
"""Instructions as plain numbers, which the compiler turns into a jump table."""
NODE_OF, INTENT, AIM, WHICH, MUST_AIM, WORD, IN_TICKS, UNTIL = range(8)
"""Columns of an action."""
NO_INTENT = np.uint8(NONE)


@HOUSE.inlined
def _transpose_in(words: U64, masks: U64, first: int, last: int) -> None:
    """Bits first .. last of 64 words to masks by bit."""
    every = EMPTY
    for lane in range(LANES):
        every |= words[lane]
    for bit in range(first, last):
        place, mask = M(bit - first), EMPTY
        if (every >> place) & ONE != EMPTY:
            for lane in range(LANES):
                mask |= ((words[lane] >> place) & ONE) << M(lane)
        masks[bit] = mask


@HOUSE.inlined
def _transpose_out(words: U64, masks: U64, first: int, last: int) -> None:
    """The other way."""
    words[:] = EMPTY
    for bit in range(first, last):
        place, mask = M(bit - first), masks[bit]
        if mask != EMPTY:
            for lane in range(LANES):
                words[lane] |= ((mask >> M(lane)) & ONE) << place


@HOUSE.inlined
def _term(
    kind: int, a: int, b: int, low: np.float32, high: np.float32, scale: np.float32, seen: F32, keys: F32,
    handles: U32, base: int, count: int, ticked: M,
) -> M:  # fmt: skip
    """For whom a term lies in its interval."""
    mask = EMPTY
    if kind == FEATURE:
        for lane in range(LANES):
            mask |= M((seen[a, lane] >= low) & (seen[a, lane] <= high)) << M(lane)
    elif kind == KEY:
        for lane in range(LANES):
            mask |= M((keys[a, lane] >= low) & (keys[a, lane] <= high)) << M(lane)
    elif kind == KEYS:
        for lane in range(LANES):
            value = keys[a, lane] - keys[b, lane]
            mask |= M((value >= low) & (value <= high)) << M(lane)
    elif kind == FEATURE_KEY:
        for lane in range(LANES):
            value = seen[a, lane] * scale - keys[b, lane]
            mask |= M((value >= low) & (value <= high)) << M(lane)
    else:
        start = ticked + M(a) * MIX_1
        for lane in range(count):
            z = (start + M(handles[base + lane]) + ONE) * MIX_1
            z = (z ^ (z >> M(30))) * MIX_2
            z = (z ^ (z >> M(27))) * MIX_3
            mask |= M(((z ^ (z >> M(31))) >> M(40)) < M(b)) << M(lane)
    return mask


@HOUSE.inlined
def _evaluate(
    number: int, expressions: I32, tokens: I32, terms: I32, bounds: F32, stack: U64, seen: F32, keys: F32,
    handles: U32, base: int, count: int, ticked: M,
) -> M:  # fmt: skip
    """For whom an expression holds."""
    top, found = 0, EMPTY
    for at in range(expressions[number, 0], expressions[number, 1]):
        token = tokens[at]
        if token >= 0:
            mask = _term(
                terms[token, 0], terms[token, 1], terms[token, 2], bounds[token, 0], bounds[token, 1],
                bounds[token, 2], seen, keys, handles, base, count, ticked,
            )  # fmt: skip
            stack[top] = ~mask if terms[token, 3] else mask
            top += 1
        elif token == NOT:
            stack[top - 1] = ~stack[top - 1]
        else:
            top -= 1
            if token == AND:
                stack[top - 1] &= stack[top]
            else:
                stack[top - 1] |= stack[top]
    found |= stack[0]
    return found


@HOUSE.inlined
def _forget(nodes: I32, gone: M, past: U64, bits: U64, old: F32, new: F32) -> None:
    """Halt a subtree for some NPCs; `nodes` is its row of ranges."""
    for bit in range(nodes[0], nodes[1]):
        past[bit] &= ~gone
        bits[bit] &= ~gone
    for word in range(nodes[2], nodes[3]):
        for lane in range(LANES):
            if (gone >> M(lane)) & ONE != EMPTY:
                old[word, lane] = new[word, lane] = np.float32(0.0)


@HOUSE.inlined
def _elapse(word: F32, step: np.float32) -> None:
    """1 + the time since a node started, for all."""
    for lane in range(LANES):
        word[lane] = word[lane] + step if word[lane] != np.float32(0.0) else np.float32(1.0)


@HOUSE.inlined
def _reached(word: F32, edge: np.float32) -> M:
    mask = EMPTY
    for lane in range(LANES):
        mask |= M(word[lane] >= edge) << M(lane)
    return mask


@HOUSE.inlined
def _put(word: F32, values: F32, whom: M) -> None:
    """Take some NPCs' values."""
    for lane in range(LANES):
        word[lane] = values[lane] if (whom >> M(lane)) & ONE != EMPTY else word[lane]


@HOUSE.inlined
def _target(act: I32, slots: I32, aims: U8, seen: F32, keys: F32, lane: int) -> int:
    """The slot that an action aims at, or NONE."""
    found, best = NONE, np.float32(np.inf)
    if act[AIM] != AIM_NONE:
        for slot in range(aims.shape[1]):
            if aims[act[INTENT], slot] != 0:
                fits = seen[slots[slot, 0], lane] > np.float32(0.0)
                distance = seen[slots[slot, 2], lane]
                if act[AIM] == AIM_TRADER:
                    fits &= seen[slots[slot, 1], lane] > np.float32(0.0)
                elif act[AIM] == AIM_SLOT:
                    fits &= slot == act[WHICH]
                elif act[AIM] == AIM_KEY:
                    fits &= abs(keys[act[WHICH], lane] - np.float32(slot)) <= NEAR
                if fits and (found == NONE or distance < best):
                    found, best = slot, distance
    return found


@HOUSE.inlined
def _allowed(act: I32, mask: U8, slots: I32, aims: U8, seen: F32, keys: F32, base: int, count: int) -> M:
    """Who may act so, and has somebody to aim at where that is asked for."""
    fine = ALL
    if act[INTENT] >= 0:
        fine = EMPTY
        for lane in range(count):
            fine |= M(mask[base + lane, act[INTENT]] != 0) << M(lane)
        if act[MUST_AIM]:
            for lane in range(count):
                if _target(act, slots, aims, seen, keys, lane) == NONE:
                    fine &= ~(ONE << M(lane))
    return fine


def _read(kind: types.Type, axes: int, layout: Literal["C"] = "C") -> types.Type:
    """An array that a kernel only reads; a writable one may be given as well."""
    return types.Array(kind, axes, layout, readonly=True)


_F, _B, _W, _Q, _I, _N, _H = (
    types.float32, types.uint8, types.uint32, types.uint64, types.int32, types.intp, types.int16
)  # fmt: skip


@HOUSE.typed(
    _read(_I, 2), _read(_I, 2), _read(_I, 2), _read(_I, 2), _read(_I, 1), _read(_I, 2), _read(_F, 2), _read(_F, 1),
    _read(_N, 1), _read(_I, 2), _read(_I, 1), _read(_I, 1), _read(_B, 2), _read(_F, 2), _read(_B, 2), _read(_W, 1),
    _Q[:, ::1], _F[:, ::1], _read(_F, 1), _Q, _F, _B[::1], _B[::1], _B[::1], _H[::1], _N, _N,
)  # fmt: skip
def tick(
    code: I32, ranges: I32, acts: I32, expressions: I32, tokens: I32, terms: I32, bounds: F32, numbers: F32,
    used: NDArray[np.intp], slots: I32, cooled: I32, sizes: I32, aims: U8, obs: F32, mask: U8, handles: U32,
    memory_bits: U64, memory_floats: F32, fresh: F32, ticked: M, dt_s: np.float32,
    status: U8, intents: U8, targets: U8, leaf: I16, first: int, last: int,
) -> None:  # fmt: skip
    """Tick rows first .. last: read their memory, run the program, write their memory and what they do."""
    nodes, frames, transient, every, board, floats = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    words, capacity = memory_bits.shape[1], len(memory_bits)
    seen = np.zeros((len(used) + 1, LANES), np.float32)
    keys, old = np.zeros((board + 1, LANES), np.float32), np.zeros((floats + 1, LANES), np.float32)
    new, cold = np.zeros((floats + 1, LANES), np.float32), np.zeros((len(cooled) + 1, LANES), np.float32)
    packed, past, bits = np.zeros(LANES, M), np.zeros(every + 1, M), np.zeros(every + 1, M)
    frame_of, stack = np.zeros((frames, steps.FRAME_WORDS), M), np.zeros(STACK, M)
    visited, actor = np.zeros(nodes, M), np.zeros(LANES, np.int16)
    for base in range(first, last, LANES):
        count = min(LANES, last - base)
        for lane in range(count):
            for at in range(len(used)):
                seen[at, lane] = obs[base + lane, used[at]]
        for word in range(words):
            packed[:] = EMPTY
            for lane in range(count):
                handle = handles[base + lane]
                if handle < capacity:
                    packed[lane] = memory_bits[handle, word]
            _transpose_in(packed, past, 64 * word, min(64 * word + 64, every))
        for lane in range(count):
            handle = handles[base + lane]
            row = memory_floats[handle] if handle < capacity else fresh
            for at in range(board):
                keys[at, lane] = row[at]
            for at in range(floats):
                old[at, lane] = row[board + at]
            for at in range(len(cooled)):
                step = np.float32(1.0) if cooled[at] else dt_s
                cold[at, lane] = max(np.float32(0.0), row[board + floats + at] - step)
        new[:] = np.float32(0.0)
        for bit in range(transient):
            bits[bit] = EMPTY
        for bit in range(transient, every):
            bits[bit] = past[bit]
        visited[:] = EMPTY
        actor[:] = -1
        active = ALL if count == LANES else (ONE << M(count)) - ONE
        s = f = r = gone = EMPTY
        at = 0
        while True:
            row = code[at]
            op, frame, after, gone = row[OP], frame_of[row[FRAME]], -1, EMPTY
            holds = ALL
            if row[EXPRESSION] >= 0:
                holds = _evaluate(
                    row[EXPRESSION], expressions, tokens, terms, bounds, stack, seen, keys, handles, base, count, ticked
                )
            if op == END:
                break
            if op <= FIXED:
                if row[EXIT] > 0:
                    for node in range(row[JUMP], row[EXIT]):
                        visited[node] &= ~active
                visited[row[NODE]] |= active
            if op == TEST:
                s, f, r = active & holds, active & ~holds, EMPTY
            elif op == ACT:
                act = acts[row[A]]
                fine = active & _allowed(act, mask, slots, aims, seen, keys, base, count)
                over = fine & holds if act[UNTIL] else EMPTY
                if act[WORD] >= 0:
                    _elapse(old[act[WORD]], np.float32(1.0) if act[IN_TICKS] else dt_s)
                    over |= fine & _reached(old[act[WORD]], numbers[row[NUMBER]])
                    _put(new[act[WORD]], old[act[WORD]], fine & ~over)
                wants = fine & ~over
                if act[INTENT] >= 0 and wants != EMPTY:
                    for lane in range(LANES):
                        actor[lane] = row[A] if (wants >> M(lane)) & ONE != EMPTY else actor[lane]
                s, f, r = over, active & ~fine, wants
                if not act[UNTIL] and act[WORD] < 0:
                    s, r = fine, EMPTY
            elif op == WRITE:
                value = numbers[row[NUMBER]]
                for lane in range(LANES):
                    if (active >> M(lane)) & ONE != EMPTY:
                        fresh_value = value
                        if row[C] == FROM_KEY:
                            fresh_value = keys[row[E], lane]
                        elif row[C] == FROM_FEATURE:
                            fresh_value = seen[row[E], lane] * value
                        keys[row[A], lane] = keys[row[A], lane] + fresh_value if row[B] else fresh_value
                s, f, r = active, EMPTY, EMPTY
            elif op == FIXED:
                s = active if row[A] == SUCCESS else EMPTY
                f = active if row[A] == FAILURE else EMPTY
                r = active if row[A] == RUNNING else EMPTY
            elif op == ORDERED:
                s, f, r, active, after, gone = steps.ordered(row, frame, past, bits, active)
            elif op == SEQUENCE_NEXT:
                s, f, r, active, after, gone = steps.ordered_next(row, frame, past, bits, s, f, r)
            elif op == SELECTOR_NEXT:
                f, s, r, active, after, gone = steps.ordered_next(row, frame, past, bits, f, s, r)
            elif op == STAR:
                s, f, r, active, after, gone = steps.star(row, frame, past, bits, active)
            elif op == STAR_NEXT:
                s, f, r, active, after, gone = steps.star_next(row, frame, past, bits, s, f, r)
            elif op == TOGETHER:
                s, f, r, active, after, gone = steps.together(row, frame, past, bits, active)
            elif op == TOGETHER_NEXT:
                s, f, r, active, after, gone = steps.together_next(row, frame, past, bits, s, f, r)
            elif op == COUNTED:
                s, f, r, active, after, gone = steps.counted(row, frame, past, bits, numbers, active)
            elif op == COUNTED_NEXT:
                s, f, r, active, after, gone = steps.counted_next(row, frame, past, bits, numbers, s, f, r)
            elif op == BRANCH:
                s, f, r, active, after, gone = steps.branch(row, frame, past, bits, active)
            elif op == BRANCH_NEXT:
                s, f, r, active, after, gone = steps.branch_next(row, frame, past, bits, s, f, r)
            elif op == CASE:
                steps.case(row, frame, active, holds)
            elif op == CHOICE:
                s, f, r, active, after, gone = steps.choice(row, frame)
            elif op == CHOICE_NEXT:
                s, f, r, active, after, gone = steps.choice_next(row, frame, s, f, r)
            elif op == MAP:
                s, f, r, active, after, gone = steps.mapped(row, s, f, r)
            elif op == CYCLE:
                s, f, r, active, after, gone = steps.cycle(row, past, bits, s, f, r)
            elif op == LOOP:
                s, f, r, active, after, gone = steps.loop(row, frame, active)
            elif op == LOOP_NEXT:
                s, f, r, active, after, gone = steps.loop_next(row, frame, past, bits, s, f, r)
            elif op == TIMED:
                _elapse(old[row[A]], np.float32(1.0) if row[C] else dt_s)
                edge = numbers[row[NUMBER]]
                if row[B] == TIMEOUT:
                    edge = np.nextafter(edge, np.float32(np.inf))
                over = _reached(old[row[A]], edge)
                s, f, r, active, after, gone = steps.timed(row, frame, active, over)
            elif op == TIMED_NEXT:
                s, f, r, active, after, gone = steps.timed_next(row, frame, s, f, r)
                _put(new[row[A]], old[row[A]], r)
            elif op == COOLED:
                hot = active & _reached(cold[row[A]], LEAST)
                s, f, r, active, after, gone = steps.answered(row, frame, active, hot)
            elif op == COOLED_NEXT:
                ended = s | f
                for lane in range(LANES):
                    if (ended >> M(lane)) & ONE != EMPTY:
                        cold[row[A], lane] = numbers[row[NUMBER]]
                f |= frame[HIT]
            elif op == ONCE:
                s, f, r, active, after, gone = steps.answered(row, frame, active, active & bits[row[A]])
            elif op == ONCE_NEXT:
                s, f, r, active, after, gone = steps.once_next(row, frame, bits, s, f, r)
            elif op == GUARDED:
                free = past[row[A]] if row[A] >= 0 else EMPTY
                s, f, r, active, after, gone = steps.answered(row, frame, active, active & ~holds & ~free)
            elif op == GUARDED_NEXT:
                s, f, r, active, after, gone = steps.guarded_next(row, frame, bits, s, f, r)
            if gone != EMPTY:
                _forget(ranges[row[NODE]], gone, past, bits, old, new)
            at = after if after >= 0 else at + 1
        for lane in range(count):
            place, mark = base + lane, M(lane)
            status[place] = (
                ((s >> mark) & ONE) * M(SUCCESS) + ((f >> mark) & ONE) * M(FAILURE) + ((r >> mark) & ONE) * M(RUNNING)
            )
            if actor[lane] >= 0:
                act = acts[actor[lane]]
                intents[place] = act[INTENT]
                targets[place] = _target(act, slots, aims, seen, keys, lane)
                leaf[place] = act[NODE_OF]
            else:
                intents[place] = targets[place] = NO_INTENT
                for node in range(nodes):
                    if (visited[node] >> mark) & ONE != EMPTY:
                        leaf[place] = node
        for word in range(words):
            _transpose_out(packed, bits, 64 * word, min(64 * word + 64, every))
            for lane in range(count):
                handle = handles[base + lane]
                if handle < capacity:
                    memory_bits[handle, word] = packed[lane]
        for lane in range(count):
            handle = handles[base + lane]
            if handle < capacity:
                row_floats = memory_floats[handle]
                for at in range(board):
                    row_floats[at] = keys[at, lane]
                for at in range(floats):
                    row_floats[board + at] = new[at, lane]
                for at in range(len(cooled)):
                    row_floats[board + floats + at] = cold[at, lane]


class Fast:
    """See trees.tree.Ticker."""

    name = "numba"
    loop_rows_max = 8_192

    def __init__(self, program: Program, schema: Schema) -> None:
        self._tables = (
            program.code, program.ranges, program.acts, program.expressions, program.tokens, program.terms,
            program.bounds, program.numbers, program.used, program.slots, program.cooled, program.sizes, schema.aims,
        )  # fmt: skip

    def tick(
        self, obs: F32, mask: U8, handles: U32, memory: Memory, seed: int, number: int, dt_s: float, out: Outcome,
        first: int, last: int,
    ) -> None:  # fmt: skip
        """See trees.tree.Tree.tick."""
        tick(
            *self._tables, obs, mask, handles, memory.bits, memory.floats, memory.fresh, M(tick_seed(seed, number)), np.float32(dt_s),
            out.status, out.intents, out.targets, out.leaf, first, last,
        )  # fmt: skip
