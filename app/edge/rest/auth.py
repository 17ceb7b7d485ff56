"""Signing in over HTTP: a key becomes tokens, a refresh token the next pair, a one-time code opens the console."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler

from app.control.auth import Authority
from app.control.grants import Grants, Issued
from app.core.clock import Clock
from app.core.errors import Unauthenticated
from app.edge.address import client_address
from app.edge.limits import Limits
from app.edge.rest import shapes
from app.edge.rest.http import AnyRequest, body_of, json, permit

BODY_BYTES_MAX = 8_192


@dataclass(frozen=True, slots=True)
class Auth:
    """What the routes below need; built once by the composition root."""

    authority: Authority
    grants: Grants
    limits: Limits
    clock: Clock

    def routes(self) -> list[HTTPRouteHandler]:
        """All of them."""
        return [self._token(), self._refresh(), self._revoke(), self._code(), self._enter()]

    def _token(self) -> HTTPRouteHandler:
        @post("/v1/auth/token", status_code=200)
        async def token(request: AnyRequest) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            identity.require_credential()
            return self._told(await self.grants.sign_in(identity))

        return token

    def _refresh(self) -> HTTPRouteHandler:
        @post("/v1/auth/refresh", status_code=200)
        async def refresh(request: AnyRequest) -> Response[bytes]:
            await self.limits.arrive(client_address(request.scope))
            body = await body_of(request, shapes.Refresh)
            try:
                await self.limits.take(await self.grants.holder(body.refresh_token))
                return self._told(await self.grants.refresh(body.refresh_token))
            except Unauthenticated as error:
                raise await self.limits.failed(client_address(request.scope), error) from error

        return refresh

    def _revoke(self) -> HTTPRouteHandler:
        @post("/v1/auth/revoke", status_code=200)
        async def revoke(request: AnyRequest) -> Response[bytes]:
            await self.limits.arrive(client_address(request.scope))
            body = await body_of(request, shapes.Revoke)
            try:
                ended = await self.grants.end(body.token)
            except Unauthenticated:
                ended = False
            if not ended:  # told nothing (RFC 7009, 2.2), but who tries many is stopped
                error = Unauthenticated("")
                told = await self.limits.failed(client_address(request.scope), error)
                if told is not error:
                    raise told
            return json(shapes.Done())

        return revoke

    def _code(self) -> HTTPRouteHandler:
        @post("/v1/auth/code", status_code=200)
        async def code(request: AnyRequest) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            identity.require_credential()
            return json(shapes.Opening(code=self.authority.make_code(identity), path="/console/"))

        return code

    def _enter(self) -> HTTPRouteHandler:
        @post("/v1/auth/enter", status_code=200)
        async def enter(request: AnyRequest) -> Response[bytes]:
            await self.limits.arrive(client_address(request.scope))
            body = await body_of(request, shapes.Code)
            try:
                return self._told(await self.grants.sign_in(self.authority.take_code(body.code)))
            except Unauthenticated as error:
                raise await self.limits.failed(client_address(request.scope), error) from error

        return enter

    def _told(self, issued: Issued) -> Response[bytes]:
        """The answer of RFC 6749, 5.1."""
        now_ms = self.clock.wall_ms()
        left_s = (issued.access_ends_ms - now_ms) // 1000
        told = shapes.Issued(access_token=issued.access, expires_in=left_s)
        if issued.refresh:
            left_s = (issued.refresh_ends_ms - now_ms) // 1000
            told = msgspec.structs.replace(told, refresh_token=issued.refresh, refresh_expires_in=left_s)
        return json(told)
