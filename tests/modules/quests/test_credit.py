"""Shared quests: who may take part and is credited, and that every sum is exact and paid once."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from app.core.errors import Conflict, NotFound
from app.modules.quests.codec import push_of, read, record
from app.modules.quests.lifecycle.credit import payouts
from app.modules.quests.lifecycle.offers import pursed
from app.modules.quests.lifecycle.progress import progressed
from app.modules.quests.messages import Accept, Generate, Goal, Join, Leave, Offer, Payout, Quest, Reward, Share, Step
from app.modules.quests.planning.facts import View
from app.modules.quests.settings import Settings
from app.world.entities import Faction, Item, Player
from app.world.events import EntityRemoved, Happened
from app.world.state import World
from tests.modules.quests.stage import Stage, happened
from tests.modules.quests.test_lifecycle import draft, hamlet

PLAYERS = ("hero", "rival", "cleo", "dan")
HERBS = {"id": "pick", "action": "gather", "kind": "herb", "count": 3}
LOOK = {"id": "look", "action": "explore", "location": "mill"}


def guildhall() -> World:
    """The hamlet with four players, of whom three are of a guild, and herbs enough for all."""
    world = hamlet()
    state = world.state
    state.factions["guild"] = Faction(id="guild", name="The Guild")
    for player in PLAYERS:
        faction = "guild" if player != "dan" else ""
        state.players[player] = Player(id=player, name=player.title(), location="square", level=2, faction=faction)
    for number in range(4, 12):
        state.items[f"herb{number}"] = Item(id=f"herb{number}", item_kind="herb", holder="wood")
    return world


async def party(stage: Stage, *steps: dict[str, object], members: tuple[str, ...] = (), **more: object) -> Quest:
    fields = {"scope": "party", "members_max": 3, **more}
    offered = await stage.quest(Offer(quest=draft(*steps, **fields)))
    for member in members:
        await stage.quest(Join(quest=offered.id, player=member))
    return await stage.quest(Accept(quest=offered.id))


def took(player: str, number: int) -> Happened:
    return happened("took", actor=player, item=f"herb{number}", location="wood")


async def test_what_members_do_adds_up_and_contributors_are_paid() -> None:
    stage = Stage(guildhall())
    quest = await party(stage, HERBS, members=("rival", "cleo"))
    await stage.post(took("hero", 1), took("rival", 2), took("dan", 3), took("rival", 4))
    ended = stage.now(quest.id)
    assert ended.state == "completed"
    assert ended.contributions == {"hero": 1, "rival": 2}
    assert {owed.player for owed in ended.payouts} == {"hero", "rival"}
    assert push_of(stage.world.state.quests[quest.id]).payouts == ended.payouts


async def test_only_who_is_there_alive_is_credited_where_presence_counts() -> None:
    stage = Stage(guildhall())
    quest = await party(stage, LOOK, members=("rival", "cleo"), credit="all_present")
    await stage.post(*(happened("moved", actor=player, location="mill") for player in PLAYERS))
    await stage.post(happened("died", actor="cleo"), happened("explored", actor="rival", location="mill"))
    assert [owed.player for owed in stage.now(quest.id).payouts] == ["hero", "rival"]


async def test_a_leader_alone_may_be_credited() -> None:
    stage = Stage(guildhall())
    quest = await party(stage, LOOK, members=("rival",), credit="leader")
    await stage.post(happened("explored", actor="rival", location="mill"))
    assert [owed.player for owed in stage.now(quest.id).payouts] == ["hero"]


async def test_what_each_has_to_do_waits_for_each_and_for_nobody_who_left() -> None:
    stage = Stage(guildhall())
    quest = await party(stage, {**LOOK, "each": True}, members=("rival", "cleo"))
    for player in ("hero", "hero", "rival"):
        await stage.post(happened("explored", actor=player, location="mill"))
    waiting = stage.now(quest.id)
    assert waiting.state in ("active", "repaired")
    assert [step.action for step in waiting.steps if not step.done][-1] == "explore"  # what is left to the third
    left = await stage.quest(Leave(quest=quest.id, player="cleo"))
    assert left.state == "completed"
    assert [owed.player for owed in left.payouts] == ["hero", "rival"]


async def test_a_member_who_is_removed_from_the_world_keeps_nobody_waiting() -> None:
    stage = Stage(guildhall())
    quest = await party(stage, {**LOOK, "each": True}, members=("rival",))
    await stage.post(happened("explored", actor="hero", location="mill"))
    await stage.post(EntityRemoved(entity_kind="player", id="rival"))
    assert stage.now(quest.id).state == "completed"


async def test_the_next_member_leads_when_the_leader_goes_and_nobody_ends_it() -> None:
    stage = Stage(guildhall())
    quest = await party(stage, HERBS, members=("rival",))
    led = await stage.quest(Leave(quest=quest.id, player="hero"))
    assert (led.player, led.members) == ("rival", ("rival",))
    assert {step.event.actor for step in led.steps} == {"rival"}
    assert await stage.quest(Leave(quest=quest.id, player="hero")) == led
    assert (await stage.quest(Leave(quest=quest.id, player="rival"))).state == "abandoned"


async def test_who_leaves_takes_along_what_the_others_needed_and_they_get_it_elsewhere() -> None:
    world = guildhall()
    made = {"recipe": "herb", "made_at": "square"}
    world.state.items["balm"] = Item(id="balm", item_kind="balm", attributes=made)
    stage = Stage(world)
    quest = await party(stage, {"id": "make", "action": "craft", "item": "balm"}, members=("rival", "cleo"))
    (herb,) = [step.event.item for step in quest.steps if step.action in ("take", "gather")]
    await stage.post(happened("took", actor="rival", item=herb, location="wood"))
    steps = [step.action for step in stage.now(quest.id).steps if not step.done]
    assert [action for action in steps if action != "goto"] == ["craft"]  # what one has, all have
    left = await stage.quest(Leave(quest=quest.id, player="rival"))
    assert (left.state, [step.action for step in left.steps][-1]) == ("repaired", "craft")
    assert {"gather", "take"} & {step.action for step in left.steps}


async def test_what_only_the_one_who_left_had_done_is_asked_of_the_others_again() -> None:
    stage = Stage(guildhall())
    quest = await party(stage, {**LOOK, "each": True}, members=("rival",))
    await stage.post(happened("explored", actor="rival", location="mill"))
    left = await stage.quest(Leave(quest=quest.id, player="rival"))
    assert [step.action for step in left.steps if not step.done][-1] == "explore"
    await stage.post(happened("explored", actor="hero", location="mill"))
    assert stage.now(quest.id).state == "completed"


@pytest.mark.parametrize("proofs", [3, 0])
async def test_what_nobody_but_the_one_who_left_has_ends_the_quest(proofs: int) -> None:
    for gone in ("leaves", "is removed"):
        world = guildhall()
        world.state.items["balm"] = Item(id="balm", item_kind="balm", attributes={"recipe": "sword"})
        stage = Stage(world, Settings(recheck_proofs_max=proofs))
        quest = await party(stage, {"id": "make", "action": "craft", "item": "balm"}, members=("rival", "cleo"))
        await stage.post(happened("traded", actor="smith", target="rival", item="sword"))
        assert stage.now(quest.id).state in ("active", "repaired")
        if gone == "leaves":
            await stage.quest(Leave(quest=quest.id, player="rival"))
        else:
            await stage.post(EntityRemoved(entity_kind="player", id="rival"))
        await stage.settled()
        assert stage.now(quest.id).state == "compensated"


async def test_who_may_not_join_is_told_why() -> None:
    stage = Stage(guildhall())
    solo = await stage.quest(Offer(quest=draft(LOOK)))
    full = await party(stage, HERBS, members=("rival", "cleo"))
    guild = await stage.quest(Offer(quest=draft(HERBS, title="Ours", scope="guild", guild="guild", members_max=9)))
    refused = ((solo, "rival", "one player"), (full, "dan", "all of its 3"), (guild, "dan", "is not of"))
    for quest, player, why in refused:
        with pytest.raises(Conflict, match=why):
            await stage.ask(Join(quest=quest.id, player=player))
    with pytest.raises(NotFound):
        await stage.ask(Join(quest=full.id, player="nobody"))
    assert await stage.quest(Join(quest=full.id, player="cleo")) == full


async def test_a_guild_joins_by_deeds_and_strangers_do_nothing() -> None:
    stage = Stage(guildhall())
    offered = await stage.quest(Offer(quest=draft(HERBS, scope="guild", guild="guild", members_max=9)))
    quest = await stage.quest(Accept(quest=offered.id))
    assert quest.player == ""
    assert {step.event.actor for step in quest.steps} == {"player"}
    await stage.post(took("dan", 1), took("rival", 2), took("cleo", 3), took("cleo", 4))
    ended = stage.now(quest.id)
    assert (ended.state, ended.members) == ("completed", ("hero", "rival", "cleo"))
    assert {owed.player for owed in ended.payouts} == {"rival", "cleo"}


async def test_a_quest_of_the_server_is_open_to_all_up_to_its_size() -> None:
    stage = Stage(guildhall())
    offered = await stage.quest(Offer(quest=draft(HERBS, scope="server", members_max=2)))
    quest = await stage.quest(Accept(quest=offered.id))
    await stage.post(took("dan", 1), took("cleo", 2), took("dan", 3))
    present = stage.now(quest.id)
    assert present.members == ("hero", "dan")
    assert present.goals[0].got == 2


async def test_a_generated_quest_of_a_guild_names_no_player() -> None:
    stage = Stage(guildhall())
    quest = await stage.quest(
        Generate(giver="anna", player="hero", seed=3, scope="guild", guild="guild", members_max=4)
    )
    said = " ".join((quest.title, quest.description, *(goal.text for goal in quest.goals)))
    assert "Hero" not in said
    assert b"hero" not in stage.world.state.quests[quest.id].body


async def test_the_body_of_a_partys_record_names_its_leader_alone() -> None:
    stage = Stage(guildhall())
    quest = await party(stage, HERBS, members=("rival", "cleo"))
    await stage.post(took("cleo", 1), took("rival", 2))
    change = stage.world.state.quests[quest.id]
    assert change.party == ("hero", "rival", "cleo")
    assert b"rival" not in change.body
    assert b"cleo" not in change.body
    assert read(change) == read(record(read(change)))
    assert read(change).contributions == {"cleo": 1, "rival": 1}


rewards = st.builds(Reward, experience=st.integers(0, 10**6), coins=st.integers(0, 10**6), effort=st.just(1.0),
                    items=st.sampled_from([(), ("ring",)]))  # fmt: skip


def test_no_two_quests_of_any_world_or_tenant_owe_under_the_same_id() -> None:
    places = [("studio", "vale"), ("studio", "moor"), ("other", "vale")]
    purses = [pursed(EMPTY, *place).purse for place in places]
    assert len(set(purses)) == 3
    assert purses == [pursed(EMPTY, *place).purse for place in places]
    paid = msgspec.structs.replace(pursed(EMPTY, "studio", "vale"), members=("ann", "bob"))
    owed = payouts(paid, Reward(experience=1, coins=1, effort=1.0), ("ann", "bob"))
    assert [one.id for one in owed] == [f"{purses[0]}.0", f"{purses[0]}.1"]


@given(reward=rewards, share=st.sampled_from(["each", "split", "one"]), deeds=st.lists(st.integers(0, 9), max_size=9))
def test_shares_add_up_to_the_reward(reward: Reward, share: Share, deeds: list[int]) -> None:
    members = tuple(f"p{number}" for number in range(len(deeds)))
    quest = msgspec.structs.replace(
        EMPTY, members=members, share=share, contributions=dict(zip(members, deeds, strict=True))
    )
    owed = payouts(quest, reward, members)
    times = {"each": len(members), "split": 1, "one": 1}[share] if members else 0
    assert sum(one.coins for one in owed) == reward.coins * times
    assert sum(one.experience for one in owed) == reward.experience * times
    assert [item for one in owed for item in one.items] == list(reward.items if members else ())
    assert len({one.id for one in owed}) == len({one.player for one in owed}) == len(owed)
    if share == "split":
        assert max((one.coins for one in owed), default=0) - min((one.coins for one in owed), default=0) <= 1


def _empty() -> Quest:
    return msgspec.convert(
        {
            "id": "q", "state": "active", "giver": "anna", "player": "p0", "title": "t", "description": "d", "level": 1,
            "goals": (), "steps": (), "reward": {"experience": 1, "coins": 1, "effort": 1.0}, "scope": "party",
            "certificate": {"domain_version": 1, "checks": (), "world_seq": 0, "seed": 0, "plan": (),
                            "plan_sha256": ""},
        },
        Quest,
    )  # fmt: skip


EMPTY = _empty()


class Shared(RuleBasedStateMachine):
    """Players join, leave, die, come back, do things twice; every payout ever told is compared with those before."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.told: dict[str, Payout] = {}
        self.deeds: set[str] = set()

    def teardown(self) -> None:
        self.loop.close()

    def run(self, work: object) -> object:
        return self.loop.run_until_complete(work)  # type: ignore[arg-type]  # a coroutine

    @initialize(
        scope=st.sampled_from(["party", "guild", "server"]),
        credit=st.sampled_from(["all_present", "contributors", "leader"]),
        share=st.sampled_from(["each", "split", "one"]), each=st.booleans(), most=st.integers(1, 4),
    )  # fmt: skip
    def begin(self, scope: str, credit: str, share: str, each: bool, most: int) -> None:
        self.stage = Stage(guildhall())
        look = {**LOOK, "each": each} if most > 1 else LOOK
        guild = "guild" if scope == "guild" else ""
        fields = {"scope": scope, "credit": credit, "share": share, "members_max": most, "guild": guild}
        try:
            offered = self.run(self.stage.quest(Offer(quest=draft(HERBS, look, **fields))))
        except Conflict:  # what each has to do is not proved for every size
            offered = self.run(self.stage.quest(Offer(quest=draft(HERBS, LOOK, **fields))))
        assert isinstance(offered, Quest)
        self.id, self.most = offered.id, most
        self.run(self.stage.quest(Accept(quest=self.id)))

    def ask(self, request: Join | Leave) -> None:
        try:
            self.run(self.stage.quest(request))
        except Conflict:
            return

    @rule(player=st.sampled_from(PLAYERS))
    def join(self, player: str) -> None:
        self.ask(Join(quest=self.id, player=player))

    @rule(player=st.sampled_from(PLAYERS))
    def leave(self, player: str) -> None:
        self.ask(Leave(quest=self.id, player=player))

    @rule(player=st.sampled_from(PLAYERS), number=st.integers(1, 8), times=st.integers(1, 2))
    def take(self, player: str, number: int, times: int) -> None:
        self.deeds.add(player)
        self.run(self.stage.post(*[took(player, number)] * times))

    @rule(player=st.sampled_from(PLAYERS))
    def look(self, player: str) -> None:
        self.deeds.add(player)
        self.run(self.stage.post(happened("explored", actor=player, location="mill")))

    @rule(player=st.sampled_from(PLAYERS), place=st.sampled_from(["square", "mill", "wood"]))
    def move(self, player: str, place: str) -> None:
        self.run(self.stage.post(happened("moved", actor=player, location=place)))

    @rule(player=st.sampled_from(PLAYERS))
    def die(self, player: str) -> None:
        self.run(self.stage.post(happened("died", actor=player)))

    @rule()
    def start_anew(self) -> None:
        self.stage = Stage(self.stage.world)

    @invariant()
    def nothing_is_paid_twice_or_to_strangers(self) -> None:
        quest = self.stage.now(self.id)
        assert len(quest.members) <= self.most
        if quest.scope == "guild":
            assert "dan" not in quest.members
        for owed in quest.payouts:
            assert owed.player in quest.members
            assert self.told.setdefault(owed.id, owed) == owed
            if quest.credit == "contributors":
                assert owed.player in self.deeds
            if quest.credit == "leader":
                assert owed.player == quest.members[0]
        assert set(self.told) == {owed.id for owed in quest.payouts}
        times = len(quest.members) if quest.share == "each" else 1
        assert sum(owed.coins for owed in self.told.values()) <= quest.reward.coins * times
        assert sum(quest.contributions.values()) <= sum(goal.count * max(1, len(PLAYERS)) for goal in quest.goals) + 8
        assert (quest.state == "completed") == all(goal.done for goal in quest.goals)


TestShared = Shared.TestCase
TestShared.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


def test_what_is_bought_stands_for_its_own_step_and_no_other_of_the_kind() -> None:
    world = guildhall()
    for id, holder in (("ring1", "smith"), ("ring2", "wood")):
        world.state.items[id] = Item(id=id, item_kind="ring", holder=holder)
    buy = happened("traded", actor="smith", target="hero", item="ring1")
    take = happened("took", actor="hero", item="ring2", location="wood")
    steps = (
        Step(id="s1", action="trade", text="", event=buy, deed=("bought", "ring1"), goal=True),
        Step(id="s2", action="take", text="", event=take, deed=("acquired", "ring2"), goal=True),
    )
    goal = Goal(deed=("acquired", "ring1"), item_kind="ring", count=2, text="")
    quest = msgspec.structs.replace(_empty(), state="active", player="hero", goals=(goal,), steps=steps)
    bought = progressed(quest, buy, View(world.state, Settings()))
    assert (bought.goals[0].got, [step.done for step in bought.steps]) == (1, [True, False])
    both = progressed(bought, take, View(world.state, Settings()))
    assert (both.goals[0].done, [step.done for step in both.steps]) == (True, [True, True])
