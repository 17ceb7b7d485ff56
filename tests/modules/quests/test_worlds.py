"""Quests of the eight worlds: every certificate holds by the rules of a checker that has no code in common with us."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from app.core.errors import Conflict
from app.modules.quests.generation.casting import load_strategies
from app.modules.quests.generation.generator import Library, Wish, generate
from app.modules.quests.planning.domain import load_vocabulary
from app.modules.quests.planning.facts import View
from app.modules.quests.prose.writer import load_grammar
from app.modules.quests.settings import Settings
from app.world.state import State
from tests.modules.quests.checker import Wrong, check
from tests.modules.quests.worlds import NAMES, load

LIBRARY = Library(load_vocabulary(), load_strategies(), load_grammar())
SEEDS = 40


def quests(state: State) -> list[dict[str, Any]]:
    """Quests of that world, as JSON, by many givers; those who cannot be reached give none."""
    view = View.snapshot(state, Settings())
    hero = state.players["hero"]
    givers = [id for id, npc in state.npcs.items() if view.person(npc) and not view.hostile(npc, hero)]
    made: list[dict[str, Any]] = []
    for seed in range(SEEDS):
        try:
            quest = generate(LIBRARY, view, Wish(giver=givers[seed % len(givers)], player="hero", seed=seed, level=0))
        except Conflict:
            continue
        made.append(msgspec.to_builtins(quest))
    return made


@pytest.mark.parametrize("name", NAMES)
def test_every_certificate_is_played_to_its_end_by_a_checker_of_its_own(name: str) -> None:
    state = load(name).state
    made = quests(state)
    assert len(made) >= SEEDS // 2
    for quest in made:
        check(state, quest)


def _forged(quest: dict[str, Any]) -> list[dict[str, Any]]:
    """The quest with a certificate that does not hold: cut short, empty, of another world, or with another hash."""
    plan = quest["certificate"]["plan"]
    elsewhere = [[name, *("nowhere" for _ in args)] for name, *args in plan]
    forged = [{**quest["certificate"], "plan": other} for other in (plan[:-1], plan[1:], [], elsewhere)]
    forged.append({**quest["certificate"], "plan_sha256": "0" * 64})
    return [{**quest, "certificate": certificate} for certificate in forged]


@pytest.mark.parametrize("name", NAMES)
def test_the_checker_refuses_what_was_tampered_with(name: str) -> None:
    state = load(name).state
    for quest in quests(state)[:10]:
        for forged in _forged(quest):
            with pytest.raises(Wrong):
                check(state, forged)


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_does_not_hold_in_a_world_that_lost_what_it_needs(name: str) -> None:
    state = load(name).state
    for quest in quests(state)[:10]:
        held = {args[0] for action, *args in quest["certificate"]["plan"] if action in ("take", "gather", "trade")}
        for item in held:
            kept = state.items.pop(item)
            with pytest.raises(Wrong):
                check(state, quest)
            state.items[item] = kept
