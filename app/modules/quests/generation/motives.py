"""Why a giver asks: its unmet needs, as it says them and as its world shows them, against what a player did lately.

It weighs; the draw itself is by seed, so that no motive is ever certain.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.modules.quests.generation.casting import Stage
from app.modules.quests.generation.strategies import StrategyFile
from app.world.entities import Npc

NEED_WEIGHT = 4.0
"""How much a need of 1.0 adds to its motive's chance."""
FELT = 0.4
"""A need that nobody states but the world shows."""


def motive_weights(strategies: StrategyFile, stage: Stage, only: str = "") -> dict[str, float]:
    """How much each motive moves the giver: by nature, trade and need, less what the player has had of it."""
    giver = stage.view.npcs[stage.giver]
    shown = _shown(stage, giver)
    weights: dict[str, float] = {}
    for name, motive in strategies.motives.items():
        if only and name != only:
            continue
        felt = max(_stated(giver, name), shown.get(name, 0.0))
        calling = max(motive.archetypes.get(word, 1.0) for word in (giver.archetype, *giver.tags))
        weights[name] = (motive.weight * calling + NEED_WEIGHT * felt) * stage.memory.motive(name)
    return weights


def _stated(giver: Npc, motive: str) -> float:
    """What the giver's attribute `need_<motive>` says, in [0, 1]."""
    need = giver.attributes.get(f"need_{motive}", 0.0)
    return min(1.0, max(0.0, float(need))) if isinstance(need, int | float) else 0.0


def _shown(stage: Stage, giver: Npc) -> Mapping[str, float]:
    """Needs that the giver's surroundings show: a foe near its place, friends in chains, nothing of its own."""
    view = stage.view
    place = view.place_of(giver)
    shown: dict[str, float] = {}
    if place and view.threatened(place, stage.hero.entity):
        shown["protection"] = FELT
    if giver.faction and any(stage.captive_of(giver.faction)):
        shown["serenity"] = FELT
    return shown
