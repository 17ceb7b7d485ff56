"""The credentials of the identity suite: keys of every role in two tenants, and everything that must not pass for one.

They are put into a server's database before its first start, and changed there while it runs, as the command line
would. It asks the server for tokens and nothing else.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec
from sqlalchemy import Connection

from app.build import ROOT
from app.build.records import signing_key
from app.cli.prove.child import Child, ask
from app.cli.serve import KEY_FILE
from app.control.keys import draw_text, make_key, split
from app.control.permissions import SCOPES, Role
from app.control.ring import Ring
from app.control.tokens import ACCESS, AUDIENCES, ISSUER, Claims, token_id
from app.core.digests import digest
from app.core.errors import Broken
from app.core.module import Scope
from app.stores import identity
from app.stores.database import open_database

T = TypeVar("T")
TENANTS = ("north", "south")
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Credential:
    """What a caller sends, whose it is, and what it may do by the permission map; no scopes is nobody's."""

    name: str
    authorization: str
    tenant: str = ""
    scopes: Scope | None = None
    by_token: bool = False

    @property
    def text(self) -> str:
        """Without the scheme, as a socket's hello has it."""
        return self.authorization.removeprefix("Bearer ")


@dataclass(slots=True)
class Office:
    """The keys of one database."""

    folder: Path
    keys: dict[tuple[str, str], str] = field(default_factory=dict)
    """(tenant, what it is for) -> text."""

    def open(self) -> None:
        """Make the keys, and the file in which a server's own key would lie."""

        def add(connection: Connection) -> None:
            for tenant in TENANTS:
                for role in Role:
                    self._add(connection, tenant, role.value, SCOPES[role])
            self._add(connection, TENANTS[0], "expired", SCOPES[Role.OWNER], expires_ms=now_ms() - 1)
            for name in ("revoked", "rotated", "revoked later"):
                self._add(connection, TENANTS[0], name, SCOPES[Role.OWNER])

        self.run(add)
        (self.folder / KEY_FILE).write_text(self.keys[TENANTS[0], Role.OWNER])

    def add(self, name: str) -> str:
        """One more owner's key of the first tenant."""
        self.run(lambda connection: self._add(connection, TENANTS[0], name, SCOPES[Role.OWNER]))
        return self.keys[TENANTS[0], name]

    def revoke(self, text: str) -> float:
        """Revoke a key of the first tenant; the moment at which that was committed, monotonic."""
        prefix = split(text)[0]
        self.run(lambda connection: identity.revoke_api_key(connection, TENANTS[0], prefix, now_ms()))
        return time.monotonic()

    def rotate(self, text: str) -> None:
        """Give a key of the first tenant another secret, at once."""
        prefix = split(text)[0]
        secret = digest(split(draw_text(prefix))[1])
        self.run(lambda connection: identity.rotate_api_key(connection, TENANTS[0], prefix, secret, now_ms()))

    def holders(self, child: Child) -> list[Credential]:
        """A key and a token of every role in each tenant."""
        found = []
        for tenant in TENANTS:
            for role in Role:
                key = self.keys[tenant, role]
                scopes = SCOPES[role]
                found.append(Credential(f"key of {role}", f"Bearer {key}", tenant, scopes))
                token = sign_in(child, key)["access_token"]
                found.append(Credential(f"token of {role}", f"Bearer {token}", tenant, scopes, by_token=True))
        return found

    def strangers(self, child: Child) -> list[Credential]:
        """Everything that must be refused, one of each kind; what has to be revoked for that is known to be."""
        owner = self.keys[TENANTS[0], Role.OWNER]
        prefix = split(owner)[0]
        good, ended = sign_in(child, owner), sign_in(child, owner)
        later = self.keys[TENANTS[0], "revoked later"]
        of_revoked = sign_in(child, later)["access_token"]
        self.revoke(self.keys[TENANTS[0], "revoked"])
        self.rotate(self.keys[TENANTS[0], "rotated"])
        self.revoke(later)
        ask(child.port, "POST", "/v1/auth/revoke", {"token": ended["refresh_token"]}, "")
        token = good["access_token"]
        head, payload, signature = token.split(".")
        none = urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').rstrip(b"=").decode()
        texts = {
            "garbage": "garbage",
            "unknown key": draw_text("000000000000"),
            "wrong secret": draw_text(prefix),
            "expired key": self.keys[TENANTS[0], "expired"],
            "revoked key": self.keys[TENANTS[0], "revoked"],
            "former secret": self.keys[TENANTS[0], "rotated"],
            "expired token": self._signed(prefix, ends_ms=now_ms() - 1_000, scopes=SCOPES[Role.OWNER]),
            "token with too old an actor": self._signed("000000000000", ends_ms=now_ms() + HOUR_MS, scopes=Scope.READ),
            "token of a revoked key": of_revoked,
            "token of an ended sign-in": ended["access_token"],
            "tampered token": f"{head}.{payload[:-2]}{'AA' if payload[-2:] != 'AA' else 'BB'}.{signature}",
            "unsigned token": f"{none}.{payload}.",
            "refresh token": good["refresh_token"],
            "SQL": "ik_' OR 1=1--_x",
        }
        found = [Credential(name, f"Bearer {text}") for name, text in texts.items()]
        basic = b64encode(f"{owner}:".encode()).decode()
        found += [Credential("none", ""), Credential("another scheme", f"Basic {basic}")]
        self._await_refused(child, found)
        return found

    def run(self, work: Callable[[Connection], T]) -> T:
        """The result of `work` over the database, from outside of the server."""

        def prepared(connection: Connection) -> T:
            identity.prepare(connection)
            return work(connection)

        async def run() -> T:
            database = open_database("", folder=self.folder, migrations=ROOT / "migrations")
            try:
                await database.upgrade()
                return await database.run(prepared)
            finally:
                await database.close()

        return asyncio.run(run())

    def _add(
        self, connection: Connection, tenant: str, name: str, scopes: Scope, *, expires_ms: int | None = None
    ) -> None:
        new = make_key(label=name, scopes=scopes, created_ms=now_ms(), expires_ms=expires_ms)
        identity.add_api_key(connection, tenant, new.row, now_ms())
        self.keys[tenant, name] = new.text

    def _signed(self, prefix: str, *, ends_ms: int, scopes: Scope) -> str:
        """A token with the server's own signature."""
        keys = [signing_key(row) for row in self.run(identity.signing_keys)]
        moment_s = now_ms() // 1000
        claims = Claims(
            iss=ISSUER,
            aud=AUDIENCES[ACCESS],
            sub=f"key:{prefix}",
            tenant=TENANTS[0],
            scopes=int(scopes),
            iat=moment_s,
            nbf=moment_s,
            exp=ends_ms // 1000,
            jti=token_id(),
            auth_ms=now_ms(),
        )
        return Ring(keys, token_ms=0).sign(msgspec.json.encode(claims), typ=ACCESS, now_ms=now_ms())

    def _await_refused(self, child: Child, strangers: list[Credential]) -> None:
        """Wait until the server has heard of the revocations; how long that takes is measured elsewhere."""
        until_s = time.monotonic() + 5.0
        revoked = [each.text for each in strangers if each.name in ("revoked key", "former secret")]
        while any(ask(child.port, "GET", "/v1/worlds", None, text)[0] == 200 for text in revoked):
            if time.monotonic() > until_s:
                return  # the matrix counts it
            time.sleep(0.05)


def sign_in(child: Child, key: str) -> dict[str, str]:
    """The tokens of a key; raises Broken."""
    status, told = ask(child.port, "POST", "/v1/auth/token", {}, key)
    if status != 200:
        raise Broken(f"a key was answered with {status}: {told}")
    return dict(told)


def now_ms() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000
