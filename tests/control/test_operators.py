"""Nobody gives what they lack, touches somebody above, or raises themselves; the last owner stays."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.control.auth import Identity
from app.control.operator_records import Operator
from app.control.operators import require_over
from app.control.permissions import SCOPES, TENANT_SCOPES, Role
from app.core.errors import Conflict, Forbidden, Invalid, NotFound
from app.core.module import Scope
from tests.control.inn import HOST, TENANT, Inn, opened, winners

SCOPE_SETS = st.builds(Scope, st.integers(0, int(Scope(sum(Scope)))))
ROLES = st.sampled_from(Role)


def person(role: Role, id: str = "a") -> Operator:
    return Operator(
        tenant=TENANT, id=id, login=id, role=role, password_hash="", totp_secret=b"", totp_step=0, created_ms=0,
        joined_ms=1, signed_in_ms=None, disabled_ms=None, passkeys=0, recovery_codes=0,
    )  # fmt: skip


@given(scopes=SCOPE_SETS, held=ROLES, given_role=ROLES, itself=st.booleans())
def test_regression_10_no_change_of_a_role_gives_what_the_giver_lacks(
    scopes: Scope, held: Role, given_role: Role, itself: bool
) -> None:
    giver = Identity(tenant=TENANT, actor="operator:a" if itself else "key:k", scopes=scopes, since_ms=0)
    try:
        require_over(giver, person(held), given_role)
    except Forbidden:
        lacks = (SCOPES[held] | SCOPES[given_role]) & ~scopes
        assert lacks or (itself and SCOPES[given_role] & ~SCOPES[held])
    else:
        assert not SCOPES[given_role] & ~scopes
        assert not SCOPES[held] & ~scopes
        assert not (itself and SCOPES[given_role] & ~SCOPES[held]), "nobody raises their own role"


async def test_an_operator_invites_nobody_above_and_touches_no_owner(small: Inn) -> None:
    boss, _, _ = await small.join("boss")
    await small.join("ann")
    clerk, _, _ = await small.join("clerk", Role.OPERATOR)
    by = small.identity(clerk)
    for refused in (
        small.operators.invite(by, login="crony", role=Role.OWNER),
        small.operators.change(by, boss.id, disabled=True),
        small.operators.change(by, clerk.id, role=Role.OWNER),
        small.operators.remove(by, boss.id),
        small.operators.reset(by, boss.id),
    ):
        with pytest.raises(Forbidden):
            await refused


async def test_the_last_owner_is_neither_disabled_nor_demoted_nor_removed(inn: Inn) -> None:
    ann, _, _ = await inn.join("ann")
    await inn.invite("not-there-yet")
    for change in (
        inn.operators.remove(HOST, ann.id),
        inn.operators.change(HOST, ann.id, disabled=True),
        inn.operators.change(HOST, ann.id, role=Role.VIEWER),
        inn.operators.change_from_host(TENANT, ann.id, role=Role.VIEWER),
        inn.operators.reset(HOST, ann.id),
    ):
        with pytest.raises(Conflict, match="last owner"):
            await change
    await inn.operators.change(HOST, ann.id, role=Role.OWNER)


async def test_of_two_owners_who_demote_each_other_at_once_one_stays(inn: Inn) -> None:
    ann, _, _ = await inn.join("ann")
    bob, _, _ = await inn.join("bob")
    assert await winners([
        inn.operators.change(inn.identity(ann), bob.id, role=Role.VIEWER),
        inn.operators.change(inn.identity(bob), ann.id, role=Role.VIEWER),
    ]) == 1  # fmt: skip


async def test_of_50_invitations_at_once_for_the_last_place_one_is_made(url: str, tmp_path: Path) -> None:
    async with opened(url, tmp_path, operators_max=3) as inn:
        await inn.invite("ann")
        await inn.invite("bob")
        assert await winners([inn.invite(f"person-{number}") for number in range(50)]) == 1


async def test_disabling_ends_tokens_at_once_and_enabling_lets_sign_in_again(inn: Inn) -> None:
    await inn.join("boss")
    ann, app, joined = await inn.join("ann", Role.DESIGNER)
    await inn.operators.change(HOST, ann.id, disabled=True)
    assert not inn.holds(joined.issued.access)
    assert await winners([inn.sign_in("ann", app)]) == 0
    await inn.operators.change(HOST, ann.id, disabled=False)
    assert not inn.holds(joined.issued.access)
    assert inn.holds((await inn.sign_in("ann", app)).access)
    assert {"operator.disabled", "operator.enabled"} <= set(inn.trail.actions())


async def test_nobody_who_is_disabled_while_signing_in_gets_a_token(inn: Inn) -> None:
    await inn.join("boss")
    ann, app, _ = await inn.join("ann")
    for _ in range(8):
        ticket, code = await inn.ticket("ann"), inn.code(app)
        found = await asyncio.gather(
            inn.sign_ins.with_totp(ticket, code),
            inn.operators.change(HOST, ann.id, disabled=True),
            return_exceptions=True,
        )
        if not isinstance(found[0], BaseException):
            assert not inn.holds(found[0].access)
        await inn.operators.change(HOST, ann.id, disabled=False)
        inn.clock.ms += 60_000


async def test_a_lower_role_narrows_what_is_open_and_a_higher_one_waits_for_the_next_sign_in(inn: Inn) -> None:
    await inn.join("boss")
    ann, app, joined = await inn.join("ann", Role.OPERATOR)
    await inn.operators.change(HOST, ann.id, role=Role.VIEWER)
    assert inn.authority.identify(joined.issued.access).scopes == SCOPES[Role.VIEWER]
    await inn.operators.change(HOST, ann.id, role=Role.OWNER)
    assert inn.authority.identify(joined.issued.access).scopes == SCOPES[Role.OPERATOR]
    assert inn.authority.identify((await inn.sign_in("ann", app)).access).scopes == SCOPES[Role.OWNER]


async def test_removing_forgets_name_and_secrets_and_may_be_repeated(inn: Inn) -> None:
    await inn.join("boss")
    ann, _, joined = await inn.join("ann")
    await inn.operators.remove(HOST, ann.id)
    await inn.operators.remove(HOST, ann.id)
    assert not inn.holds(joined.issued.access)
    with pytest.raises(NotFound):
        await inn.operators.find(TENANT, "ann")
    await inn.join("ann")


async def test_somebody_of_another_tenant_does_not_differ_from_nobody(small: Inn) -> None:
    ann, _, _ = await small.join("ann", tenant="north")
    await small.join("boss")
    told = set()
    for id in (ann.id, "f" * len(ann.id)):
        for tried in (
            small.operators.change(HOST, id, role=Role.VIEWER),
            small.operators.remove(HOST, id),
            small.operators.reset(HOST, id),
        ):
            with pytest.raises(NotFound) as missed:
                await tried
            told.add((missed.value.message.replace(id, ""), missed.value.hint))
    assert len(told) == 1
    assert [one.login for one in await small.operators.all("north")] == ["ann"]


async def test_logins_of_two_tenants_do_not_meet(small: Inn) -> None:
    _, app, _ = await small.join("ann")
    await small.join("ann", tenant="north", password="other ravens over Ulm")
    assert await winners([small.sign_ins.with_password("north", "ann", "seven ravens over Ulm")]) == 0
    assert small.authority.identify((await small.sign_in("ann", app)).access).tenant == TENANT


async def test_a_reset_takes_everything_away_and_invites_anew(small: Inn) -> None:
    ann, _, joined = await small.join("ann")
    again = await small.operators.reset_from_host(TENANT, ann.id)
    assert not small.holds(joined.issued.access)
    assert await winners([small.sign_ins.with_password(TENANT, "ann", "seven ravens over Ulm")]) == 0
    assert (await small.factors.invited(again.code)).id == ann.id


async def test_a_first_start_invites_an_owner_until_somebody_has_joined(small: Inn) -> None:
    first, second = await small.operators.invite_first(TENANT), await small.operators.invite_first(TENANT)
    assert first is not None
    assert second is not None
    assert (await small.factors.invited(first)).id == (await small.factors.invited(second)).id
    await small.join("ann")
    assert await small.operators.invite_first(TENANT) is None


@pytest.mark.parametrize("login", ["", "   ", "a\nb", "a\x00", "x" * 101, "\u202e evil"])
async def test_a_login_that_cannot_be_seen_is_refused(small: Inn, login: str) -> None:
    with pytest.raises(Invalid):
        await small.operators.invite(HOST, login=login, role=Role.VIEWER)


def test_owners_hold_all_of_a_tenant_and_nothing_beyond() -> None:
    assert SCOPES[Role.OWNER] == TENANT_SCOPES
    assert Scope.ADMIN not in TENANT_SCOPES
