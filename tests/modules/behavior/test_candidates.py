"""From whom an NPC sees to its slots: the compiled filling, its numpy twin, a plain one, and the village's own."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.learning.envs.environment import Environment
from app.learning.envs.sensing import HUNTERS, KIN, QUARRY
from app.learning.envs.village import SIGHT_CELLS, Village
from app.modules.behavior import candidate_kernels, candidates, schema
from app.modules.behavior.candidates import Seats
from app.modules.behavior.schema import NONE
from tests.learning.twins import trades
from tests.modules.behavior.stage import LAYOUT

ARENA = schema.load("arena")
F32 = NDArray[np.float32]


def crowd(layout: schema.Schema, rows: int, each: int, seed: int, *, broken: bool) -> F32:
    """Random candidates (rows, each, 1 + slot features), many of them equal, some nobody, some broken."""
    generator = np.random.default_rng(seed)
    found = generator.integers(0, 5, (rows, each, 1 + len(layout.slot_features))).astype(np.float32) / 4
    found[:, :, 0] = generator.integers(0, len(layout.kinds) + 1, (rows, each))
    if broken and rows * each:
        for value in (np.nan, np.inf, -1.0, 0.5, 99.0, -np.inf):
            found[generator.integers(0, rows), generator.integers(0, each), 0] = value
        found[generator.integers(0, rows), generator.integers(0, each), 2] = np.nan
    return found


def filled(fill: object, layout: schema.Schema, seen: F32, cut: int) -> list[bytes]:
    rows = len(seen)
    obs = np.full((rows, len(layout.features)), 7.0, np.float32)
    picks, broken = np.full((rows, layout.slots), 9, np.uint8), np.full(rows, 9, np.uint8)
    for first, last in ((0, cut), (cut, rows)):
        fill(Seats.of(layout), seen, obs, picks, broken, first, last)
    return [obs.tobytes(), picks.tobytes(), broken.tobytes()]


@settings(deadline=None)
@given(
    st.sampled_from((LAYOUT, ARENA)), st.sampled_from((1, 2, 7, 33)), st.integers(1, 12), st.integers(0, 2**32 - 1),
    st.floats(0.0, 1.0), st.booleans(),
)  # fmt: skip
def test_slots_are_filled_with_the_same_bits(
    layout: schema.Schema, rows: int, each: int, seed: int, share: float, broken: bool
) -> None:
    seen = crowd(layout, rows, each, seed, broken=broken)
    slow = filled(candidates.fill, layout, seen, 0)
    assert filled(candidate_kernels.fill, layout, seen, int(share * rows)) == slow
    assert filled(candidates.fill, layout, seen, int(share * rows)) == slow


@settings(deadline=None)
@given(st.sampled_from((LAYOUT, ARENA)), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_slots_of_a_kind_get_the_nearest_of_that_kind_in_order(layout: schema.Schema, each: int, seed: int) -> None:
    seen = crowd(layout, 1, each, seed, broken=False)
    obs, picks, broken = np.zeros((1, len(layout.features)), np.float32), np.zeros((1, 16), np.uint8), np.zeros(1)
    candidates.fill(Seats.of(layout), seen, obs, picks[:, : layout.slots], broken.astype(np.uint8), 0, 1)
    ends = {name: 1 + at for at, name in enumerate(layout.slot_features)}
    far = ends[layout.slot_ends.distance]
    scale = layout.features[layout.slot_table[0, far - 1]]

    def rank(at: int) -> float:
        metres = scale.decode(float(seen[0, at, far]))
        share = layout.slot_ends.first_counts if seen[0, at, ends[layout.slot_ends.first]] > 0.5 else 1.0
        return share * metres

    for kind, name in enumerate(layout.kinds, 1):
        there = [at for at in range(each) if seen[0, at, 0] == kind and seen[0, at, ends[layout.slot_ends.present]] > 0]
        wanted = sorted(there, key=lambda at: (round(rank(at), 3), at))
        slots = [at for at, place in enumerate(layout.places) if place.kind == name]
        assert [pick for pick in picks[0, slots].tolist() if pick != NONE] == wanted[: len(slots)]
        for slot, at in zip(slots, wanted, strict=False):
            assert obs[0, layout.slot_table[slot]].tolist() == seen[0, at, 1:].tolist()
        for slot in slots[len(wanted) :]:
            assert obs[0, layout.slot_table[slot]].tolist() == layout.empty_slot.tolist()


def everybody(village: Village, v: int) -> tuple[F32, NDArray[np.bool_]]:
    """All NPCs of a village as candidates of one another (n, n, 5), and who sees somebody to trade with (n,)."""
    npcs = village.x.shape[1]
    found, deals = np.zeros((npcs, npcs, 5), np.float32), np.zeros(npcs, np.bool_)
    log = math.log1p(512.0)
    for i in range(npcs):
        for j in range(npcs):
            if i == j or not village.alive[v, j]:
                continue
            mine, other = int(village.role[v, i]), int(village.role[v, j])
            far = math.hypot(village.x[v, j] - village.x[v, i], village.y[v, j] - village.y[v, i])
            deal = trades(village, v, i, j)
            foe = far <= SIGHT_CELLS and bool((QUARRY[mine] | HUNTERS[mine]) >> other & 1)
            friend = deal or (far <= SIGHT_CELLS and bool(KIN[mine] >> other & 1) and not foe)
            deals[i] |= bool(deal)
            found[i, j] = (1 if foe else 2 if friend else 0, math.log1p(far) / log, 0.0, 1.0, float(deal))
    return found, deals


def test_candidates_fill_the_slots_as_the_village_does() -> None:
    environment = Environment(3, 40, 5)
    for v in range(3):
        seen, deals = everybody(environment.village, v)
        obs, picks, broken = np.zeros((40, 64), np.float32), np.zeros((40, 4), np.uint8), np.zeros(40, np.uint8)
        candidates.fill(Seats.of(LAYOUT), seen, obs, picks, broken, 0, 40)
        ours = np.where(picks == NONE, -1, picks.astype(np.int32))
        theirs = environment.senses.targets[v]
        assert (ours[:, :2] == theirs[:, :2]).all()
        assert deals.any()
        assert (ours == theirs).all()
