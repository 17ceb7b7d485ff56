"""Opens the words of a profile with nothing around them, for a run of an eval set from the command line.

What the run costs is held to the profile's caps, counted from nothing in this process.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.build import ROOT
from app.build.engines import Engines
from app.build.words import open_words
from app.core.clock import SystemClock
from app.core.ports import Log
from app.core.profile import Profile
from app.core.tenants import NoRules
from app.core.words import Words
from app.engines.orchestration.watch import NoMeter
from app.stores.embedded.budgets import EmbeddedBudgets
from app.telemetry.metrics import Metrics, RungWatch


@asynccontextmanager
async def open_words_alone(profile: Profile, *, log: Log, authored: bool) -> AsyncIterator[Words]:
    """The profile's engine of words; the authored one where it is asked for, or where no provider has a key."""
    clock, rules, engines = SystemClock(), NoRules(), Engines()
    budgets = EmbeddedBudgets(profile.budgets, clock=clock, log=log, accounts_max=profile.cache.keys_max, rules=rules)
    try:
        words, spare = open_words(
            profile,
            engines,
            root=ROOT,
            clock=clock,
            watch=RungWatch(log, Metrics()),
            environment=os.environ,
            budgets=budgets,
            rules=rules,
            meter=NoMeter(),
        )
        yield spare if authored or words is None else words
    finally:
        await engines.close()
