"""Opens all that lets people sign in, over the database and what already lets keys in."""

from __future__ import annotations

from dataclasses import dataclass

from app.build.access import DEFAULT_TENANT, Access
from app.build.operators import DatabaseOperators
from app.control.factors import Factors
from app.control.operators import Operators
from app.control.passwords import Passwords
from app.control.sign_in import SignIns
from app.core.clock import Clock
from app.core.ports import Audit, Vault
from app.core.sign_in import SignIn
from app.stores.database import Database


@dataclass(frozen=True, slots=True)
class People:
    """The people who run tenants, and their ways in. `invitation` is a code for the first owner; empty with one."""

    operators: Operators
    sign_ins: SignIns
    factors: Factors
    passwords: Passwords
    invitation: str


async def open_people(
    database: Database, settings: SignIn, access: Access, *, clock: Clock, audit: Audit, vault: Vault
) -> People:
    """The people of every tenant; where the default tenant has none yet, its first owner is invited."""
    records, passwords = DatabaseOperators(database, vault), Passwords(settings)
    operators = Operators(records, access.grants, clock=clock, audit=audit, settings=settings, learn=access.watch.learn)
    sign_ins = SignIns(
        records,
        operators,
        passwords,
        clock=clock,
        audit=audit,
        settings=settings,
        fallback_tenant=DEFAULT_TENANT,
    )
    factors = Factors(records, operators, passwords, access.grants, clock=clock, audit=audit, settings=settings)
    invitation = await operators.invite_first(DEFAULT_TENANT) or ""
    return People(operators, sign_ins, factors, passwords, invitation)
