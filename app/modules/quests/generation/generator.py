"""Making a quest: motive, strategy, plot, cast, proof, branches, reward, prose. Pure: a view, a seed in, a quest out.

Bounded: full strategies first, then simple ones, last a template that needs no more than a giver whom
the player can reach. Source of motives and strategies: Doran and Parberry 2011.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from app.core.errors import Conflict, Invalid, NotFound, nearest
from app.core.ids import stable_hash
from app.modules.quests.generation import balance
from app.modules.quests.generation.branches import branches, renamed
from app.modules.quests.generation.casting import PLACED, Stage, castings, reach_of, turn
from app.modules.quests.generation.history import Memory, Past
from app.modules.quests.generation.motives import motive_weights
from app.modules.quests.generation.pacing import Pace
from app.modules.quests.generation.proving import Course, course
from app.modules.quests.generation.strategies import RESERVED, Plot, Strategy, StrategyFile
from app.modules.quests.planning.domain import PLAYER, Vocabulary
from app.modules.quests.planning.facts import Hero, View, hero_of
from app.modules.quests.planning.planner import Plan
from app.modules.quests.prose.grammar import Grammar, grammar_for, languages, spoken
from app.modules.quests.prose.heard import Heard
from app.modules.quests.prose.telling import told
from app.modules.quests.prose.writer import Writer
from app.modules.quests.quest import Branch, Certificate, Credit, Quest, Reward, Scope, Share
from app.modules.quests.verification import full
from app.modules.quests.verification.certify import Question, goals_shown, prove, steps_of

REPEAT_WEIGHT = 0.2
"""What is left of a strategy's chance when the giver used it for this player before."""
AVOIDED_WEIGHT = 0.25
"""What is left of a strategy's chance when it may ask for an action that a tired player is spared."""


@dataclass(frozen=True, slots=True)
class Library:
    """The data that quests are made from, read once."""

    vocabulary: Vocabulary
    strategies: StrategyFile
    grammar: Grammar


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of the generator.

    `taken` are entities bound in live quests, `spared` those whom one of them needs alive and free, `used` strategies
    that this giver gave this player before, `history` the player's quests of all givers, the newest first. In a quest
    of a guild or the server `player` is whoever asks: it is proved from where that one stands, and anybody may do it.
    `pace` is what the player is in the mood for; it makes quests likelier and rules none out.
    """

    giver: str
    player: str
    seed: int
    level: int
    motive: str = ""
    forbid: frozenset[str] = frozenset()
    taken: frozenset[str] = frozenset()
    spared: frozenset[str] = frozenset()
    used: frozenset[str] = frozenset()
    history: tuple[Past, ...] = ()
    language: str = "en"
    heard: tuple[str, ...] = ()
    """Texts of quests that were told in this world of late; they are not worded alike again."""
    scope: Scope = "solo"
    members: tuple[str, ...] = ()
    guild: str = ""
    members_max: int = 0
    """How many may take part; 0 means as many as are named."""
    credit: Credit = "contributors"
    share: Share = "each"
    last_s: float | None = None
    repeat_s: float | None = None
    pace: Pace | None = None

    @property
    def shared(self) -> bool:
        """Whether it belongs to nobody in particular."""
        return self.scope in ("guild", "server")

    @property
    def doer(self) -> str:
        """Whom step events name."""
        return PLAYER if self.shared else self.player

    @property
    def party(self) -> tuple[str, ...]:
        """The members from the start, the leader first."""
        if self.scope != "party":
            return ()
        return tuple(dict.fromkeys((self.player, *self.members)))

    @property
    def players_max(self) -> int:
        return max(self.members_max, len(self.party), 1)


@dataclass(frozen=True, slots=True)
class _Found:
    """A course with its branches and the certificate of them all."""

    main: Course
    others: dict[str, Course]
    reward: Reward
    certificate: Certificate


def generate(library: Library, view: View, wish: Wish) -> Quest:
    """A proved quest; raises NotFound, Invalid, or Conflict saying why no quest can be completed."""
    stage = _stage(library, view, wish)
    _require_reachable(library, stage, wish)
    tries = 0
    for strategy in _in_order(library.strategies, stage, wish):
        found = _Trial(library, stage, wish, tries)
        best = found.best(strategy)
        tries = found.tries
        if best is not None:
            return _frozen(library, stage, wish, best)
    raise Conflict(
        f"no quest of {wish.giver!r} can be completed by {wish.player!r}: none of {tries} casts has a plan",
        hint=_ease(library, wish),
    )


def _ease(library: Library, wish: Wish) -> str:
    """What might make a quest possible where none is."""
    if wish.forbid >= library.vocabulary.schemas.keys():
        return "every action is forbidden: forbid less"
    return "forbid less, or try another seed or motive" if wish.forbid else "try another seed or motive"


def quest_id(*parts: str | int) -> str:
    """An id that the same parts always give: 16 hex digits."""
    return f"quest-{stable_hash(*parts):016x}"


def _stage(library: Library, view: View, wish: Wish) -> Stage:
    hero = _checked(library, view, wish)
    level = wish.level or max(1, hero.level + (wish.pace.level_offset if wish.pace is not None else 0))
    return Stage(
        view=view,
        hero=hero,
        giver=wish.giver,
        seed=wish.seed,
        level=level,
        budget=balance.budget(level, view.settings),
        reach=reach_of(view, hero),
        taken=wish.taken | {wish.giver, wish.player, *wish.members},
        spared=wish.spared,
        memory=Memory(wish.history),
    )


def _checked(library: Library, view: View, wish: Wish) -> Hero:
    if wish.giver not in view.npcs:
        raise NotFound(f"giver {wish.giver!r} is no NPC", hint=nearest(wish.giver, view.npcs))
    for player in (wish.player, *wish.members):
        if player not in view.players:
            raise NotFound(f"player {player!r} is no player", hint=nearest(player, view.players))
    if wish.scope == "guild" and wish.guild not in view.factions:
        raise NotFound(f"guild {wish.guild!r} is no faction", hint=nearest(wish.guild, view.factions))
    _require_sound(wish)
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


def _require_sound(wish: Wish) -> None:
    """Raise Invalid where the wish contradicts itself or asks for texts that nobody can write."""
    if not spoken(wish.language):
        known = ", ".join(repr(language) for language in languages())
        raise Invalid(f"no quest is told in the language {wish.language!r}", hint=f"known: {known}")
    named = len(wish.party)
    if 0 < wish.members_max < named:
        raise Invalid(
            f"members_max is {wish.members_max}, and the party has {named} members, its leader among them",
            hint=f"set members_max to {named} or more, or leave it out",
        )


def _require_reachable(library: Library, stage: Stage, wish: Wish) -> None:
    """Raise Conflict when the player cannot even come to the giver."""
    place = stage.place(stage.giver)
    if not place:
        raise Conflict(f"giver {wish.giver!r} is nowhere", hint="give it a location, work or home that exists")
    view, hero = stage.view, stage.hero
    if "goto" not in wish.forbid and view.locations[place].open and place in view.walk(hero.place, hero.level):
        return

    def reached(forbid: frozenset[str]) -> bool:
        schemas = library.vocabulary.without(RESERVED | forbid)
        question = Question(goals=(("here", place),), seeds=(place,), schemas=schemas)
        return isinstance(prove(view, hero, question, states_max=view.settings.states_max).outcome, Plan)

    if reached(wish.forbid):
        return
    barred = bool(wish.forbid) and reached(frozenset())
    raise Conflict(
        f"{wish.player!r} at {hero.place!r} cannot reach giver {wish.giver!r} at {place!r}",
        hint="forbid less: there is a way" if barred else "connect the places, or open one on the way",
    )


def _in_order(strategies: StrategyFile, stage: Stage, wish: Wish) -> Iterator[Strategy]:
    """Weighted draw without repeats of the full strategies, then the simple ones, then the template."""
    weights = motive_weights(strategies, stage, wish.motive)
    shares = {name: sum(found.motive == name for found in strategies.strategy) for name in weights}

    def order(strategy: Strategy) -> tuple[float, str]:
        weight = weights.get(strategy.motive, 1.0) / shares.get(strategy.motive, 1)
        weight *= stage.memory.strategy(strategy.id) * (REPEAT_WEIGHT if strategy.id in wish.used else 1.0)
        if wish.pace is not None:
            weight *= wish.pace.weights.get(strategy.motive, 1.0)
            weight *= 1.0 if wish.pace.avoid.isdisjoint(strategy.needs) else AVOIDED_WEIGHT
        return turn(stable_hash(wish.seed, "strategy", strategy.id), weight), strategy.id

    full = [found for found in strategies.strategy if found.rung == "strategy" and found.motive in weights]
    yield from sorted(full, key=order)[: stage.view.settings.tries_max]
    yield from sorted((found for found in strategies.strategy if found.rung == "simple"), key=order)
    yield from (found for found in strategies.strategy if found.rung == "template")


@dataclass
class _Trial:
    """Proving one strategy with a few plots and casts; `tries` counts those of the whole quest."""

    library: Library
    stage: Stage
    wish: Wish
    tries: int

    def best(self, strategy: Strategy) -> _Found | None:
        """The first plot's course that is certified; of a few courses the least exposed is tried first."""
        for plot in self._plots(strategy):
            for main in sorted(self._courses(plot), key=self._rank):
                found = self._certified(main)
                if found is not None:
                    return found
        return None

    def _rank(self, main: Course) -> tuple[float, float]:
        """How far a course's effort lies from what the player is in the mood for, then how exposed it is."""
        pace, effort = self.wish.pace, main.plan.cost
        off = max(0.0, pace.effort_min - effort, effort - pace.effort_max) if pace is not None else 0.0
        return off, main.exposure(self.stage)

    def _courses(self, plot: Plot) -> list[Course]:
        """The first courses of a plot that have a plan; one will do where nothing can be replaced anyhow."""
        limits = self.stage.view.settings
        wanted = limits.casts_compared_max if self.stage.replaceable else 1
        found: list[Course] = []
        for cast in castings(self.stage, plot, bindings_max=limits.bindings_max, candidates_max=limits.candidates_max):
            self.tries += 1
            main = course(self.library.vocabulary, self.stage, plot, cast, self.wish.forbid)
            found += [main] if main is not None else []
            if len(found) >= wanted or (found and found[-1].exposure(self.stage) == 0.0):
                break
        return found

    def _plots(self, strategy: Strategy) -> list[Plot]:
        """The strategy's plots in an order drawn from the seed, likelier ones first; forbidden ones left out."""
        seed, forbid = self.wish.seed, self.wish.forbid
        every = [plot for plot in self.library.strategies.plots[strategy.id] if plot.weight > 0.0]
        fitting = [plot for plot in every if forbid.isdisjoint(plot.needs) and self._filled(plot)]
        fitting.sort(key=lambda plot: (turn(stable_hash(seed, "plot", plot.id), plot.weight), plot.id))
        return fitting[: self.stage.view.settings.plots_max]

    def _filled(self, plot: Plot) -> bool:
        """Whether somebody at all fits each role by itself."""
        return all(role.type not in PLACED or self.stage.pool(role) for role in plot.roles)

    def _certified(self, main: Course) -> _Found | None:
        """The course with its branches and certificate; None where its reward cannot be promised."""
        library, stage, wish = self.library, self.stage, self.wish
        others = branches(library.vocabulary, library.strategies, stage, main, wish.forbid)
        plans = {"": main, **others}
        spent = min(found.spent for found in plans.values())
        paid = _reward(stage, wish, main)
        if balance.objections(stage.view, paid, stage.level, spent=spent, repeat_s=wish.repeat_s):
            return None
        certificate = full.certified(
            library.vocabulary,
            stage.view,
            stage.hero,
            [full.Way(id, found.question, found.plan, found.goals) for id, found in plans.items()],
            seed=wish.seed,
            rung=main.plot.strategy.rung,
            tries=self.tries,
            members_max=wish.players_max,
            shared=wish.scope != "solo",
        )
        checks = (*certificate.checks, "V7")
        return _Found(main, others, paid, msgspec.structs.replace(certificate, checks=checks))


def _reward(stage: Stage, wish: Wish, main: Course) -> Reward:
    return balance.reward(main.plan.cost, stage.level, stage.view.settings, spent=main.spent, repeat_s=wish.repeat_s)


def _frozen(library: Library, stage: Stage, wish: Wish, found: _Found) -> Quest:
    view, main, strategy = stage.view, found.main, found.main.plot.strategy
    grammar = grammar_for(wish.language)
    writer = Writer(grammar, view, wish.seed)
    roles = dict(main.cast)
    for id, other in found.others.items():
        roles |= renamed(id, other.cast, roles)
    quest = Quest(
        id=quest_id(wish.giver, wish.player, wish.seed, view.seq),
        state="offered",
        giver=wish.giver,
        player="" if wish.shared else wish.player,
        title="",
        description="",
        motive=strategy.motive,
        strategy=strategy.id,
        level=stage.level,
        forbid=tuple(sorted(main.forbid)),
        roles=roles,
        goals=goals_shown(main.goals, main.plan.operators, view=view, writer=writer),
        steps=steps_of(main.plan.operators, player=wish.doer, goals=main.goals, writer=writer),
        reward=found.reward,
        certificate=found.certificate,
        branches=tuple(_branch(id, other, view, wish, writer) for id, other in found.others.items()),
        scope=wish.scope,
        guild=wish.guild if wish.scope == "guild" else "",
        members=wish.party,
        members_max=wish.players_max,
        credit=wish.credit,
        share=wish.share,
        until_s=None if wish.last_s is None else view.game_s + wish.last_s,
        repeat_s=wish.repeat_s,
    )
    return told(quest, view, grammar, heard=Heard(wish.heard))


def _branch(id: str, other: Course, view: View, wish: Wish, writer: Writer) -> Branch:
    operators = other.plan.operators
    return Branch(
        id=id,
        forbid=tuple(sorted(other.forbid)),
        goals=goals_shown(other.goals, operators, view=view, writer=writer),
        steps=steps_of(operators, player=wish.doer, goals=other.goals, writer=writer),
        effort=round(other.plan.cost, 3),
    )
