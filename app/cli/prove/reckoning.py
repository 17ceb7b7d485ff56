"""Suite G's figures as its two parts write them, and the bounds that they share."""

from __future__ import annotations

from collections.abc import Iterator

from app.cli.prove.figures import Figure
from app.cli.prove.ledger import Clients, Verdict
from app.core.errors import Broken

WRITES_LEAST = 20
NOTICED_S = 1.0
BACK_S = 10.0
SAID_P95_MS = 800.0
DECIDED_P95_MS = 50.0
ERROR_SHARE = 0.001


def figure(name: str, value: float, unit: str, bound: float, *, least: bool = False) -> Figure:
    return Figure(
        suite="G", name=name, value=round(value, 4), unit=unit, bound=bound, side="at_least" if least else "at_most"
    )


def judged(name: str, verdict: Verdict, clients: Clients) -> Iterator[Figure]:
    """The ledger's verdict after the faults."""
    yield figure(f"{name}: acknowledged writes", verdict.writes, "writes", WRITES_LEAST, least=True)
    yield figure(f"{name}: acknowledged and lost", len(verdict.lost) + len(verdict.worlds_lost), "writes", 0)
    yield figure(f"{name}: effects doubled or torn", len(verdict.doubled) + len(verdict.torn), "writes", 0)
    yield figure(f"{name}: repeated with another answer", len(clients.answers_that_differ), "writes", 0)
    yield figure(f"{name}: replay differs from state", len(verdict.faults), "worlds", 0)


def require(took_s: float | None, what: str) -> float:
    """The seconds that something took; raises Broken when it never came."""
    if took_s is None:
        raise Broken(f"waited in vain for {what}", hint="see server.log")
    return took_s
