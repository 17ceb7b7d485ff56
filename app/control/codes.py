"""One-time codes for people: the text that is shown or mailed once, and what is kept of it.

A code names its tenant, so that it is looked for among that tenant's alone: `<tenant>.<256 random bits>`, both in
URL-safe base 64. A recovery code is short enough to be typed, and is looked for with its owner.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode

from app.core.digests import digest
from app.core.errors import Unauthenticated

TEXT_LENGTH_MAX = 256
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without letters and digits that look alike: 5 bits each."""
RECOVERY_CHARS = 16
GROUP_CHARS = 4


def draw_code(tenant: str) -> str:
    """A fresh code of the tenant's."""
    return f"{urlsafe_b64encode(tenant.encode()).rstrip(b'=').decode()}.{secrets.token_urlsafe(32)}"


def tenant_of(text: str) -> str:
    """The tenant that a code names; raises Unauthenticated for a text that is no code."""
    name, dot, secret = text.partition(".")
    try:
        tenant = urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
    except ValueError as error:
        raise code_refusal() from error
    if not dot or not secret or not tenant or len(text) > TEXT_LENGTH_MAX or "\x00" in tenant:
        raise code_refusal()
    return tenant


def draw_recovery_code() -> str:
    """A fresh recovery code of 80 bits, such as `k3vq-9xwz-…`."""
    text = "".join(secrets.choice(ALPHABET) for _ in range(RECOVERY_CHARS))
    return "-".join(text[at : at + GROUP_CHARS] for at in range(0, RECOVERY_CHARS, GROUP_CHARS))


def recovery_digest(id: str, text: str) -> str:
    """What is kept of an operator's recovery code, however its letters and groups are typed."""
    return digest(f"{id}:{''.join(text.split()).replace('-', '').casefold()}")


def code_refusal() -> Unauthenticated:
    """The one answer to every one-time code that does not hold."""
    return Unauthenticated("the code does not hold", hint="it may be used up or over; begin again")
