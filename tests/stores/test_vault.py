"""Sealing: the published vectors, and that nothing which was changed or moved ever opens."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.stores.aead import decrypt, derive, encrypt
from app.stores.ring import FILE, FILE_VARIABLE, VARIABLE, Ring
from app.stores.vault import HEAD_BYTES, Unopened, Vault, new_key, seal, unseal

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "data" / "security" / "wycheproof"
WHERE = ("t", "operators", "totp", "ada")
KEY, _ = new_key()
beside = pytest.mark.skipif(not VECTORS.exists(), reason="the Wycheproof vectors are not beside the clone")


def vectors(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(group, test) of a file of vectors."""
    groups = json.loads((VECTORS / name).read_text())["testGroups"]
    return [(group, test) for group in groups for test in group["tests"]]


@beside
def test_every_vector_of_aes_gcm_is_judged_right() -> None:
    used = refused = 0
    for group, test in vectors("aes_gcm_test.json"):
        key, nonce, bound, plain, body, tag = (bytes.fromhex(test[n]) for n in ("key", "iv", "aad", "msg", "ct", "tag"))
        if (group["keySize"], group["ivSize"], group["tagSize"]) != (256, 96, 128):
            with pytest.raises(Invalid):
                decrypt(key, nonce, body + tag, bound)
            refused += 1
        elif test["result"] == "valid":
            assert decrypt(key, nonce, body + tag, bound) == plain
            assert encrypt(key, nonce, plain, bound) == body + tag
            used += 1
        else:
            with pytest.raises(Invalid):
                decrypt(key, nonce, body + tag, bound)
            used += 1
    assert used > 50
    assert refused > 50


@beside
def test_every_vector_of_hkdf_is_judged_right() -> None:
    for _, test in vectors("hkdf_sha256_test.json"):
        key, salt, info, okm = (bytes.fromhex(test[name]) for name in ("ikm", "salt", "info", "okm"))
        if test["result"] == "valid":
            assert derive(key, info, test["size"], salt) == okm
        else:
            with pytest.raises(ValueError, match=r"large|size|length"):
                derive(key, info, test["size"], salt)


def test_the_first_vector_of_rfc_5869_holds_everywhere() -> None:
    key, salt, info = bytes([0x0B] * 22), bytes(range(13)), bytes(range(0xF0, 0xFA))
    expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    assert derive(key, info, 42, salt).hex() == expected


@given(plain=st.binary(max_size=200), at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_any_flipped_bit_is_refused(plain: bytes, at: int, bit: int) -> None:
    blob = bytearray(seal(KEY, WHERE, plain))
    assert unseal(KEY, WHERE, bytes(blob)) == plain
    blob[at % len(blob)] ^= 1 << bit
    with pytest.raises(Unopened):
        unseal(KEY, WHERE, bytes(blob))


@given(plain=st.binary(max_size=20), part=st.integers(0, 3), text=st.text(max_size=8), cut=st.integers(0, 60))
def test_a_value_that_was_moved_or_cut_is_refused(plain: bytes, part: int, text: str, cut: int) -> None:
    blob = seal(KEY, WHERE, plain)
    moved = tuple(text if number == part else word for number, word in enumerate(WHERE))
    if moved != WHERE:
        with pytest.raises(Unopened):
            unseal(KEY, moved, blob)
    with pytest.raises(Unopened):
        unseal(KEY, WHERE, blob[: min(cut, len(blob) - 1)])


def test_no_two_seals_of_one_value_are_alike() -> None:
    heads = {seal(KEY, WHERE, b"same")[:HEAD_BYTES] for _ in range(1_000)}
    assert len(heads) == 1_000


def test_a_field_opens_for_its_row_and_tenant_alone(tmp_path: Path) -> None:
    vault = Vault(Ring(tmp_path / FILE, {}))
    blob = vault.seal("t", "operators", "totp", "ada", b"secret")
    assert vault.open("t", "operators", "totp", "ada", blob) == b"secret"
    for place in (("u", "operators", "totp", "ada"), ("t", "operators", "totp", "bob"), ("t", "keys", "totp", "ada")):
        with pytest.raises(Unopened):
            vault.open(*place, blob)


def test_two_master_keys_live_at_once_and_the_old_one_can_go(tmp_path: Path) -> None:
    ring = Ring(tmp_path / FILE, {})
    vault = Vault(ring)
    before = vault.seal("t", "x", "y", "1", b"old")
    ring.add()
    after = vault.seal("t", "x", "y", "1", b"new")
    assert (vault.open("t", "x", "y", "1", before), vault.open("t", "x", "y", "1", after)) == (b"old", b"new")
    assert before[:9] != after[:9]
    assert ring.retire() == 1
    assert Vault(Ring(tmp_path / FILE, {})).open("t", "x", "y", "1", after) == b"new"
    with pytest.raises(Invalid, match="is missing"):
        Vault(Ring(tmp_path / FILE, {})).open("t", "x", "y", "1", before)


def test_the_file_is_private_and_two_starts_at_once_agree(tmp_path: Path) -> None:
    one, other = Ring(tmp_path / FILE, {}), Ring(tmp_path / FILE, {})
    assert one.current == other.current
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_the_ring_may_come_from_the_environment(tmp_path: Path) -> None:
    text = base64.b64encode(b"k" * 32).decode()
    assert Ring(tmp_path / FILE, {VARIABLE: text}).current[1] == b"k" * 32
    assert not (tmp_path / FILE).exists()
    elsewhere = tmp_path / "kept" / "ring"
    assert Ring(tmp_path / FILE, {FILE_VARIABLE: str(elsewhere)}).current
    assert elsewhere.exists()


@pytest.mark.parametrize("text", ["short", base64.b64encode(b"k" * 31).decode()])
def test_a_master_key_of_another_size_is_refused_without_being_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(Invalid, match=r"base64|bytes") as refused:
        _ = Ring(tmp_path / FILE, {VARIABLE: text}).current
    assert text not in refused.value.message
