"""What somebody who is signed in reads and changes about themselves: password and second factors.

Each change needs a sign-in of a moment ago, and is about the caller alone: no route here names anybody.
"""

from __future__ import annotations

from dataclasses import dataclass

from litestar import Response, delete, get, post, put
from litestar.handlers import HTTPRouteHandler

from app.control.auth import Authority
from app.control.factors import Factors, Proof
from app.control.operator_records import Operator, Passkey
from app.control.operators import Operators
from app.core.clock import Clock
from app.core.sign_in import SignIn
from app.edge.limits import Limits
from app.edge.rest import shapes_people as shapes
from app.edge.rest.http import AnyRequest, body_of, json, permit
from app.edge.rest.sign_in import site, tokens_of


@dataclass(frozen=True, slots=True)
class MeRoutes:
    """What the routes below need; built once by the application."""

    authority: Authority
    operators: Operators
    factors: Factors
    limits: Limits
    settings: SignIn
    clock: Clock

    def routes(self) -> list[HTTPRouteHandler]:
        """All of them."""
        return [
            self._me(),
            self._password(),
            self._begin_totp(),
            self._put_totp(),
            self._drop_totp(),
            self._passkey_options(),
            self._add_passkey(),
            self._drop_passkey(),
            self._recovery_codes(),
        ]

    async def _person(self, request: AnyRequest) -> Operator:
        """Who asks, and has shown it a moment ago."""
        return await self.factors.person(await permit(request, self.authority, self.limits))

    def _me(self) -> HTTPRouteHandler:
        @get("/v1/me")
        async def me(request: AnyRequest) -> Response[bytes]:
            identity = await permit(request, self.authority, self.limits)
            found = await self.operators.of(identity)
            held = await self.factors.passkeys(found) if found is not None else ()
            return json(
                shapes.Me(
                    tenant=identity.tenant,
                    actor=identity.actor,
                    scopes=shapes.names_of(identity.scopes),
                    operator=person_of(found) if found is not None else None,
                    passkeys=tuple(_shown(passkey) for passkey in held),
                    recovery_codes=found.recovery_codes if found is not None else 0,
                )
            )

        return me

    def _password(self) -> HTTPRouteHandler:
        @post("/v1/me/password", status_code=200)
        async def password(request: AnyRequest) -> Response[bytes]:
            person = await self._person(request)
            body = await body_of(request, shapes.NewPassword)
            issued = await self.factors.change_password(person, current=body.current, new=body.new)
            return json(tokens_of(issued, self.clock))

        return password

    def _begin_totp(self) -> HTTPRouteHandler:
        @post("/v1/me/totp", status_code=200)
        async def begin(request: AnyRequest) -> Response[bytes]:
            made = await self.factors.begin_totp(await self._person(request))
            return json(shapes.Authenticator(enrollment=made.enrollment, secret=made.secret, uri=made.uri))

        return begin

    def _put_totp(self) -> HTTPRouteHandler:
        @put("/v1/me/totp", status_code=200)
        async def finish(request: AnyRequest) -> Response[bytes]:
            person = await self._person(request)
            body = await body_of(request, shapes.TotpProof)
            await self.factors.add_totp(person, Proof(body.enrollment, body.code))
            return json(shapes.Done())

        return finish

    def _drop_totp(self) -> HTTPRouteHandler:
        @delete("/v1/me/totp", status_code=200)
        async def drop(request: AnyRequest) -> Response[bytes]:
            await self.factors.drop_totp(await self._person(request))
            return json(shapes.Done())

        return drop

    def _passkey_options(self) -> HTTPRouteHandler:
        @post("/v1/me/passkeys/options", status_code=200)
        async def options(request: AnyRequest) -> Response[bytes]:
            asked = await self.factors.begin_passkey(await self._person(request), site(request, self.settings))
            return json(shapes.Challenged(challenge=asked.text, options=asked.options))

        return options

    def _add_passkey(self) -> HTTPRouteHandler:
        @post("/v1/me/passkeys", status_code=200)
        async def add(request: AnyRequest) -> Response[bytes]:
            person = await self._person(request)
            body = await body_of(request, shapes.NewPasskey)
            proof = Proof(body.enrollment, passkey=body.passkey)
            return json(_shown(await self.factors.add_passkey(person, proof, site(request, self.settings), body.label)))

        return add

    def _drop_passkey(self) -> HTTPRouteHandler:
        @delete("/v1/me/passkeys/{passkey:str}", status_code=200)
        async def drop(request: AnyRequest, passkey: str) -> Response[bytes]:
            await self.factors.drop_passkey(await self._person(request), passkey)
            return json(shapes.Done())

        return drop

    def _recovery_codes(self) -> HTTPRouteHandler:
        @post("/v1/me/recovery-codes", status_code=200)
        async def renew(request: AnyRequest) -> Response[bytes]:
            codes = await self.factors.renew_recovery_codes(await self._person(request))
            return json(shapes.RecoveryCodes(recovery_codes=codes))

        return renew


def person_of(operator: Operator) -> shapes.Person:
    """An operator as others see it."""
    return shapes.Person(
        id=operator.id,
        login=operator.login,
        role=operator.role,
        factors=operator.factors,
        joined=operator.joined_ms is not None,
        disabled=operator.disabled_ms is not None,
        created_ms=operator.created_ms,
        signed_in_ms=operator.signed_in_ms,
    )


def _shown(passkey: Passkey) -> shapes.PasskeyShown:
    return shapes.PasskeyShown(
        id=passkey.digest, label=passkey.label, created_ms=passkey.created_ms, used_ms=passkey.used_ms
    )
