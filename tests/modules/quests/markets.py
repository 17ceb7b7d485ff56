"""An arbitrage search: a player who wants coins for nothing, in a market that sells back what it is brought."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from app.core.errors import Conflict
from app.modules.quests.generation import balance
from app.modules.quests.generation.generator import Wish, generate
from app.modules.quests.generation.history import Past, past_of
from app.modules.quests.messages import Quest
from app.modules.quests.module import load_library
from app.modules.quests.planning.facts import View
from app.modules.quests.settings import Settings
from app.world.entities import Item, Location, Npc, Player
from app.world.state import World

LIBRARY = load_library()
PLAIN = Settings()
Deal = tuple[Quest, float]
"""A quest and what it leaves beyond what is spent."""


def market(seed: int) -> World:
    """Traders who sell each other's goods back: what is delivered to one of them can be bought there again."""
    world = World("studio", "market")
    state = world.state
    for id, near in (("square", ("hall",)), ("hall", ("square",))):
        state.locations[id] = Location(id=id, connects=near)
    for number, place in enumerate(("square", "hall", "square")):
        state.npcs[f"trader{number}"] = Npc(id=f"trader{number}", archetype="merchant", location=place)
    for number in range(3):
        price = float(1 + (seed * 7 + number * 3) % 12)
        state.items[f"ware{number}"] = Item(
            id=f"ware{number}", item_kind=("ring", "book")[(seed + number) % 2], holder=f"trader{number}", value=price
        )
    state.players["hero"] = Player(id="hero", location="square")
    return world


def _deals(world: World, history: tuple[Past, ...]) -> Iterator[Deal]:
    view = View(world.state, PLAIN)
    seen: set[tuple[tuple[str, ...], ...]] = set()
    for giver in world.state.npcs:
        for seed in range(3):
            wish = Wish(giver=giver, player="hero", seed=seed, level=0, motive="equipment", history=history)
            try:
                quest = generate(LIBRARY, view, wish)
            except Conflict:
                continue
            if quest.certificate.plan not in seen:
                seen.add(quest.certificate.plan)
                bought = [step.event.item for step in quest.steps if step.action == "trade"]
                prices = sum(balance.price(world.state.items[item], PLAIN) for item in bought)
                yield quest, quest.reward.coins - prices


def loops(world: World, history: tuple[Past, ...], left: int, *, forgets: bool) -> Iterator[list[str]]:
    """Quests after which every ware is where it was when the first of them was asked for, and coins are left over."""
    start = {id: item.holder for id, item in world.state.items.items()}

    def walk(history: tuple[Past, ...], left: int, gained: float, path: list[str]) -> Iterator[list[str]]:
        for quest, gain in list(_deals(world, () if forgets else history)) if left else ():
            before = dict(world.state.items)
            for step in quest.steps:
                event = step.event
                to = event.target if event.verb in ("gave", "traded") else "hero" if event.verb == "took" else ""
                if to and event.item:
                    held = world.state.items[event.item]
                    world.state.items[event.item] = msgspec.structs.replace(held, holder=to)
            goals = tuple(msgspec.structs.replace(goal, done=True) for goal in quest.goals)
            done = past_of(msgspec.structs.replace(quest, state="completed", goals=goals))
            moved = {id: item.holder for id, item in world.state.items.items()}
            if moved != {id: item.holder for id, item in before.items()}:
                if moved == start and gained + gain > 0:
                    yield [*path, quest.id]
                yield from walk((done, *history), left - 1, gained + gain, [*path, quest.id])
            world.state.items = before

    yield from walk(history, left, 0.0, [])
