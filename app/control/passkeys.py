"""Passkeys: what a browser is asked to make or to sign, and whether its answer holds (WebAuthn Level 3).

The person is always verified by the device, so a passkey is two factors in one. It knows no account and no database.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from app.core.errors import Unauthenticated

RP_NAME = "Innkeeper"
CHALLENGE_BYTES = 32
LOCAL = "localhost"


@dataclass(frozen=True, slots=True)
class Site:
    """Whom passkeys belong to: a domain, and the origin of the page that may use them."""

    rp_id: str
    origin: str


@dataclass(frozen=True, slots=True)
class Made:
    """A passkey that a browser has just made."""

    credential: bytes
    public_key: bytes
    sign_count: int


def site_of(url: str, *, port: int) -> Site:
    """The site of the profile's `sign_in.url`; without one, `localhost` at the port that the server listens on."""
    if not url:
        return Site(LOCAL, f"http://{LOCAL}:{port}")
    parts = urlsplit(url)
    return Site(parts.hostname or LOCAL, f"{parts.scheme}://{parts.netloc}")


def draw_challenge() -> bytes:
    return secrets.token_bytes(CHALLENGE_BYTES)


def creation_options(
    site: Site, challenge: bytes, *, id: str, login: str, known: Sequence[bytes], timeout_ms: int
) -> dict[str, Any]:
    """What `navigator.credentials.create` is given, as JSON (WebAuthn, 5.4)."""
    import webauthn
    from webauthn.helpers import structs

    options = webauthn.generate_registration_options(
        rp_id=site.rp_id,
        rp_name=RP_NAME,
        user_id=id.encode(),
        user_name=login,
        challenge=challenge,
        timeout=timeout_ms,
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.REQUIRED,
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[structs.PublicKeyCredentialDescriptor(id=one) for one in known],
    )
    return _plain(webauthn.options_to_json(options))


def request_options(site: Site, challenge: bytes, *, timeout_ms: int) -> dict[str, Any]:
    """What `navigator.credentials.get` is given, as JSON (WebAuthn, 5.5): it names nobody's passkey."""
    import webauthn
    from webauthn.helpers import structs

    options = webauthn.generate_authentication_options(
        rp_id=site.rp_id,
        challenge=challenge,
        timeout=timeout_ms,
        user_verification=structs.UserVerificationRequirement.REQUIRED,
    )
    return _plain(webauthn.options_to_json(options))


def check_made(site: Site, challenge: bytes, answer: dict[str, Any]) -> Made:
    """The passkey that the browser made (WebAuthn, 7.1); raises Unauthenticated when its answer does not hold."""
    import webauthn

    try:
        made = webauthn.verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.rp_id,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except Exception as error:  # a stranger's CBOR may break its reader in any way
        raise passkey_refusal() from error
    return Made(made.credential_id, made.credential_public_key, made.sign_count)


def credential_of(answer: dict[str, Any]) -> bytes:
    """The id of the passkey that signed; raises Unauthenticated where the answer names none."""
    from webauthn.helpers import base64url_to_bytes

    try:
        return base64url_to_bytes(str(answer["rawId"]))
    except (KeyError, ValueError) as error:
        raise passkey_refusal() from error


def check_signed(site: Site, challenge: bytes, answer: dict[str, Any], *, public_key: bytes, sign_count: int) -> int:
    """The passkey's next count of signatures (WebAuthn, 7.2); raises Unauthenticated when the answer does not hold."""
    import webauthn

    try:
        signed = webauthn.verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.rp_id,
            expected_origin=site.origin,
            credential_public_key=public_key,
            credential_current_sign_count=sign_count,
            require_user_verification=True,
        )
    except Exception as error:  # as above
        raise passkey_refusal() from error
    return signed.new_sign_count


def passkey_refusal() -> Unauthenticated:
    """The one answer to every passkey that does not hold."""
    return Unauthenticated("the passkey does not hold", hint="begin again, with a passkey of this server")


def _plain(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found
