"""Which passwords will do, and that checking them is bounded."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from app.build import MODULE_SETTINGS, ROOT
from app.control.passwords import Passwords, known_passwords, normal, require_good
from app.core.errors import Invalid, Overloaded
from app.core.profile import layers, load

SETTINGS = msgspec.structs.replace(
    load(layers(ROOT / "profiles", mode=1, file=None, environment={}, flags={}), MODULE_SETTINGS).profile.sign_in,
    hash_memory_bytes=8_388_608,
)


def good(password: str, *, with_factor: bool = True) -> str:
    return require_good(password, login="ann@example.org", with_factor=with_factor, settings=SETTINGS)


@pytest.mark.parametrize(
    "password",
    [
        "short", "password123", "PASSWORD123", "aaaaaaaaaaaa", "abababababab", "abcdefghijk", "87654321", "innkeeper1",
        "Innkeeper!23", "ann@example.org", "ann@example.org1", "x" * 300, "１２３４５６７８９０",
    ],
)  # fmt: skip
def test_what_everybody_tries_is_refused(password: str) -> None:
    with pytest.raises(Invalid):
        good(password)


@pytest.mark.parametrize(
    "password", ["seven ravens", "x9 " * 21 + "!", "пять воронов", "🦊🌲🏔️🛶 fox", "alllowercaseletters", " 8 spaces "]
)
def test_any_letters_will_do_without_rules_of_composition(password: str) -> None:
    assert good(password) == normal(password)


def test_a_password_that_is_all_there_is_must_be_longer() -> None:
    assert good("fourteen chars") == "fourteen chars"
    with pytest.raises(Invalid, match="14 characters"):
        good("fourteen chars", with_factor=False)
    assert good("fifteen chars!!", with_factor=False)


def test_the_list_holds_what_is_long_enough_to_be_asked_about() -> None:
    assert len(known_passwords()) > 500
    assert all(len(known) >= SETTINGS.password_chars_min and known == known.casefold() for known in known_passwords())


async def test_a_hash_is_argon2id_of_the_normal_form_and_of_nobody_s_password_is_none() -> None:
    passwords = Passwords(SETTINGS)
    kept = await passwords.hash(normal("ﬁve ravens über"))
    assert kept.startswith("$argon2id$v=19$m=8192,t=3,p=4$")
    assert await passwords.verify(kept, normal("five ravens u\u0308ber"))
    assert not await passwords.verify(kept, "five ravens uber")
    assert not await passwords.verify("", "innkeeper"), "the decoy's own password opens nothing"
    assert not await passwords.verify("no hash", "innkeeper")
    await passwords.close()


async def test_hashes_that_would_wait_too_long_are_refused_and_the_loop_goes_on() -> None:
    passwords = Passwords(SETTINGS)
    places = SETTINGS.hash_threads_max + SETTINGS.hash_queue_max
    tries = [asyncio.create_task(passwords.verify("", "x")) for _ in range(places + 5)]
    found = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, Overloaded) for one in found) == 5
    assert found.count(False) == places
    assert not await passwords.verify("", "x"), "there is room again"
    await passwords.close()


async def test_callers_who_leave_free_no_place_before_the_thread_does() -> None:
    passwords = Passwords(SETTINGS)
    places = SETTINGS.hash_threads_max + SETTINGS.hash_queue_max
    tries = [asyncio.create_task(passwords.verify("", "x")) for _ in range(places)]
    await asyncio.sleep(0)
    for one in tries:
        one.cancel()
    await asyncio.gather(*tries, return_exceptions=True)
    with pytest.raises(Overloaded):
        await asyncio.gather(*(passwords.verify("", "x") for _ in range(places)))
    await passwords.close()
