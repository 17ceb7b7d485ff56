"""What the tree kernel does for 64 NPCs side by side: bits to masks and back, expressions, time, targets.

All loops run over lanes and become vector instructions. It knows the tables of `program.py`, not their order.
"""

from __future__ import annotations

import numpy as np

from app.modules.behavior.compiled import HOUSE
from app.modules.behavior.schema import F32, NONE, U8
from app.modules.behavior.trees import spots
from app.modules.behavior.trees.expressions import AND, EQUAL, GOLDEN, NOT, Kind
from app.modules.behavior.trees.memory import U32, U64
from app.modules.behavior.trees.program import AIM, I32, INTENT, WHICH

LANES = 64
M = np.uint64
EMPTY, ONE = M(0), M(1)
MIX_1, MIX_2, MIX_3 = M(GOLDEN), M(0xBF58476D1CE4E5B9), M(0x94D049BB133111EB)
NEAR, NOBODY = np.float32(EQUAL), np.uint8(NONE)
FEATURE, KEY, KEYS, FEATURE_KEY = int(Kind.FEATURE), int(Kind.KEY), int(Kind.KEYS), int(Kind.FEATURE_KEY)
AIM_TRADER, AIM_SLOT, AIM_KEY = int(spots.Aim.TRADER), int(spots.Aim.SLOT), int(spots.Aim.KEY)


@HOUSE.bare_part
def transpose_in(words: U64, masks: U64, first: int, last: int) -> None:
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
def transpose_out(words: U64, masks: U64, first: int, last: int) -> None:
    """The other way."""
    for lane in range(LANES):
        words[lane] = EMPTY
    for bit in range(first, last):
        place, mask = M(bit - first), masks[bit]
        if mask != EMPTY:
            for lane in range(LANES):
                words[lane] |= ((mask >> M(lane)) & ONE) << place


@HOUSE.bare_part
def term(
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
def evaluate(
    number: int, expressions: I32, tokens: I32, terms: I32, bounds: F32, stack: U64, seen: F32, keys: F32,
    handles: U32, base: int, count: int, ticked: M,
) -> M:  # fmt: skip
    """For whom an expression holds."""
    top = 0
    for at in range(expressions[number, 0], expressions[number, 1]):
        token = tokens[at]
        if token >= 0:
            mask = term(
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
    return M(stack[0])


@HOUSE.bare_part
def forget(ranges: I32, node: int, gone: M, past: U64, bits: U64, old: F32, new: F32) -> None:
    """Halt a subtree for some NPCs."""
    for bit in range(ranges[node, 0], ranges[node, 1]):
        past[bit] &= ~gone
        bits[bit] &= ~gone
    for word in range(ranges[node, 2], ranges[node, 3]):
        for lane in range(LANES):
            if (gone >> M(lane)) & ONE != EMPTY:
                old[word, lane] = new[word, lane] = np.float32(0.0)


@HOUSE.bare_part
def elapse(words: F32, word: int, step: np.float32) -> None:
    """1 + the time since a node started, for all."""
    for lane in range(LANES):
        past = words[word, lane]
        words[word, lane] = past + step if past != np.float32(0.0) else np.float32(1.0)


@HOUSE.bare_part
def reached(words: F32, word: int, edge: np.float32) -> M:
    """Who has come to an edge."""
    mask = EMPTY
    for lane in range(LANES):
        mask |= M(words[word, lane] >= edge) << M(lane)
    return mask


@HOUSE.bare_part
def put(words: F32, values: F32, word: int, whom: M) -> None:
    """Take some NPCs' values."""
    for lane in range(LANES):
        words[word, lane] = values[word, lane] if (whom >> M(lane)) & ONE != EMPTY else words[word, lane]


@HOUSE.bare_part
def aim(acts: I32, act: int, slots: I32, aims: U8, seen: F32, keys: F32, goal: U8, nearest: F32) -> M:
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
def may(intent: int, mask: U8, base: int, count: int) -> M:
    """Who may act so."""
    fine = EMPTY
    for lane in range(count):
        fine |= M(mask[base + lane, intent] != 0) << M(lane)
    return fine
