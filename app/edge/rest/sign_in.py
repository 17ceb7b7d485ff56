"""How people sign in and join over HTTP. Anybody may ask, so every try is counted by its address before any work.

It turns bodies into calls and what comes back into answers; who somebody is, is decided in app/control.
"""

from __future__ import annotations

from dataclasses import dataclass

from litestar import Response, post
from litestar.handlers import HTTPRouteHandler

from app.control.factors import Factors, Joined, Proof
from app.control.grants import Issued
from app.control.passkeys import Site, site_of
from app.control.sign_in import SignIns, Ticket
from app.core.clock import Clock
from app.core.rates import Rate
from app.core.sign_in import SignIn
from app.edge.address import client_address
from app.edge.limits import MINUTE_MS, Limits
from app.edge.rest import shapes_people as shapes
from app.edge.rest.http import AnyRequest, T, body_of, json


@dataclass(frozen=True, slots=True)
class SignInRoutes:
    """What the routes below need; built once by the application."""

    sign_ins: SignIns
    factors: Factors
    limits: Limits
    settings: SignIn
    clock: Clock

    def routes(self) -> list[HTTPRouteHandler]:
        """All of them."""
        return [
            self._password(),
            self._totp(),
            self._recovery(),
            self._passkey_options(),
            self._passkey(),
            self._invitation(),
            self._invitation_totp(),
            self._invitation_passkey(),
            self._accept(),
        ]

    async def _read(self, request: AnyRequest, kind: type[T]) -> T:
        """The body of a try to sign in; raises RateLimited when the address tries too often."""
        tries = self.settings.address_attempts_max
        await self.limits.attempt(client_address(request.scope), Rate(units=tries, period_ms=MINUTE_MS, burst=tries))
        return await body_of(request, kind)

    def _password(self) -> HTTPRouteHandler:
        @post("/v1/auth/sign-in", status_code=200)
        async def sign_in(request: AnyRequest) -> Response[bytes]:
            body = await self._read(request, shapes.Password)
            step = await self.sign_ins.with_password(body.tenant, body.login, body.password)
            if isinstance(step, Ticket):
                return json(shapes.Stepped(ticket=step.text, factors=step.factors))
            return json(shapes.Stepped(tokens=tokens_of(step, self.clock)))

        return sign_in

    def _totp(self) -> HTTPRouteHandler:
        @post("/v1/auth/sign-in/totp", status_code=200)
        async def totp(request: AnyRequest) -> Response[bytes]:
            body = await self._read(request, shapes.TicketCode)
            return json(tokens_of(await self.sign_ins.with_totp(body.ticket, body.code), self.clock))

        return totp

    def _recovery(self) -> HTTPRouteHandler:
        @post("/v1/auth/sign-in/recovery", status_code=200)
        async def recovery(request: AnyRequest) -> Response[bytes]:
            body = await self._read(request, shapes.TicketCode)
            return json(tokens_of(await self.sign_ins.with_recovery_code(body.ticket, body.code), self.clock))

        return recovery

    def _passkey_options(self) -> HTTPRouteHandler:
        @post("/v1/auth/sign-in/passkey/options", status_code=200)
        async def options(request: AnyRequest) -> Response[bytes]:
            body = await self._read(request, shapes.OfTenant)
            asked = await self.sign_ins.challenge(body.tenant, site(request, self.settings))
            return json(shapes.Challenged(challenge=asked.text, options=asked.options))

        return options

    def _passkey(self) -> HTTPRouteHandler:
        @post("/v1/auth/sign-in/passkey", status_code=200)
        async def passkey(request: AnyRequest) -> Response[bytes]:
            body = await self._read(request, shapes.Signed)
            issued = await self.sign_ins.with_passkey(body.challenge, body.passkey, site(request, self.settings))
            return json(tokens_of(issued, self.clock))

        return passkey

    def _invitation(self) -> HTTPRouteHandler:
        @post("/v1/auth/invitation", status_code=200)
        async def invitation(request: AnyRequest) -> Response[bytes]:
            body = await self._read(request, shapes.InvitationCode)
            invited = await self.factors.invited(body.code)
            return json(
                shapes.Invitation(
                    tenant=invited.tenant,
                    login=invited.login,
                    role=invited.role,
                    factor_required=self.settings.factor_required,
                    password_chars_min=self.settings.password_chars_min,
                    password_alone_chars_min=self.settings.password_alone_chars_min,
                )
            )

        return invitation

    def _invitation_totp(self) -> HTTPRouteHandler:
        @post("/v1/auth/invitation/totp", status_code=200)
        async def totp(request: AnyRequest) -> Response[bytes]:
            body = await self._read(request, shapes.InvitationCode)
            made = await self.factors.begin_totp(await self.factors.invited(body.code))
            return json(shapes.Authenticator(enrollment=made.enrollment, secret=made.secret, uri=made.uri))

        return totp

    def _invitation_passkey(self) -> HTTPRouteHandler:
        @post("/v1/auth/invitation/passkey/options", status_code=200)
        async def options(request: AnyRequest) -> Response[bytes]:
            body = await self._read(request, shapes.InvitationCode)
            invited = await self.factors.invited(body.code)
            asked = await self.factors.begin_passkey(invited, site(request, self.settings))
            return json(shapes.Challenged(challenge=asked.text, options=asked.options))

        return options

    def _accept(self) -> HTTPRouteHandler:
        @post("/v1/auth/invitation/accept", status_code=200)
        async def accept(request: AnyRequest) -> Response[bytes]:
            body = await self._read(request, shapes.Accept)
            joined: Joined = await self.factors.join(
                body.code,
                login=body.login,
                password=body.password,
                proof=Proof(body.proof.enrollment, body.proof.code, body.proof.passkey) if body.proof else None,
                site=site(request, self.settings),
                label=body.label,
            )
            return json(
                shapes.Joined(tokens=tokens_of(joined.issued, self.clock), recovery_codes=joined.recovery_codes)
            )

        return accept


def site(request: AnyRequest, settings: SignIn) -> Site:
    """Whom passkeys belong to: told by the profile and the port that listens, never by a header of the request."""
    server = request.scope.get("server") or ("", 0)
    return site_of(settings.url, port=server[1] or 0)


def tokens_of(issued: Issued, clock: Clock) -> shapes.Tokens:
    """The answer to a sign-in."""
    now_ms = clock.wall_ms()
    return shapes.Tokens(
        access_token=issued.access,
        token_type="Bearer",  # noqa: S106  # the scheme's name
        expires_in=(issued.access_ends_ms - now_ms) // 1000,
        refresh_token=issued.refresh,
        refresh_expires_in=(issued.refresh_ends_ms - now_ms) // 1000 if issued.refresh else 0,
    )
