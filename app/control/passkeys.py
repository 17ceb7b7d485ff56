"""Passkeys (WebAuthn Level 3): the options that a browser is given and the answers that it brings back.

A challenge is signed by this tenant's server and says until when it holds, so that a stranger who asks for many
costs no memory; an answered one is marked as spent by the caller. User verification is required: a passkey is then two
factors in one.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

from app.control.people import Operator, Passkey
from app.core.errors import Invalid

CHALLENGE_MS_MAX = 300_000
NONCE_BYTES = 16
TIME_BYTES = 8
TIMEOUT_MS = 120_000


@dataclass(frozen=True, slots=True)
class Site:
    """The relying party: the host name that passkeys belong to, and the origins whose pages may use them."""

    id: str
    origins: tuple[str, ...]


class Passkeys:
    """Both ceremonies. The library is loaded with the first of them."""

    def __init__(self, key: bytes) -> None:
        """`key` signs challenges; every replica has the same."""
        self._key = key

    def challenge(self, purpose: str, now_ms: int) -> bytes:
        """A fresh challenge of 56 bytes that holds for five minutes."""
        body = secrets.token_bytes(NONCE_BYTES) + (now_ms + CHALLENGE_MS_MAX).to_bytes(TIME_BYTES, "big")
        return body + self._sign(purpose, body)

    def require_challenge(self, purpose: str, challenge: bytes, now_ms: int) -> None:
        """Raise Invalid for one that is not of this server and purpose, or is over."""
        body, signature = challenge[: NONCE_BYTES + TIME_BYTES], challenge[NONCE_BYTES + TIME_BYTES :]
        ends_ms = int.from_bytes(body[NONCE_BYTES:], "big")
        if not hmac.compare_digest(signature, self._sign(purpose, body)) or ends_ms <= now_ms:
            raise _refusal("the challenge is not ours, or over")

    def creation(self, operator: Operator, known: list[Passkey], site: Site, challenge: bytes) -> dict[str, Any]:
        """What `navigator.credentials.create` takes, as JSON with base64url."""
        import webauthn
        from webauthn.helpers import structs

        options = webauthn.generate_registration_options(
            rp_id=site.id,
            rp_name="Innkeeper",
            user_name=operator.login,
            user_id=handle(operator),
            challenge=challenge,
            timeout=TIMEOUT_MS,
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.REQUIRED,
                user_verification=structs.UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[structs.PublicKeyCredentialDescriptor(id=decode(one.id)) for one in known],
        )
        return _options(options)

    def created(
        self, operator: Operator, credential: dict[str, Any], site: Site, challenge: bytes, *, label: str, now_ms: int
    ) -> Passkey:
        """The passkey that a browser made for the challenge; raises Invalid."""
        import webauthn
        from webauthn.helpers.exceptions import WebAuthnException

        try:
            verified = webauthn.verify_registration_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=site.id,
                expected_origin=list(site.origins),
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError) as error:
            raise _refusal("the passkey was not made for this page") from error
        return Passkey(
            tenant=operator.tenant,
            id=encode(verified.credential_id),
            operator=operator.id,
            public_key=verified.credential_public_key,
            sign_count=verified.sign_count,
            label=label,
            created_ms=now_ms,
        )

    def request(self, site: Site, challenge: bytes) -> dict[str, Any]:
        """What `navigator.credentials.get` takes; the browser shows the passkeys that it has for the site."""
        import webauthn
        from webauthn.helpers import structs

        options = webauthn.generate_authentication_options(
            rp_id=site.id,
            challenge=challenge,
            timeout=TIMEOUT_MS,
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        )
        return _options(options)

    def used(self, passkey: Passkey, credential: dict[str, Any], site: Site, challenge: bytes) -> int:
        """The authenticator's new counter when it has signed the challenge; raises Invalid."""
        import webauthn
        from webauthn.helpers.exceptions import WebAuthnException

        try:
            verified = webauthn.verify_authentication_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=site.id,
                expected_origin=list(site.origins),
                credential_public_key=passkey.public_key,
                credential_current_sign_count=passkey.sign_count,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError) as error:
            raise _refusal("the passkey did not sign for this page") from error
        return verified.new_sign_count

    def _sign(self, purpose: str, body: bytes) -> bytes:
        return hmac.digest(self._key, purpose.encode() + b"\0" + body, "sha256")


def handle(operator: Operator) -> bytes:
    """The user handle: by it a passkey says whose it is. It holds no name (WebAuthn, 14.6.1)."""
    return f"{operator.tenant}/{operator.id}".encode()


def whose(credential: dict[str, Any]) -> tuple[str, str]:
    """(tenant, passkey id) that an answer names, unproved; raises Invalid."""
    try:
        tenant, _, _operator = decode(credential["response"]["userHandle"]).decode().rpartition("/")
        return tenant, encode(decode(credential["id"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _refusal("the answer names no passkey") from error


def encode(data: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes of base64url without padding; raises ValueError."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _options(options: Any) -> dict[str, Any]:
    import json

    import webauthn

    found: dict[str, Any] = json.loads(webauthn.options_to_json(options))
    return found


def _refusal(why: str) -> Invalid:
    return Invalid(why, hint="begin again")
