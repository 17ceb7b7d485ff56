"""People get in by what they have shown, once for what holds once, and whoever is turned away learns nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pyotp
import pytest
from sqlalchemy import text

from app.control.factors import Proof
from app.control.grants import Issued
from app.control.permissions import SCOPES, Role
from app.control.sign_in import STRANGERS
from app.core.digests import digest
from app.core.errors import Conflict, Forbidden, Invalid, NotFound, StoreDown, Unauthenticated
from app.stores.tenancy import EVERY_TENANT
from tests.control.inn import PASSWORD, SITE, TENANT, Inn, opened, winners


async def test_a_password_and_a_code_open_what_the_role_may(inn: Inn) -> None:
    _, app, _ = await inn.join("Ann@example.org", Role.OPERATOR)
    issued = await inn.sign_in("ann@EXAMPLE.org", app)
    identity = inn.authority.identify(issued.access)
    assert identity.scopes == SCOPES[Role.OPERATOR]
    assert identity.actor.startswith("operator:")
    assert "operator.signed_in" in inn.trail.actions()


async def test_of_200_replays_of_a_code_at_once_one_gets_in(inn: Inn) -> None:
    _, app, _ = await inn.join("ann")
    found = await inn.operators.find(TENANT, "ann")
    tickets, code, step = [await inn.ticket("ann") for _ in range(4)], inn.code(app), inn.clock.ms // 30_000
    assert await winners([inn.sign_ins.with_totp(tickets[n % 4], code) for n in range(100)]) == 1
    taken = [
        inn.records.take_step(TENANT, found.id, step=step + 1, ticket=digest(ticket), now_ms=inn.clock.ms)
        for ticket in tickets * 50
    ]
    assert sum(await asyncio.gather(*taken)) == 1, "where no lock comes before, the step itself is taken once"


async def test_a_ticket_is_good_for_one_sign_in_of_200(inn: Inn) -> None:
    _, _, joined = await inn.join("ann")
    ticket = await inn.ticket("ann")
    tries = [inn.sign_ins.with_recovery_code(ticket, code) for code in joined.recovery_codes[:4]]
    assert await winners(tries) == 1


async def test_a_recovery_code_holds_once_and_however_it_is_typed(inn: Inn) -> None:
    _, _, joined = await inn.join("ann")
    one, other = joined.recovery_codes[:2]
    for code, gets_in in ((one.upper(), True), (one, False), (other.replace("-", " "), True)):
        assert await winners([inn.sign_ins.with_recovery_code(await inn.ticket("ann"), code)]) == gets_in


async def test_each_sign_in_has_credentials_of_its_own(small: Inn) -> None:
    _, app, joined = await small.join("ann")
    issued = await small.sign_in("ann", app)
    texts = {issued.access, issued.refresh, joined.issued.access, joined.issued.refresh}
    assert len(texts) == 4


async def test_every_refusal_of_a_password_has_the_same_words(small: Inn) -> None:
    await small.join("boss")
    await small.join("ann")
    off, _, _ = await small.join("off")
    await small.operators.change_from_host(TENANT, off.id, disabled=True)
    await small.join("locked")
    for _ in range(small.settings.failures_max):
        await winners([small.sign_ins.with_password(TENANT, "locked", "not that one")])
    waiting = await small.invite("waiting")
    assert waiting
    told = set()
    for tenant, login, password in (
        (TENANT, "ann", "not that one"),
        (TENANT, "nobody", PASSWORD),
        (TENANT, "off", PASSWORD),
        (TENANT, "locked", PASSWORD),
        (TENANT, "waiting", ""),
        ("no-such-tenant", "ann", PASSWORD),
        (TENANT, "ann", "\ud800"),
    ):
        with pytest.raises(Unauthenticated) as refused:
            await small.sign_ins.with_password(tenant, login, password)
        told.add((type(refused.value), refused.value.message, refused.value.hint, refused.value.retry_after_s))
    assert len(told) == 1


async def test_unknown_logins_are_counted_like_known_ones_in_a_bounded_number_of_rows(small: Inn) -> None:
    for number in range(40):
        await winners([small.sign_ins.with_password(TENANT if number % 2 else f"t{number}", f"no-{number}", "x")])
    rows = await small.database.run(
        EVERY_TENANT, lambda c: c.execute(text("SELECT tenant, subject FROM sign_in_attempts")).all()
    )
    assert rows, "a try at nobody writes a row too"
    assert {(row.tenant, row.subject[:9]) for row in rows} == {(TENANT, "stranger:")}
    assert all(len(row.subject) == len("stranger:") + STRANGERS for row in rows)


async def test_of_many_guesses_at_once_no_more_than_a_few_are_looked_at(inn: Inn) -> None:
    _, app, _ = await inn.join("ann")
    tries = [inn.sign_ins.with_password(TENANT, "ann", "not that one") for _ in range(12)]
    assert await winners(tries) == 0
    rows = await inn.database.run(
        TENANT, lambda c: c.execute(text("SELECT failures FROM sign_in_attempts WHERE subject LIKE 'password:%'")).all()
    )
    assert [row.failures for row in rows] == [inn.settings.failures_max]
    with pytest.raises(Unauthenticated):
        await inn.ticket("ann")
    inn.clock.ms += 1_001
    assert isinstance(await inn.sign_in("ann", app), Issued)


async def test_a_locked_account_opens_in_a_quarter_of_an_hour_at_the_latest(small: Inn) -> None:
    _, app, _ = await small.join("ann")
    for _ in range(25):
        small.clock.ms += small.settings.lock_ms_max + 1
        assert await winners([small.sign_ins.with_password(TENANT, "ann", "not that one")]) == 0
    small.clock.ms += small.settings.lock_ms_max + 1
    assert isinstance(await small.sign_in("ann", app), Issued)


async def test_whoever_guesses_passwords_ends_no_session_and_slows_no_code(small: Inn) -> None:
    _, app, joined = await small.join("ann")
    ticket = await small.ticket("ann")
    for _ in range(small.settings.failures_max + 1):
        await winners([small.sign_ins.with_password(TENANT, "ann", "not that one")])
    assert small.holds(joined.issued.access)
    assert isinstance(await small.sign_ins.with_totp(ticket, small.code(app)), Issued)


async def test_guessing_codes_is_slowed_across_tickets(small: Inn) -> None:
    _, app, _ = await small.join("ann")
    for _ in range(small.settings.failures_max):
        assert await winners([small.sign_ins.with_totp(await small.ticket("ann"), "000000")]) == 0
    with pytest.raises(Unauthenticated):
        await small.sign_in("ann", app)
    small.clock.ms += 30_000
    assert isinstance(await small.sign_in("ann", app), Issued)


async def test_regression_6_nobody_gets_in_while_the_database_cannot_say_who_it_is(small: Inn) -> None:
    ann, app, _ = await small.join("ann")
    ticket, code = await small.ticket("ann"), small.code(app)
    await small.database.run(TENANT, lambda c: c.execute(text("ALTER TABLE operators RENAME TO elsewhere")))
    for tried in (
        small.sign_ins.with_password(TENANT, "ann", PASSWORD),
        small.sign_ins.with_totp(ticket, code),
        small.operators.open_session(ann),
    ):
        with pytest.raises(StoreDown):
            await tried


async def test_a_ticket_and_an_invitation_are_over_in_time(small: Inn) -> None:
    _, app, _ = await small.join("ann")
    ticket, invitation = await small.ticket("ann"), await small.invite("bob")
    small.clock.ms += small.settings.ticket_ms + 1
    with pytest.raises(Unauthenticated):
        await small.sign_ins.with_totp(ticket, small.code(app))
    small.clock.ms += small.settings.invitation_ms
    with pytest.raises(Unauthenticated):
        await small.factors.invited(invitation)


async def test_of_all_who_accept_one_invitation_one_joins(inn: Inn) -> None:
    code = await inn.invite("ann")
    invited = await inn.factors.invited(code)
    proofs = []
    for _ in range(8):
        made = await inn.factors.begin_totp(invited)
        proofs.append(Proof(made.enrollment, inn.code(pyotp.TOTP(made.secret))))
    assert await winners([inn.accept(code, "ann", PASSWORD, proof) for proof in proofs]) == 1
    with pytest.raises(Unauthenticated):
        await inn.factors.invited(code)


async def test_an_account_never_has_half_of_what_it_needs(small: Inn) -> None:
    code = await small.invite("ann")
    for password, proof in ((PASSWORD, None), ("", None), ("short", None), (PASSWORD, Proof("x.y", "000000"))):
        assert await winners([small.accept(code, "ann", password, proof)]) == 0
    found = await small.operators.find(TENANT, "ann")
    assert (found.joined_ms, found.password_hash, found.factors) == (None, "", ())
    await small.join("bob")
    made = await small.factors.begin_totp(await small.factors.invited(code))
    proof = Proof(made.enrollment, small.code(pyotp.TOTP(made.secret)))
    with pytest.raises(Conflict):
        await small.accept(code, "BOB", PASSWORD, proof)
    assert (await small.factors.invited(code)).login == "ann", "the invitation is still good"


async def test_an_enrollment_is_its_owners_alone(small: Inn) -> None:
    ann, _, _ = await small.join("ann")
    bob, _, _ = await small.join("bob")
    made = await small.factors.begin_totp(ann)
    with pytest.raises(Unauthenticated):
        await small.factors.add_totp(bob, Proof(made.enrollment, small.code(pyotp.TOTP(made.secret))))


async def test_a_password_alone_must_be_long_where_it_is_allowed(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path / 'innkeeper.db'}", tmp_path, factor_required=False) as inn:
        code = await inn.invite("ann")
        with pytest.raises(Invalid, match="characters"):
            await inn.accept(code, "ann", "eleven char")
        await inn.accept(code, "ann", PASSWORD)
        assert isinstance(await inn.sign_ins.with_password(TENANT, "ann", PASSWORD), Issued)


async def test_another_password_ends_every_other_sign_in(small: Inn) -> None:
    ann, _, joined = await small.join("ann")
    issued = await small.factors.change_password(ann, current=PASSWORD, new="eight ravens over Ulm")
    assert not small.holds(joined.issued.access)
    assert small.holds(issued.access)
    ann = await small.operators.find(TENANT, "ann")
    with pytest.raises(Unauthenticated):
        await small.factors.change_password(ann, current=PASSWORD, new="nine ravens over Ulm")


async def test_factors_change_only_just_after_signing_in_and_never_for_a_key(small: Inn) -> None:
    ann, _, _ = await small.join("ann")
    identity = small.identity(ann)
    small.clock.ms += small.settings.fresh_ms
    assert (await small.factors.person(identity)).id == ann.id
    small.clock.ms += 1
    with pytest.raises(Forbidden, match="too long ago"):
        await small.factors.person(identity)


async def test_the_last_way_in_stays(small: Inn) -> None:
    ann, _, _ = await small.join("ann")
    with pytest.raises(Conflict, match="last way"):
        await small.factors.drop_totp(ann)
    with pytest.raises(NotFound):
        await small.factors.drop_passkey(ann, "0" * 64)


async def test_a_passkey_s_challenge_is_used_up_by_any_answer(small: Inn) -> None:
    asked = await small.sign_ins.challenge(TENANT, SITE)
    assert asked.options["allowCredentials"] == [], "the options name nobody's passkey"
    assert asked.options["userVerification"] == "required"
    told = set()
    for answer in ({}, {"rawId": "AAAA"}, {"rawId": 7}, {"rawId": "\ud800"}):
        with pytest.raises(Unauthenticated) as refused:
            await small.sign_ins.with_passkey(asked.text, answer, SITE)
        told.add((refused.value.message, refused.value.hint))
    assert len(told) == 1


@pytest.mark.parametrize("text", ["", ".", "x", "x.y", "ZGVmYXVsdA.", "\ud800.y", "é.y", "A" * 300 + ".y", "AA.y"])
async def test_what_is_no_code_is_refused(small: Inn, text: str) -> None:
    for tried in (
        small.factors.invited(text),
        small.sign_ins.with_totp(text, "000000"),
        small.sign_ins.with_recovery_code(text, "x"),
        small.sign_ins.with_passkey(text, {}, SITE),
    ):
        with pytest.raises(Unauthenticated):
            await tried
