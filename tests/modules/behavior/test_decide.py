"""Whole ticks: every form of a request, every fault of a row or a network, and what is remembered."""

from __future__ import annotations

import base64
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from app.core.errors import Invalid, Malformed, NotFound, TooLarge
from app.modules.behavior import messages, raw
from app.modules.behavior.settings import Settings
from tests.modules.behavior.stage import LAYOUT, Net, handles, observations, stage
from tests.modules.behavior.stage import asked as decide


def rungs(reply: messages.Decided) -> list[str]:
    return [reply.rungs[index] for index in reply.rung_of]


async def test_every_form_of_the_same_tick_gets_the_same_decisions() -> None:
    on = await stage(Net())
    obs = np.round(observations(5), 3)
    first = await decide(on, obs=obs.tobytes())
    for form in (
        {"obs_b64": base64.b64encode(obs.tobytes()).decode()},
        {"rows": tuple(tuple(row) for row in obs.tolist())},
        {"features": tuple(by_name(row) for row in obs)},
        {"obs": obs.tobytes(), "handles": b"", "npcs": tuple(f"npc-{index}" for index in range(5))},
    ):
        assert (await decide(on, **form)).intents == first.intents


def by_name(row: Any) -> dict[str, float]:
    return {item.name: item.decode(float(value)) for item, value in zip(LAYOUT.features, row, strict=True)}


async def test_a_request_survives_json_and_msgpack() -> None:
    request = messages.Decide(tick=3, handles=handles(2), obs=observations(2).tobytes(), mask=bytes([1] * 24))
    for codec in (msgspec.json, msgspec.msgpack):
        assert codec.decode(codec.encode(request), type=messages.Decide) == request


async def test_the_same_tick_replays_byte_for_byte_and_a_row_does_not_depend_on_its_neighbors() -> None:
    on = await stage(npcs=40, settings=Settings(taste_share=0.3))
    obs = observations(40)
    whole = await decide(on, 40, obs=obs.tobytes(), tick=9)
    again = await decide(on, 40, obs=obs.tobytes(), tick=9)
    assert msgspec.msgpack.encode(whole) == msgspec.msgpack.encode(again)
    part = await decide(on, handles=handles(40)[4 * 7 : 4 * 11], obs=obs[7:11].tobytes(), tick=9)
    assert part.intents == whole.intents[7:11]
    assert part.confidence == whole.confidence[28:44]


async def test_the_policy_leads_and_the_mask_binds_it() -> None:
    on = await stage(Net())
    mask = np.ones((5, 12), np.uint8)
    mask[:, 11] = 0
    reply = await decide(on, mask=mask.tobytes(), format="lists")
    assert rungs(reply) == ["policy"] * 5
    assert reply.lists is not None
    assert set(reply.lists.intents) <= {"talk", "home"}
    assert on.notes["rung"] == "policy"


@pytest.mark.parametrize("fault", ["down", "hang"])
async def test_a_network_that_fails_or_hangs_costs_no_tick(fault: str) -> None:
    on = await stage(Net(fault))
    for tick in range(4):
        reply = await decide(on, tick=tick, deadline_ms=40)
        assert rungs(reply) == ["utility"] * 5
        assert 255 not in reply.intents
    assert on.watch.fell == ["policy"]


async def test_a_row_for_which_the_network_gives_nan_falls_to_the_rules_alone() -> None:
    reply = await decide(await stage(Net("nan")))
    assert rungs(reply) == ["utility", "policy", "policy", "policy", "policy"]


async def test_a_role_that_the_policy_does_not_lead_keeps_its_rules() -> None:
    reply = await decide(await stage(Net(roles="guard,prey")))
    assert rungs(reply) == ["policy", "utility", "utility", "utility", "policy"]


async def test_a_policy_of_another_schema_or_of_no_role_is_left_out_visibly() -> None:
    for net in (Net(fingerprint="other"), Net(roles="")):
        on = await stage(net)
        assert on.watch.fell == ["policy"]
        assert on.module.rungs == ("utility", "reflex")
        assert net.runs == 0


async def test_bad_rows_are_errors_and_the_others_are_answered() -> None:
    on = await stage(Net())
    obs = observations(5)
    obs[1, 7] = np.nan
    mask = np.ones((5, 12), np.uint8)
    mask[2] = 0
    whole = await decide(on, 5)
    sent = np.array([0, 1, 2, 99, 4], "<u4").tobytes()
    reply = await decide(on, handles=sent, obs=obs.tobytes(), mask=mask.tobytes())
    assert [(error.row, error.code) for error in reply.errors] == [
        (1, "not_finite"),
        (2, "nothing_allowed"),
        (3, "unknown_npc"),
    ]
    assert reply.intents[2] == reply.intents[3] == 255
    assert rungs(reply)[1] == "reflex"
    assert reply.intents[1] != 255
    assert (reply.intents[0], reply.intents[4]) == (whole.intents[0], whole.intents[4])


async def test_values_out_of_range_are_clipped_and_counted() -> None:
    on = await stage()
    obs = observations(5)
    obs[0, 0], obs[3, 1] = 7.0, -2.0
    reply = await decide(on, obs=obs.tobytes())
    assert reply.clipped == 2
    obs[0, 0], obs[3, 1] = 1.0, 0.0
    assert (await decide(on, obs=obs.tobytes())).intents == reply.intents


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"obs": b"123"}, Invalid),
        ({"obs": observations(4).tobytes()}, Invalid),
        ({"rows": ((0.5,) * 64,) * 4}, Invalid),
        ({"obs_b64": "%%%"}, Invalid),
        ({"obs": observations(5).tobytes(), "rows": ((0.0,) * 64,) * 5}, Invalid),
        ({"mask": b"1"}, Invalid),
        ({"handles": b"123"}, Invalid),
        ({"npcs": ("npc-0",), "handles": handles(5)}, Invalid),
        ({"schema": "other"}, Invalid),
    ],
)
async def test_parts_that_do_not_fit_each_other_are_refused(fields: dict[str, Any], error: type[Exception]) -> None:
    on = await stage()
    with pytest.raises(error):
        await decide(on, **fields)


async def test_more_npcs_than_the_limit_are_refused_and_none_are_fine() -> None:
    on = await stage(settings=Settings(npcs_max=4))
    with pytest.raises(TooLarge):
        await decide(on, 5)
    assert (await decide(on, 0)).npcs == 0


async def test_many_npcs_are_decided_in_a_thread() -> None:
    on = await stage(Net(), npcs=5_000, settings=Settings(npcs_max=8_192))
    reply = await decide(on, 5_000, deadline_ms=5_000)
    assert len(reply.intents) == 5_000
    assert set(rungs(reply)) == {"policy"}


async def test_a_directive_enters_the_observation_until_it_ends() -> None:
    on = await stage()
    obs = np.zeros((5, 64), np.float32)
    obs[:, [LAYOUT.columns[name] for name in ("hp", "energy", "is_villager")]] = 1.0
    before = await decide(on, obs=obs.tobytes())
    await on.ask(messages.SetIntent(npc="npc-1", intent="wander", until_s=10.0))
    told = await decide(on, obs=obs.tobytes())
    assert told.intents[1] == LAYOUT.intent_index["wander"]
    assert told.intents[2] == before.intents[2] != told.intents[1]
    on.world.state.game_s, on.world.state.seq = 11.0, on.world.state.seq + 1
    assert (await decide(on, obs=obs.tobytes())).intents == before.intents


async def test_an_intent_outside_the_schema_names_the_nearest() -> None:
    on = await stage()
    with pytest.raises(Invalid) as caught:
        await on.ask(messages.SetIntent(npc="npc-1", intent="flea"))
    assert "flee" in caught.value.hint


async def test_explain_names_the_option_and_its_curves() -> None:
    on = await stage()
    obs = np.zeros((5, 64), np.float32)
    for name, value in {"is_guard": 1.0, "hunger": 0.95, "hp": 1.0, "energy": 1.0}.items():
        obs[:, LAYOUT.columns[name]] = value
    await decide(on, obs=obs.tobytes())
    told = cast(messages.Explained, await on.ask(messages.Explain(npc="npc-0")))
    assert (told.intent, told.rule, told.rung) == ("eat", "hungry, so eat", "utility")
    assert told.features["hunger"] == pytest.approx(0.95)
    assert [reason.name for reason in told.reasons] == ["hunger"]
    shown = on.module.describe("t", "w", "npc-0") if on.module.describe else {}
    assert shown == {**msgspec.to_builtins(told), "target_reasons": (), "tipping": None}


async def test_explain_of_the_policy_finds_the_feature_that_mattered() -> None:
    on = await stage(Net())
    obs = observations(5)
    obs[:, LAYOUT.columns["is_night"]] = 1.0
    await decide(on, obs=obs.tobytes())
    told = cast(messages.Explained, await on.ask(messages.Explain(npc="npc-2")))
    assert (told.intent, told.rung) == ("home", "policy")
    assert told.reasons[0].name == "is_night"
    assert told.reasons[0].effect > 1.0


async def test_explaining_who_has_not_decided_is_not_found() -> None:
    on = await stage()
    with pytest.raises(NotFound):
        await on.ask(messages.Explain(npc="npc-0"))
    with pytest.raises(NotFound):
        await on.ask(messages.Explain(npc="nobody"))
    assert on.module.describe is not None
    assert on.module.describe("t", "w", "npc-0") == {}


async def test_old_ticks_are_let_go() -> None:
    on = await stage(settings=Settings(recent_rows_max=6))
    await decide(on, handles=handles(2), obs=observations(2).tobytes())
    for tick in range(2, 6):
        await decide(on, handles=handles(5)[8:], obs=observations(3).tobytes(), tick=tick)
    with pytest.raises(NotFound):
        await on.ask(messages.Explain(npc="npc-0"))
    assert cast(messages.Explained, await on.ask(messages.Explain(npc="npc-3"))).tick == 5


async def test_the_raw_layout_carries_the_same_tick() -> None:
    on = await stage(Net())
    obs, mask = observations(5), np.ones((5, 12), np.uint8)
    mask[:, 11] = 0
    whole = await decide(on, obs=obs.tobytes(), mask=mask.tobytes(), tick=77)
    head = raw.HEADER.pack(raw.MAGIC, 1, raw.Flag.MASK | raw.Flag.TICK, 5, 64)
    request = raw.decode(head + (77).to_bytes(8, "little") + handles(5) + obs.tobytes() + mask.tobytes(), "w")
    reply = cast(messages.Decided, await on.ask(request))
    assert (reply.tick, reply.intents, request.world) == (77, whole.intents, "w")
    body = raw.encode(reply)
    assert raw.HEADER.unpack_from(body) == (b"IKBD", 1, 0, 5, 4)
    assert body[16:21] == whole.intents
    assert body[32:] == whole.confidence


@pytest.mark.parametrize("body", [b"", b"x" * 16, raw.HEADER.pack(b"IKBD", 1, 0, 4, 64) + b"short"])
def test_a_raw_body_that_cannot_be_read_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        raw.decode(body, "w")
