"""What is written by whom: the tasks of a profile, and which of a task's variants a player gets.

The choice is sticky: the same tenant, task and player get the same variant for as long as the weights stay. It knows
no engine's health and no prompt's text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from app.core.engines import Task, Variant
from app.core.errors import Invalid, nearest
from app.core.ids import stable_hash
from app.core.words import Completion, Sampling

SHARES = 1 << 32
"""Into how many parts weights divide the players."""
PLAIN = Task()


@dataclass(frozen=True, slots=True)
class Plan:
    """One task: its table and its variants, in the order of fallback."""

    task: Task
    variants: tuple[Variant, ...]
    weight: float
    """Of all variants together; 0 where there is no experiment."""


class Tasks:
    """The plans of a profile over the engines that run."""

    def __init__(
        self,
        providers: Sequence[str],
        *,
        running: Sequence[str],
        tasks: Mapping[str, Task] = MappingProxyType({}),
        roles: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        """`providers` are in the order to try them; of them and of all variants, those that run not are left out."""
        self._running = tuple(running)
        first = [name for name in providers if name in self._running]
        self._plain = _planned(PLAIN, _variants(first or self._running))
        self._plans = {name: self._plan(name, task, roles) for name, task in tasks.items()}

    def of(self, task: str) -> Plan:
        """The plan of a task; one that no table names is written by the providers, in order."""
        return self._plans.get(task, self._plain)

    def forced(self, task: str, name: str) -> Variant:
        """The variant or engine of that name; raises Invalid with the names that there are."""
        known = {variant.name: variant for variant in (*_variants(self._running), *self.of(task).variants)}
        if name not in known:
            raise Invalid(f"{name!r} is no variant of task {task!r} and no engine", hint=nearest(name, known))
        return known[name]

    def find(self, task: str, name: str) -> Variant | None:
        """The variant or engine of that name, where there is one."""
        known = (*self.of(task).variants, *_variants(self._running))
        return next((variant for variant in known if variant.name == name), None)

    def label_of(self, tenant: str, task: str, unit: str) -> str:
        """The label of the prompt that the task's text for a unit is rendered from; empty is its usual one."""
        plan = self.of(task)
        return (chosen(plan, tenant, task, unit) or plan.variants[0]).prompt

    def names(self) -> tuple[str, ...]:
        """Every variant and engine that a request may name."""
        variants = (variant.name for plan in self._plans.values() for variant in plan.variants)
        return tuple(dict.fromkeys((*self._running, *variants)))

    def told(self) -> str:
        """The tasks that have tables, for a person; empty without any."""
        return "; ".join(f"{name}: {_shares(plan)}" for name, plan in self._plans.items())

    def _plan(self, name: str, task: Task, roles: Mapping[str, Sequence[str]]) -> Plan:
        if task.role and task.role not in roles:
            raise Invalid(f"task {name!r} names role {task.role!r}", hint=nearest(task.role, roles))
        variants: Iterable[Variant] = task.variants or _variants(roles.get(task.role, ()))
        named = [_named(variant) for variant in variants]
        if len({variant.name for variant in named}) < len(named):
            raise Invalid(f"task {name!r} has two variants of one name", hint="give each a name of its own")
        able = tuple(variant for variant in named if variant.engine in self._running)
        return _planned(task, able or self._plain.variants)


def chosen(plan: Plan, tenant: str, task: str, unit: str) -> Variant | None:
    """The variant that the experiment gives to a unit, see `app.core.words.unit_of`; None without weights."""
    if plan.weight <= 0.0:
        return None
    at = (stable_hash("variant", tenant, task, unit) % SHARES) / SHARES * plan.weight
    for variant in plan.variants:
        at -= variant.weight
        if at < 0.0:
            return variant
    return next(variant for variant in reversed(plan.variants) if variant.weight > 0.0)


def varied(completion: Completion, variant: Variant) -> Completion:
    """The request as the variant wants it."""
    changes: dict[str, object] = {}
    if variant.output_tokens_max:
        changes["output_tokens_max"] = variant.output_tokens_max
    if variant.temperature is not None or variant.top_p is not None or variant.effort:
        before = completion.sampling
        changes["sampling"] = Sampling(
            temperature=before.temperature if variant.temperature is None else variant.temperature,
            top_p=before.top_p if variant.top_p is None else variant.top_p,
            stop=before.stop,
            effort=variant.effort or before.effort,
        )
    return msgspec.structs.replace(completion, **changes) if changes else completion


def _variants(engines: Iterable[str]) -> tuple[Variant, ...]:
    return tuple(Variant(engine=engine, name=engine) for engine in engines)


def _named(variant: Variant) -> Variant:
    return variant if variant.name else msgspec.structs.replace(variant, name=variant.engine)


def _planned(task: Task, variants: tuple[Variant, ...]) -> Plan:
    return Plan(task, variants, sum(variant.weight for variant in variants))


def _shares(plan: Plan) -> str:
    if not plan.weight:
        return ", ".join(variant.name for variant in plan.variants)
    return ", ".join(f"{variant.name} {variant.weight / plan.weight:.0%}" for variant in plan.variants)
