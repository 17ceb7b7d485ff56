"""What the routes about people and keys read and answer, as types; a field that is not named here is refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from app.control.permissions import Role
from app.core.module import Scope

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Secret = Annotated[str, msgspec.Meta(max_length=4_096)]
"""A password as it is typed; its own length is looked at where it is set."""
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
ScopeName = Literal[
    "READ", "PLAY", "WRITE", "ADMIN", "USAGE", "KEYS", "OPERATORS", "SETTINGS", "PRIVACY", "AUDIT"
]  # fmt: skip


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client sends."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What it gets."""


class Done(Answer, frozen=True, kw_only=True):
    """Nothing more to say."""


class Tokens(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """A fresh sign-in (RFC 6749, 5.1)."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    """Seconds."""
    refresh_token: str = ""
    refresh_expires_in: int = 0
    """Seconds."""


class Password(Body, frozen=True, kw_only=True):
    """The first step of signing in."""

    login: Text
    password: Secret
    tenant: Text = "default"


class Stepped(Answer, frozen=True, kw_only=True):
    """Tokens, or a ticket with the ways in which the second step may be done."""

    ticket: str = ""
    factors: tuple[str, ...] = ()
    tokens: Tokens | None = None


class TicketCode(Body, frozen=True, kw_only=True):
    """The second step: the code of an authenticator, or a recovery code."""

    ticket: Text
    code: Text


class OfTenant(Body, frozen=True, kw_only=True):
    """Whose passkeys are asked for."""

    tenant: Text = "default"


class Challenged(Answer, frozen=True, kw_only=True):
    """Options for `navigator.credentials`, and what to send back with its answer."""

    challenge: str
    options: dict[str, Any]


class Signed(Body, frozen=True, kw_only=True):
    """A passkey's answer, as `PublicKeyCredential.toJSON()` gives it."""

    challenge: Text
    passkey: dict[str, Any]


class InvitationCode(Body, frozen=True, kw_only=True):
    """The code of an invitation's link."""

    code: Text


class Invitation(Answer, frozen=True, kw_only=True):
    """Who is invited, and what a password must be."""

    tenant: str
    login: str
    role: Role
    factor_required: bool
    password_chars_min: int
    password_alone_chars_min: int


class Authenticator(Answer, frozen=True, kw_only=True):
    """A secret for an authenticator app; it counts once its first code was sent with `enrollment`."""

    enrollment: str
    secret: str
    uri: str


class Proof(Body, frozen=True, kw_only=True):
    """What a new device showed: the code of an authenticator, or a passkey."""

    enrollment: Text
    code: Annotated[str, msgspec.Meta(max_length=32)] = ""
    passkey: dict[str, Any] | None = None


class Accept(Body, frozen=True, kw_only=True):
    """All that a person chooses on joining. Without a password there must be a passkey."""

    code: Text
    login: Text
    password: Secret = ""
    proof: Proof | None = None
    label: Annotated[str, msgspec.Meta(max_length=100)] = ""
    """What to call the passkey."""


class Joined(Answer, frozen=True, kw_only=True):
    """Tokens, and recovery codes that are shown once."""

    tokens: Tokens
    recovery_codes: tuple[str, ...]


class PasskeyShown(Answer, frozen=True, kw_only=True):
    id: str
    label: str
    created_ms: int
    used_ms: int | None


class Person(Answer, frozen=True, kw_only=True):
    """An operator."""

    id: str
    login: str
    role: Role
    factors: tuple[str, ...]
    joined: bool
    disabled: bool
    created_ms: int
    signed_in_ms: int | None


class Me(Answer, frozen=True, kw_only=True):
    """Whose credential it is, and what it may do; `operator` is empty for a key."""

    tenant: str
    actor: str
    scopes: tuple[ScopeName, ...]
    operator: Person | None
    passkeys: tuple[PasskeyShown, ...]
    recovery_codes: int


class NewPassword(Body, frozen=True, kw_only=True):
    """Another password; `current` is empty where there was none."""

    new: Secret
    current: Secret = ""


class TotpProof(Body, frozen=True, kw_only=True):
    enrollment: Text
    code: Text


class NewPasskey(Body, frozen=True, kw_only=True):
    enrollment: Text
    passkey: dict[str, Any]
    label: Annotated[str, msgspec.Meta(max_length=100)] = ""


class RecoveryCodes(Answer, frozen=True, kw_only=True):
    """Shown once; earlier ones hold no longer."""

    recovery_codes: tuple[str, ...]


class People(Answer, frozen=True, kw_only=True):
    operators: tuple[Person, ...]


class Invite(Body, frozen=True, kw_only=True):
    """Somebody to invite."""

    login: Text
    role: Role


class Invited(Answer, frozen=True, kw_only=True):
    """The link's code is shown once; `path` leads to it on this server."""

    operator: Person
    code: str
    path: str


class Change(Body, frozen=True, kw_only=True):
    """What to change about an operator; what is left out stays."""

    role: Role | None = None
    disabled: bool | None = None


class KeyShown(Answer, frozen=True, kw_only=True):
    prefix: str
    label: str
    role: str
    scopes: tuple[ScopeName, ...]
    created_ms: int
    expires_ms: int | None
    revoked_ms: int | None


class Keys(Answer, frozen=True, kw_only=True):
    keys: tuple[KeyShown, ...]


class NewKey(Body, frozen=True, kw_only=True):
    """A key to make: for a role, for single scopes, or both together."""

    label: Label
    role: Role | None = None
    scopes: tuple[ScopeName, ...] = ()
    days: Annotated[int, msgspec.Meta(ge=1, le=3_650)] | None = None
    """Until it expires; never when left out."""


class Rotate(Body, frozen=True, kw_only=True):
    """How long the old secret holds beside the new one."""

    grace_minutes: Annotated[int, msgspec.Meta(ge=0, le=43_200)] = 0


class KeyText(Answer, frozen=True, kw_only=True):
    """The key, shown once."""

    prefix: str
    key: str


def names_of(scopes: Scope) -> tuple[Any, ...]:
    """The scopes by name, in the order of their numbers."""
    return tuple(scope.name for scope in Scope if scope in scopes)


def scopes_of(names: tuple[ScopeName, ...]) -> Scope:
    """The scopes of those names together."""
    return Scope(sum({Scope[name] for name in names}))
