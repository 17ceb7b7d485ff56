"""Steering, schedules and squads as messages: what is committed, what a tick makes of it, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from app.core.errors import Conflict, Invalid, NotFound, TooLarge
from app.modules.behavior import messages
from app.modules.behavior.considerations import Curve
from app.modules.behavior.nudges import Nudges
from app.modules.behavior.rule import SteeringRule
from app.modules.behavior.settings import Settings
from app.modules.behavior.squads import UNKNOWN
from app.world.entities import Npc
from app.world.events import EntityRemoved, EntityUpserted, Happened, IntentSet
from tests.modules.behavior.stage import LAYOUT, Net, Stage, handles, observations, stage

CALM = Settings(taste_share=0.0)


async def intents(on: Stage, obs: Any = None, **fields: Any) -> list[str]:
    obs = observations(5) if obs is None else obs
    count = len(obs)
    asked = messages.Decide(tick=1, handles=handles(count), obs=obs.tobytes(), format="lists", **fields)
    reply = cast(messages.Decided, await on.ask(asked))
    assert reply.lists is not None
    return list(reply.lists.intents)


async def explained(on: Stage, npc: str) -> messages.Explained:
    return cast(messages.Explained, await on.ask(messages.Explain(npc=npc)))


@pytest.mark.parametrize("policy", [True, False])
@pytest.mark.parametrize("warm", [True, False])
async def test_a_bonus_and_a_veto_bind_every_brain_until_they_are_taken_back(policy: bool, warm: bool) -> None:
    on = await stage(Net() if policy else None, settings=CALM)
    if warm:
        assert on.module.warm is not None
        on.module.warm()
    before = await intents(on)
    await on.ask(messages.Steer(set=(SteeringRule(name="dance", intent="talk", roles=("guard",), bonus=4.0),)))
    led = await intents(on)
    assert led == ["talk", *before[1:]]
    veto = tuple(SteeringRule(name=f"no {name}", intent=name, veto=True) for name in {*before[1:], "talk"})
    await on.ask(messages.Steer(set=veto, clear=()))
    ruled = await intents(on)
    assert not {*before[1:], "talk"} & set(ruled)
    said = await explained(on, "npc-0")
    vetoed = {(rule.name, True) for rule in veto}
    assert {(each.name, each.veto) for each in said.steering} == {("dance", False), *vetoed}
    reply = await on.ask(messages.Steer(clear=("dance", *(rule.name for rule in veto))))
    assert cast(messages.SteerAccepted, reply).rules == ()
    assert await intents(on) == before


async def test_a_bonus_means_the_same_odds_for_policy_and_utility() -> None:
    odds = []
    for policy in (Net(), None):
        on = await stage(policy, settings=CALM)
        ratio = []
        for bonus in (0.0, 0.25):
            if bonus:
                await on.ask(messages.Steer(set=(SteeringRule(name="a", intent="rest", bonus=bonus),)))
            mask = np.zeros((5, 12), np.uint8)
            mask[:, [LAYOUT.intent_index["rest"], LAYOUT.intent_index["wander"]]] = 1
            asked = messages.Decide(tick=1, handles=handles(5), obs=observations(5).tobytes(), mask=mask.tobytes())
            reply = cast(messages.Decided, await on.ask(asked))
            sure = np.frombuffer(reply.confidence, np.float32)[0]
            share = sure if reply.intents[0] == LAYOUT.intent_index["rest"] else 1.0 - sure
            ratio.append(share / (1.0 - share))
        odds.append(ratio[1] / ratio[0])
    assert odds == pytest.approx([math.exp(2.0)] * 2, rel=1e-3)


async def test_a_veto_never_leaves_an_npc_with_nothing() -> None:
    on = await stage()
    rules = tuple(SteeringRule(name=name, intent=name, veto=True) for name in LAYOUT.intent_names)
    before = await intents(on)
    await on.ask(messages.Steer(set=rules))
    assert await intents(on) == before


async def test_rules_of_files_stand_in_every_world_and_a_world_s_own_replace_them(tmp_path: Path) -> None:
    (tmp_path / "steering").mkdir()
    (tmp_path / "steering" / "mine.toml").write_text(
        'schema = "open_world"\n[[steering]]\nname = "quiet"\nintent = "talk"\nbonus = 4.0\n'
    )
    on = await stage(settings=Settings(content_folder=str(tmp_path), steering=("mine", "truce")))
    assert set(await intents(on)) == {"talk"}
    reply = await on.ask(messages.Steer(set=(SteeringRule(name="quiet", intent="rest", bonus=4.0),)))
    assert cast(messages.SteerAccepted, reply).files == ("quiet", "truce")
    assert set(await intents(on)) == {"rest"}


async def test_a_file_that_is_wrong_stops_the_start_in_words(tmp_path: Path) -> None:
    folder = tmp_path / "steering"
    folder.mkdir()
    for text, said in (
        ('schema = "open_world"\n[[steering]]\nname = "a"\nintent = "fle"\nbonus = 1.0\n', "steering/mine.toml"),
        ("schema = 3", "steering/mine.toml"),
    ):
        (folder / "mine.toml").write_text(text)
        with pytest.raises(Invalid, match=said):
            await stage(settings=Settings(content_folder=str(tmp_path), steering=("mine",)))
    with pytest.raises(Invalid, match="no steering file 'yours'"):
        await stage(settings=Settings(steering=("yours",)))
    with pytest.raises(Invalid, match="no schedule file 'town'"):
        await stage(settings=Settings(schedules=("town",)))


async def test_too_many_or_unfit_rules_are_refused_and_nothing_is_kept() -> None:
    on = await stage(settings=Settings(steering_rules_max=2))
    rules = tuple(SteeringRule(name=str(number), intent="rest", bonus=0.1) for number in range(3))
    with pytest.raises(TooLarge, match="3 steering rules"):
        await on.ask(messages.Steer(set=rules))
    with pytest.raises(Invalid, match="names intent 'sleep'"):
        await on.ask(messages.Steer(set=(rules[0], SteeringRule(name="x", intent="sleep", bonus=1.0))))
    with pytest.raises(NotFound, match="no steering rule 'y'"):
        await on.ask(messages.Steer(clear=("y",)))
    with pytest.raises(Invalid, match="nothing is set"):
        await on.ask(messages.Steer())
    assert on.world.state.steering == {}


def noon(count: int, hour: float = 12.5) -> Any:
    obs = observations(count) * 0.0
    obs[:, LAYOUT.role_columns] = np.eye(5, dtype=np.float32)[np.arange(count) % 5]
    obs[:, LAYOUT.columns["day_sin"]] = math.sin(hour * math.tau / 24)
    obs[:, LAYOUT.columns["day_cos"]] = math.cos(hour * math.tau / 24)
    obs[:, LAYOUT.columns["energy"]] = obs[:, LAYOUT.columns["hp"]] = 1.0
    return obs


async def test_archetypes_keep_hours_without_being_told_and_the_told_do_as_told() -> None:
    on = await stage(settings=Settings(schedules=("village",), taste_share=0.0))
    await intents(on, noon(5, 2.0))
    kept = [await explained(on, f"npc-{number}") for number in range(5)]
    assert [(each.directive, each.directive_source) for each in kept] == [
        ("rest", "schedule"), ("rest", "schedule"), ("rest", "schedule"), ("", ""), ("", ""),
    ]  # fmt: skip
    await on.ask(messages.SetIntent(npc="npc-2", intent="patrol", source="quest"))
    await intents(on, noon(5, 2.0))
    told = await explained(on, "npc-2")
    assert (told.directive, told.directive_source) == ("patrol", "quest")


async def test_one_npc_is_given_the_night_watch_and_its_own_hours_again() -> None:
    on = await stage(settings=Settings(schedules=("village",), taste_share=0.0))
    await on.ask(messages.SetSchedule(npcs=("npc-0", "npc-3"), schedule="night watch"))
    await intents(on, noon(5, 2.0))
    assert [(await explained(on, npc)).directive for npc in ("npc-0", "npc-3")] == ["guard", "guard"]
    await on.ask(messages.SetSchedule(npcs=("npc-0", "npc-3")))
    await intents(on, noon(5, 2.0))
    assert [(await explained(on, npc)).directive for npc in ("npc-0", "npc-3")] == ["rest", ""]
    with pytest.raises(NotFound, match="no schedule 'nigth watch'"):
        await on.ask(messages.SetSchedule(npcs=("npc-0",), schedule="nigth watch"))


async def test_a_need_wins_over_the_hour() -> None:
    on = await stage(settings=Settings(schedules=("village",), taste_share=0.0))
    obs = noon(5, 10.0)
    obs[2, LAYOUT.columns["hunger"]] = 0.95
    assert (await intents(on, obs))[2] == "eat"
    assert (await explained(on, "npc-2")).directive == ""


def blues(**fields: Any) -> messages.SetSquad:
    return messages.SetSquad(**{"id": "blue", "members": ("npc-0", "npc-1", "npc-2"), "leader": "npc-0", **fields})


async def test_a_squad_is_made_read_changed_and_disbanded() -> None:
    on = await stage()
    board = {"alarm": True, "rally": "mill", "rations": 3.0}
    await on.ask(blues(board=board, roles={"npc-1": "tank"}, focus="npc-4"))
    told = cast(messages.SquadTold, await on.ask(messages.GetSquad(id="blue")))
    assert (told.squad.board, told.squad.focus, told.fallen, told.shaken) == (board, "npc-4", (), False)
    with pytest.raises(Conflict, match="npc-1' is in squad 'blue'"):
        await on.ask(messages.SetSquad(id="red", members=("npc-1",)))
    await on.ask(blues(members=("npc-0", "npc-2")))
    await on.ask(messages.SetSquad(id="red", members=("npc-1",)))
    await on.ask(messages.Disband(id="red"))
    with pytest.raises(NotFound, match="no squad 'red'"):
        await on.ask(messages.GetSquad(id="red"))


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"members": ("npc-0", "npc-0")}, Invalid, "each once"),
        ({"leader": "npc-4"}, Invalid, "'npc-4'"),
        ({"roles": {"npc-3": "tank"}}, Invalid, "'npc-3'"),
        ({"focus": "ghost"}, NotFound, "'ghost'"),
        ({"members": ("npc-0", "ghost")}, NotFound, "'ghost'"),
        ({"board": {"x": math.inf}}, Invalid, "finite"),
    ],
)
async def test_a_squad_that_cannot_be_is_refused(fields: dict[str, Any], error: type[Exception], said: str) -> None:
    on = await stage()
    with pytest.raises(error) as caught:
        await on.ask(blues(**fields))
    assert said in f"{caught.value} {getattr(caught.value, 'hint', '')}"
    assert on.world.state.squads == {}


async def test_too_many_squads_are_refused() -> None:
    on = await stage(settings=Settings(squads_max=1))
    await on.ask(blues())
    await on.ask(blues(formation="box"))
    with pytest.raises(TooLarge, match="1 squads"):
        await on.ask(messages.SetSquad(id="red", members=("npc-4",)))


async def test_when_the_leader_falls_the_squad_would_rather_flee_and_steadies_when_he_stands_up() -> None:
    on = await stage(settings=Settings(taste_share=0.0, rout_bonus_share=2.0))
    await on.ask(blues())
    obs = noon(5)
    for slot in ("slot0_hp", "slot0_threat"):
        obs[:, LAYOUT.columns[slot]] = 0.3
    mask = np.zeros((5, 12), np.uint8)
    mask[:, [LAYOUT.intent_index[name] for name in ("flee", "attack", "wander")]] = 1

    async def now() -> list[str]:
        return await intents(on, obs, mask=mask.tobytes())

    calm = await now()
    await on.journal.append("t", "w", [Happened(verb="killed", actor="npc-3", target="npc-0")])
    broken = await now()
    assert broken[:3] == ["flee"] * 3
    assert broken[3:] == calm[3:]
    assert cast(messages.SquadTold, await on.ask(messages.GetSquad(id="blue"))).shaken
    await on.journal.append("t", "w", [EntityUpserted(entity=Npc(id="npc-0", archetype="guard"))])
    assert await now() == calm


async def test_those_who_are_removed_leave_their_squad_and_the_last_one_ends_it() -> None:
    on = await stage()
    await on.ask(blues(roles={"npc-0": "tank"}))
    await intents(on)
    await on.journal.append("t", "w", [EntityRemoved(entity_kind="npc", id="npc-0")])
    squad = cast(messages.SquadTold, await on.ask(messages.GetSquad(id="blue"))).squad
    assert (squad.members, squad.leader, squad.roles) == (("npc-1", "npc-2"), "", {})
    for id in squad.members:
        await on.journal.append("t", "w", [EntityRemoved(entity_kind="npc", id=id)])
    assert (on.world.state.squads, on.world.state.squad_of) == ({}, {})


async def test_a_roster_kept_up_by_events_is_one_that_is_made_anew() -> None:
    on = await stage(npcs=3, settings=Settings(schedules=("village",)))
    await intents(on, observations(3))
    people = [Npc(id=f"new-{number}", archetype="merchant") for number in range(200)]
    await on.journal.append("t", "w", [EntityUpserted(entity=npc) for npc in people])
    await on.ask(blues(members=("npc-0", "new-150", "new-7")))
    await on.ask(messages.SetSquad(id="red", members=("npc-1",)))
    await on.ask(messages.Disband(id="red"))
    await on.ask(messages.SetSquad(id="green", members=("npc-2",), focus="npc-0"))
    await on.journal.append("t", "w", [IntentSet(npc="new-9", intent="rest"), IntentSet(npc="npc-1", intent="eat")])
    await on.journal.append("t", "w", [Happened(verb="died", actor="npc-2")])
    await on.journal.append("t", "w", [EntityRemoved(entity_kind="npc", id="new-7")])
    asked = messages.SetSchedule(npcs=("npc-2",), schedule="night watch")
    await on.ask(asked)
    obs = np.concatenate([noon(203, 2.0)])
    kept = await intents(on, obs)
    fresh = await stage(npcs=0, settings=Settings(schedules=("village",)))
    fresh.world.state = on.world.state
    assert await intents(fresh, obs) == kept
    assert (await explained(on, "new-9")).directive == "rest"


async def test_a_squad_s_attackers_turn_to_the_author_s_foe_wherever_it_is_among_their_candidates() -> None:
    on = await stage()
    await on.ask(blues(focus="npc-4"))
    nudges = Nudges(LAYOUT, CALM)
    attack = np.full(5, LAYOUT.intent_index["attack"], np.uint8)
    targets = np.array([0, 1, 0, 0, 0], np.uint8)
    candidates = np.array([[3, 4], [4, 3], [3, UNKNOWN], [4, 3], [0, 1]], np.uint32)
    rows = np.arange(5, dtype=np.uint32)
    nudges.gather(on.world, rows, attack, targets, candidates, np.ones((5, 2), np.uint8), np.ones((5, 2), np.float32))
    assert targets.tolist() == [1, 0, 0, 0, 0]


async def test_a_formation_stands_around_its_leader_and_only_the_gap_is_filled_when_one_falls() -> None:
    on = await stage()
    await on.ask(blues(members=tuple(f"npc-{n}" for n in range(5)), formation="wedge", roles={"npc-4": "support"}))
    pose = messages.Pose(squad="blue", x=10.0, y=20.0, heading_rad=math.pi / 2)
    formed = cast(messages.Formed, await on.ask(messages.GetFormation(poses=(pose,)))).squads[0]
    where = dict(zip(formed.members, formed.places, strict=True))
    assert where["npc-0"] == (10.0, 20.0)
    assert {member: place[1] for member, place in where.items() if member != "npc-0"} == {
        "npc-1": 18.0, "npc-2": 18.0, "npc-3": 16.0, "npc-4": 16.0,
    }  # fmt: skip
    await on.journal.append("t", "w", [Happened(verb="died", actor="npc-1")])
    after = cast(messages.Formed, await on.ask(messages.GetFormation(poses=(pose,)))).squads[0]
    now = dict(zip(after.members, after.places, strict=True))
    moved = {member for member in now if now[member] != where[member]}
    assert len(moved) == 1
    assert now[moved.pop()] == where["npc-1"]


async def test_by_way_everyone_takes_the_place_that_is_near() -> None:
    on = await stage()
    await on.ask(blues(members=tuple(f"npc-{n}" for n in range(3)), formation="line", spacing_cells=3.0))
    on.world.crowd.report(np.array([1, 2], np.uint32), np.array([[0.0, -3.0], [0.0, 3.0]], np.float32), 0.0)
    pose = messages.Pose(squad="blue", x=0.0, y=0.0)
    found = cast(messages.Formed, await on.ask(messages.GetFormation(poses=(pose,), by="way"))).squads[0]
    assert dict(zip(found.members, found.places, strict=True)) == {
        "npc-0": (0.0, 0.0), "npc-1": (0.0, -3.0), "npc-2": (0.0, 3.0),
    }  # fmt: skip
    with pytest.raises(NotFound, match="no squad 'red'"):
        await on.ask(messages.GetFormation(poses=(messages.Pose(squad="red", x=0.0, y=0.0),)))


async def test_steering_by_a_curve_is_told_with_its_strength() -> None:
    on = await stage(settings=CALM)
    rule = SteeringRule(name="tired", intent="rest", when=(Curve("energy", 1.0, 0.0),), bonus=1.0)
    await on.ask(messages.Steer(set=(rule,)))
    obs = noon(5)
    obs[:, LAYOUT.columns["energy"]] = 0.25
    await intents(on, obs)
    assert [(each.name, each.bonus) for each in (await explained(on, "npc-1")).steering] == [("tired", 0.75)]
