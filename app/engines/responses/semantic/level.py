"""The semantic level: the line that was kept for the same thing in other words, and whether it may be said.

In shadow it finds, compares and counts, and `servable` gives nothing whatever was found.
"""

from __future__ import annotations

from collections.abc import Callable

from app.core.responses import Semantic
from app.core.words import Completion
from app.engines.responses.keys import Asked
from app.engines.responses.lines import Line
from app.engines.responses.semantic.index import Index, Row
from app.engines.responses.semantic.trials import Measured, Trials, same_answer
from app.engines.responses.semantic.vectors import Embedder
from app.engines.responses.semantic.verifier import Names, differs

Naming = Callable[[str, str], Names]
"""Tenant and world -> what finds the entities that a text names."""
LOOKED_AT_MAX = 4
"""Of the inputs that are alike, how many the verifier is asked about."""


class Level:
    """Finds guesses, lets few of them be said, and measures all of them."""

    def __init__(self, limits: Semantic, *, embedder: Embedder, naming: Naming) -> None:
        self._limits = limits
        self._embedder = embedder
        self._naming = naming
        self._index = Index(key_rows_max=limits.key_rows_max, rows_max=limits.rows_max)
        self._trials = Trials(limits)

    def guess(self, completion: Completion, said: str, asked: Asked, kept: Callable[[str], Line | None]) -> Line | None:
        """The line of the most alike input that the verifier lets pass; `kept` gives an exact key's line."""
        if self._limits.mode == "off" or not asked.said:
            return None
        tenant = completion.tenant
        vector = self._embedder.vector(said)
        names = self._naming(tenant, completion.world)
        alike = self._index.nearest(tenant, asked.hard, vector, self._limits.likeness_min)
        for row in alike[:LOOKED_AT_MAX]:
            if row.exact == asked.exact or differs(row.said, said, names):
                continue
            line = kept(row.exact)
            if line is not None:
                return line
            self._index.drop(tenant, asked.hard, row)
        return None

    def servable(self, completion: Completion, guess: Line | None) -> Line | None:
        """The guess's line, where it may be said now; always None in shadow."""
        if guess is None or not self._trials.may_serve(completion.tenant, completion.task) or self._trials.rechecks():
            return None
        return guess

    def learn(self, completion: Completion, said: str, asked: Asked, line: Line, guess: Line | None) -> bool | None:
        """Remember the input of a line that was written now; whether the guess was right, None without one."""
        if self._limits.mode == "off" or not asked.said:
            return None
        row = Row(said, completion.player, asked.exact, self._embedder.vector(said))
        self._index.add(completion.tenant, asked.hard, row)
        if guess is None:
            return None
        names = self._naming(completion.tenant, completion.world)
        right = same_answer(guess.text, line.text, self._embedder, names, self._limits.answers_likeness_min)
        self._trials.note(completion.tenant, completion.task, right=right)
        return right

    def measured(self, tenant: str) -> tuple[Measured, ...]:
        """What the comparisons of the tenant's tasks have shown."""
        return self._trials.measured(tenant)

    def forget(self, tenant: str, player: str) -> None:
        """Forget what a player typed."""
        self._index.forget(tenant, player)

    def __len__(self) -> int:
        return len(self._index)
