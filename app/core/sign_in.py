"""How people sign in: the section of the profile. It knows neither who reads it nor where anything is kept."""

from __future__ import annotations

from typing import Annotated

import msgspec

from app.core.section import Section


class SignIn(Section, frozen=True, kw_only=True):
    """Passwords, second factors, locks and invitations of operators."""

    url: str
    """Where people open the console, such as https://inn.example.org: links begin so and passkeys belong to it.

    Without it passkeys belong to `localhost`, for browsers on the server's own machine.
    """
    factor_required: bool
    """Whether everybody needs a second factor, or a passkey."""
    password_chars_min: Annotated[int, msgspec.Meta(ge=8)]
    """Of a password with a second factor beside it (NIST SP 800-63B-4, 3.1.1.2)."""
    password_alone_chars_min: Annotated[int, msgspec.Meta(ge=15)]
    """Of a password that is all there is."""
    password_chars_max: Annotated[int, msgspec.Meta(ge=64, le=4_096)]
    hash_memory_bytes: Annotated[int, msgspec.Meta(ge=8_388_608)]
    """What one argon2id hash fills (RFC 9106)."""
    hash_threads_max: int
    hash_queue_max: int
    """Passwords that wait to be checked; with more, people are told to come again."""
    address_attempts_max: int
    """How often one address may try to sign in, each minute."""
    failures_max: Annotated[int, msgspec.Meta(ge=1, le=10)]
    """Failures in a row of one account, before each next one makes it wait twice as long."""
    lock_ms_max: int
    """The longest such wait."""
    ticket_ms: int
    """How long a right password waits for the second factor."""
    challenge_ms: int
    """How long a browser may take over a passkey, or a person over showing the first code of a new device."""
    challenges_max: int
    """Challenges and tickets of one tenant that are open at once."""
    invitation_ms: int
    fresh_ms: int
    """How long after signing in a password or a second factor may be changed."""
    recovery_codes_max: int
    passkeys_max: int
    """Of one operator."""
    operators_max: int
    """Of one tenant."""
