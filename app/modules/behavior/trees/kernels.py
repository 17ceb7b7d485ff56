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
from app.modules.behavior.trees.program import (
    EXPRESSION,
    FRAME,
    NODE,
    NUMBER,
    OP,
    A,
    B,
    C,
    E,
    EXIT,
    JUMP,
    I32,
    Op,
    Program,
)
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
NOBODY = np.uint8(NONE)


@HOUSE.bare_part
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


@HOUSE.bare_part
def _transpose_out(words: U64, masks: U64, first: int, last: int) -> None:
    """The other way."""
    for lane in range(LANES):
        words[lane] = EMPTY
    for bit in range(first, last):
        place, mask = M(bit - first), masks[bit]
        if mask != EMPTY:
            for lane in range(LANES):
                words[lane] |= ((mask >> M(lane)) & ONE) << place


@HOUSE.bare_part
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


@HOUSE.bare_part
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
    found = M(stack[0])
    return found


@HOUSE.bare_part
def _forget(ranges: I32, node: int, gone: M, past: U64, bits: U64, old: F32, new: F32) -> None:
    """Halt a subtree for some NPCs."""
    for bit in range(ranges[node, 0], ranges[node, 1]):
        past[bit] &= ~gone
        bits[bit] &= ~gone
    for word in range(ranges[node, 2], ranges[node, 3]):
        for lane in range(LANES):
            if (gone >> M(lane)) & ONE != EMPTY:
                old[word, lane] = new[word, lane] = np.float32(0.0)


@HOUSE.bare_part
def _elapse(words: F32, word: int, step: np.float32) -> None:
    """1 + the time since a node started, for all."""
    for lane in range(LANES):
        past = words[word, lane]
        words[word, lane] = past + step if past != np.float32(0.0) else np.float32(1.0)


@HOUSE.bare_part
def _reached(words: F32, word: int, edge: np.float32) -> M:
    """Who has come to an edge."""
    mask = EMPTY
    for lane in range(LANES):
        mask |= M(words[word, lane] >= edge) << M(lane)
    return mask


@HOUSE.bare_part
def _put(words: F32, values: F32, word: int, whom: M) -> None:
    """Take some NPCs' values."""
    for lane in range(LANES):
        words[word, lane] = values[word, lane] if (whom >> M(lane)) & ONE != EMPTY else words[word, lane]


@HOUSE.bare_part
def _aim(acts: I32, act: int, slots: I32, aims: U8, seen: F32, keys: F32, goal: U8, nearest: F32) -> M:
    """Write the slot that everybody would aim at; who finds somebody there."""
    rule, which, found = acts[act, AIM], acts[act, WHICH], EMPTY
    for lane in range(LANES):
        goal[lane], nearest[lane] = NOBODY, np.float32(np.inf)
    for slot in range(aims.shape[1]):
        if aims[acts[act, INTENT], slot] != 0 and (rule != AIM_SLOT or slot == which):
            health, trade, distance = slots[slot, 0], slots[slot, 1], slots[slot, 2]
            for lane in range(LANES):
                fits = seen[health, lane] > np.float32(0.0)
                if rule == AIM_TRADER:
                    fits &= seen[trade, lane] > np.float32(0.0)
                elif rule == AIM_KEY:
                    fits &= abs(keys[which, lane] - np.float32(slot)) <= NEAR
                fits &= (goal[lane] == NOBODY) | (seen[distance, lane] < nearest[lane])
                goal[lane] = np.uint8(slot) if fits else goal[lane]
                nearest[lane] = seen[distance, lane] if fits else nearest[lane]
    for lane in range(LANES):
        found |= M(goal[lane] != NOBODY) << M(lane)
    return found


@HOUSE.bare_part
def _may(intent: int, mask: U8, base: int, count: int) -> M:
    """Who may act so."""
    fine = EMPTY
    for lane in range(count):
        fine |= M(mask[base + lane, intent] != 0) << M(lane)
    return fine


def _read(kind: types.Type, axes: int, layout: Literal["C"] = "C") -> types.Type:
    """An array that a kernel only reads; a writable one may be given as well."""
    return types.Array(kind, axes, layout, readonly=True)


_F, _B, _W, _Q, _I, _N, _H = (
    types.float32, types.uint8, types.uint32, types.uint64, types.int32, types.intp, types.int16
)  # fmt: skip


@HOUSE.bare(
    _read(_I, 2), _read(_I, 2), _read(_I, 2), _read(_I, 2), _read(_I, 1), _read(_I, 2), _read(_F, 2), _read(_F, 1),
    _read(_N, 1), _read(_I, 2), _read(_I, 1), _read(_I, 1), _read(_B, 2), _read(_F, 2), _read(_B, 2), _read(_W, 1),
    _Q[:, ::1], _F[:, ::1], _read(_F, 1), _Q, _F, _B[::1], _B[::1], _B[::1], _H[::1], _Q[::1], _Q[:, ::1], _F[:, ::1], _B[::1], _H[::1], _N, _N,
)  # fmt: skip
def tick(
    code: I32, ranges: I32, acts: I32, expressions: I32, tokens: I32, terms: I32, bounds: F32, numbers: F32,
    used: NDArray[np.intp], slots: I32, cooled: I32, sizes: I32, aims: U8, obs: F32, mask: U8, handles: U32,
    memory_bits: U64, memory_floats: F32, fresh: F32, ticked: M, dt_s: np.float32,
    status: U8, intents: U8, targets: U8, leaf: I16, masks: U64, frame_of: U64, lanes: F32, marks: U8, actor: I16,
    first: int, last: int,
) -> None:  # fmt: skip
    """Tick rows first .. last: read their memory, run the program, write their memory and what they do.

    `masks`, `frame_of`, `lanes` (words, 64), `marks` (2 x 64,) and `actor` (64,) are room to work in, see Fast.
    """
    nodes, transient, every, board, floats = sizes[0], sizes[2], sizes[3], sizes[4], sizes[5]
    words, capacity = memory_bits.shape[1], len(memory_bits)
    seen, keys = lanes[: len(used)], lanes[len(used) : len(used) + board]
    rest = lanes[len(used) + board :]
    old, new, cold = rest[:floats], rest[floats : 2 * floats], rest[2 * floats : 2 * floats + len(cooled)]
    nearest = rest[2 * floats + len(cooled)]
    goal, target = marks[:LANES], marks[LANES:]
    packed, stack, visited = masks[:LANES], masks[LANES : LANES + STACK], masks[LANES + STACK : LANES + STACK + nodes]
    past = masks[LANES + STACK + nodes :]
    bits = past[every:]
    for base in range(first, last, LANES):
        count = min(LANES, last - base)
        for lane in range(count):
            for at in range(len(used)):
                seen[at, lane] = obs[base + lane, used[at]]
        for word in range(words):
            for lane in range(LANES):
                packed[lane] = EMPTY
            for lane in range(count):
                handle = handles[base + lane]
                if handle < capacity:
                    packed[lane] = memory_bits[handle, word]
            _transpose_in(packed, past, 64 * word, min(64 * word + 64, every))
        for lane in range(count):
            handle = handles[base + lane]
            known = handle < capacity
            for at in range(board):
                keys[at, lane] = memory_floats[handle, at] if known else fresh[at]
            for at in range(floats):
                old[at, lane] = memory_floats[handle, board + at] if known else np.float32(0.0)
            for at in range(len(cooled)):
                step = np.float32(1.0) if cooled[at] else dt_s
                left = memory_floats[handle, board + floats + at] if known else np.float32(0.0)
                cold[at, lane] = max(np.float32(0.0), left - step)
        for word in range(floats):
            for lane in range(LANES):
                new[word, lane] = np.float32(0.0)
        for bit in range(transient):
            bits[bit] = EMPTY
        for bit in range(transient, every):
            bits[bit] = past[bit]
        for node in range(nodes):
            visited[node] = EMPTY
        for lane in range(LANES):
            actor[lane], target[lane] = -1, NOBODY
        active = everyone = ALL if count == LANES else (ONE << M(count)) - ONE
        acted = EMPTY
        s = f = r = gone = EMPTY
        pc = 0
        while True:
            op, level, after, gone = code[pc, OP], code[pc, FRAME], -1, EMPTY
            holds = ALL
            if code[pc, EXPRESSION] >= 0:
                holds = _evaluate(
                    code[pc, EXPRESSION],
                    expressions,
                    tokens,
                    terms,
                    bounds,
                    stack,
                    seen,
                    keys,
                    handles,
                    base,
                    count,
                    ticked,
                )
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
                act, intent = code[pc, A], acts[code[pc, A], INTENT]
                fine = active & _may(intent, mask, base, count) if intent >= 0 else active
                if acts[act, AIM] != AIM_NONE:
                    aimed = _aim(acts, act, slots, aims, seen, keys, goal, nearest)
                    fine &= aimed if acts[act, MUST_AIM] else ALL
                over = fine & holds if acts[act, UNTIL] else EMPTY
                if acts[act, WORD] >= 0:
                    _elapse(old, acts[act, WORD], np.float32(1.0) if acts[act, IN_TICKS] else dt_s)
                    over |= fine & _reached(old, acts[act, WORD], numbers[code[pc, NUMBER]])
                    _put(new, old, acts[act, WORD], fine & ~over)
                wants = fine & ~over
                s, f, r = over, active & ~fine, wants
                if not acts[act, UNTIL] and acts[act, WORD] < 0:
                    s, r = fine, EMPTY
                if intent >= 0 and wants != EMPTY:
                    acted |= wants
                    for lane in range(LANES):
                        wanted = (wants >> M(lane)) & ONE != EMPTY
                        actor[lane] = np.int16(act) if wanted else actor[lane]
                    if acts[act, AIM] != AIM_NONE:
                        for lane in range(LANES):
                            wanted = (wants >> M(lane)) & ONE != EMPTY
                            target[lane] = goal[lane] if wanted else target[lane]
                    else:
                        for lane in range(LANES):
                            wanted = (wants >> M(lane)) & ONE != EMPTY
                            target[lane] = NOBODY if wanted else target[lane]
            elif op == WRITE:
                value = numbers[code[pc, NUMBER]]
                for lane in range(LANES):
                    if (active >> M(lane)) & ONE != EMPTY:
                        fresh_value = value
                        if code[pc, C] == FROM_KEY:
                            fresh_value = keys[code[pc, E], lane]
                        elif code[pc, C] == FROM_FEATURE:
                            fresh_value = seen[code[pc, E], lane] * value
                        keys[code[pc, A], lane] = keys[code[pc, A], lane] + fresh_value if code[pc, B] else fresh_value
                s, f, r = active, EMPTY, EMPTY
            elif op == FIXED:
                s = active if code[pc, A] == SUCCESS else EMPTY
                f = active if code[pc, A] == FAILURE else EMPTY
                r = active if code[pc, A] == RUNNING else EMPTY
            elif op == ORDERED:
                s, f, r, active, after, gone = steps.ordered(code, pc, frame_of, level, past, bits, active)
            elif op == SEQUENCE_NEXT:
                s, f, r, active, after, gone = steps.ordered_next(code, pc, frame_of, level, past, bits, s, f, r)
            elif op == SELECTOR_NEXT:
                f, s, r, active, after, gone = steps.ordered_next(code, pc, frame_of, level, past, bits, f, s, r)
            elif op == STAR:
                s, f, r, active, after, gone = steps.star(code, pc, frame_of, level, past, bits, active)
            elif op == STAR_NEXT:
                s, f, r, active, after, gone = steps.star_next(code, pc, frame_of, level, past, bits, s, f, r)
            elif op == TOGETHER:
                s, f, r, active, after, gone = steps.together(code, pc, frame_of, level, past, bits, active)
            elif op == TOGETHER_NEXT:
                s, f, r, active, after, gone = steps.together_next(code, pc, frame_of, level, past, bits, s, f, r)
            elif op == COUNTED:
                s, f, r, active, after, gone = steps.counted(code, pc, frame_of, level, past, bits, numbers, active)
            elif op == COUNTED_NEXT:
                s, f, r, active, after, gone = steps.counted_next(
                    code, pc, frame_of, level, past, bits, numbers, s, f, r
                )
            elif op == BRANCH:
                s, f, r, active, after, gone = steps.branch(code, pc, frame_of, level, past, bits, active)
            elif op == BRANCH_NEXT:
                s, f, r, active, after, gone = steps.branch_next(code, pc, frame_of, level, past, bits, s, f, r)
            elif op == CASE:
                steps.case(code, pc, frame_of, level, active, holds)
            elif op == CHOICE:
                s, f, r, active, after, gone = steps.choice(code, pc, frame_of, level)
            elif op == CHOICE_NEXT:
                s, f, r, active, after, gone = steps.choice_next(code, pc, frame_of, level, s, f, r)
            elif op == MAP:
                s, f, r, active, after, gone = steps.mapped(code, pc, s, f, r)
            elif op == CYCLE:
                s, f, r, active, after, gone = steps.cycle(code, pc, past, bits, s, f, r)
            elif op == LOOP:
                s, f, r, active, after, gone = steps.loop(code, pc, frame_of, level, active)
            elif op == LOOP_NEXT:
                s, f, r, active, after, gone = steps.loop_next(code, pc, frame_of, level, past, bits, s, f, r)
            elif op == TIMED:
                _elapse(old, code[pc, A], np.float32(1.0) if code[pc, C] else dt_s)
                edge = numbers[code[pc, NUMBER]]
                if code[pc, B] == TIMEOUT:
                    edge = np.nextafter(edge, np.float32(np.inf))
                over = _reached(old, code[pc, A], edge)
                s, f, r, active, after, gone = steps.timed(code, pc, frame_of, level, active, over)
            elif op == TIMED_NEXT:
                s, f, r, active, after, gone = steps.timed_next(code, pc, frame_of, level, s, f, r)
                _put(new, old, code[pc, A], r)
            elif op == COOLED:
                hot = active & _reached(cold, code[pc, A], LEAST)
                s, f, r, active, after, gone = steps.answered(code, pc, frame_of, level, active, hot)
            elif op == COOLED_NEXT:
                ended = s | f
                for lane in range(LANES):
                    if (ended >> M(lane)) & ONE != EMPTY:
                        cold[code[pc, A], lane] = numbers[code[pc, NUMBER]]
                f |= frame_of[level, HIT]
            elif op == ONCE:
                s, f, r, active, after, gone = steps.answered(
                    code, pc, frame_of, level, active, active & bits[code[pc, A]]
                )
            elif op == ONCE_NEXT:
                s, f, r, active, after, gone = steps.once_next(code, pc, frame_of, level, bits, s, f, r)
            elif op == GUARDED:
                free = past[code[pc, A]] if code[pc, A] >= 0 else EMPTY
                s, f, r, active, after, gone = steps.answered(
                    code, pc, frame_of, level, active, active & ~holds & ~free
                )
            elif op == GUARDED_NEXT:
                s, f, r, active, after, gone = steps.guarded_next(code, pc, frame_of, level, bits, s, f, r)
            if gone != EMPTY:
                _forget(ranges, code[pc, NODE], gone, past, bits, old, new)
            pc = after if after >= 0 else pc + 1
        for lane in range(count):
            mark = M(lane)
            status[base + lane] = (
                ((s >> mark) & ONE) * M(SUCCESS) + ((f >> mark) & ONE) * M(FAILURE) + ((r >> mark) & ONE) * M(RUNNING)
            )
        if acted != everyone:
            for node in range(nodes):
                left = visited[node] & ~acted
                if left != EMPTY:
                    for lane in range(LANES):
                        actor[lane] = np.int16(-2 - node) if (left >> M(lane)) & ONE != EMPTY else actor[lane]
        for lane in range(count):
            act = actor[lane]
            intents[base + lane] = acts[act, INTENT] if act >= 0 else NOBODY
            targets[base + lane] = target[lane]
            leaf[base + lane] = acts[act, NODE_OF] if act >= 0 else np.int16(-2 - act if act < -1 else -1)
        for word in range(words):
            _transpose_out(packed, bits, 64 * word, min(64 * word + 64, every))
            for lane in range(count):
                handle = handles[base + lane]
                if handle < capacity:
                    memory_bits[handle, word] = packed[lane]
        for lane in range(count):
            handle = handles[base + lane]
            if handle < capacity:
                for at in range(board):
                    memory_floats[handle, at] = keys[at, lane]
                for at in range(floats):
                    memory_floats[handle, board + at] = new[at, lane]
                for at in range(len(cooled)):
                    memory_floats[handle, board + floats + at] = cold[at, lane]


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
        self._lanes = (len(program.used) + keys + 2 * floats + len(program.cooled) + 1, LANES)

    def tick(
        self, obs: F32, mask: U8, handles: U32, memory: Memory, seed: int, number: int, dt_s: float, out: Outcome,
        first: int, last: int,
    ) -> None:  # fmt: skip
        """See trees.tree.Tree.tick."""
        tick(
            *self._tables, obs, mask, handles, memory.bits, memory.floats, memory.fresh, M(tick_seed(seed, number)), np.float32(dt_s),
            out.status, out.intents, out.targets, out.leaf, np.empty(self._masks, M), np.empty(self._frames, M),
            np.zeros(self._lanes, np.float32), np.empty(2 * LANES, np.uint8), np.empty(LANES, np.int16), first, last,
        )  # fmt: skip
