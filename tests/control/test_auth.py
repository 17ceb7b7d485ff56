"""Keys and tokens: any doubt is a refusal, always in the same words."""

from __future__ import annotations

import msgspec
import pytest

from app.control.auth import ALL_SCOPES, Authority, Identity
from app.control.keys import Key, make_key
from app.control.records import Changes
from app.control.ring import Ring, SigningKey
from app.core.clock import SystemClock
from app.core.errors import Forbidden, Unauthenticated
from app.core.module import Scope

SIGNING_KEY = bytes(range(32))


class Clock(SystemClock):
    now_ms = 1_800_000_000_000

    def wall_ms(self) -> int:
        return self.now_ms


class Office:
    """An authority with one key."""

    def __init__(self, scopes: Scope = ALL_SCOPES, expires_ms: int | None = None) -> None:
        self.clock = Clock()
        ring = Ring([SigningKey("s1", SIGNING_KEY, 0, 0)], token_ms=15 * 60_000)
        self.authority = Authority(clock=self.clock, ring=ring, pepper=b"pepper", token_minutes=15)
        new = make_key(label="test", scopes=scopes, created_ms=0, expires_ms=expires_ms)
        self.text = new.text
        self.key = Key.from_row({"tenant": "t", **new.row})
        self.authority.learn(Changes(1, keys=[self.key]))

    def identity(self) -> Identity:
        return self.authority.identify(self.text)

    def token(self) -> str:
        return self.authority.issue(self.identity())[0]


def test_a_key_and_its_token_are_the_same_tenant() -> None:
    office = Office()
    assert office.identity().tenant == "t"
    assert office.authority.identify(office.token()).tenant == "t"


def test_the_secret_is_not_in_what_is_kept() -> None:
    new = make_key(label="test", scopes=ALL_SCOPES, created_ms=0)
    secret = new.text.split("_", 2)[2]
    assert secret not in str(new.row)


@pytest.mark.parametrize(
    "change", ["", "x", "ik_", "ik_zz_", "ik__", "\x00", "\ud800", "ik_'; DROP TABLE api_keys;--_x"]
)
def test_what_is_no_key_is_refused(change: str) -> None:
    with pytest.raises(Unauthenticated, match="does not hold"):
        Office().authority.identify(change)


def test_a_key_with_one_letter_changed_is_refused() -> None:
    office = Office()
    changed = office.text[:-1] + ("A" if office.text[-1] != "A" else "B")
    with pytest.raises(Unauthenticated):
        office.authority.identify(changed)


def test_a_token_ends_after_its_minutes() -> None:
    office = Office()
    token = office.token()
    office.clock.now_ms += 15 * 60_000 + 1
    with pytest.raises(Unauthenticated):
        office.authority.identify(token)


def test_a_token_never_outlives_its_key() -> None:
    office = Office(expires_ms=Clock.now_ms + 60_000)
    assert office.authority.issue(office.identity())[1] <= Clock.now_ms + 60_000


def test_a_revoked_key_takes_its_tokens_with_it() -> None:
    office = Office()
    token = office.token()
    revoked = Key(**{**{f: getattr(office.key, f) for f in office.key.__slots__}, "revoked_ms": 1})
    office.authority.learn(Changes(2, keys=[revoked]))
    for credential in (office.text, token):
        with pytest.raises(Unauthenticated):
            office.authority.identify(credential)


def test_a_scope_that_a_key_lacks_is_forbidden() -> None:
    reader = Office(scopes=Scope.READ).identity()
    reader.require(Scope.READ)
    with pytest.raises(Forbidden, match="WRITE"):
        reader.require(Scope.WRITE)


def test_a_console_code_works_once_and_not_forever() -> None:
    office = Office()
    code = office.authority.make_code(office.identity())
    assert office.authority.take_code(code).tenant == "t"
    with pytest.raises(Unauthenticated):
        office.authority.take_code(code)
    late = office.authority.make_code(office.identity())
    office.clock.now_ms += 3_600_001
    with pytest.raises(Unauthenticated):
        office.authority.take_code(late)


def test_every_refusal_reads_the_same() -> None:
    office = Office()
    told = set()
    for credential in ("ik_00000000_x", office.text + "x", "a.b.c", msgspec.json.encode({}).decode()):
        with pytest.raises(Unauthenticated) as refused:
            office.authority.identify(credential)
        told.add((refused.value.message, refused.value.hint))
    assert len(told) == 1
