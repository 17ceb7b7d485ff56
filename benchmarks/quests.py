"""Quests: how many can be completed, what they cost, and what they cover.

Worlds are drawn from seeds. Every quest counted as completable was played to its end by posting its steps' events
to a real world through the reducers. No peer is run here.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator

import msgspec
import report

from app.core.errors import Conflict
from app.core.messages import Event
from app.modules.quests import logic
from app.modules.quests.generation.casting import load_strategies
from app.modules.quests.generation.generator import Library, Wish, generate
from app.modules.quests.messages import Draft, DraftStep, Quest
from app.modules.quests.planning.domain import load_vocabulary
from app.modules.quests.planning.facts import View
from app.modules.quests.prose.writer import load_grammar
from app.modules.quests.settings import Settings
from app.modules.quests.verification.verify import examine
from app.world import reducers
from app.world.entities import Item, Location, Npc, Player
from app.world.state import World

SIZES = {"small": (10, 15, 20), "mid": (50, 100, 150)}
"""Places, NPCs, items."""
ARCHETYPES = ("villager", "guard", "merchant", "farmer", "smith", "scholar", "wolf", "bandit")
KINDS = ("herb", "sword", "ring", "ore", "book")
LATER = {
    "soft_lock_free_share": 1.0, "false_rejects": 0.0, "repair_p95_ms": 100.0, "grounded_share": 1.0,
    "distinct_2.description": 0.6, "distinct_2.objective": 0.55, "self_bleu_4.description": 0.2,
    "self_bleu_4.objective": 0.25, "exploit_loops": 0.0, "planner_ratio.small": None,
}  # fmt: skip


def village(size: str, seed: int) -> World:
    """A connected world of that size, with some locked places, their keys, foes and sellers."""
    places, npcs, items = SIZES[size]
    chance = random.Random(seed)
    world = World("bench", "vale")
    ids = [f"place{number}" for number in range(places)]
    ways: dict[str, set[str]] = {id: set() for id in ids}
    for number in range(1, places):
        other = ids[chance.randrange(number)]
        ways[ids[number]].add(other)
        ways[other].add(ids[number])
    closed = [id for id in ids[2:] if chance.random() < 0.1]
    for id in ids:
        world.state.locations[id] = Location(id=id, connects=tuple(sorted(ways[id])), open=id not in closed)
    for number in range(npcs):
        kind = chance.choice(ARCHETYPES)
        world.state.npcs[f"npc{number}"] = Npc(
            id=f"npc{number}", archetype=kind, location=chance.choice(ids), level=chance.randint(1, 6)
        )
    for number in range(items):
        holder = chance.choice(ids) if chance.random() < 0.6 else f"npc{chance.randrange(npcs)}"
        opens = {"opens": closed[number]} if number < len(closed) else {}
        world.state.items[f"item{number}"] = Item(
            id=f"item{number}",
            item_kind=chance.choice(KINDS),
            holder=holder,
            value=chance.uniform(0, 50),
            attributes=opens,
        )
    world.state.players["hero"] = Player(id="hero", location=ids[0], level=3)
    return world


def quests(library: Library, size: str, count: int) -> Iterator[tuple[World, Quest, float]]:
    """Worlds, a quest in each, and the CPU milliseconds that generation and proof took."""
    for seed in range(count):
        world = village(size, seed % 8)
        givers = [id for id, npc in world.state.npcs.items() if npc.archetype not in ("wolf", "bandit")]
        wish = Wish(giver=givers[seed % len(givers)], player="hero", seed=seed, level=0)
        began = time.process_time()
        try:
            quest = generate(library, View.snapshot(world.state, Settings()), wish)
        except Conflict:
            continue
        yield world, quest, 1e3 * (time.process_time() - began)


def completes(world: World, quest: Quest) -> bool:
    """Whether posting the events of the steps, one by one, completes the quest."""
    active, view = logic.accepted(quest), View(world.state, Settings())
    for step in quest.steps:
        reducers.check(world, step.event)
        seq = world.state.seq + 1
        reducers.apply(world.state, Event(seq=seq, id=str(seq), wall_ms=0, game_s=0.0, change=step.event))
        active = logic.completed(logic.progressed(active, step.event, view), view)
    return active.state == "completed"


def recheck_ms(library: Library, world: World, quest: Quest, seed: int) -> float:
    """What it costs to look again at an active quest after something that it depends on died or was lost."""
    active = logic.accepted(quest)
    touched = [id for id in logic.touched_by(quest) if id in world.state.npcs or id in world.state.items]
    hurt = touched[seed % len(touched)]
    npc, item = world.state.npcs.get(hurt), world.state.items.pop(hurt, None)
    if npc is not None:
        world.state.npcs[hurt] = msgspec.structs.replace(npc, alive=False)
    began = time.process_time()
    logic.rechecked(library, View(world.state, Settings()), active, states_max=Settings().recheck_states_max)
    taken = 1e3 * (time.process_time() - began)
    if npc is not None:
        world.state.npcs[hurt] = npc
    if item is not None:
        world.state.items[hurt] = item
    return taken


def broken_rejected(library: Library, count: int) -> float:
    """The share of quests for things that lie out of reach which are rejected."""
    rejected = 0
    for seed in range(count):
        world = village("small", seed)
        world.state.locations["moon"] = Location(id="moon")
        world.state.items["lost"] = Item(id="lost", holder="moon")
        giver = next(iter(world.state.npcs))
        step = DraftStep(id="bring", action="give", item="lost", target=giver)
        found = examine(library, View(world.state, Settings()), Draft(title="Lost", giver=giver, steps=(step,)))
        rejected += found.verdict.verdict == "rejected"
    return rejected / count


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def ranks(values: list[float]) -> list[float]:
    """Each value's mean rank, ties sharing theirs."""
    ordered = sorted(values)
    first = {value: number for number, value in reversed(list(enumerate(ordered)))}
    last = {value: number for number, value in enumerate(ordered)}
    return [(first[value] + last[value]) / 2 for value in values]


def main() -> None:
    told = report.start("quests")
    library = Library(load_vocabulary(), load_strategies(), load_grammar())
    count = 400 if told.options.quick else 4_000
    small = list(quests(library, "small", count))
    mid = list(quests(library, "mid", count // 4))
    rechecks = [recheck_ms(library, world, quest, seed) for seed, (world, quest, _) in enumerate(small)]
    effort = [quest.reward.effort for _, quest, _ in small]
    coins = [float(quest.reward.coins) for _, quest, _ in small]
    actions = {step.action for _, quest, _ in (*small, *mid) for step in quest.steps}
    motives = {quest.motive for _, quest, _ in small} - {""}
    strategies = {quest.strategy for _, quest, _ in (*small, *mid)}
    done = sum(completes(world, quest) for world, quest, _ in (*small, *mid))
    told.add("completable_share", done / (len(small) + len(mid)), "", "higher", goal=1.0)
    told.add("broken_rejected_share", broken_rejected(library, 200), "", "higher", goal=1.0)
    told.add("generate_p95_ms.small", p95([ms for _, _, ms in small]), "ms", "lower", goal=20.0)
    told.add("generate_p95_ms.mid", p95([ms for _, _, ms in mid]), "ms", "lower", goal=150.0)
    told.add("recheck_p95_ms", p95(rechecks), "ms", "lower", goal=1.0)
    told.add("motivations", float(len(motives)), "of 9", "higher", goal=9.0)
    told.add("strategies", float(len(strategies)), f"of {len(library.strategies.strategy)}", "higher")
    told.add("actions", float(len(actions)), f"of {len(library.vocabulary.schemas)}", "higher", goal=20.0)
    told.add("reward_effort_spearman", statistics.correlation(ranks(effort), ranks(coins)), "", "higher", goal=0.8)
    for id, goal in LATER.items():
        lower = id.startswith(("false", "repair", "self", "exploit"))
        told.add(id, None, "", "lower" if lower else "higher", goal=goal, why="not measured yet")
    told.close()


if __name__ == "__main__":
    main()
