"""Tokens that are not ours, not for us, or not of now: none is taken, whoever wrote them."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest

from app.cli.prove.wycheproof import vectors
from app.control.auth import Authority, Identity
from app.control.records import Changes, Rule
from app.control.ring import LEARN_MS, Ring, SigningKey
from app.control.tokens import ACCESS, VOUCHED
from app.core.clock import SystemClock
from app.core.errors import Unauthenticated
from app.core.module import Scope

SECRET = bytes(range(32))
NOW_MS = 1_800_000_000_000
MINUTE_MS = 60_000
VECTORS = Path(__file__).resolve().parents[3] / "shared" / "data" / "security" / "wycheproof"
RSA_PEM = b"-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n-----END PUBLIC KEY-----\n"


class Clock(SystemClock):
    now_ms = NOW_MS

    def wall_ms(self) -> int:
        return self.now_ms


class Office:
    """An authority that knows one operator's tokens."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ring = Ring([SigningKey("s1", SECRET, 0, 0)], token_ms=15 * MINUTE_MS)
        self.authority = Authority(clock=self.clock, ring=self.ring, pepper=b"p", token_minutes=15)
        self.caller = Identity(
            tenant="t", actor="operator:ann", scopes=Scope.READ | Scope.PLAY, since_ms=NOW_MS, family="f1"
        )

    def token(self) -> str:
        return self.authority.issue(self.caller)[0]

    def refuses(self, text: str) -> None:
        with pytest.raises(Unauthenticated, match="does not hold"):
            self.authority.identify(text)


def encoded(part: bytes) -> str:
    return urlsafe_b64encode(part).rstrip(b"=").decode()


def claims(**changed: object) -> dict[str, object]:
    now_s = NOW_MS // 1000
    found: dict[str, object] = {
        "iss": "innkeeper", "aud": "innkeeper", "sub": "operator:ann", "tenant": "t", "scopes": 3, "iat": now_s,
        "nbf": now_s, "exp": now_s + 600, "jti": "j", "auth_ms": NOW_MS, "gen": 0, "rot": 0, "fam": "f1",
    }  # fmt: skip
    return {key: value for key, value in {**found, **changed}.items() if value is not None}


def signed(header: object, payload: object, *, secret: bytes = SECRET, hash: str = "sha256") -> str:
    """A text with any header and payload, signed with HMAC under `secret`; bytes are taken as they are."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    body = ".".join(encoded(part) for part in parts)
    return f"{body}.{encoded(hmac.new(secret, body.encode(), hash).digest())}"


def header(**changed: object) -> dict[str, object]:
    found: dict[str, object] = {"alg": "HS256", "kid": "s1", "typ": ACCESS, **changed}
    return {key: value for key, value in found.items() if value is not None}


def test_what_is_made_by_hand_like_ours_is_taken() -> None:
    """Else the refusals below would prove nothing."""
    assert Office().authority.identify(signed(header(), claims())).actor == "operator:ann"
    vouched = signed(header(typ=VOUCHED), claims(aud="innkeeper-replica"))
    assert Office().authority.identify(vouched).vouched


FORGED: dict[str, str] = {
    "none": signed(header(alg="none"), claims()),
    "none without a signature": signed(header(alg="none"), claims()).rpartition(".")[0] + ".",
    "None in other letters": signed(header(alg="nOnE"), claims()),
    "no alg": signed(header(alg=None), claims()),
    "RS256 under the same bytes": signed(header(alg="RS256"), claims()),
    "HS256 under a public key": signed(header(), claims(), secret=RSA_PEM),
    "HS512": signed(header(alg="HS512"), claims(), hash="sha512"),
    "empty key": signed(header(), claims(), secret=b""),
    "another key": signed(header(), claims(), secret=bytes(32)),
    "jku": signed(header(jku="https://attacker.example/keys"), claims()),
    "jwk": signed(header(jwk={"kty": "oct", "k": encoded(SECRET)}), claims()),
    "x5u": signed(header(x5u="https://attacker.example/cert"), claims()),
    "x5c": signed(header(x5c=["MIIB"]), claims()),
    "crit that nobody knows": signed(header(crit=["exp2"], exp2=1), claims()),
    "crit b64": signed(header(crit=["b64"], b64=False), claims()),
    "b64 false": signed(header(b64=False), claims()),
    "zip": signed(header(zip="DEF"), claims()),
    "no kid": signed(header(kid=None), claims()),
    "unknown kid": signed(header(kid="s2"), claims()),
    "kid of a path": signed(header(kid="../../../../dev/null"), claims(), secret=b""),
    "kid of SQL": signed(header(kid="x' UNION SELECT 'k'--"), claims()),
    "kid that is no text": signed(header(kid=["s1"]), claims()),
    "no typ": signed(header(typ=None), claims()),
    "typ JWT": signed(header(typ="JWT"), claims()),
    "typ of a refresh token": signed(header(typ="rt+jwt"), claims()),
    "vouched as access": signed(header(typ=VOUCHED), claims()),
    "access as vouched": signed(header(), claims(aud="innkeeper-replica")),
    "another audience": signed(header(), claims(aud="another")),
    "several audiences": signed(header(), claims(aud=["innkeeper", "another"])),
    "another issuer": signed(header(), claims(iss="another")),
    "expired": signed(header(), claims(exp=NOW_MS // 1000)),
    "of the future": signed(header(), claims(nbf=NOW_MS // 1000 + 60)),
    "no end": signed(header(), claims(exp=None)),
    "an end that is text": signed(header(), claims(exp="9999999999")),
    "no subject": signed(header(), claims(sub=None)),
    "a claim that nobody knows": signed(header(), claims(admin=True)),
    "scopes that are text": signed(header(), claims(scopes="1023")),
    "a member twice": signed(b'{"alg":"none","alg":"HS256","kid":"s1","typ":"at+jwt"}', claims()),
    "no object": signed([], claims()),
    "payload no JSON": signed(header(), b"foo"),
    "deep header": signed(b'{"alg":' * 500, claims()),
    "huge": signed(header(), claims(jti="x" * 100_000)),
    "no parts": "x",
    "empty parts": "..",
    "five parts": signed(header(), claims()) + ".a.b",
    "no ASCII": "é.é.é",
    "half a letter": "\ud800.\ud800.\ud800",
    "JSON serialization": json.dumps({"payload": "e30", "signatures": []}),
    "a key's like": "ik_000000000000_x",
    "a refresh token": "ir_dA.handle.secret",
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_token_is_refused(name: str) -> None:
    Office().refuses(FORGED[name])


def test_a_token_with_any_letter_changed_or_cut_is_refused() -> None:
    office = Office()
    token = office.token()
    for place in range(0, len(token), 7):
        office.refuses(token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :])
        office.refuses(token[:place])


def test_a_token_has_one_spelling_only() -> None:
    office = Office()
    token = office.token()
    head, payload, signature = token.split(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = signature[:-1] + last[last.index(signature[-1]) ^ 1]  # 32 bytes leave four bits of the last letter unused
    for text in (f"{token}=", f"{token}\n", f" {token}", f"{head}=.{payload}.{signature}", f"{head}.{payload}.{other}"):
        office.refuses(text)
    assert office.authority.identify(token).actor == "operator:ann"


def test_a_remembered_token_ends_with_its_time_its_sign_in_and_its_key() -> None:
    ends: list[Any] = [
        lambda office: setattr(office.clock, "now_ms", NOW_MS + 15 * MINUTE_MS),
        lambda office: office.authority.learn(Changes(1, rules=[Rule("t", "family:f1", None, 1, NOW_MS)])),
        lambda office: office.authority.learn(Changes(1, rules=[Rule("t", "operator:ann", None, 1, NOW_MS)])),
        lambda office: office.authority.learn(Changes(1, signing_keys=[SigningKey("s1", SECRET, 0, 0, NOW_MS)])),
    ]
    for end in ends:
        office = Office()
        token = office.token()
        assert office.authority.identify(token).actor == "operator:ann"
        end(office)
        office.refuses(token)


def test_a_narrowed_actor_s_tokens_are_narrowed() -> None:
    office = Office()
    token = office.token()
    office.authority.learn(Changes(1, rules=[Rule("t", "operator:ann", Scope.READ, 0, NOW_MS)]))
    assert office.authority.identify(token).scopes == Scope.READ


def test_another_tenant_s_rule_is_not_ours() -> None:
    office = Office()
    office.authority.learn(Changes(1, rules=[Rule("u", "operator:ann", None, 9, NOW_MS)]))
    assert office.authority.identify(office.token()).tenant == "t"


def test_the_newest_key_signs_and_the_one_before_verifies_while_its_tokens_last() -> None:
    office = Office()
    old = office.token()
    newer = SigningKey("s2", bytes(32), NOW_MS, NOW_MS + LEARN_MS)
    office.authority.learn(Changes(1, signing_keys=[newer]))
    assert office.ring.signer(NOW_MS).id == "s1", "others may not know the new one yet"
    office.clock.now_ms += LEARN_MS
    assert office.ring.signer(office.clock.now_ms).id == "s2"
    assert office.authority.identify(old).actor == "operator:ann"
    assert office.authority.identify(office.token()).actor == "operator:ann"
    late_ms = NOW_MS + LEARN_MS + 15 * MINUTE_MS + 1
    assert not office.ring.verifies(office.ring.keys[0], late_ms)
    assert office.ring.verifies(office.ring.keys[1], late_ms)


def test_no_short_key_comes_into_the_ring() -> None:
    ring = Ring([SigningKey("s1", b"short", 0, 0)], token_ms=0)
    assert ring.keys == []


def test_of_wycheproof_s_signed_texts_none_is_taken_that_is_wrong() -> None:
    if not VECTORS.is_dir():
        pytest.skip("Wycheproof's vectors are not beside the clone")
    tried = list(vectors(VECTORS))
    assert len(tried) > 400
    wrong = [one for one in tried if one.accepted and not one.valid]
    assert {one.comment for one in wrong} <= {"invalidBase64Padding", "invalidBase64PaddingInPayload"}
    assert len(wrong) <= 2, "they are the valid text itself, letter for letter"
    missed = [one.comment for one in tried if one.ours and one.valid and not one.accepted]
    assert set(missed) <= {"InvalidCharacterInsertedInHeader", "InvalidCharacterInsertedInPayload"}, "ours are taken"
