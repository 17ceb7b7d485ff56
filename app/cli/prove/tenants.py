"""Suite D, tenant canaries: three tenants with the same ids on one real server, and each one's words in all its texts.

Whatever a tenant is answered or told, whatever goes to the provider in its name, into its export, the log or a cache
is searched for the words of the others. PostgreSQL's catalog is asked whether every tenant's table is under forced
row-level security.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select, text

from app.build import ROOT
from app.cli.prove import child as children
from app.cli.prove.canaries import TENANTS, Client, attack, canary, crossings
from app.cli.prove.child import UNPLANNED
from app.cli.prove.figures import Figure, Gap, Outcome, Plan
from app.cli.prove.key_server import KeyServer, find_program
from app.cli.prove.paid import Provider, provider
from app.control.auth import ALL_SCOPES
from app.control.keys import make_key
from app.core.errors import StoreDown
from app.stores import identity, tables
from app.stores.cluster import find_tools, private_cluster
from app.stores.database import open_database
from app.stores.tenancy import SERVERS, tenant_tables

VERB_S_MAX = 120.0
UNFORCED = text("""
    SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant'
    WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND NOT (
        c.relrowsecurity AND c.relforcerowsecurity AND EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = c.oid))
""")
FORCED = text("SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relrowsecurity AND relforcerowsecurity")


def run(plan: Plan) -> Sequence[Outcome]:
    """The whole suite: over SQLite, and over PostgreSQL with a key server."""
    found: list[Outcome] = [*_walked(plan, "SQLite", "", turns=plan.of(quick=1_200, full=10_000))]
    try:
        tools = find_tools("initdb")
    except StoreDown as error:
        return [*found, Gap(suite="D", name="PostgreSQL", lacks=error.message)]
    with private_cluster(tools) as cluster:
        cluster.create()
        cluster.start()
        found += _walked(plan, "PostgreSQL", cluster.url(), turns=plan.of(quick=300, full=10_000))
        found += _catalog(plan, cluster.url())
    return found


def _walked(plan: Plan, name: str, url: str, *, turns: int) -> Iterator[Outcome]:
    folder = plan.folder / name
    folder.mkdir(parents=True, exist_ok=True)
    keys = _make_keys(folder, url)
    shared = _key_server(folder) if url else None
    try:
        with provider() as told:
            settings = {
                "database.url": url,
                "cache.url": shared.url if shared else "",
                "stream.url": shared.url if shared else "",
                "engines.openai.base_url": told.url,
                "engines.words.providers": "openai",
                **UNPLANNED,
                "telemetry.log_level": "debug",
                "telemetry.log_format": "json",
            }
            environment = {"OPENAI_API_KEY": "none", "NO_PROXY": "127.0.0.1"}
            with children.served(folder, settings, environment) as child:
                clients = [Client(tenant, child.port, keys[tenant], plan.seed) for tenant in TENANTS]
                _walk(clients, turns)
                let_in = sum((Counter(attack(*pair)) for pair in _pairs(clients)), Counter[str]())
                found = sum((client.found for client in clients), Counter[str]())
                found["metrics"] = sum(child.read("/metrics")[1].count(canary(tenant)) for tenant in TENANTS)
                found["prompts"] = _in_prompts(told)
                found["cache"] = _in_cache(shared) if shared else 0
                found["exports"] = _in_exports(folder, url)
                child.stop()
        found["logs"] = _in_log(folder / "server.log")
        found["rows"] = asyncio.run(_in_rows(url, folder)) if url else 0
    finally:
        if shared:
            shared.kill()
    taken = sum(client.turns for client in clients)
    plan.told(f"  {name}: {taken} turns, {told.calls} prompts, crossings {dict(found)}, let in {dict(let_in)}")
    yield _figure(f"{name}: turns", taken, "turns", turns, least=True)
    yield _figure(
        f"{name}: answers with the tenant's own words", min(one.own for one in clients), "answers", 20, least=True
    )
    yield _figure(f"{name}: prompts that reached the provider", told.calls, "prompts", len(TENANTS), least=True)
    yield _figure(f"{name}: words of another tenant", sum(found.values()), "crossings", 0)
    yield _figure(f"{name}: let in by hand", sum(let_in.values()), "attacks", 0)
    yield _figure(f"{name}: faults of the server's own", sum(one.faults for one in clients), "answers", 0)


def _walk(clients: Sequence[Client], turns: int) -> None:
    """All tenants at once, each by one thread that asks and one that listens."""
    stopped = threading.Event()
    with ThreadPoolExecutor(2 * len(clients)) as pool:
        list(pool.map(Client.begin, clients))
        listening = [pool.submit(client.listen, stopped) for client in clients]
        walking = [pool.submit(client.walk, -(-turns // len(clients))) for client in clients]
        try:
            for one in walking:
                one.result()
        finally:
            stopped.set()
        for one in listening:
            one.result()


def _pairs(clients: Sequence[Client]) -> Iterator[tuple[Client, Client]]:
    return ((thief, victim) for thief in clients for victim in clients if thief is not victim)


def _in_prompts(told: Provider) -> int:
    """Prompts that hold the words of more than one tenant."""
    return sum(sum(canary(tenant) in prompt for tenant in TENANTS) > 1 for prompt in told.prompts)


def _in_log(path: Path) -> int:
    """Canaries in lines about another tenant, or about none."""
    found = 0
    for line in path.read_text().splitlines():
        try:
            owner = str(json.loads(line).get("tenant", ""))
        except (ValueError, AttributeError):
            owner = ""
        found += crossings(line, owner)
    return found


def _in_exports(folder: Path, url: str) -> int:
    """Canaries of others in what `events export --tenant` writes; one without the tenant's own counts as well."""
    found = 0
    for tenant in TENANTS:
        out = folder / f"{tenant}.jsonl"
        command = [sys.executable, str(ROOT / "manage.py"), "events", "export", "--tenant", tenant, "--out", str(out)]
        command += ["--data", str(folder), "--set", f"database.url={url}"]
        subprocess.run(command, check=True, capture_output=True, timeout=VERB_S_MAX)  # noqa: S603  # our own verb
        exported = out.read_text()
        found += crossings(exported, tenant) + (canary(tenant) not in exported)
    return found


def _in_cache(server: KeyServer) -> int:
    """Canaries in values under another tenant's keys, and keys that begin with no tenant."""
    found = 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=10.0) as link, link.makefile("rb") as lines:
        for key in _asked(link, lines, b"KEYS", b"*"):
            owner = key.partition(b"{")[2].partition(b"}")[0].decode()
            found += not key.startswith(b"t:{")
            (kind,) = _asked(link, lines, b"TYPE", key)
            read = {b"string": (b"GET", key), b"hash": (b"HGETALL", key), b"stream": (b"XRANGE", key, b"-", b"+")}
            if kind == b"none":  # its time was over
                continue
            found += crossings(b"\n".join(_asked(link, lines, *read[kind])).decode("utf-8", "replace"), owner)
    return found


def _asked(link: socket.socket, lines: Any, *words: bytes) -> list[bytes]:
    """Every string in the answer to one command (RESP2), however deep."""
    link.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
    return list(_strings(lines))


def _strings(lines: Any) -> Iterator[bytes]:
    head = lines.readline().rstrip()
    match head[:1]:
        case b"*":
            for _ in range(max(0, int(head[1:]))):
                yield from _strings(lines)
        case b"$":
            if int(head[1:]) >= 0:
                yield lines.read(int(head[1:]) + 2)[:-2]
        case _:
            yield head[1:]


async def _in_rows(url: str, folder: Path) -> int:
    """Canaries of others in all rows that the database gives for each tenant, asked without any filter."""

    def everything(connection: Connection) -> str:
        rows = [connection.execute(select(table)).all() for table in tenant_tables(tables.metadata)]
        return repr(rows)

    database = open_database(url, folder=folder, migrations=ROOT / "migrations")
    await database.upgrade()
    found = 0
    for tenant in TENANTS:
        seen = await database.run_long(tenant, everything)
        found += crossings(seen, tenant) + (canary(tenant) not in seen)
    unnamed = await database.run_long(SERVERS, everything)
    found += sum(canary(tenant) in unnamed for tenant in TENANTS)
    await database.close()
    return found


def _catalog(plan: Plan, url: str) -> Iterator[Figure]:
    async def ask() -> tuple[int, int, str]:
        database = open_database(url, folder=plan.folder, migrations=ROOT / "migrations")
        await database.upgrade()
        unforced, forced = [
            await database.run(SERVERS, lambda c, query=query: int(c.execute(query).scalar_one()))  # type: ignore[misc]
            for query in (UNFORCED, FORCED)
        ]
        await database.close()
        return unforced, forced, database.weakness

    unforced, forced, weakness = asyncio.run(ask())
    plan.told(f"  PostgreSQL: {forced} tables under forced row-level security{f', {weakness}' if weakness else ''}")
    yield _figure("PostgreSQL: tables of tenants without forced row security", unforced, "tables", 0)
    yield _figure("PostgreSQL: tables under it", forced, "tables", len(tenant_tables(tables.metadata)), least=True)
    yield _figure("PostgreSQL: the server's role passes by it", int(bool(weakness)), "roles", 0)


def _make_keys(folder: Path, url: str) -> dict[str, str]:
    """A key for each tenant, before the server's first start."""
    made = {tenant: make_key(label="proof", scopes=ALL_SCOPES, created_ms=0) for tenant in TENANTS}

    async def add() -> None:
        database = open_database(url, folder=folder, migrations=ROOT / "migrations")
        await database.upgrade()
        for tenant, key in made.items():
            await database.run(
                tenant,
                lambda c, tenant=tenant, key=key: identity.add_api_key(c, tenant, key.row, 0),  # type: ignore[misc]
            )
        await database.close()

    asyncio.run(add())
    (folder / "api-key").write_text(made[TENANTS[0]].text)
    return {tenant: key.text for tenant, key in made.items()}


def _key_server(folder: Path) -> KeyServer | None:
    try:
        server = KeyServer(find_program(), folder, children.free_port())
        server.start()
    except StoreDown:
        return None
    return server


def _figure(name: str, value: float, unit: str, bound: float, *, least: bool = False) -> Figure:
    return Figure(suite="D", name=name, value=value, unit=unit, bound=bound, side="at_least" if least else "at_most")
