"""Operators as the control plane sees them, over the database's rows, and all that lets people sign in.

Implements app.control.operator_records.OperatorRecords. What ends or narrows somebody's access is written in one
transaction with the change that tells every server of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from typing import Any, TypeVar

from sqlalchemy import Connection

from app.control.operator_records import Code, Joining, Kind, Lock, Operator, OperatorRecords, Passkey, columns
from app.control.permissions import SCOPES, Role
from app.core.errors import Conflict, NotFound, Overloaded
from app.core.ports import Vault
from app.stores import identity, operators
from app.stores.database import Database

T = TypeVar("T")
OPEN_KINDS = (Kind.TICKET, Kind.CHALLENGE, Kind.ENROLLMENT)


class DatabaseOperators(OperatorRecords):
    """One transaction for each question."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def _run(self, tenant: str, work: Callable[[Connection], T]) -> T:
        """`work` over rows of that tenant alone."""
        return await self._database.run(tenant, work)

    async def has_tenant(self, tenant: str) -> bool:
        return await self._run(tenant, lambda c: operators.has_tenant(c, tenant))

    async def all(self, tenant: str) -> list[Operator]:
        rows = await self._run(tenant, lambda c: operators.operators(c, tenant))
        return [_operator(row, self._vault) for row in rows]

    async def get(self, tenant: str, id: str) -> Operator | None:
        return await self._run(tenant, lambda c: _one(c, self._vault, tenant, id=id))

    async def find(self, tenant: str, login_key: str) -> Operator | None:
        return await self._run(tenant, lambda c: _one(c, self._vault, tenant, login_key=login_key))

    async def is_removed(self, tenant: str, id: str) -> bool:
        return await self._run(tenant, lambda c: operators.is_removed(c, tenant, id))

    async def invite(self, operator: Operator, login_key: str, code: Code, *, operators_max: int) -> None:
        tenant = operator.tenant

        def work(connection: Connection) -> None:
            operators.add_tenant(connection, tenant, operator.created_ms)
            if operators.count_operators(connection, tenant) >= operators_max:
                raise Conflict(f"the tenant has {operators_max} operators", hint="raise sign_in.operators_max")
            if not operators.add_operator(connection, tenant, columns(operator, login_key)):
                raise _taken(operator.login)
            operators.add_code(connection, tenant, asdict(code))

        await self._run(tenant, work)

    async def change(self, tenant: str, id: str, *, role: Role | None, disabled_ms: int | None, now_ms: int) -> None:
        def work(connection: Connection) -> None:
            held = _required(connection, self._vault, tenant, id)
            ends_owner = held.role is Role.OWNER and (role not in (None, Role.OWNER) or bool(disabled_ms))
            if ends_owner:
                _require_other_owner(connection, held)
            values: dict[str, Any] = {} if role is None else {"role": role}
            if disabled_ms is not None:
                values["disabled_ms"] = disabled_ms or None
            operators.change_operator(connection, tenant, id, values)
            if role is not None:
                identity.limit_actor(connection, tenant, held.actor, int(SCOPES[role]), now_ms)
            if disabled_ms:
                identity.end_actor(connection, tenant, held.actor, now_ms)

        await self._run(tenant, work)

    async def remove(self, tenant: str, id: str, now_ms: int) -> None:
        def work(connection: Connection) -> None:
            held = _required(connection, self._vault, tenant, id)
            if held.role is Role.OWNER:
                _require_other_owner(connection, held)
            values = {"login": "", "login_key": f"removed:{id}", "removed_ms": now_ms, "disabled_ms": now_ms}
            _strip(connection, held, values, now_ms)

        await self._run(tenant, work)

    async def reset(self, tenant: str, id: str, code: Code, now_ms: int, *, last_owner_too: bool) -> None:
        def work(connection: Connection) -> None:
            held = _required(connection, self._vault, tenant, id)
            if held.role is Role.OWNER and not last_owner_too:
                _require_other_owner(connection, held)
            _strip(connection, held, {}, now_ms)
            operators.add_code(connection, tenant, asdict(code))

        await self._run(tenant, work)

    async def join(self, tenant: str, digest: str, joining: Joining, now_ms: int) -> str | None:
        def work(connection: Connection) -> str | None:
            invited = operators.code(connection, tenant, digest, Kind.INVITATION, now_ms)
            if invited is None:
                return None
            id: str = invited["operator"]
            if operators.login_taken(connection, tenant, joining.login_key, id):
                raise _taken(joining.login)
            if operators.take_code(connection, tenant, digest, Kind.INVITATION, now_ms) is None:
                return None
            operators.drop_codes(connection, tenant, id)
            values = {
                "login": joining.login,
                "login_key": joining.login_key,
                "password_hash": joining.password_hash,
                "totp_secret": self._sealed(tenant, id, joining.totp_secret),
                "totp_step": joining.totp_step,
                "joined_ms": now_ms,
            }
            if not operators.change_operator(connection, tenant, id, values):
                return None
            if joining.passkey is not None:
                _add_passkey(connection, tenant, joining.passkey, 1)
            for code in joining.recovery:
                operators.add_code(connection, tenant, {**asdict(code), "operator": id})
            return id

        return await self._run(tenant, work)

    async def note_signed_in(self, tenant: str, id: str, now_ms: int) -> None:
        await self._change(tenant, id, {"signed_in_ms": now_ms})

    async def set_password(self, tenant: str, id: str, password_hash: str) -> None:
        await self._change(tenant, id, {"password_hash": password_hash})

    async def set_totp(self, tenant: str, id: str, secret: bytes, step: int) -> None:
        await self._change(tenant, id, {"totp_secret": self._sealed(tenant, id, secret), "totp_step": step})

    async def _change(self, tenant: str, id: str, values: dict[str, Any]) -> None:
        await self._run(tenant, lambda c: operators.change_operator(c, tenant, id, values))

    async def set_recovery(self, tenant: str, id: str, codes: Sequence[Code]) -> None:
        def work(connection: Connection) -> None:
            operators.drop_codes(connection, tenant, id, (Kind.RECOVERY,))
            for code in codes:
                operators.add_code(connection, tenant, asdict(code))

        await self._run(tenant, work)

    async def put_code(self, tenant: str, code: Code, *, open_max: int, now_ms: int) -> None:
        def work(connection: Connection) -> None:
            if operators.count_codes(connection, tenant, OPEN_KINDS, now_ms) >= open_max:
                raise Overloaded(f"{open_max} sign-ins wait for their second step", hint="try again in a few minutes")
            sealed = self._vault.seal(tenant, "operator_codes", "data", code.digest, code.data)
            operators.add_code(connection, tenant, {**asdict(code), "data": sealed})

        await self._run(tenant, work)

    async def code(self, tenant: str, digest: str, kind: Kind, now_ms: int) -> Code | None:
        return self._code(await self._run(tenant, lambda c: operators.code(c, tenant, digest, kind, now_ms)))

    async def take_code(self, tenant: str, digest: str, kind: Kind, now_ms: int) -> Code | None:
        return self._code(await self._run(tenant, lambda c: operators.take_code(c, tenant, digest, kind, now_ms)))

    async def take_step(self, tenant: str, id: str, *, step: int, ticket: str, now_ms: int) -> bool:
        def work(connection: Connection) -> bool:
            if operators.code(connection, tenant, ticket, Kind.TICKET, now_ms) is None:
                return False  # or a ticket that is gone would use up a code that its owner may still need
            return (
                operators.take_step(connection, tenant, id, step)
                and operators.take_code(connection, tenant, ticket, Kind.TICKET, now_ms) is not None
            )

        return await self._run(tenant, work)

    async def passkeys(self, tenant: str, id: str) -> Sequence[Passkey]:
        rows = await self._run(tenant, lambda c: operators.passkeys(c, tenant, operator=id))
        return [_passkey(row) for row in rows]

    async def passkey(self, tenant: str, digest: str) -> Passkey | None:
        rows = await self._run(tenant, lambda c: operators.passkeys(c, tenant, digest=digest))
        return _passkey(rows[0]) if rows else None

    async def add_passkey(self, tenant: str, passkey: Passkey, *, passkeys_max: int) -> None:
        await self._run(tenant, lambda c: _add_passkey(c, tenant, passkey, passkeys_max))

    async def use_passkey(self, tenant: str, digest: str, *, count: int, next_count: int, now_ms: int) -> bool:
        return await self._run(
            tenant,
            lambda c: operators.use_passkey(c, tenant, digest, count=count, next_count=next_count, now_ms=now_ms),
        )

    async def drop_passkey(self, tenant: str, id: str, digest: str) -> bool:
        return await self._run(tenant, lambda c: operators.drop_passkeys(c, tenant, id, digest) == 1)

    async def attempt(self, tenant: str, subject: str, lock: Lock, now_ms: int) -> bool:
        limits = {"failures_max": lock.failures_max, "lock_ms_max": lock.lock_ms_max}
        return await self._run(tenant, lambda c: operators.attempt(c, tenant, subject, now_ms=now_ms, **limits))

    async def forget_attempts(self, tenant: str, subject: str) -> None:
        await self._run(tenant, lambda c: operators.forget_attempts(c, tenant, subject))

    def _sealed(self, tenant: str, id: str, secret: bytes) -> bytes | None:
        return self._vault.seal(tenant, "operators", "totp_secret", id, secret) if secret else None

    def _code(self, row: dict[str, Any] | None) -> Code | None:
        if row is None:
            return None
        data = row["data"]
        if data:
            data = self._vault.open(row["tenant"], "operator_codes", "data", row["digest"], data)
        return Code(**{**_picked(row, Code), "kind": Kind(row["kind"]), "data": data})


def _one(connection: Connection, vault: Vault, tenant: str, **wanted: str) -> Operator | None:
    rows = operators.operators(connection, tenant, **wanted)
    return _operator(rows[0], vault) if rows else None


def _required(connection: Connection, vault: Vault, tenant: str, id: str) -> Operator:
    found = _one(connection, vault, tenant, id=id)
    if found is None:
        raise NotFound(f"no operator {id!r}", hint="GET /v1/operators lists them")
    return found


def _require_other_owner(connection: Connection, held: Operator) -> None:
    if held.active and not operators.other_owners(connection, held.tenant, held.id):
        raise Conflict(f"{held.login!r} is the last owner", hint="make somebody else an owner first")


def _strip(connection: Connection, held: Operator, values: dict[str, Any], now_ms: int) -> None:
    """Take password, factors, codes and sign-ins away."""
    nothing = {"password_hash": "", "totp_secret": None, "joined_ms": None}
    operators.change_operator(connection, held.tenant, held.id, {**nothing, **values})
    operators.drop_passkeys(connection, held.tenant, held.id)
    operators.drop_codes(connection, held.tenant, held.id)
    identity.end_actor(connection, held.tenant, held.actor, now_ms)


def _add_passkey(connection: Connection, tenant: str, passkey: Passkey, passkeys_max: int) -> None:
    operators.lock_operator(connection, tenant, passkey.operator)
    if len(operators.passkeys(connection, tenant, operator=passkey.operator)) >= passkeys_max:
        raise Conflict(f"you have {passkeys_max} passkeys", hint="remove one first")
    if not operators.add_passkey(connection, tenant, asdict(passkey)):
        raise Conflict("this passkey is known already", hint="use another one")


def _taken(login: str) -> Conflict:
    return Conflict(f"the login {login!r} is taken", hint="choose another one")


def _passkey(row: dict[str, Any]) -> Passkey:
    return Passkey(**_picked(row, Passkey))


def _operator(row: dict[str, Any], vault: Vault) -> Operator:
    secret = row["totp_secret"] or b""
    if secret:
        secret = vault.open(row["tenant"], "operators", "totp_secret", row["id"], secret)
    return Operator(**{**_picked(row, Operator), "role": Role(row["role"]), "totp_secret": secret})


def _picked(row: dict[str, Any], kind: Any) -> dict[str, Any]:
    return {field.name: row[field.name] for field in fields(kind)}
