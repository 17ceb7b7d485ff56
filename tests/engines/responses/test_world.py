"""A whole server's response cache: what happens in a world, to a person and to a tenant's settings forgets lines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.build import MODULE_SETTINGS, ROOT, Innkeeper, build
from app.core.messages import Change
from app.core.profile import layers, load
from app.core.tenants import TenantSettings
from app.core.words import Completion, Keep, Part
from app.engines.responses.cache import Responses
from app.world.entities import Fact, Item, Location, Npc, Player
from app.world.events import EntityRemoved, EntityUpserted, FactAsserted, Happened, QuestRecorded, RelationChanged
from tests.engines.responses.kept import text_of, told
from tests.standin import KEY, Standin

TENANT, WORLD = "default", "vale"
ENTITIES = (
    Location(id="inn", name="Gilded Goose"),
    Npc(id="mira", name="Mira", location="inn"),
    Npc(id="tom", name="Tom", location="inn"),
    Player(id="p1", name="Robin", location="inn"),
    Player(id="p2", name="Sly", location="inn"),
    Item(id="axe", name="axe", holder="tom"),
)


class House:
    """A server in this process over a stand-in provider whose lines are numbered."""

    def __init__(self, innkeeper: Innkeeper, lines: list[str]) -> None:
        self.innkeeper = innkeeper
        self.lines = lines

    @property
    def cache(self) -> Responses:
        running = [engine for engine in self.innkeeper.engines._running if isinstance(engine, Responses)]
        return running[0]

    async def happens(self, *changes: Change) -> None:
        await self.innkeeper.journal.append(TENANT, WORLD, list(changes))

    async def hears(self, *state: str, player: str = "p1", said: str = "Good day!") -> str:
        """What a player is told who asks where that state matters."""
        completion = Completion(
            task="dialogue.reply",
            parts=(Part(trust="system", text="You are Mira."), Part(trust="player", text=said)),
            output_tokens_max=64,
            tenant=TENANT,
            world=WORLD,
            npc="mira",
            player=player,
            keep=Keep(said=said, state=state),
        )
        return text_of(await told(self.cache, completion, 10_000.0))


@pytest_asyncio.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    lines: list[str] = []

    def say(_body: object) -> str:
        lines.append(f"Line {len(lines) + 1} of the evening.")
        return lines[-1]

    async with Standin(say=say) as standin:
        flags = {
            "server.data_folder": str(tmp_path),
            "engines.openai.base_url": standin.openai_url,
            "engines.words.providers": "openai",
            "responses.variants_max": 1,
        }
        loaded = load(layers(ROOT / "profiles", mode=1, file=None, environment={}, flags=flags), MODULE_SETTINGS)
        innkeeper = await build(loaded.profile)
        try:
            await innkeeper.journal.create_world(TENANT, WORLD)
            found = House(innkeeper, lines)
            await found.happens(*(EntityUpserted(entity=entity) for entity in ENTITIES))
            yield found
        finally:
            await innkeeper.close()


@pytest.mark.parametrize(
    ("state", "change"),
    [
        ("npc:tom", Happened(verb="killed", actor="p2", target="tom")),
        ("npc:tom", Happened(verb="died", actor="tom")),
        ("npc:tom", EntityRemoved(entity_kind="npc", id="tom")),
        ("npc:mira", EntityUpserted(entity=Npc(id="mira", name="Mira the Bold", location="inn"))),
        ("npc:tom", FactAsserted(fact=Fact(subject="tom", predicate="mood", value="grim"))),
        ("fact:world", FactAsserted(fact=Fact(subject="world", predicate="weather", value="hail"))),
        ("quest:q7", QuestRecorded(id="q7", state="completed", body=b"\x80")),
        ("item:axe", Happened(verb="gave", actor="tom", target="p1", item="axe")),
        ("location:inn", Happened(verb="unlocked", actor="tom", location="inn")),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_what_happens_forgets_what_was_written_about_it(house: House, state: str, change: Change) -> None:
    first, other = await house.hears(state), await house.hears("npc:nobody")
    assert await house.hears(state, player="p2") == first
    await house.happens(RelationChanged(npc="mira", other="p1", delta=0.1))
    assert await house.hears(state, player="p2") == first
    await house.happens(change)
    assert await house.hears(state, player="p2") != first
    assert await house.hears("npc:nobody", player="p2") == other


@pytest.mark.parametrize("how", ["erased", "restricted"])
async def test_what_was_said_to_a_person_goes_with_them(house: House, how: str) -> None:
    """In every world, whatever else it depended on; what others heard stays."""
    await house.hears(said="I am Robin of Loxley", player="p1")
    theirs = await house.hears(player="p2")
    privacy = house.innkeeper.privacy
    if how == "erased":
        await privacy.erase(TENANT, "p1", actor="key:test")
    else:
        await privacy.restrict(TENANT, "p1", actor="key:test", restricted=True)
    near = house.cache._levels.near
    kept = [held.line.text for shelf in near._shelves.values() for held in shelf.held]
    assert kept == [theirs]
    assert "Loxley" not in str([row.said for rows in house.cache._semantic._index._rows.values() for row in rows])


async def test_new_settings_of_the_tenant_forget_all_that_was_written(house: House) -> None:
    first = await house.hears()
    settings = TenantSettings(engines=("openai",))
    await house.innkeeper.settings.put(TENANT, 1, settings=settings)
    assert await house.hears(player="p2") != first


async def test_the_counts_are_in_the_metrics_and_the_status(house: House) -> None:
    await house.hears()
    await house.hears(player="p2")
    rendered = house.innkeeper.metrics.render().decode()
    assert 'innkeeper_responses_total{outcome="hit"} 1.0' in rendered
    status = next(each for each in house.innkeeper.engines.statuses() if each.name == "responses")
    assert "1 hit" in status.detail
    assert status.provider == "semantic shadow"
