"""The composition root: a profile becomes a running server.

Reads top to bottom in the order of dependency and closes in reverse. The only package that names
concrete engines (in `engines.py`) and modules; heavy libraries are imported only when the profile names them.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from itertools import chain
from pathlib import Path

from app.build import replicas
from app.build.access import open_access
from app.build.audit import NotingBudgets, note_start, open_trail
from app.build.batches import open_batches
from app.build.doors import open_door_usage, open_doors
from app.build.engines import Engines
from app.build.innkeeper import Innkeeper
from app.build.modules import MODULE_SETTINGS, build_modules
from app.build.privacy import open_persons, open_privacy
from app.build.prompts import open_prompts
from app.build.responses import open_responses
from app.build.sign_in import open_people
from app.build.tenants import obey, open_tenants
from app.build.words import open_words
from app.control.audit import HOST
from app.control.guardrails import statement
from app.control.repeats import Repeats
from app.control.reports import ReportDesk
from app.core.clock import Clock, SystemClock
from app.core.ports import Log
from app.core.profile import Profile
from app.edge.elsewhere import Elsewhere
from app.edge.feed import Feed
from app.edge.follow import Followers
from app.edge.forward import Forwarder
from app.edge.limits import Limits
from app.edge.router import Router
from app.edge.sessions import Sessions
from app.edge.visits import Visits
from app.stores import failpoints, repositories
from app.stores.checkpoints import Checkpoints
from app.stores.classes import retentions
from app.stores.database import open_database
from app.stores.dialogue_records import DatabaseRecords
from app.stores.embedded.limiter import EmbeddedLimiter
from app.stores.events import Stream
from app.stores.features.opening import open_features
from app.stores.journal import WorldJournal
from app.stores.memories import DatabaseMemories
from app.stores.outlet import Outlet
from app.stores.ownership import Ownership
from app.stores.reports import DatabaseReports
from app.stores.retention import Retention
from app.stores.shared import open_shared
from app.stores.tenancy import EVERY_TENANT
from app.stores.usage import spent
from app.stores.watch import Limits as DatabaseLimits
from app.stores.writer import Writer
from app.telemetry.logs import open_log
from app.telemetry.metrics import Metrics, RungWatch
from app.telemetry.words import WordsMeter
from app.world.loops import Governor
from app.world.state import World, Worlds

__all__ = ["MODULE_SETTINGS", "ROOT", "Innkeeper", "build"]

ROOT = Path(__file__).resolve().parents[2]
"""Where profiles, models and migrations lie: beside the package."""


async def build(
    profile: Profile, *, root: Path = ROOT, clock: Clock | None = None, log: Log | None = None
) -> Innkeeper:
    """Open everything that the profile names; raises an Error of the tree when a store cannot be opened."""
    clock = clock or SystemClock()
    log = log or open_log(level=profile.telemetry.log_level, format=profile.telemetry.log_format)
    metrics = Metrics()
    watch = RungWatch(log, metrics)
    closers: list[Callable[[], Awaitable[None]]] = []

    # Stores
    replicas.require_shared_counts(profile)
    folder = Path(profile.server.data_folder)
    database = open_database(
        profile.database.url, folder=folder, migrations=root / "migrations", owner_url=profile.database.owner_url
    )
    closers.append(database.close)
    if database.alone is not None:
        database.alone.take()
        closers.append(database.alone.release)
    patience = DatabaseLimits(answer_ms=profile.database.answer_ms, transaction_ms=profile.database.transaction_ms)
    database.watch(limits=patience, log=log)
    await database.upgrade()
    log.debug("database.opened", url=database.url)
    persons = await open_persons(database, profile, clock, log)
    replica = replicas.name_of(profile)
    reached = failpoints.from_environment(os.environ, log)
    writer = Writer(
        database,
        clock=clock,
        log=log,
        metrics=metrics,
        queue_events_max=profile.database.queue_events_max,
        batch_events_max=profile.database.batch_events_max,
        retry_ms=profile.database.retry_ms,
        bridge_ms=profile.database.bridge_ms,
        reached=reached,
    )
    writer.start()
    tenants, settings_feed = await open_tenants(database, log)
    closers.append(settings_feed.close)
    shared = open_shared(profile, database=database, clock=clock, log=log, rules=tenants)
    closers.append(shared.close)
    stream = Stream()
    worlds = Worlds()
    checkpoints = Checkpoints(
        database,
        clock=clock,
        log=log,
        events_min=profile.database.checkpoint_events,
        interval_ms=profile.database.checkpoint_ms,
        queue_events_max=profile.database.queue_events_max,
        reached=reached,
    )
    stream.subscribe(checkpoints.take)
    journal = WorldJournal(
        worlds=worlds,
        database=database,
        writer=writer,
        stream=stream,
        clock=clock,
        log=log,
        idempotency_keys_max=profile.database.idempotency_keys_max,
        checkpoints=checkpoints,
        owner=replica,
        reached=reached,
    )
    ownership = Ownership(
        name=replica,
        alone=database.alone is not None,
        leases=shared.leases,
        database=database,
        journal=journal,
        worlds=worlds,
        clock=clock,
        log=log,
        lease_ms=profile.ownership.lease_ms,
        reached=reached,
    )
    writer.lost = ownership.lost
    closers.append(ownership.close)
    replayed = await ownership.start()
    checkpoints.start()
    log.debug("worlds.restored", worlds=len(worlds.all()), events=replayed)
    door_usage = await open_door_usage(database, profile, shared.budgets, clock, log)
    closers.append(door_usage.close)
    for claim in await database.run(EVERY_TENANT, repositories.claims):
        usage = await replicas.usage_of(claim, worlds, database)
        shared.budgets.know(claim.tenant, claim.world, chain(spent(usage), door_usage.spent(claim.tenant, claim.world)))
    features = open_features(profile, database=database, stream=stream, worlds=worlds, clock=clock, log=log)
    closers.append(features.close)

    if profile.stream.url:
        outlet = Outlet(database, shared.stream, log=log)
        stream.subscribe(outlet.take)
        outlet.start(worlds.all())
        shared.servers["outlet"] = outlet

    async def close_journal() -> None:
        written = await writer.close(patience_s=profile.server.drain_ms_max / 1000.0)
        await checkpoints.close()
        if written:
            await journal.checkpoint()

    closers.append(close_journal)

    # Control
    audit = await open_trail(database, profile, clock, log)
    note_start(audit, profile)
    repeats = Repeats(audit)

    async def close_audit() -> None:
        repeats.flush()
        audit.note(HOST, "host", "server.stopped", replica)
        await audit.close()

    closers.append(close_audit)
    access = await open_access(database, profile, clock=clock, log=log, audit=audit)
    authority = access.authority
    closers.append(access.watch.close)
    people = await open_people(database, profile.sign_in, access, clock=clock, audit=audit, vault=database.vault)
    closers.append(people.passwords.close)
    prompts = await open_prompts(database, profile.prompts, clock=clock, audit=audit, log=log)
    closers.append(prompts.feed.close)

    # Engines
    engines = Engines()
    budgets = NotingBudgets(shared.budgets, repeats)
    governor = Governor()
    orchestrator, authored = open_words(
        profile,
        engines,
        root=root,
        clock=clock,
        watch=watch,
        environment=os.environ,
        budgets=budgets,
        rules=tenants,
        meter=WordsMeter(log, metrics),
        governor=governor,
    )
    if orchestrator is not None:
        prompts.registry.label_of = orchestrator.tasks.label_of
    words, kept = open_responses(
        orchestrator,
        profile,
        engines,
        shared=shared.cache,
        stream=stream,
        tenants=tenants,
        worlds=worlds,
        clock=clock,
        log=log,
        metrics=metrics,
    )
    closers.append(engines.close)
    batches = open_batches(
        profile,
        engines,
        words,
        database=database,
        journal=journal,
        budgets=budgets,
        rules=tenants,
        clock=clock,
        log=log,
        owner=replica,
        environment=os.environ,
    )
    if batches is not None:
        closers.append(batches.close)

    # Modules
    talk = profile.modules["dialogue"]
    records = DatabaseRecords(
        database, clock=clock, log=log, queue_max=talk.records_queue_max, interval_ms=talk.records_ms
    )
    records.start()
    closers.append(records.close)
    reports = DatabaseReports(database)
    modules = build_modules(
        profile,
        engines,
        root=root,
        folder=folder,
        worlds=worlds,
        journal=journal,
        clock=clock,
        watch=watch,
        words=words,
        authored=authored,
        prompts=prompts.registry,
        records=records,
        governor=governor,
        remembered=DatabaseMemories(database),
        reports=reports,
        rules=tenants,
        log=log,
    )
    for module in modules:
        if module.observe is not None:
            stream.subscribe(module.observe)
    journal.reactions = [module.react for module in modules if module.react is not None]
    closers.extend(module.close for module in modules if module.close is not None)

    # Edge
    forwarder = Forwarder(authority=authority, clock=clock, connections_max=profile.ownership.connections_max)
    closers.append(forwarder.close)
    elsewhere = Elsewhere(ownership, forwarder)
    strangers = EmbeddedLimiter(clock=clock, keys_max=profile.cache.keys_max)
    limits = Limits(profile.limits, shared.limiter, addresses=strangers, repeats=repeats, rules=tenants)
    router = Router(
        modules,
        limits=limits,
        server=profile.server,
        behind_s=writer.behind_s,
        elsewhere=elsewhere,
        clock=clock,
        log=log,
        metrics=metrics,
        audit=audit,
    )
    visits = Visits(authority)
    doors, door_bills = open_doors(
        profile,
        words=words,
        engines=engines,
        usage=door_usage,
        journal=journal,
        authority=authority,
        router=router,
        visits=visits,
        places=ownership,
        worlds=worlds,
        clock=clock,
        log=log,
        metrics=metrics,
    )
    closers.append(door_bills.close)
    announcers = [module.announce for module in modules if module.announce is not None]
    feed = Feed(announcers, journal, pushes_kept_max=profile.server.pushes_kept_max)
    stream.subscribe(feed.publish)

    async def take(world: World) -> None:
        shared.budgets.know(
            world.tenant, world.id, chain(spent(world.state.usage), door_usage.spent(world.tenant, world.id))
        )
        await feed.catch_up(world)
        stream.publish(world, ())

    ownership.before_taking = take
    followers = Followers(
        places=ownership,
        feed=feed,
        forwarder=forwarder,
        modules=modules,
        frame_bytes_max=profile.server.frame_bytes_max,
        log=log,
    )
    closers.append(followers.close)
    privacy = open_privacy(
        persons,
        profile=profile,
        worlds=worlds,
        places=ownership,
        journal=journal,
        modules=modules,
        forgets=[feed.forget, kept.forget],
        renew=checkpoints.renew,
        audit=audit,
        log=log,
    )
    closers.append(privacy.close)
    closers.append(Retention(database, profile.privacy, clock=clock, log=log).close)

    sessions = Sessions(authority, shared.cache if profile.cache.url else None)
    obey(tenants, sessions=sessions, budgets=shared.budgets, worlds=worlds, door_usage=door_usage)

    return Innkeeper(
        profile=profile,
        clock=clock,
        log=log,
        metrics=metrics,
        watch=watch,
        database=database,
        writer=writer,
        journal=journal,
        ownership=ownership,
        shared=shared,
        worlds=worlds,
        features=features,
        authority=authority,
        access=access,
        audit=audit,
        people=people,
        modules=modules,
        engines=engines,
        words=words,
        door_usage=door_usage,
        batches=batches,
        router=router,
        elsewhere=elsewhere,
        feed=feed,
        followers=followers,
        sessions=sessions,
        visits=visits,
        doors=doors,
        tenants=tenants,
        settings=settings_feed,
        privacy=privacy,
        kept=kept,
        prompts=prompts.desk,
        reports=ReportDesk(reports, clock=clock, audit=audit),
        guardrails=statement(profile, retentions(profile.privacy), root=root),
        closers=closers,
    )
