"""A tenant's people over a real database, with a clock that is set by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyotp
import structlog

from app.build import MODULE_SETTINGS, ROOT
from app.build.access import open_access
from app.build.operators import DatabaseOperators
from app.control.auth import Authority, Identity
from app.control.factors import Factors, Joined, Proof
from app.control.grants import Issued
from app.control.operator_records import Operator
from app.control.operators import Operators
from app.control.passkeys import Site
from app.control.passwords import Passwords
from app.control.permissions import SCOPES, TENANT_SCOPES, Role
from app.control.sign_in import SignIns, Ticket
from app.core.errors import Error
from app.core.profile import layers, load
from app.core.sign_in import SignIn
from app.stores.database import Database, open_database

TENANT = "default"
PASSWORD = "seven ravens over Ulm"
SITE = Site("localhost", "http://localhost:1")


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def wall_ms(self) -> int:
        return self.ms

    def monotonic_s(self) -> float:
        return self.ms / 1000.0


class Trail:
    """Keeps what was noted."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str, str, str]] = []

    def note(self, tenant: str, actor: str, action: str, target: str, **details: str | int | bool) -> None:
        self.notes.append((tenant, actor, action, target))

    def actions(self) -> list[str]:
        return [action for _, _, action, _ in self.notes]


@dataclass
class Inn:
    """All that lets people in."""

    database: Database
    clock: Hands
    trail: Trail
    settings: SignIn
    authority: Authority
    records: DatabaseOperators
    operators: Operators
    passwords: Passwords
    sign_ins: SignIns
    factors: Factors

    async def invite(self, login: str, role: Role = Role.OWNER, tenant: str = TENANT) -> str:
        return (await self.operators.invite_from_host(tenant, login=login, role=role)).code

    async def join(
        self, login: str, role: Role = Role.OWNER, tenant: str = TENANT, password: str = PASSWORD
    ) -> tuple[Operator, pyotp.TOTP, Joined]:
        """Somebody who joined with an authenticator, whose clock has moved on since."""
        code = await self.invite(login, role, tenant)
        made = await self.factors.begin_totp(await self.factors.invited(code))
        app = pyotp.TOTP(made.secret)
        joined = await self.accept(code, login, password, Proof(made.enrollment, self.code(app)))
        self.clock.ms += 60_000
        found = await self.operators.find(tenant, login)
        return found, app, joined

    async def accept(self, code: str, login: str, password: str, proof: Proof | None = None) -> Joined:
        return await self.factors.join(code, login=login, password=password, proof=proof, site=SITE, label="")

    def code(self, app: pyotp.TOTP) -> str:
        return app.at(self.clock.ms // 1000)

    async def ticket(self, login: str, password: str = PASSWORD, tenant: str = TENANT) -> str:
        step = await self.sign_ins.with_password(tenant, login, password)
        assert isinstance(step, Ticket)
        return step.text

    async def sign_in(self, login: str, app: pyotp.TOTP) -> Issued:
        return await self.sign_ins.with_totp(await self.ticket(login), self.code(app))

    def identity(self, operator: Operator) -> Identity:
        scopes = SCOPES[operator.role]
        return Identity(tenant=operator.tenant, actor=operator.actor, scopes=scopes, since_ms=self.clock.ms)

    def holds(self, token: str) -> bool:
        try:
            self.authority.identify(token)
        except Error:
            return False
        return True


HOST = Identity(tenant=TENANT, actor="key:host", scopes=TENANT_SCOPES, since_ms=0)


@asynccontextmanager
async def opened(url: str, folder: Path, **changed: object) -> AsyncIterator[Inn]:
    """An inn over the database at `url`, with the settings of the profile and what is changed."""
    flags = {"server.data_folder": str(folder), "database.url": url}
    profile = load(layers(ROOT / "profiles", mode=1, file=None, environment={}, flags=flags), MODULE_SETTINGS).profile
    settings = msgspec.structs.replace(profile.sign_in, hash_memory_bytes=8_388_608, **changed)
    clock, trail = Hands(), Trail()
    database = open_database(url, folder=folder, migrations=ROOT / "migrations")
    await database.upgrade()
    access = await open_access(database, profile, clock=clock, log=structlog.get_logger(), audit=trail)
    records, passwords = DatabaseOperators(database, database.vault), Passwords(settings)
    operators = Operators(records, access.grants, clock=clock, audit=trail, settings=settings, learn=access.watch.learn)
    yield Inn(
        database=database,
        clock=clock,
        trail=trail,
        settings=settings,
        authority=access.authority,
        records=records,
        operators=operators,
        passwords=passwords,
        sign_ins=SignIns(
            records, operators, passwords, clock=clock, audit=trail, settings=settings, fallback_tenant=TENANT
        ),
        factors=Factors(records, operators, passwords, access.grants, clock=clock, audit=trail, settings=settings),
    )
    await passwords.close()
    await access.watch.close()
    await database.close()


async def winners(tries: Sequence[Awaitable[object]]) -> int:
    """How many did not fail; a failure that is no refusal fails the test."""
    found = await asyncio.gather(*tries, return_exceptions=True)
    assert all(isinstance(one, Error) and one.status < 500 for one in found if isinstance(one, BaseException)), found
    return sum(not isinstance(one, BaseException) for one in found)
