"""The states of a quest as a machine: no way but those in the table, and out of every live state there is one."""

from __future__ import annotations

import asyncio
import random
from typing import get_args

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from app.core.errors import Conflict, Invalid, NotFound
from app.modules.quests.lifecycle.states import COUNTING, KEPT, LIVE, MOVES, PAID, PLAYED
from app.modules.quests.messages import Abandon, Accept, Generate, Keep, Kept, Offer, Quest, QuestState
from app.modules.quests.settings import Settings
from app.world.events import EntityUpserted, Happened
from tests.modules.quests.stage import Stage, happened
from tests.modules.quests.test_lifecycle import HERBS, SWORD, draft, hamlet
from tests.modules.quests.villages import Hero, friends, village

PATIENCE_S = 500.0
LAST_S = 2_000.0


def test_every_state_is_in_the_table_and_the_ended_have_no_way_on() -> None:
    assert set(MOVES) == set(get_args(QuestState))
    ended = set(MOVES) - LIVE - KEPT
    assert {state for state in MOVES if not MOVES[state]} == ended
    assert ended >= PAID


def test_from_every_live_state_the_player_the_world_and_time_lead_to_an_end() -> None:
    def ends(state: QuestState, seen: frozenset[str] = frozenset()) -> bool:
        ways = set(MOVES[state].values())
        return not ways or any(ends(to, seen | {state}) for to in ways if to not in seen | {state})

    for state in LIVE:
        assert ends(state)
        assert MOVES[state]["given_up"] == "abandoned"
        assert MOVES[state]["late"] in ("expired", "compensated")
    for state in COUNTING:
        assert {MOVES[state][cause] for cause in ("done", "world", "own_doing")} == {  # type: ignore[index]  # causes
            "completed", "compensated", "failed",
        }  # fmt: skip


class Lives(RuleBasedStateMachine):
    """Quests of one player while people die, things go, places close and time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.last: dict[str, Quest] = {}

    @initialize(seed=st.integers(0, 10_000))
    def begin(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.stage = Stage(village(seed), Settings(suspended_s_max=PATIENCE_S))
        self.hero = Hero(self.stage.world)
        self.seeds = iter(range(1_000))
        self.offer()

    def run(self, work: object) -> object:
        return self.loop.run_until_complete(work)  # type: ignore[arg-type]  # a coroutine

    def post(self, *events: Happened | EntityUpserted, game_s: float | None = None) -> None:
        for event in events:
            if isinstance(event, Happened):
                self.hero.learn(event)
        self.run(self.stage.post(*events, game_s=game_s))

    def quests(self, *states: str) -> list[Quest]:
        found = [self.stage.now(id) for id in self.stage.world.state.quests]
        return [quest for quest in found if quest.state in states]

    @rule()
    def offer(self) -> None:
        giver = self.chance.choice(friends(self.stage.world) or ["npc0"])
        request = Generate(giver=giver, player="hero", seed=next(self.seeds), last_s=LAST_S)
        try:
            self.run(self.stage.ask(request))
        except Conflict:
            return

    @rule()
    def accept(self) -> None:
        for quest in self.quests("offered")[:1]:
            try:
                self.run(self.stage.ask(Accept(quest=quest.id)))
            except Conflict:
                return

    @rule()
    def step(self) -> None:
        for quest in self.quests(*PLAYED)[:1]:
            step = next((step for step in quest.steps if not step.done), None)
            assert step is not None, "an active quest has nothing left to do"
            self.run(self.stage.post(*self.stage.walk_to(self.hero, step)))
            self.post(*self.hero.do(step))  # type: ignore[arg-type]  # its own kinds of change

    @rule()
    def whim(self) -> None:
        if whims := self.hero.whims():
            self.post(self.chance.choice(whims))

    @rule()
    def mishap(self) -> None:
        self.post(self.chance.choice(self.stage.mishaps()))

    @rule()
    def door(self) -> None:
        place = self.chance.choice(list(self.stage.world.state.locations.values()))
        if place.id != self.hero.place:
            self.post(EntityUpserted(entity=msgspec.structs.replace(place, open=not place.open)))

    @rule(seconds=st.sampled_from([10.0, 300.0, 600.0]))
    def wait(self, seconds: float) -> None:
        self.post(happened("talked", target="npc0"), game_s=self.stage.world.state.game_s + seconds)

    @rule()
    def restart(self) -> None:
        self.stage = Stage(self.stage.world, Settings(suspended_s_max=PATIENCE_S))

    @invariant()
    def states_follow_the_table_and_the_ended_stay(self) -> None:
        for id in self.stage.world.state.quests:
            quest = self.stage.now(id)
            before = self.last.setdefault(id, quest)
            if before.state not in LIVE:
                assert quest == before
            elif before.state != quest.state:
                assert reachable(before.state, quest.state)
            assert (quest.state in PAID) or not quest.payouts
            assert (quest.state == "completed") <= all(goal.done for goal in quest.goals)
            assert (quest.ended_s is None) == (quest.state in LIVE)
            self.last[id] = quest

    def teardown(self) -> None:
        """Whatever happened: what is active can be played to its end, and time or the player ends the rest."""
        for quest in self.quests(*PLAYED):
            self.run(self.stage.play(quest, hero=self.hero))
            assert self.stage.now(quest.id).state not in PLAYED
        for quest in self.quests(*LIVE)[::2]:
            self.run(self.stage.ask(Abandon(quest=quest.id)))
            assert self.stage.now(quest.id).state == "abandoned"
        self.post(happened("talked", target="npc0"), game_s=self.stage.world.state.game_s + LAST_S)
        assert self.quests(*LIVE) == []
        self.loop.close()


def reachable(state: QuestState, to: QuestState) -> bool:
    """Whether a state follows another in one event, which may stop a quest and a worker mend it at once."""
    once = set(MOVES[state].values())
    return to in once or any(to in MOVES[between].values() for between in once)


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)


async def test_a_kept_quest_is_offered_by_its_name() -> None:
    stage = Stage(hamlet())
    kept = await stage.ask(Keep(quest=draft(SWORD, id="the-sword", player="")))
    assert isinstance(kept, Kept)
    assert (kept.quest, kept.state) == ("the-sword", "verified")
    offered = await stage.quest(Offer(kept="the-sword", player="hero"))
    assert (offered.state, offered.player, offered.origin) == ("offered", "hero", "the-sword")
    assert (await stage.play(await stage.quest(Accept(quest=offered.id)))).state == "completed"
    assert stage.now("the-sword").state == "verified"


async def test_what_cannot_be_done_is_kept_as_a_draft_until_it_can() -> None:
    stage = Stage(hamlet())
    impossible = draft({**SWORD, "target": "wolf"}, id="gift")
    kept = await stage.ask(Keep(quest=impossible))
    assert isinstance(kept, Kept)
    assert (kept.state, kept.verdict.verdict) == ("draft", "rejected")
    with pytest.raises(Conflict, match="is rejected"):
        await stage.ask(Offer(kept="gift", player="hero"))
    again = await stage.ask(Keep(quest=draft(SWORD, id="gift")))
    assert isinstance(again, Kept)
    assert again.state == "verified"
    live = await stage.quest(Offer(kept="gift", player="hero"))
    with pytest.raises(Conflict, match="is offered"):
        await stage.ask(Keep(quest=draft(SWORD, id=live.id)))


async def test_what_comes_first_must_be_completed() -> None:
    stage = Stage(hamlet())
    first = await stage.quest(Offer(quest=draft(SWORD, id="first")))
    second = await stage.quest(Offer(quest=draft(*HERBS, id="second", title="Herbs", requires=["first"])))
    with pytest.raises(Conflict, match="first"):
        await stage.ask(Accept(quest=second.id))
    await stage.play(await stage.quest(Accept(quest=first.id)))
    assert (await stage.quest(Accept(quest=second.id))).state == "active"


async def test_a_quest_can_be_had_once_or_after_a_while_and_only_so_often_an_hour() -> None:
    stage = Stage(hamlet(), Settings(repeats_per_hour_max=2))
    look = {"id": "look", "action": "explore", "location": "mill"}
    once = await stage.quest(Offer(quest=draft(look, id="once")))
    await stage.play(await stage.quest(Accept(quest=once.id)))
    with pytest.raises(Conflict, match="was completed before"):
        await stage.ask(Offer(quest=draft(look, id="once")))
    again = draft(look, id="again", repeat_s=100.0, reward={"experience": 1})
    for number in range(2):
        quest = await stage.quest(Offer(quest=again))
        await stage.play(await stage.quest(Accept(quest=quest.id)))
        with pytest.raises(Conflict, match="can be had again"):
            await stage.ask(Offer(quest=again))
        await stage.post(happened("talked", target="anna"), game_s=100.0 * (number + 1))
    with pytest.raises(Conflict, match="2 times in the last hour"):
        await stage.ask(Offer(quest=again))
    await stage.post(happened("talked", target="anna"), game_s=5_000.0)
    assert (await stage.quest(Offer(quest=again))).state == "offered"


async def test_an_offer_without_a_quest_is_refused() -> None:
    stage = Stage(hamlet())
    with pytest.raises(Invalid, match="names no quest"):
        await stage.ask(Offer(player="hero"))
    with pytest.raises(NotFound, match="no quest is kept"):
        await stage.ask(Offer(kept="nothing", player="hero"))
    with pytest.raises(NotFound):
        await stage.ask(Accept(quest="nothing"))
