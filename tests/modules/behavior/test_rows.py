"""What is wrong with one NPC is that NPC's matter: each fault and all together; everyone else is answered."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
import pytest

from app.core.errors import Invalid, TooLarge
from app.modules.behavior import messages
from app.modules.behavior.messages import Seen
from app.modules.behavior.settings import Settings
from tests.modules.behavior.stage import LAYOUT, Net, asked, handles, observations, stage

NAMED = {"hp": 1.0, "energy": 1.0, "is_villager": 1.0}


def said(reply: messages.Decided) -> list[tuple[int, str]]:
    return [(error.row, error.code) for error in reply.errors]


def rung_of(reply: messages.Decided, row: int) -> str:
    return reply.rungs[reply.rung_of[row]]


def rows(obs: Any) -> list[list[float | None]]:
    return [list(row) for row in obs.tolist()]


async def test_each_fault_has_its_code_and_its_mend_and_the_others_are_answered() -> None:
    on = await stage(npcs=8)
    obs = observations(8)
    sent = rows(obs)
    sent[1] = sent[1][:-1]
    sent[2][5] = None
    sent[3][0] = 40.0
    allowed = [("flee", "home")] * 8
    allowed[4] = ("flee", "hoem", "rest")
    allowed[5] = ("flae",)
    ids = [f"npc-{at}" for at in range(8)]
    ids[6] = "nobody"
    reply = await asked(
        on, 8, npcs=tuple(ids), rows=tuple(tuple(row) for row in sent), allowed=tuple(allowed), strict=True,
        archetype_names=("guard",) * 7 + ("gaurd",),
    )  # fmt: skip
    assert said(reply) == [
        (1, "wrong_width"), (2, "not_finite"), (3, "out_of_range"), (4, "unknown_intent"), (5, "nothing_allowed"),
        (6, "unknown_npc"), (7, "unknown_archetype"),
    ]  # fmt: skip
    told = [error.message for error in reply.errors]
    assert "63 values; send 64" in told[0]
    assert told[1] == "strength is nan; send finite numbers"
    assert told[2] == "hp is 40.0 share; send 0 to 1"
    assert "did you mean 'home'?" in told[3]
    assert "did you mean 'guard'?" in told[6]
    assert [error.npc for error in reply.errors][5] == "nobody"
    assert [rung_of(reply, row) for row in (0, 1, 2, 3, 4, 7)] == [
        "utility", "reflex", "reflex", "reflex", "utility", "reflex",
    ]  # fmt: skip
    assert [reply.intents[row] == 255 for row in range(8)] == [False] * 5 + [True, True, False]
    alone = await asked(on, 1, npcs=("npc-0",), obs=obs[:1].tobytes(), allowed=(("flee", "home"),))
    assert reply.intents[0] == alone.intents[0]


async def test_a_map_with_an_unknown_name_or_a_value_that_is_no_number_is_that_npc_s_error() -> None:
    on = await stage()
    reply = await asked(
        on, features=(NAMED, {**NAMED, "hugner": 0.5}, {**NAMED, "hp": "full"}, {**NAMED, "hp": None}, NAMED)
    )  # fmt: skip
    assert said(reply) == [(1, "unknown_feature"), (2, "not_finite"), (3, "not_finite")]
    assert "did you mean 'hunger'?" in reply.errors[0].message
    assert "hp is 'full'" in reply.errors[1].message
    assert [rung_of(reply, row) for row in range(5)] == ["utility", "reflex", "reflex", "reflex", "utility"]


async def test_true_and_false_are_one_and_zero() -> None:
    on = await stage()
    flags = {**NAMED, "is_villager": True, "is_night": False}
    assert await asked(on, features=(flags,) * 5) == await asked(on, features=({**NAMED, "is_night": 0.0},) * 5)


async def test_numbers_too_large_for_a_float32_are_errors_of_their_npc() -> None:
    on = await stage()
    sent = rows(observations(5))
    sent[2][0] = 1e300
    assert said(await asked(on, rows=tuple(tuple(row) for row in sent))) == [(2, "not_finite")]
    assert said(await asked(on, features=(NAMED, NAMED, {**NAMED, "mood": -1e300}, NAMED, NAMED))) == [
        (2, "not_finite")
    ]


async def test_without_strict_a_value_out_of_range_is_clipped_and_no_error() -> None:
    on = await stage()
    obs = observations(5)
    obs[3, 0] = 40.0
    loose, strict = await asked(on, obs=obs.tobytes()), await asked(on, obs=obs.tobytes(), strict=True)
    assert (loose.clipped, loose.errors, rung_of(loose, 3)) == (1, (), "utility")
    assert (strict.clipped, said(strict), rung_of(strict, 3)) == (0, [(3, "out_of_range")], "reflex")


async def test_only_the_first_errors_are_put_into_words_and_the_rest_are_counted() -> None:
    on = await stage(npcs=50, settings=Settings(errors_max=3))
    obs = observations(50)
    obs[::2] = np.nan
    reply = await asked(on, 50, obs=obs.tobytes())
    assert (said(reply), reply.errors_more) == ([(0, "not_finite"), (2, "not_finite"), (4, "not_finite")], 22)
    assert on.notes["bad_rows"] == 25
    assert 255 not in reply.intents


async def test_a_role_comes_from_the_request_else_the_observation_else_the_entity() -> None:
    on = await stage(npcs=5)
    bare = observations(5)
    bare[:, LAYOUT.role_columns] = 0.0
    columns = LAYOUT.role_columns

    async def roles(**fields: Any) -> list[str]:
        found = []
        reply = await asked(on, **fields)
        for at in range(5):
            told: Any = await on.ask(messages.Explain(npc=f"npc-{at}"))
            found += [role for role in LAYOUT.roles if told.features[f"is_{role}"]]
        assert not reply.errors
        return found

    assert await roles(obs=bare.tobytes()) == list(LAYOUT.roles)  # the entities'
    turned = bare.copy()
    turned[np.arange(5), np.roll(columns, 1)] = 1.0
    assert await roles(obs=turned.tobytes()) == ["prey", "guard", "merchant", "villager", "predator"]
    assert await roles(obs=turned.tobytes(), archetypes=bytes([2] * 5)) == ["villager"] * 5
    assert await roles(obs=bare.tobytes(), archetype_names=("prey",) * 5) == ["prey"] * 5
    bare[3] = np.nan
    reply = await asked(on, obs=bare.tobytes(), archetypes=bytes([4] * 5))
    told: Any = await on.ask(messages.Explain(npc="npc-3"))
    assert (said(reply), told.features["is_prey"]) == ([(3, "not_finite")], 1.0)


async def test_an_entity_whose_archetype_the_schema_lacks_is_an_error_where_nothing_else_says_its_role() -> None:
    on = await stage(npcs=5)
    reply = await asked(on, schema="arena", features=({"health": 1.0},) * 5)
    assert said(reply) == [(row, "unknown_archetype") for row in range(5)]
    assert {rung_of(reply, row) for row in range(5)} == {"reflex"}
    assert not (await asked(on, schema="arena", features=({"is_boss": True},) * 5)).errors


def sight(*others: tuple[str, float, float]) -> tuple[Seen, ...]:
    return tuple(
        Seen(kind=kind, features={"distance": far, "threat": 0.5, "hp": hp}, npc=f"npc-{at}")
        for at, (kind, far, hp) in enumerate(others)
    )


async def test_candidates_fill_the_slots_and_targets_name_them() -> None:
    on = await stage(npcs=5)
    seen = sight(("friend", 3, 1), ("foe", 9, 1), ("foe", 5, 0), ("foe", 7, 1), ("friend", 2, 1))
    run = {**NAMED, "slot0_distance": 512.0}
    reply = await asked(on, features=(run,) * 5, seen=(seen, seen, (), seen[:2], seen[1:2]), format="lists")
    assert reply.lists is not None
    assert reply.lists.intents[:2] == ("flee", "flee")
    assert reply.lists.targets == (3, 3, -1, 1, 0)
    told: Any = await on.ask(messages.Explain(npc="npc-0"))
    assert (told.target, told.target_npc) == (0, "npc-3")
    assert [told.features[f"slot{slot}_distance"] for slot in range(4)] == pytest.approx([7, 9, 2, 3], rel=1e-3)
    assert [told.features[f"slot{slot}_hp"] for slot in range(4)] == [1.0] * 4
    alone: Any = await on.ask(messages.Explain(npc="npc-2"))
    assert alone.features["slot0_distance"] == pytest.approx(512.0)
    assert alone.features["slot0_hp"] == 0.0


async def test_candidates_as_bytes_and_by_name_decide_alike() -> None:
    on = await stage(npcs=5)
    seen = sight(("friend", 3, 1), ("foe", 9, 1), ("foe", 7, 1))
    packed = np.zeros((5, 3, 5), np.float32)
    for at, one in enumerate(seen):
        packed[:, at, 0] = 1 + LAYOUT.kinds.index(one.kind)
        for end, name in enumerate(LAYOUT.slot_features):
            item = LAYOUT.features[LAYOUT.columns[f"slot0_{name}"]]
            packed[:, at, 1 + end] = item.encode(float(one.features.get(name, 0.0)))
    named = await asked(on, features=(NAMED,) * 5, seen=(seen,) * 5)
    who = np.tile(np.arange(3, dtype="<u4"), 5).tobytes()
    for each in (0, 3):
        sent = {"candidates": packed.tobytes(), "candidates_each": each, "candidate_handles": who}
        assert await asked(on, features=(NAMED,) * 5, **sent) == named
        told: Any = await on.ask(messages.Explain(npc="npc-4"))
        assert told.target_npc == "npc-2"


async def test_a_broken_candidate_is_left_out_and_told_of() -> None:
    on = await stage(npcs=5)
    seen = sight(("foe", 9, 1), ("foe", 7, 1))
    odd = (Seen(kind="feo", features={"distance": 1.0}), *seen)
    typo = (Seen(kind="foe", features={"distnace": 1.0}), *seen)
    packed = (Seen(kind="foe", features={"distance": math.inf}), *seen)
    reply = await asked(on, features=(NAMED,) * 5, seen=(seen, odd, typo, packed, seen), format="lists")
    assert said(reply) == [(1, "broken_candidate"), (2, "broken_candidate"), (3, "broken_candidate")]
    assert "'feo'" in reply.errors[0].message
    assert "'distnace'" in reply.errors[1].message
    assert reply.lists is not None
    assert reply.lists.targets == (1, 2, 2, 2, 1)
    assert {rung_of(reply, row) for row in range(5)} == {"utility"}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"archetypes": b"12"}, Invalid),
        ({"archetypes": bytes(5), "archetype_names": ("guard",) * 5}, Invalid),
        ({"archetype_names": ("guard",) * 4}, Invalid),
        ({"mask": bytes(60), "allowed": ((),) * 5}, Invalid),
        ({"allowed": ((),) * 4}, Invalid),
        ({"importance": b"123"}, Invalid),
        ({"candidates": b"1234"}, Invalid),
        ({"candidates": bytes(5 * 2 * 20), "candidates_each": 3}, Invalid),
        ({"candidates": bytes(5 * 2 * 20), "seen": ((),) * 5}, Invalid),
        ({"candidates": bytes(5 * 2 * 20), "candidate_handles": b"1"}, Invalid),
        ({"candidate_handles": bytes(20)}, Invalid),
        ({"seen": ((),) * 4}, Invalid),
        ({"candidates": bytes(5 * 9 * 20)}, TooLarge),
        ({"seen": (sight(*[("foe", 1, 1)] * 9),) * 5}, TooLarge),
    ],
)
async def test_new_parts_that_do_not_fit_the_tick_are_refused(fields: dict[str, Any], error: type[Exception]) -> None:
    on = await stage(settings=Settings(candidates_max=8))
    with pytest.raises(error):
        await asked(on, **fields)


async def test_importance_reaches_the_brains_whichever_way_it_was_sent() -> None:
    on = await stage()
    floats = np.array([0.5, np.nan, np.inf, 2.0, 0.0], "<f4")
    for sent in (bytes([1, 2, 3, 4, 5]), floats.tobytes()):
        assert await asked(on, importance=sent) == await asked(on)


async def test_parameters_are_given_when_asked_and_follow_the_situation() -> None:
    on = await stage()
    near = {**NAMED, "slot0_hp": 1.0, "slot0_threat": 0.5, "slot0_distance": 2.0}
    far = {**near, "slot0_distance": 10.0}
    calm = {**NAMED, "energy": 0.5, "home_distance": 0.0, "is_night": 1.0}
    reply = await asked(on, features=(near, far, calm, near, near), parameters=True, format="lists")
    assert reply.lists is not None
    assert reply.lists.intents[:3] == ("flee", "flee", "rest")
    numbers = np.frombuffer(reply.parameters, "<f4").reshape(5, 2)
    assert reply.lists.parameters[0] == {"urgency": 1.0, "hold_s": 0.25}
    assert 0.6 < numbers[1, 0] < 1.0
    assert numbers[2, 0] == 0.0
    assert numbers[2, 1] > 4.0
    assert (await asked(on)).parameters == b""


async def test_every_form_gives_the_same_bits() -> None:
    """Named values are encoded here as a client would: then all forms are one request."""
    on = await stage(Net(), npcs=40)
    generator = np.random.default_rng(3)
    named = [
        {item.name: float(item.low + generator.random() * (item.high - item.low)) for item in LAYOUT.features}
        for _ in range(40)
    ]
    obs = LAYOUT.encode(named)

    async def kept(**fields: Any) -> tuple[Any, ...]:
        reply = await asked(on, 40, parameters=True, **fields)
        told: Any = [await on.ask(messages.Explain(npc=f"npc-{at}")) for at in range(40)]
        return reply, told

    first = await kept(obs=obs.tobytes())
    assert await kept(obs_b64=base64.b64encode(obs.tobytes()).decode()) == first
    assert await kept(rows=tuple(tuple(row) for row in obs.tolist())) == first
    assert await kept(features=tuple(named)) == first
    assert await kept(obs=obs.tobytes(), handles=b"", npcs=tuple(f"npc-{at}" for at in range(40))) == first


@pytest.mark.parametrize("form", ["obs", "rows", "features"])
async def test_a_frame_of_nobody_is_answered_with_nothing(form: str) -> None:
    on = await stage(Net())
    empty: Any = b"" if form == "obs" else ()
    reply = await asked(on, 0, **{form: empty}, parameters=True, strict=True, format="lists")
    assert (reply.npcs, reply.intents, reply.errors, reply.parameters) == (0, b"", (), b"")


async def test_an_npc_that_stands_twice_in_a_tick_is_decided_twice_and_its_last_row_is_explained() -> None:
    on = await stage(npcs=3)
    obs = observations(3)
    obs[:, LAYOUT.columns["hunger"]] = [0.0, 1.0, 0.5]
    twice = np.array([0, 1, 0], "<u4").tobytes()
    reply = await asked(on, handles=twice, obs=obs.tobytes())
    apart = await asked(on, handles=handles(1), obs=obs[:1].tobytes())
    assert reply.npcs == 3
    assert reply.intents[0] == apart.intents[0]
    assert not reply.errors
    again = await asked(on, handles=twice, obs=obs.tobytes())
    assert again == reply
    told: Any = await on.ask(messages.Explain(npc="npc-0"))
    assert told.features["hunger"] == 0.5


async def test_thousands_of_named_rows_with_candidates_are_read_beside_the_loop() -> None:
    on = await stage(npcs=600)
    seen = sight(("foe", 9, 1), ("friend", 7, 1))
    reply = await asked(on, 600, features=(NAMED,) * 600, seen=(seen,) * 600, deadline_ms=20_000)
    assert len(set(reply.intents)) <= 2
    assert set(reply.targets) <= {0, 1, 255}
