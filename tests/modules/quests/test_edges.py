"""What a caller gets wrong is refused with what would be right, and a request that is sent again is answered alike."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from app.core.clock import SystemClock
from app.core.errors import Conflict, Invalid, NotFound, Refused
from app.engines.orchestration.orchestrator import Orchestrator
from app.modules.quests.generation.generator import Library
from app.modules.quests.index import Books
from app.modules.quests.messages import Accept, Generate, Keep, Kept, List, Listed, Offer
from app.modules.quests.module import load_library
from app.world.entities import Faction
from app.world.events import EntityRemoved, WordsUsed
from app.world.state import World, Worlds
from tests.engines.conftest import open_at
from tests.modules.behavior.stage import Watch
from tests.modules.quests.stage import Stage, happened
from tests.modules.quests.test_lifecycle import HERBS, SWORD, draft, hamlet
from tests.modules.quests.test_model_prose import liar
from tests.modules.quests.villages import village
from tests.standin import Standin

LIBRARY: Library = load_library()


def asked(**more: Any) -> Generate:
    return msgspec.convert({"giver": "anna", "player": "hero", "seed": 1, **more}, Generate)


def guilds() -> World:
    world = hamlet()
    world.state.factions["watch"] = Faction(id="watch")
    world.state.players["hero"] = msgspec.structs.replace(world.state.players["hero"], faction="watch")
    return world


@pytest.mark.parametrize(
    ("more", "hint"),
    [
        ({"language": "tlh"}, "known: 'en', 'de'"),
        ({"language": "english"}, "known: 'en', 'de'"),
        ({"scope": "party", "members": ["rival"], "members_max": 1}, "2 or more"),
        ({"scope": "server", "guild": "watch"}, "set scope to guild"),
        ({"guild": "watch"}, "set scope to guild"),
        ({"scope": "party", "guild": "watch"}, "set scope to guild"),
        ({"members": ["rival"]}, "only a party"),
        ({"scope": "guild", "guild": "watch", "members": ["rival"]}, "only a party"),
        ({"scope": "server", "members": ["rival"]}, "only a party"),
    ],
)
async def test_a_wish_that_contradicts_itself_is_refused_with_what_would_do(more: dict[str, Any], hint: str) -> None:
    stage = Stage(guilds())
    with pytest.raises(Invalid) as refused:
        await stage.ask(asked(**more))
    assert hint in refused.value.hint
    assert not stage.world.state.quests


@pytest.mark.parametrize("language", ["de", "de-AT", "DE_ch", ""])
async def test_a_language_with_a_region_is_told_in_the_language(language: str) -> None:
    assert (await Stage(hamlet()).quest(asked(language=language))).language == ("de" if language else "en")


@pytest.mark.parametrize(("most", "room"), [(None, 2), (0, 2), (2, 2), (5, 5)])
async def test_a_party_has_room_for_those_who_are_named(most: int | None, room: int) -> None:
    more = {} if most is None else {"members_max": most}
    quest = await Stage(hamlet()).quest(asked(scope="party", members=["rival", "hero"], **more))
    assert (quest.members, quest.members_max) == (("hero", "rival"), room)


def test_an_offer_lasts_longer_than_a_moment() -> None:
    with pytest.raises(msgspec.ValidationError, match="last_s"):
        asked(last_s=0.0)


async def test_who_forbids_everything_is_told_so() -> None:
    stage = Stage(hamlet())
    every = sorted(LIBRARY.vocabulary.schemas)
    with pytest.raises(Conflict) as refused:
        await stage.ask(asked(forbid=every))
    assert refused.value.hint == "every action is forbidden: forbid less"
    with pytest.raises(Conflict) as far:
        await stage.ask(asked(giver="smith", forbid=every))
    assert far.value.hint == "forbid less: there is a way"


async def test_who_forbids_nothing_is_not_told_to_forbid_less() -> None:
    world = hamlet()
    world.state.locations["mill"] = msgspec.structs.replace(world.state.locations["mill"], open=False)
    with pytest.raises(Conflict, match="cannot reach") as refused:
        await Stage(world).ask(asked(giver="smith"))
    assert "forbid" not in refused.value.hint


async def test_a_pager_never_begins_anew_unseen() -> None:
    stage = Stage(hamlet())
    made = [await stage.quest(asked(seed=seed)) for seed in range(3)]
    other = await stage.quest(asked(player="rival"))
    first = await stage.ask(List(player="hero", limit=2))
    assert isinstance(first, Listed)
    rest = await stage.ask(List(player="hero", limit=2, after=first.next))
    assert isinstance(rest, Listed)
    assert [quest.id for quest in (*first.quests, *rest.quests)] == [quest.id for quest in made]
    for unknown in ("nothing", other.id):
        with pytest.raises(NotFound) as refused:
            await stage.ask(List(player="hero", after=unknown))
        assert "without after" in refused.value.hint


@pytest.mark.parametrize(
    ("request_", "error", "hint"),
    [
        (Offer(kept="the-swrd", player="hero"), NotFound, "the-sword"),
        (Offer(kept="the-sword", player="hero", quest=draft(SWORD)), Invalid, "either quest or kept"),
        (Offer(player="hero"), Invalid, "send quest, or kept and player"),
        (Accept(quest="the-sword"), Conflict, "quests.offer"),
        (Accept(quest="gift"), Conflict, "quests.offer"),
    ],
)
async def test_a_kept_quest_is_named_once_and_right(request_: Any, error: type[Refused], hint: str) -> None:
    stage = Stage(hamlet())
    await stage.quest(asked())
    await stage.ask(Keep(quest=draft(SWORD, id="the-sword", player="")))
    await stage.ask(Keep(quest=draft({**SWORD, "target": "wolf"}, id="gift")))
    with pytest.raises(error) as refused:
        await stage.ask(request_)
    assert hint in refused.value.hint
    assert "quest-" not in refused.value.hint


@pytest.mark.parametrize("target", ["anna", "wolf"])
async def test_a_retry_of_keeping_is_answered_as_it_was_then(target: str) -> None:
    stage = Stage(hamlet())
    request = Keep(quest=draft({**SWORD, "target": target}, id="gift"), key="k")
    first = await stage.ask(request)
    assert isinstance(first, Kept)
    assert (first.verdict.certificate is None) == (first.state == "draft")
    await stage.post(EntityRemoved(entity_kind="item", id="sword"))
    again = await stage.ask(request)
    assert isinstance(again, Kept)
    assert msgspec.structs.replace(again, seq=first.seq) == first
    changed = await stage.ask(Keep(quest=request.quest, key="another"))
    assert isinstance(changed, Kept)
    assert changed.verdict != first.verdict
    with pytest.raises(Conflict, match="another request"):
        await stage.ask(Keep(quest=draft(*HERBS, id="gift"), key="k"))


async def test_a_retry_of_keeping_answers_where_its_id_is_in_play_by_now() -> None:
    stage = Stage(hamlet())
    offered = await stage.quest(asked())
    with pytest.raises(Conflict, match="is offered"):
        await stage.ask(Keep(quest=draft(SWORD, id=offered.id), key="k"))
    both = await asyncio.gather(*(stage.ask(Keep(quest=draft(SWORD, id="one"), key="two")) for _ in range(2)))
    assert both[0] == both[1]


async def test_two_retries_at_once_pay_once() -> None:
    heard: list[dict[str, Any]] = []

    def say(body: dict[str, Any]) -> str:
        heard.append(body)
        return liar(body)

    request = Generate(giver="npc0", player="hero", seed=1, words=True, key="k")
    async with Standin(say=say) as standin:
        words = Orchestrator([open_at("openai", standin)], clock=SystemClock(), watcher=Watch())
        stage = Stage(village(1), words=words)
        first, *others = await asyncio.gather(*(stage.quest(request) for _ in range(3)))
        await words.close()
    assert others == [first, first]
    assert len(heard) == 1
    assert sum(isinstance(event.change, WordsUsed) for event in stage.journal.events) == 1


async def test_who_waited_for_a_failed_request_asks_for_itself() -> None:
    stage = Stage(hamlet())
    requests = (asked(motive="none", key="k"), asked(key="k"))
    failed, made = await asyncio.gather(*map(stage.quest, requests), return_exceptions=True)
    assert isinstance(failed, Invalid)
    assert not isinstance(made, BaseException)
    assert list(stage.world.state.quests) == [made.id]


async def test_a_retry_of_a_quest_that_was_erased_is_told_so() -> None:
    stage = Stage(hamlet())
    made = await stage.quest(asked(key="k"))
    del stage.world.state.quests[made.id]
    with pytest.raises(NotFound, match="is gone"):
        await stage.ask(asked(key="k"))


def test_a_world_that_went_elsewhere_leaves_no_book() -> None:
    worlds = Worlds()
    books = Books(LIBRARY.vocabulary, worlds)
    here = [World("studio", f"world{number}") for number in range(3)]
    for world in here:
        worlds.add(world)
        books.of(world).moods.note(happened("attacked", "wolf", target="hero"), {"hero"}, 0.0)
    assert len(books.held("studio", "world0", "hero")) == 1
    for world in here[:2]:
        worlds.drop(world)
    worlds.add(World("studio", "world9"))
    books.of(worlds.get("studio", "world9"))
    assert [len(books.held("studio", f"world{number}", "hero")) for number in range(3)] == [0, 0, 1]


async def test_what_a_process_keeps_of_a_player_can_be_read_and_forgotten() -> None:
    stage = Stage(village(1))
    offered = await stage.quest(Generate(giver="npc0", player="hero", seed=1))
    for player in ("hero", "rival"):
        await stage.post(happened("attacked", "npc3", target=player))
    held, forget = stage.module.held, stage.module.forget
    assert held is not None
    assert forget is not None
    place = stage.world.tenant, stage.world.id
    beats = held(*place, "hero")["beats"]
    assert [beat["game_s"] for beat in beats] == [0.0]
    forget(*place, "hero")
    assert held(*place, "hero") == {"beats": []}
    assert held(*place, "rival")["beats"] == beats
    assert held("studio", "nowhere", "hero") == {"beats": []}
    forget("studio", "nowhere", "hero")
    assert (await stage.quest(Accept(quest=offered.id))).state == "active"
