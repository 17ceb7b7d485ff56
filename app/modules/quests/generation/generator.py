"""Writing a quest: motive, strategy, cast, proof, reward, prose. Pure: a view and a seed in, a quest out.

Bounded: full strategies first, then simple ones, last a template that needs no more than a giver whom
the player can reach. Source of motives and strategies: Doran and Parberry 2011.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from app.core.errors import Conflict, Invalid, NotFound, nearest
from app.core.ids import stable_hash
from app.modules.quests.generation.casting import Stage, Strategy, StrategyFile, castings, goals_of
from app.modules.quests.messages import Quest
from app.modules.quests.planning.domain import Vocabulary
from app.modules.quests.planning.facts import Hero, View, hero_of
from app.modules.quests.planning.planner import Plan
from app.modules.quests.prose.heard import Heard
from app.modules.quests.prose.telling import told
from app.modules.quests.prose.writer import Grammar, Writer
from app.modules.quests.verification.certify import Proof, Question, certificate, goals_shown, prove, reward, steps_of

RESERVED = frozenset({"kill", "steal", "spy", "escort"})
"""Actions that a plan may use only where the strategy asks for them: they harm, or drag people about."""
NEED_WEIGHT = 4.0
"""How much a need of 1.0 adds to its motive's chance."""
REPEAT_WEIGHT = 0.2
"""What is left of a strategy's chance when the giver used it for this player before."""


@dataclass(frozen=True, slots=True)
class Library:
    """The data that quests are made from, read once."""

    vocabulary: Vocabulary
    strategies: StrategyFile
    grammar: Grammar


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of the generator; `used` are strategies that this giver gave this player before."""

    giver: str
    player: str
    seed: int
    level: int
    motive: str = ""
    forbid: frozenset[str] = frozenset()
    taken: frozenset[str] = frozenset()
    used: frozenset[str] = frozenset()


def generate(library: Library, view: View, wish: Wish) -> Quest:
    """A proved quest; raises NotFound, Invalid, or Conflict saying why no quest can be completed."""
    hero = _checked(library, view, wish)
    stage = Stage(
        view=view,
        hero=hero,
        giver=wish.giver,
        seed=wish.seed,
        reach=view.walk(hero.place) if hero.place else {},
        taken=wish.taken | {wish.giver, wish.player},
    )
    _require_reachable(library, stage, wish)
    tries = 0
    for strategy in _in_order(library.strategies, view, wish):
        limits = view.settings
        for cast in castings(stage, strategy, bindings_max=limits.bindings_max, candidates_max=limits.candidates_max):
            tries += 1
            proof = _proved(library, stage, strategy, cast, wish)
            if isinstance(proof.outcome, Plan) and 0 < len(proof.outcome.operators) <= limits.plan_steps_max:
                return _frozen(library, stage, strategy, cast, wish, proof.outcome, tries)
    raise Conflict(
        f"no quest of {wish.giver!r} can be completed by {wish.player!r}: none of {tries} casts has a plan",
        hint="try another seed or motive, or forbid less",
    )


def _checked(library: Library, view: View, wish: Wish) -> Hero:
    if wish.giver not in view.npcs:
        raise NotFound(f"giver {wish.giver!r} is no NPC", hint=nearest(wish.giver, view.npcs))
    if wish.player not in view.players:
        raise NotFound(f"player {wish.player!r} is no player", hint=nearest(wish.player, view.players))
    if wish.motive and wish.motive not in library.strategies.motives:
        raise Invalid(
            f"motive {wish.motive!r} is none of the nine", hint=nearest(wish.motive, library.strategies.motives)
        )
    for action in sorted(wish.forbid - library.vocabulary.schemas.keys()):
        raise Invalid(f"forbid names {action!r}, which is no action", hint=nearest(action, library.vocabulary.schemas))
    if not view.npcs[wish.giver].alive:
        raise Conflict(f"giver {wish.giver!r} is dead", hint="only the living give quests")
    if not view.person(view.npcs[wish.giver]):
        raise Conflict(f"giver {wish.giver!r} is a beast", hint="ask someone who can speak")
    return hero_of(view, wish.player, wish.giver)


def _require_reachable(library: Library, stage: Stage, wish: Wish) -> None:
    """Raise Conflict when the player cannot even come to the giver."""
    place = stage.place(stage.giver)
    if not place:
        raise Conflict(f"giver {wish.giver!r} is nowhere", hint="give it a location, work or home that exists")
    question = Question(
        goals=(("here", place),),
        seeds=(place,),
        schemas=library.vocabulary.without(RESERVED | wish.forbid),
    )
    proof = prove(stage.view, stage.hero, question, states_max=stage.view.settings.states_max)
    if not isinstance(proof.outcome, Plan):
        raise Conflict(
            f"{wish.player!r} at {stage.hero.place!r} cannot reach giver {wish.giver!r} at {place!r}",
            hint="connect the places, or open one on the way",
        )


def _in_order(strategies: StrategyFile, view: View, wish: Wish) -> Iterator[Strategy]:
    """Weighted draw without repeats of the full strategies, then the simple ones, then the template."""
    weights = motive_weights(strategies, view, wish)
    allowed = [strategy for strategy in strategies.strategy if wish.forbid.isdisjoint(strategy.needs)]

    def turn(strategy: Strategy) -> tuple[float, str]:
        weight = weights.get(strategy.motive, 1.0) * (REPEAT_WEIGHT if strategy.id in wish.used else 1.0)
        return _turn(stable_hash(wish.seed, "strategy", strategy.id), weight), strategy.id

    full = [found for found in allowed if found.rung == "strategy" and found.motive in weights]
    yield from sorted(full, key=turn)[: view.settings.tries_max]
    yield from sorted((found for found in allowed if found.rung == "simple"), key=turn)
    yield from (found for found in allowed if found.rung == "template")


def _turn(drawn: int, weight: float) -> float:
    """A key whose ascending order is a weighted draw without repeats (Efraimidis and Spirakis 2006)."""
    uniform = (drawn + 1) / float(1 << 63)
    return -math.log(min(uniform, 1.0 - 1e-12)) / weight


def motive_weights(strategies: StrategyFile, view: View, wish: Wish) -> dict[str, float]:
    """How much each motive moves the giver: by nature, by trade, and by its needs (`need_<motive>`)."""
    giver = view.npcs[wish.giver]
    weights: dict[str, float] = {}
    for name, motive in strategies.motives.items():
        if wish.motive and name != wish.motive:
            continue
        need = giver.attributes.get(f"need_{name}", 0.0)
        felt = min(1.0, max(0.0, float(need))) if isinstance(need, int | float) else 0.0
        calling = max(motive.archetypes.get(word, 1.0) for word in (giver.archetype, *giver.tags))
        weights[name] = motive.weight * calling + NEED_WEIGHT * felt
    return weights


def _proved(library: Library, stage: Stage, strategy: Strategy, cast: dict[str, str], wish: Wish) -> Proof:
    barred = (RESERVED - set(strategy.needs)) | wish.forbid
    goals = goals_of(strategy, cast)
    question = Question(goals=goals, seeds=tuple(cast.values()), schemas=library.vocabulary.story(barred, goals))
    return prove(stage.view, stage.hero, question, states_max=stage.view.settings.cast_states_max)


def _frozen(
    library: Library, stage: Stage, strategy: Strategy, cast: dict[str, str], wish: Wish, plan: Plan, tries: int
) -> Quest:
    view, steps, goals = stage.view, plan.operators, goals_of(strategy, cast)
    writer = Writer(library.grammar, view, wish.seed)
    level = wish.level or stage.hero.level
    quest = Quest(
        id=quest_id(wish.giver, wish.player, wish.seed, view.seq),
        state="offered",
        giver=wish.giver,
        player=wish.player,
        title="",
        description="",
        motive=strategy.motive,
        strategy=strategy.id,
        level=level,
        forbid=tuple(sorted((RESERVED - set(strategy.needs)) | wish.forbid)),
        roles=cast,
        goals=goals_shown(goals, steps, view=view, writer=writer),
        steps=steps_of(steps, player=wish.player, goals=goals, writer=writer),
        reward=reward(plan.cost, level, view.settings),
        certificate=certificate(
            steps, goals, vocabulary=library.vocabulary, view=view, seed=wish.seed, rung=strategy.rung, tries=tries
        ),
    )
    return quest


def quest_id(*parts: str | int) -> str:
    """An id that the same parts always give: 16 hex digits."""
    return f"quest-{stable_hash(*parts):016x}"
