"""Codes of an authenticator, by time: RFC 6238 with SHA-1, 30 seconds and six digits, as every app has them."""

from __future__ import annotations

import hmac

STEP_MS = 30_000
DRIFT_STEPS = 1
"""How many steps the other clock may be ahead or behind (RFC 6238, 5.2)."""
ISSUER = "Innkeeper"
DIGITS = 6


def draw_secret() -> str:
    """160 random bits in base 32 (RFC 4226, 4)."""
    import pyotp

    return pyotp.random_base32(32)


def uri_of(secret: str, login: str) -> str:
    """What an authenticator reads from a QR code."""
    import pyotp

    return pyotp.TOTP(secret).provisioning_uri(name=login, issuer_name=ISSUER)


def step_of(secret: str, code: str, now_ms: int) -> int | None:
    """The time step whose code this is, of those near now; None when it is of none. Looks at each of them."""
    import pyotp

    typed = "".join(code.split())
    if len(typed) != DIGITS or not (typed.isascii() and typed.isdigit()):
        return None
    generator = pyotp.TOTP(secret)
    now = now_ms // STEP_MS
    found = None
    for step in range(now - DRIFT_STEPS, now + DRIFT_STEPS + 1):
        if hmac.compare_digest(generator.generate_otp(step), typed):
            found = step
    return found
