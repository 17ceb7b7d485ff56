"""Signing in over HTTP: a key becomes tokens, a refresh token the next pair, a one-time code opens the console."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeVar

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler

from app.control.auth import Authority
from app.control.grants import Grants, Issued
from app.core.clock import Clock
from app.core.errors import Invalid, Unauthenticated
from app.edge.limits import Limits
from app.edge.rest.http import AnyRequest, json, permit, read_body

T = TypeVar("T", bound=msgspec.Struct)
BODY_BYTES_MAX = 8_192
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4_096)]


class Code(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The one-time code of a link to the console."""

    code: Text


class Refresh(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A refresh token, which is used up by this."""

    refresh_token: Text


class Revoke(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An access or refresh token, whose sign-in ends, or an API key, of which every sign-in ends."""

    token: Text


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
            body = await _read(request, Refresh)
            try:
                return self._told(await self.grants.refresh(body.refresh_token))
            except Unauthenticated as error:
                raise await self.limits.failed(_address(request), error) from error

        return refresh

    def _revoke(self) -> HTTPRouteHandler:
        @post("/v1/auth/revoke", status_code=200)
        async def revoke(request: AnyRequest) -> Response[bytes]:
            body = await _read(request, Revoke)
            try:
                ended = await self.grants.end(body.token)
            except Unauthenticated:
                ended = False
            if not ended:  # told nothing (RFC 7009, 2.2), but who tries many is stopped
                error = Unauthenticated("")
                told = await self.limits.failed(_address(request), error)
                if told is not error:
                    raise told
            return json({})

        return revoke

    def _code(self) -> HTTPRouteHandler:
        @post("/v1/auth/code", status_code=200)
        async def code(request: AnyRequest) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            identity.require_credential()
            return json({"code": self.authority.make_code(identity), "path": "/console/"})

        return code

    def _enter(self) -> HTTPRouteHandler:
        @post("/v1/auth/enter", status_code=200)
        async def enter(request: AnyRequest) -> Response[bytes]:
            body = await _read(request, Code)
            try:
                return self._told(await self.grants.sign_in(self.authority.take_code(body.code)))
            except Unauthenticated as error:
                raise await self.limits.failed(_address(request), error) from error

        return enter

    def _told(self, issued: Issued) -> Response[bytes]:
        """The answer of RFC 6749, 5.1."""
        now_ms = self.clock.wall_ms()
        told: dict[str, str | int] = {
            "access_token": issued.access,
            "token_type": "Bearer",
            "expires_in": (issued.access_ends_ms - now_ms) // 1000,
        }
        if issued.refresh:
            told["refresh_token"] = issued.refresh
            told["refresh_expires_in"] = (issued.refresh_ends_ms - now_ms) // 1000
        return json(told)


async def _read(request: AnyRequest, kind: type[T]) -> T:
    body = await read_body(request, bytes_max=BODY_BYTES_MAX)
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        name = kind.__struct_fields__[0]
        raise Invalid(f"the body is not one JSON object with {name!r} alone", hint=f'send {{"{name}": "…"}}') from error


def _address(request: AnyRequest) -> str:
    return request.client.host if request.client else ""
