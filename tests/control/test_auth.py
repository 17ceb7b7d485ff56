"""Keys and tokens: any doubt is a refusal, always in the same words."""

from __future__ import annotations

import re
from dataclasses import replace

import msgspec
import pytest

from app.control.auth import ALL_SCOPES, Authority, Identity
from app.control.keys import KEY_PATTERN, Key, draw_text, has_checksum, make_key, split
from app.control.records import Changes
from app.control.ring import Ring, SigningKey
from app.core.clock import SystemClock
from app.core.digests import digest
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


def test_a_scanner_tells_a_key_from_its_like_offline() -> None:
    text = make_key(label="test", scopes=ALL_SCOPES, created_ms=0).text
    assert re.fullmatch(KEY_PATTERN, text)
    assert has_checksum(text)
    assert not has_checksum(text[:-1] + ("0" if text[-1] != "0" else "1"))
    assert not has_checksum(text.replace("ik_", "ik_0", 1))


def test_a_key_from_before_checksums_and_pepper_goes_on_working() -> None:
    office = Office()
    row = {**dict.fromkeys(("role", "secret_hmac", "previous_digest", "previous_until_ms", "used_day")),
           "tenant": "t", "prefix": "0a1b2c3d", "secret_sha256": digest("oFq-_old"), "label": "old", "scopes": 3,
           "rotation": 0, "created_ms": 0, "expires_ms": None, "revoked_ms": None, "change": 0}  # fmt: skip
    office.authority.learn(Changes(2, keys=[Key.from_row(row)]))
    assert office.authority.identify("ik_0a1b2c3d_oFq-_old").scopes == Scope.READ | Scope.PLAY


def test_the_old_secret_holds_for_its_grace_time_and_what_it_opened_ends_then() -> None:
    office = Office()
    old = office.text
    before = office.authority.issue(office.identity())[0]
    new = draw_text(office.key.prefix)
    until_ms = Clock.now_ms + 60_000
    rotated = replace(
        office.key,
        secret_sha256=digest(split(new)[1]),
        rotation=1,
        previous_digest=office.key.secret_sha256,
        previous_until_ms=until_ms,
    )
    office.authority.learn(Changes(2, keys=[rotated]))
    assert office.authority.identify(new).expires_ms is None
    assert office.authority.identify(old).expires_ms == until_ms
    assert office.authority.identify(before).expires_ms == until_ms
    office.clock.now_ms = until_ms
    for ended in (old, before):
        with pytest.raises(Unauthenticated):
            office.authority.identify(ended)
    office.authority.learn(Changes(3, keys=[replace(rotated, rotation=2, previous_until_ms=until_ms + 60_000)]))
    with pytest.raises(Unauthenticated):
        office.authority.identify(before)


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
    office.authority.learn(Changes(2, keys=[replace(office.key, revoked_ms=1)]))
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
