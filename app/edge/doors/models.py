"""What a request may call a model by: a task, a variant or an engine of the orchestrator, or simply `innkeeper`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from app.core.errors import NotFound, nearest

DEFAULT = "innkeeper"


class Model(NamedTuple):
    """A name, what it stands for, and whom the words are asked of by it."""

    name: str
    kind: Literal["default", "task", "variant", "engine"]
    task: str
    variant: str = ""


class Models:
    """Every name, in the order in which they are listed."""

    def __init__(self, task: str, *, tasks: Mapping[str, Sequence[str]], engines: Sequence[str]) -> None:
        """`task` is what is asked where only an engine is named; `tasks` are the others with their variants."""
        found = [Model(DEFAULT, "default", task), Model(task, "task", task)]
        found += [Model(name, "task", name) for name in tasks]
        found += [Model(f"{name}:{variant}", "variant", name, variant) for name in tasks for variant in tasks[name]]
        found += [Model(variant, "variant", name, variant) for name in tasks for variant in tasks[name]]
        found += [Model(engine, "engine", task, engine) for engine in engines]
        self._by_name: dict[str, Model] = {}
        for model in found:
            self._by_name.setdefault(model.name, model)
        self.all = tuple(self._by_name.values())

    def named(self, name: str) -> Model:
        """The model of that name; raises NotFound naming those that there are."""
        found = self._by_name.get(name)
        if found is None:
            known = ", ".join(model.name for model in self.all)
            raise NotFound(f"no model {name[:64]!r}; there are {known}", hint=nearest(name[:64], self._by_name))
        return found
