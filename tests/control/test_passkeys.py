"""A passkey opens what is its owner's, once for each challenge, and only as this site's browser would have signed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.control.factors import Proof
from app.control.grants import Issued
from app.control.passkeys import site_of
from app.core.errors import Conflict, Unauthenticated
from tests.control.device import PRESENT, Device
from tests.control.inn import HOST, SITE, TENANT, Inn, winners


async def join_with(inn: Inn, device: Device, login: str = "pia", tenant: str = TENANT) -> str:
    """The id of somebody who joined by a passkey alone."""
    code = await inn.invite(login, tenant=tenant)
    asked = await inn.factors.begin_passkey(await inn.factors.invited(code), SITE)
    proof = Proof(asked.text, passkey=device.make(asked.options))
    await inn.accept(code, login, "", proof)
    return (await inn.operators.find(tenant, login)).id


async def sign_in(inn: Inn, device: Device, tenant: str = TENANT) -> Issued:
    asked = await inn.sign_ins.challenge(tenant, SITE)
    return await inn.sign_ins.with_passkey(asked.text, device.sign(asked.options), SITE)


async def test_a_passkey_alone_opens_what_the_role_may_and_gets_in_past_a_locked_password(inn: Inn) -> None:
    device = Device()
    id = await join_with(inn, device)
    for _ in range(inn.settings.failures_max + 2):
        await winners([inn.sign_ins.with_password(TENANT, "pia", "guess")])
    issued = await sign_in(inn, device)
    assert inn.authority.identify(issued.access).actor == f"operator:{id}"


async def test_of_50_who_send_one_answer_one_gets_in(inn: Inn) -> None:
    device = Device()
    await join_with(inn, device)
    asked = await inn.sign_ins.challenge(TENANT, SITE)
    answer = device.sign(asked.options)
    assert await winners([inn.sign_ins.with_passkey(asked.text, answer, SITE) for _ in range(50)]) == 1


def other_origin(device: Device) -> None:
    device.origin = "http://localhost.evil.example:1"


def other_port(device: Device) -> None:
    device.origin = "http://localhost:2"


def other_site(device: Device) -> None:
    device.rp_id = "evil.example"


def unverified(device: Device) -> None:
    device.flags = PRESENT


def cloned(device: Device) -> None:
    device.count -= 1


@pytest.mark.parametrize("change", [other_origin, other_port, other_site, unverified, cloned])
async def test_what_this_site_s_browser_would_not_have_signed_is_refused(
    small: Inn, change: Callable[[Device], None]
) -> None:
    device = Device()
    await join_with(small, device)
    await sign_in(small, device)
    change(device)
    with pytest.raises(Unauthenticated):
        await sign_in(small, device)


@pytest.mark.parametrize("change", [other_origin, other_site, unverified])
async def test_no_such_passkey_is_taken_in_the_first_place(small: Inn, change: Callable[[Device], None]) -> None:
    device = Device()
    change(device)
    with pytest.raises(Unauthenticated):
        await join_with(small, device)


async def test_answers_to_other_challenges_and_with_other_keys_are_refused(small: Inn) -> None:
    device, stranger = Device(), Device()
    await join_with(small, device)
    one, other = await small.sign_ins.challenge(TENANT, SITE), await small.sign_ins.challenge(TENANT, SITE)
    with pytest.raises(Unauthenticated):
        await small.sign_ins.with_passkey(one.text, device.sign(other.options), SITE)
    stranger.id = device.id
    with pytest.raises(Unauthenticated):
        await sign_in(small, stranger)
    late = await small.sign_ins.challenge(TENANT, SITE)
    small.clock.ms += small.settings.challenge_ms + 1
    with pytest.raises(Unauthenticated):
        await small.sign_ins.with_passkey(late.text, device.sign(late.options), SITE)


async def test_of_50_passkeys_at_once_for_the_last_place_one_is_taken(inn: Inn) -> None:
    ann, _, _ = await inn.join("ann")

    async def add() -> object:
        asked = await inn.factors.begin_passkey(ann, SITE)
        return await inn.factors.add_passkey(ann, Proof(asked.text, passkey=Device().make(asked.options)), SITE, "")

    for _ in range(inn.settings.passkeys_max - 1):
        await add()
    assert await winners([add() for _ in range(50)]) == 1


async def test_a_passkey_of_another_tenant_or_of_somebody_disabled_opens_nothing(small: Inn) -> None:
    device, other = Device(), Device()
    await small.join("boss")
    id = await join_with(small, device)
    await join_with(small, other, tenant="north")
    with pytest.raises(Unauthenticated):
        await sign_in(small, other)
    await small.operators.change(HOST, id, disabled=True)
    with pytest.raises(Unauthenticated):
        await sign_in(small, device)


async def test_a_passkey_is_one_person_s_and_they_have_a_bounded_number(small: Inn) -> None:
    device = Device()
    await join_with(small, device)
    ann, _, _ = await small.join("ann")
    asked = await small.factors.begin_passkey(ann, SITE)
    with pytest.raises(Conflict, match="known already"):
        await small.factors.add_passkey(ann, Proof(asked.text, passkey=device.make(asked.options)), SITE, "mine")
    for _ in range(small.settings.passkeys_max):
        asked = await small.factors.begin_passkey(ann, SITE)
        await small.factors.add_passkey(ann, Proof(asked.text, passkey=Device().make(asked.options)), SITE, "")
    asked = await small.factors.begin_passkey(ann, SITE)
    with pytest.raises(Conflict, match="10 passkeys"):
        await small.factors.add_passkey(ann, Proof(asked.text, passkey=Device().make(asked.options)), SITE, "")
    found = await small.operators.find(TENANT, "ann")
    await small.factors.drop_totp(found)
    assert (await small.operators.find(TENANT, "ann")).factors == ("passkey", "recovery")


def test_whom_passkeys_belong_to_is_told_by_the_profile() -> None:
    assert site_of("https://inn.example.org", port=1).rp_id == "inn.example.org"
    assert site_of("https://inn.example.org:8443/", port=1).origin == "https://inn.example.org:8443"
    assert site_of("", port=8717).origin == "http://localhost:8717"
