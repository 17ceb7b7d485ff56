"""Opens the doors: what they have spent, the names that a request may call a model by, and what they answer with.

It knows the profile's tables of engines, and no protocol.
"""

from __future__ import annotations

from collections.abc import Collection

from app.build.engines import Engines
from app.control.auth import Authority
from app.core.clock import Clock
from app.core.engines import Orchestrator
from app.core.ports import Journal, Log, Places
from app.core.profile import Profile
from app.core.spending import Budgets
from app.core.words import Words
from app.edge.doors.bills import Bills
from app.edge.doors.door import Doors
from app.edge.doors.models import Models
from app.edge.router import Router
from app.edge.visits import Visits
from app.stores.database import Database
from app.stores.door_usage import OUTSIDE, DoorUsage
from app.telemetry.metrics import Metrics
from app.world.state import Worlds


async def open_door_usage(database: Database, profile: Profile, budgets: Budgets, clock: Clock, log: Log) -> DoorUsage:
    """What the doors have spent for no world, known to the budgets now and whenever more is written."""
    usage = DoorUsage(database, clock=clock, log=log, interval_ms=profile.doors.spending_ms)

    def tell(tenant: str) -> None:
        budgets.know(tenant, OUTSIDE, usage.spent(tenant, OUTSIDE))

    await usage.start()
    for tenant in usage.tenants:
        tell(tenant)
    usage.written.append(tell)
    return usage


def open_doors(
    profile: Profile,
    *,
    words: Words | None,
    engines: Engines,
    usage: DoorUsage,
    journal: Journal,
    authority: Authority,
    router: Router,
    visits: Visits,
    places: Places,
    worlds: Worlds,
    clock: Clock,
    log: Log,
    metrics: Metrics,
) -> tuple[Doors, Bills]:
    """The doors over the same words as the modules', admitted by the router, and where their bills go."""
    missing = {status.name for status in engines.statuses() if status.state == "missing"}
    bills = Bills(journal, places, usage.add, clock)
    doors = Doors(
        profile.doors,
        words=words,
        models=models_of(profile, missing),
        bills=bills,
        authority=authority,
        limits=router.limits,
        visits=visits,
        places=places,
        worlds=worlds,
        clock=clock,
        log=log,
        metrics=metrics,
    )
    router.by_path.update(doors.gates())
    return doors, bills


def models_of(profile: Profile, missing: Collection[str] = ()) -> Models:
    """The tasks, variants and engines of the profile's orchestrator, as a door calls them; not what is `missing`."""
    chosen = profile.engines.get("words")
    if not isinstance(chosen, Orchestrator):
        return Models(profile.doors.task, tasks={}, engines=())
    tasks = {
        name: [variant.name or variant.engine for variant in task.variants if variant.engine not in missing]
        for name, task in chosen.tasks.items()
    }
    return Models(profile.doors.task, tasks=tasks, engines=[name for name in chosen.providers if name not in missing])
