"""The HTTP requests that are being answered, by whose they are, so that they end when their caller's access does.

A request costs two entries in a dictionary. It knows neither routes nor credentials.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.control.auth import Authority, Identity, Subject, refusal
from app.core.errors import Unauthenticated
from app.core.module import Scope


@dataclass(slots=True, eq=False)
class _Visit:
    identity: Identity
    scope: Scope
    task: asyncio.Task[object]
    ended: bool = False


class Visits:
    """Listens to the authority; what is open of a caller without access is cancelled."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._open: dict[_Visit, None] = {}
        authority.listeners.append(self._changed)

    @contextmanager
    def visit(self, identity: Identity, scope: Scope) -> Iterator[None]:
        """Around the work for one caller, in one task; raises Unauthenticated as soon as it may not do it any more."""
        self._authority.current(identity)
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a visit is a task's")
        visit = _Visit(identity, scope, task)
        self._open[visit] = None
        try:
            yield
        except asyncio.CancelledError:
            if visit.ended and not task.uncancel():
                raise refusal() from None
            raise
        finally:
            del self._open[visit]

    def holds(self, identity: Identity, scope: Scope) -> bool:
        """Whether what the caller opened under that scope may go on."""
        try:
            return scope in self._authority.current(identity).scopes
        except Unauthenticated:
            return False

    def _changed(self, subjects: Collection[Subject]) -> None:
        for visit in list(self._open):
            identity = visit.identity
            family = (identity.tenant, f"family:{identity.family}")
            if (identity.subject in subjects or family in subjects) and not (
                visit.ended or self.holds(identity, visit.scope)
            ):
                visit.ended = True
                visit.task.cancel()
