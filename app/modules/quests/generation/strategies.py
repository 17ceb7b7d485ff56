"""Motives, strategies and methods, and the plots that come of them: a task network worked out once, when it is read.

A strategy's goals are deeds or tasks. Methods say how a task is done: by further roles, deeds and tasks. Each
choice of methods, down to `DEPTH_MAX`, is a plot: roles and deeds alone. It knows the data, nothing of worlds.
Sources: Doran and Parberry 2011 (motives, strategies, compound quests), Erol, Hendler and Nau 1994 (task networks).
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from types import MappingProxyType
from typing import Literal

import msgspec

from app.core.errors import Broken, nearest
from app.modules.quests.planning.domain import Fact, data, own_news, seen_news, slain_news

RoleType = Literal["npc", "item", "place", "topic", "skill"]
RungName = Literal["strategy", "simple", "template"]

HARMS: Mapping[str, str] = MappingProxyType(
    {
        "slain": "kill", "looted": "kill", "stolen": "steal", "spied": "spy", "escorted": "escort",
        "captured": "capture",
    }
)  # fmt: skip
"""Deed -> the reserved action that it takes."""
RESERVED = frozenset(HARMS.values())
"""Actions that a plan may use only where its goals ask for them: they harm, or drag people about."""
DEPTH_MAX = 3
"""Tasks inside tasks."""
PLOTS_MAX = 48
"""Ways of one strategy, in the order of the file."""
COMPOUND_WEIGHT = 0.5
"""What is left of a plot's chance for each task inside another that it works out."""
GIVER = "giver"


class Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"conditions": "is"}):
    """A part in a quest: its type, and conditions on who may play it."""

    name: str
    type: RoleType
    conditions: tuple[str, ...] = ()


class Strategy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to serve a motive; `needs` are the reserved actions that it may ask for."""

    id: str
    goals: tuple[str, ...]
    roles: tuple[Role, ...] = ()
    motive: str = ""
    needs: tuple[str, ...] = ()
    rung: RungName = "strategy"


class Method(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How `task` can be done: what its own roles must be (`when`), further roles, and deeds or tasks in their turn."""

    id: str
    task: str
    takes: tuple[str, ...]
    goals: tuple[str, ...] = ()
    roles: tuple[Role, ...] = ()
    when: dict[str, tuple[str, ...]] = {}
    weight: float = 1.0


class Motive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How likely a motive is, and for whom it is likelier."""

    weight: float
    archetypes: dict[str, float]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    motives: dict[str, Motive]
    strategy: tuple[Strategy, ...]
    method: tuple[Method, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A strategy worked out: who takes part and what must have happened, in order.

    `methods` are those chosen, `needs` the reserved actions that its deeds take.
    """

    strategy: Strategy
    roles: tuple[Role, ...]
    deeds: tuple[str, ...]
    methods: tuple[str, ...] = ()
    weight: float = 1.0

    @property
    def id(self) -> str:
        return "/".join((self.strategy.id, *self.methods))

    @property
    def needs(self) -> frozenset[str]:
        return frozenset(HARMS[deed] for deed in (text.split()[0] for text in self.deeds) if deed in HARMS)

    def goals(self, cast: Mapping[str, str]) -> tuple[Fact, ...]:
        """The deeds with the cast in place, each once."""
        return tuple(dict.fromkeys(_goal(text, cast) for text in self.deeds))


@dataclass(frozen=True)
class StrategyFile:
    """The whole file, and every plot of each strategy."""

    motives: Mapping[str, Motive]
    strategy: tuple[Strategy, ...]
    methods: tuple[Method, ...] = field(repr=False)

    @cached_property
    def plots(self) -> Mapping[str, tuple[Plot, ...]]:
        """Strategy id -> its plots, those without forbidden needs only."""
        return {strategy.id: tuple(self._plots(strategy)) for strategy in self.strategy}

    def _plots(self, strategy: Strategy) -> Iterator[Plot]:
        start = Plot(strategy=strategy, roles=strategy.roles, deeds=())
        allowed = frozenset(strategy.needs)
        every = (plot for plot in _worked_out(start, strategy.goals, self.methods, 0) if plot.needs <= allowed)
        return islice(every, PLOTS_MAX)


def load_strategies(conditions: Collection[str]) -> StrategyFile:
    """Read and check the shipped strategies, whose roles may have these conditions; raises Broken at a fault."""
    found = msgspec.convert(tomllib.loads(data("strategies.toml").decode()), _File)
    for strategy in found.strategy:
        if strategy.rung == "strategy" and strategy.motive not in found.motives:
            raise Broken(f"strategy {strategy.id!r} serves no known motive: {strategy.motive!r}")
    file = StrategyFile(motives=found.motives, strategy=found.strategy, methods=found.method)
    for id, plots in file.plots.items():
        if not plots:
            raise Broken(
                f"strategy {id!r} has no plot", hint="its needs must allow what one of its tasks' methods asks for"
            )
        for condition in (word for plot in plots for role in plot.roles for word in role.conditions):
            word = condition.split()[0]
            if word not in conditions:
                raise Broken(f"strategy {id!r} has a condition {word!r}", hint=nearest(word, conditions))
    return file


def _worked_out(plot: Plot, goals: Sequence[str], methods: Sequence[Method], depth: int) -> Iterator[Plot]:
    """Every plot that goes on from `plot` with these deeds and tasks."""
    if not goals:
        yield plot
        return
    head, rest = goals[0], goals[1:]
    task, *terms = head.split()
    fitting = [method for method in methods if method.task == task]
    if not fitting:
        longer = replace(plot, deeds=(*plot.deeds, head))
        yield from _worked_out(longer, rest, methods, depth)
        return
    if depth >= DEPTH_MAX:
        return
    for method in fitting:
        begun, inner = _begun(plot, method, terms, depth)
        for done in _worked_out(begun, inner, methods, depth + 1):
            yield from _worked_out(done, rest, methods, depth)


def _begun(plot: Plot, method: Method, terms: Sequence[str], depth: int) -> tuple[Plot, tuple[str, ...]]:
    """The plot with a method chosen: its roles under names of their own, and what it asks for in those names."""
    names = dict(zip(method.takes, terms, strict=True))
    taken = {role.name for role in plot.roles} | {GIVER}
    for role in method.roles:
        names[role.name] = next(name for name in _numbered(role.name) if name not in taken)
        taken.add(names[role.name])
    further = {names[taking]: conditions for taking, conditions in method.when.items()}
    roles = [_stricter(role, further.get(role.name, ()), names) for role in plot.roles]
    roles += [Role(names[role.name], role.type, _renamed(role.conditions, names)) for role in method.roles]
    chosen = replace(
        plot,
        roles=tuple(roles),
        methods=(*plot.methods, method.id),
        weight=plot.weight * method.weight * (COMPOUND_WEIGHT if depth else 1.0),
    )
    return chosen, tuple(_renamed(method.goals, names))


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}{number}" for number in range(2, 100))


def _stricter(role: Role, further: Sequence[str], names: Mapping[str, str]) -> Role:
    return Role(role.name, role.type, (*role.conditions, *_renamed(further, names))) if further else role


def _renamed(texts: Sequence[str], names: Mapping[str, str]) -> tuple[str, ...]:
    """Conditions or goals, with a method's own names replaced."""
    return tuple(" ".join((text.split()[0], *(_name(term, names) for term in text.split()[1:]))) for text in texts)


def _name(term: str, names: Mapping[str, str]) -> str:
    kind, parted, role = term.rpartition(":")
    return f"{kind}{parted}{names.get(role, role)}"


def _goal(text: str, cast: Mapping[str, str]) -> Fact:
    deed, *terms = text.split()
    return (deed, *(_term(term, cast) for term in terms))


def _term(term: str, cast: Mapping[str, str]) -> str:
    kind, parted, role = term.rpartition(":")
    if not parted:
        return cast[term]
    topics = {"seen": seen_news, "slain": slain_news, "news": own_news}
    return topics[kind](cast[role])
