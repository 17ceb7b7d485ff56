"""The suites, by letter of the test plan; a new one is a module with `run(plan)` and a line here."""

from __future__ import annotations

from app.cli.prove.figures import Suite

SUITES = (
    Suite("A", "static and supply chain", "app.cli.prove.supply:run"),
    Suite("B", "contract fuzz", "app.cli.prove.contract.suite:run"),
    Suite("C", "identity matrix", "app.cli.prove.identity:run"),
    Suite("D", "tenant canaries", "app.cli.prove.tenants:run"),
    Suite("E", "limits and money", "app.cli.prove.limits:run"),
    Suite("F", "crash ledger", "app.cli.prove.crash:run"),
    Suite("G", "chaos matrix", "app.cli.prove.chaos:run"),
    Suite("H", "load", "app.cli.prove.load.suite:run"),
    Suite("I", "overload", "app.cli.prove.overload:run"),
    Suite("J", "soak", "app.cli.prove.soak:run"),
    Suite("L", "disaster", "app.cli.prove.disaster:run"),
    Suite("M", "privacy", "app.cli.prove.privacy:run"),
)
