"""Plans and decisions of goals, compiled: sets of states as bits, NPCs in blocks of 64.

It knows arrays alone; `tables.build` and `brain.Slow` are what it must equal. Importing this file imports numba, so
only worker threads do.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import types
from numpy.typing import NDArray

from app.modules.behavior.compiled import HOUSE
from app.modules.behavior.goals.domain import COST_MAX, PLAN_COST_MAX, Domain
from app.modules.behavior.goals.layout import Layout
from app.modules.behavior.goals.tables import FAR, NOTHING, U16, Tables
from app.modules.behavior.schema import F32, U8
from app.modules.behavior.trees import lanes, spots
from app.modules.behavior.trees.expressions import tick_seed
from app.modules.behavior.trees.lanes import LANES, NOBODY, ONE, M
from app.modules.behavior.trees.memory import I16, U32, U64, Memory, Outcome

I32 = NDArray[np.int32]
RING = COST_MAX + 1
WORD_FACTS = 6
"""Facts whose states share a word of 64."""
LACKS = np.array(
    [sum(((1 << (1 << fact)) - 1) << place for place in range(0, 64, 2 << fact)) for fact in range(WORD_FACTS)],
    np.uint64,
)
"""Of the 64 states in a word: those in which fact 0, 1, … 5 is false."""
EMPTY, ALL = M(0), M(0xFFFF_FFFF_FFFF_FFFF)
COST, ASKS, ASKED, CHANGES, MAKES = range(5)
"""Columns of a step."""
INTENT, AIM, MUST_AIM = range(3)
"""Columns of an act."""
NO_AIM, TRADER = int(spots.Aim.NONE), int(spots.Aim.TRADER)
SUCCESS, FAILURE, RUNNING = int(spots.Status.SUCCESS), int(spots.Status.FAILURE), int(spots.Status.RUNNING)


def _read(kind: types.Type, axes: int, layout: Literal["C"] = "C") -> types.Type:
    """An array that a kernel only reads; a writable one may be given as well."""
    return types.Array(kind, axes, layout, readonly=True)


_F, _B, _S, _W, _Q, _I, _N, _H = (
    types.float32, types.uint8, types.uint16, types.uint32, types.uint64, types.int32, types.intp, types.int16
)  # fmt: skip


@HOUSE.bare_part
def _within(asks: int, asked: int, lacks: U64) -> M:
    """The states of a word that the first six facts allow."""
    found = ALL
    for fact in range(WORD_FACTS):
        if asks >> fact & 1:
            found &= ~lacks[fact] if asked >> fact & 1 else lacks[fact]
    return found


@HOUSE.bare_part
def _before(states: M, changes: int, makes: int, lacks: U64) -> M:
    """From where in a word an action leads to these states, by its effects on the first six facts."""
    for fact in range(WORD_FACTS):
        if changes >> fact & 1:
            step = M(1 << fact)
            if makes >> fact & 1:
                states &= ~lacks[fact]
                states |= states >> step
            else:
                states &= lacks[fact]
                states |= states << step
    return states


@HOUSE.bare(_read(_I, 2), _I, _I, _read(_Q, 1), _Q[:, ::1], _Q[::1], _B[::1], _S[::1])
def plan(steps: I32, asks: int, asked: int, lacks: U64, ring: U64, seen: U64, first: U8, cost: U16) -> None:
    """Write the first action and the cost of every state, from the goal backwards, a cost at a time.

    `ring` (RING, words) and `seen` (words,) are room for sets of states; `first` and `cost` (64 x words,).
    """
    words, dearest = len(seen), 0
    for number in range(len(steps)):
        dearest = max(dearest, steps[number, COST])
    goal = _within(asks, asked, lacks)
    for word in range(words):
        reached = goal if word & (asks >> WORD_FACTS) == asked >> WORD_FACTS else EMPTY
        ring[0, word] = seen[word] = reached
        for state in range(LANES):
            first[LANES * word + state] = NOTHING
            cost[LANES * word + state] = 0 if (reached >> M(state)) & ONE != EMPTY else FAR
    latest = level = 0
    while level < PLAN_COST_MAX and level < latest + dearest:
        level += 1
        place = level % RING
        for word in range(words):
            ring[place, word] = EMPTY
        for number in range(len(steps)):
            if steps[number, COST] > level:
                continue
            source = (level - steps[number, COST]) % RING
            may = _within(steps[number, ASKS], steps[number, ASKED], lacks)
            ask, answer = steps[number, ASKS] >> WORD_FACTS, steps[number, ASKED] >> WORD_FACTS
            change, make = steps[number, CHANGES] >> WORD_FACTS, steps[number, MAKES] >> WORD_FACTS
            for word in range(words):
                if word & ask == answer:
                    found = ring[source, word & ~change | make]
                    if found != EMPTY:
                        found = _before(found, steps[number, CHANGES], steps[number, MAKES], lacks) & may & ~seen[word]
                    if found != EMPTY:
                        seen[word] |= found
                        ring[place, word] |= found
                        latest = level
                        for state in range(LANES):
                            new = (found >> M(state)) & ONE != EMPTY
                            at = LANES * word + state
                            first[at] = np.uint8(number) if new else first[at]
                            cost[at] = np.uint16(level) if new else cost[at]


def build(domain: Domain) -> Tables:
    """See tables.build."""
    steps = np.array([[step.cost, step.asks, step.asked, step.changes, step.makes] for step in domain.steps], np.int32)
    count = max(domain.states, LANES)
    ring, seen = np.zeros((RING, count // LANES), np.uint64), np.zeros(count // LANES, np.uint64)
    first = np.empty((len(domain.wishes), count), np.uint8)
    cost = np.empty((len(domain.wishes), count), np.uint16)
    for number, wish in enumerate(domain.wishes):
        plan(steps, wish.asks, wish.asked, LACKS, ring, seen, first[number], cost[number])
    return Tables(first[:, : domain.states].copy(), cost[:, : domain.states].copy())


@HOUSE.bare(_read(_S, 1), _read(_B, 1), _B[::1])
def look_up(states: U16, first: U8, out: U8) -> None:
    """The first action of each NPC for one goal."""
    for row in range(len(states)):
        out[row] = first[states[row]]


@HOUSE.bare_part
def _target(aim: int, intent: int, slots: I32, aims: U8, seen: F32, lane: int) -> int:
    """The slot that an action aims at, or NOBODY."""
    found, best = int(NOBODY), np.float32(np.inf)
    if aim != NO_AIM:
        for slot in range(aims.shape[1]):
            if aims[intent, slot] != 0 and seen[slots[slot, 0], lane] > np.float32(0.0):
                distance = seen[slots[slot, 2], lane]
                trades = aim != TRADER or seen[slots[slot, 1], lane] > np.float32(0.0)
                if trades and (found == NOBODY or distance < best):
                    found, best = slot, distance
    return found


@HOUSE.bare_part
def _priority(
    number: int, wishes: I32, ramps: I32, ramp_of: F32, roles: I32, weights: F32, seen: F32, lane: int
) -> np.float32:
    """How much an NPC wants a goal; 0 where it is not the NPC's."""
    wanted = weights[number]
    for at in range(wishes[number, 0], wishes[number, 1]):
        height = (seen[ramps[at], lane] - ramp_of[at, 0]) * ramp_of[at, 1]
        wanted *= min(max(height, np.float32(0.0)), np.float32(1.0))
    mine = int(wishes[number, 2] == wishes[number, 3])
    for at in range(wishes[number, 2], wishes[number, 3]):
        mine |= int(seen[roles[at], lane] != np.float32(0.0))
    return wanted if mine != 0 else np.float32(0.0)


@HOUSE.bare(
    _read(_I, 2), _read(_I, 1), _read(_I, 2), _read(_F, 2), _read(_N, 1), _read(_I, 2), _read(_I, 2), _read(_B, 2),
    _read(_S, 2), _read(_I, 2), _read(_I, 1), _read(_F, 2), _read(_I, 1), _read(_F, 1), _read(_B, 2),
    _read(_F, 2), _read(_B, 2), _read(_W, 1), _read(_F, 2), _read(_F, 1), _Q, _B[::1], _B[::1], _B[::1], _H[::1],
    _Q[::1], _F[:, ::1], _I[::1], _N, _N,
)  # fmt: skip
def decide(
    expressions: I32, tokens: I32, terms: I32, bounds: F32, used: NDArray[np.intp], slots: I32, acts: I32, first: U8,
    cost: U16, wishes_of: I32, ramps: I32, ramp_of: F32, roles: I32, weights: F32, aims: U8, obs: F32, mask: U8,
    handles: U32, memory: F32, fresh: F32, ticked: M,
    status: U8, intents: U8, targets: U8, leaf: I16, stack: U64, floats: F32, states: I32,
    start: int, end: int,
) -> None:  # fmt: skip
    """Decide rows start .. end: facts to states, then the goal wanted most that has a plan whose first action may be.

    `stack` (16,), `floats` (words, 64) and `states` (64,) are room to work in, see Fast.
    """
    seen, keys = floats[: len(used)], floats[len(used) :]
    for base in range(start, end, LANES):
        count = min(LANES, end - base)
        for lane in range(count):
            for at in range(len(used)):
                seen[at, lane] = obs[base + lane, used[at]]
            known = handles[base + lane] < len(memory)
            for at in range(len(fresh)):
                keys[at, lane] = memory[handles[base + lane], at] if known else fresh[at]
        for lane in range(LANES):
            states[lane] = 0
        for fact in range(len(expressions)):
            holds = lanes.evaluate(
                fact, expressions, tokens, terms, bounds, stack, seen, keys, handles, base, count, ticked
            )
            for lane in range(LANES):
                states[lane] |= np.int32((holds >> M(lane)) & ONE) << fact
        for lane in range(count):
            row, state = base + lane, states[lane]
            best, chosen, aimed, wishes = np.float32(0.0), -1, int(NOBODY), 0
            for number in range(len(weights)):
                wanted = _priority(number, wishes_of, ramps, ramp_of, roles, weights, seen, lane)
                wishes |= int(wanted > np.float32(0.0) and cost[number, state] != 0)
                act = first[number, state]
                if wanted > best and act != NOTHING and mask[row, acts[act, INTENT]] != 0:
                    target = _target(acts[act, AIM], acts[act, INTENT], slots, aims, seen, lane)
                    if target != NOBODY or acts[act, MUST_AIM] == 0:
                        best, chosen, aimed = wanted, int(act), target
            status[row] = RUNNING if chosen >= 0 else FAILURE if wishes != 0 else SUCCESS
            intents[row] = acts[chosen, INTENT] if chosen >= 0 else NOBODY
            targets[row] = aimed
            leaf[row] = chosen


class Fast:
    """See trees.ticker.Ticker."""

    name = "numba"
    loop_rows_max = 4_096

    def __init__(self, layout: Layout, tables: Tables) -> None:
        self._tables = (
            layout.expressions, layout.tokens, layout.terms, layout.bounds, layout.used, layout.slots, layout.acts,
            tables.first, tables.cost, layout.wishes, layout.ramps, layout.ramp_of, layout.roles, layout.weights,
            layout.aims,
        )  # fmt: skip
        self._words = (len(layout.used) + layout.keys, LANES)

    def tick(
        self, obs: F32, mask: U8, handles: U32, memory: Memory, seed: int, number: int, dt_s: float, out: Outcome,
        first: int, last: int,
    ) -> None:  # fmt: skip
        """See brain.Goals.tick."""
        decide(
            *self._tables, obs, mask, handles, memory.floats, memory.fresh, M(tick_seed(seed, number)), out.status,
            out.intents, out.targets, out.leaf, np.empty(16, np.uint64), np.zeros(self._words, np.float32),
            np.empty(LANES, np.int32), first, last,
        )  # fmt: skip
