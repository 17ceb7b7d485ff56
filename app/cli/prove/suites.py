"""The suites, by letter of the test plan; a new one is a module with `run(plan)` and a line here."""

from __future__ import annotations

from app.cli.prove.figures import Suite

SUITES = (
    Suite("E", "limits and money", "app.cli.prove.limits:run"),
    Suite("F", "crash ledger", "app.cli.prove.crash:run"),
    Suite("L", "disaster", "app.cli.prove.disaster:run"),
)
