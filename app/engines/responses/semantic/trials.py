"""How often the semantic level would have been wrong, by tenant and task; it decides whether it may answer at all.

A comparison sets the kept answer beside what the model then wrote for the new input. It is a true hit where the two
are the same after normalization, or where their vectors lie close and the verifier finds nothing against it; else it
is a false hit. Two good answers in other words count as false too: the share that is measured errs high.
"""

from __future__ import annotations

from collections import OrderedDict, deque

import msgspec

from app.core.responses import Semantic
from app.engines.responses.keys import normalized
from app.engines.responses.semantic.vectors import Embedder
from app.engines.responses.semantic.verifier import Names, differs


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What the comparisons of one task have shown; `serving` while its answers may be given."""

    task: str
    true_hits: int
    false_hits: int
    serving: bool


def same_answer(kept: str, written: str, embedder: Embedder, names: Names, likeness_min: float) -> bool:
    """The documented rule: whether the kept answer would have been right where the model wrote the other."""
    if normalized(kept) == normalized(written):
        return True
    likeness = float(embedder.vector(kept) @ embedder.vector(written))
    return likeness >= likeness_min and not differs(kept, written, names)


class Trials:
    """The newest comparisons of each tenant's task."""

    def __init__(self, limits: Semantic) -> None:
        self._limits = limits
        self._seen: OrderedDict[tuple[str, str], deque[bool]] = OrderedDict()
        self._turns = 0

    def note(self, tenant: str, task: str, *, right: bool) -> None:
        """Count one comparison."""
        key = (tenant, task)
        seen = self._seen.setdefault(key, deque(maxlen=self._limits.comparisons_max))
        self._seen.move_to_end(key)
        seen.append(right)
        if len(self._seen) > self._limits.tasks_max:
            self._seen.popitem(last=False)

    def may_serve(self, tenant: str, task: str) -> bool:
        """Only in `serve`, after enough comparisons, and while few enough of the newest were false."""
        seen = self._seen.get((tenant, task), ())
        if self._limits.mode != "serve" or len(seen) < self._limits.shadow_min:
            return False
        false = len(seen) - sum(seen)
        return false <= self._limits.false_hits_max * len(seen)

    def rechecks(self) -> bool:
        """Whether this one is to be written anew and compared, although it could be served."""
        before = int(self._turns * self._limits.recheck_share)
        self._turns += 1
        return int(self._turns * self._limits.recheck_share) > before

    def measured(self, tenant: str) -> tuple[Measured, ...]:
        """What is known of each task of the tenant."""
        return tuple(
            Measured(
                task=task,
                true_hits=sum(seen),
                false_hits=len(seen) - sum(seen),
                serving=self.may_serve(tenant, task),
            )
            for (owner, task), seen in self._seen.items()
            if owner == tenant
        )
