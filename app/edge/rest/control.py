"""The control plane over HTTP: the tenant's operators and API keys.

Whom or what a request is about stands in its path alone, and belongs to the tenant of the credential: a name in the
body is refused, one in the query is nobody's.
"""

from __future__ import annotations

from dataclasses import dataclass

from litestar import Response, delete, get, patch, post
from litestar.handlers import HTTPRouteHandler

from app.control import operators as control
from app.control.api_keys import ApiKeys
from app.control.auth import Authority
from app.control.keys import Key
from app.control.operators import Operators
from app.control.permissions import SCOPES
from app.core.clock import Clock
from app.core.errors import Invalid
from app.core.module import Scope
from app.edge.limits import Limits
from app.edge.rest import shapes_people as shapes
from app.edge.rest.http import AnyRequest, body_of, json, permit
from app.edge.rest.me import person_of

DAY_MS = 86_400_000
CONSOLE = "/console/"


@dataclass(frozen=True, slots=True)
class ControlRoutes:
    """What the routes below need; built once by the application."""

    authority: Authority
    operators: Operators
    api_keys: ApiKeys
    limits: Limits
    clock: Clock

    def routes(self) -> list[HTTPRouteHandler]:
        """All of them."""
        return [
            self._list_operators(),
            self._invite(),
            self._change(),
            self._remove(),
            self._reset(),
            self._list_keys(),
            self._make_key(),
            self._revoke_key(),
            self._rotate_key(),
        ]

    def _list_operators(self) -> HTTPRouteHandler:
        @get("/v1/operators")
        async def listed(request: AnyRequest) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            found = await self.operators.all(identity.tenant)
            return json(shapes.People(operators=tuple(person_of(operator) for operator in found)))

        return listed

    def _invite(self) -> HTTPRouteHandler:
        @post("/v1/operators", status_code=200)
        async def invite(request: AnyRequest) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            body = await body_of(request, shapes.Invite)
            return json(_invited(await self.operators.invite(identity, login=body.login, role=body.role)))

        return invite

    def _change(self) -> HTTPRouteHandler:
        @patch("/v1/operators/{operator:str}", status_code=200)
        async def change(request: AnyRequest, operator: str) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            body = await body_of(request, shapes.Change)
            changed = await self.operators.change(identity, operator, role=body.role, disabled=body.disabled)
            return json(person_of(changed))

        return change

    def _remove(self) -> HTTPRouteHandler:
        @delete("/v1/operators/{operator:str}", status_code=200)
        async def remove(request: AnyRequest, operator: str) -> Response[bytes]:
            await self.operators.remove(await permit(request, self.authority, self.limits), operator)
            return json(shapes.Done())

        return remove

    def _reset(self) -> HTTPRouteHandler:
        @post("/v1/operators/{operator:str}/reset", status_code=200)
        async def reset(request: AnyRequest, operator: str) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            return json(_invited(await self.operators.reset(identity, operator)))

        return reset

    def _list_keys(self) -> HTTPRouteHandler:
        @get("/v1/keys")
        async def listed(request: AnyRequest) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            found = await self.api_keys.all(identity.tenant)
            return json(shapes.Keys(keys=tuple(_key(key) for key in found)))

        return listed

    def _make_key(self) -> HTTPRouteHandler:
        @post("/v1/keys", status_code=200)
        async def make(request: AnyRequest) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            body = await body_of(request, shapes.NewKey)
            scopes = shapes.scopes_of(body.scopes) | (SCOPES[body.role] if body.role is not None else Scope(0))
            if not scopes:
                raise Invalid("the key could do nothing", hint="give a role, or scopes")
            expires_ms = self.clock.wall_ms() + body.days * DAY_MS if body.days else None
            new = await self.api_keys.create(
                identity, label=body.label, scopes=scopes, role=body.role, expires_ms=expires_ms
            )
            return json(shapes.KeyText(prefix=new.row["prefix"], key=new.text))

        return make

    def _revoke_key(self) -> HTTPRouteHandler:
        @delete("/v1/keys/{prefix:str}", status_code=200)
        async def revoke(request: AnyRequest, prefix: str) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            known = {key.prefix: key for key in await self.api_keys.all(identity.tenant)}
            if prefix not in known or known[prefix].revoked_ms is None:
                await self.api_keys.revoke(identity, prefix)
            return json(shapes.Done())

        return revoke

    def _rotate_key(self) -> HTTPRouteHandler:
        @post("/v1/keys/{prefix:str}/rotate", status_code=200)
        async def rotate(request: AnyRequest, prefix: str) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            body = await body_of(request, shapes.Rotate)
            text = await self.api_keys.rotate(identity, prefix, grace_minutes=body.grace_minutes)
            return json(shapes.KeyText(prefix=prefix, key=text))

        return rotate


def _invited(invited: control.Invited) -> shapes.Invited:
    path = f"{CONSOLE}#invite={invited.code}"
    return shapes.Invited(operator=person_of(invited.operator), code=invited.code, path=path)


def _key(key: Key) -> shapes.KeyShown:
    return shapes.KeyShown(
        prefix=key.prefix,
        label=key.label,
        role=key.role,
        scopes=shapes.names_of(key.scopes),
        created_ms=key.created_ms,
        expires_ms=key.expires_ms,
        revoked_ms=key.revoked_ms,
    )
