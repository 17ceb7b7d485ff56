"""People get in by what they have shown, once for what holds once, and nobody gives what they lack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.build import ROOT
from app.build.people import DatabasePeople
from app.control.audit import NoAudit
from app.control.auth import Identity
from app.control.operators import Operators
from app.control.passkeys import Passkeys
from app.control.passwords import Hasher, normalize, require_good
from app.control.people import Operator, Ticket
from app.control.permissions import SCOPES, TENANT_SCOPES, Role, require_grantable
from app.control.sign_in import FREE_TRIES, SignIn, make_ticket
from app.core.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from app.core.module import Scope
from app.stores.database import open_database

PASSWORD = "seven ravens over Ulm"
TENANT = "studio"


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def wall_ms(self) -> int:
        return self.ms

    def monotonic_s(self) -> float:
        return self.ms / 1000.0


class OpenVault:
    """Leaves values as they are, bound to their place."""

    def seal(self, tenant: str, table: str, column: str, key: str, value: bytes) -> bytes:
        return f"{tenant}/{table}/{column}/{key}/".encode() + value

    def open(self, tenant: str, table: str, column: str, key: str, sealed: bytes) -> bytes:
        place = f"{tenant}/{table}/{column}/{key}/".encode()
        assert sealed.startswith(place)
        return sealed.removeprefix(place)


@dataclass
class Ended:
    """Whose sign-ins were ended."""

    actors: list[str] = field(default_factory=list)

    async def revoke_subject(self, tenant: str, actor: str, *, by: str) -> None:
        self.actors.append(actor)


@dataclass
class Desk:
    people: DatabasePeople
    operators: Operators
    sign_in: SignIn
    clock: Hands
    ended: Ended
    host: Identity

    async def hire(self, login: str, role: Role = Role.OWNER, *, by: Identity | None = None) -> Operator:
        """Somebody who has accepted an invitation."""
        _, text = await self.operators.invite(by or self.host, login, role)
        return await self.operators.accept(text, PASSWORD)

    async def enrol(self, operator: Operator) -> tuple[pyotp.TOTP, list[str]]:
        """An authenticator for somebody, whose clock has moved on since it was added."""
        ticket, secret, _ = await self.operators.begin_totp(self.identity(operator))
        totp = pyotp.TOTP(secret)
        codes = await self.operators.finish_totp(self.identity(operator), ticket, self.code(totp))
        self.clock.ms += 60_000
        return totp, codes

    def code(self, totp: pyotp.TOTP) -> str:
        return totp.at(self.clock.ms // 1000)

    def identity(self, operator: Operator) -> Identity:
        return Identity(
            tenant=operator.tenant, actor=operator.actor, scopes=SCOPES[operator.role], since_ms=self.clock.ms
        )


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    database = open_database("", folder=tmp_path, migrations=ROOT / "migrations")
    await database.upgrade()
    clock, ended, hasher, vault, audit = Hands(), Ended(), Hasher(), OpenVault(), NoAudit()
    people = DatabasePeople(database)
    passkeys = Passkeys(b"k" * 32)
    common = {"hasher": hasher, "passkeys": passkeys, "vault": vault, "clock": clock, "audit": audit}
    yield Desk(
        people=people,
        operators=Operators(people, grants=ended, **common),  # type: ignore[arg-type]
        sign_in=SignIn(people, **common),  # type: ignore[arg-type]
        clock=clock,
        ended=ended,
        host=Identity(tenant=TENANT, actor="host", scopes=TENANT_SCOPES, since_ms=0),
    )
    hasher.close()
    await database.close()


async def winners(tries: list[Awaitable[object]]) -> int:
    """How many did not fail."""
    found = await asyncio.gather(*tries, return_exceptions=True)
    assert all(isinstance(one, Unauthenticated | Invalid) for one in found if isinstance(one, BaseException)), found
    return sum(not isinstance(one, BaseException) for one in found)


async def test_whoever_has_no_second_factor_may_only_add_one(desk: Desk) -> None:
    await desk.hire("ann@example.org")
    step = await desk.sign_in.by_password(TENANT, "Ann@Example.org", PASSWORD)
    assert step.identity is not None
    assert (step.enrolled, step.identity.scopes) == (False, Scope(0))


async def test_a_password_and_a_code_open_what_the_role_may(desk: Desk) -> None:
    totp, _ = await desk.enrol(await desk.hire("ann", Role.OPERATOR))
    step = await desk.sign_in.by_password(TENANT, "ann", PASSWORD)
    assert step.identity is None
    found = await desk.sign_in.by_code(step.ticket, desk.code(totp))
    assert found.identity is not None
    assert found.identity.scopes == SCOPES[Role.OPERATOR]


async def test_of_50_replays_of_a_code_at_once_one_gets_in(desk: Desk) -> None:
    totp, _ = await desk.enrol(await desk.hire("ann"))
    code = desk.code(totp)
    step = await desk.sign_in.by_password(TENANT, "ann", PASSWORD)
    assert await winners([desk.sign_in.by_code(step.ticket, code) for _ in range(50)]) == 1
    again = await desk.sign_in.by_password(TENANT, "ann", PASSWORD)
    with pytest.raises(Unauthenticated):
        await desk.sign_in.by_code(again.ticket, code)


async def test_a_recovery_code_holds_once_and_however_it_is_typed(desk: Desk) -> None:
    _, codes = await desk.enrol(await desk.hire("ann"))
    for code, gets_in in ((codes[0].upper(), True), (codes[0], False), (codes[1].replace("-", " "), True)):
        step = await desk.sign_in.by_password(TENANT, "ann", PASSWORD)
        assert await winners([desk.sign_in.by_code(step.ticket, code)]) == gets_in


async def test_of_200_claims_on_an_invitation_one_sets_the_password(desk: Desk) -> None:
    _, text = await desk.operators.invite(desk.host, "ann", Role.OWNER)
    tries = [desk.operators.accept(text, f"{PASSWORD} {number}") for number in range(20)]
    assert await winners(tries) == 1
    assert await winners([desk.operators.accept(text, PASSWORD)]) == 0


async def test_an_invitation_is_over_after_a_day(desk: Desk) -> None:
    _, text = await desk.operators.invite(desk.host, "ann", Role.OWNER)
    desk.clock.ms += 86_400_001
    with pytest.raises(Unauthenticated):
        await desk.operators.accept(text, PASSWORD)


@pytest.mark.parametrize("login", ["ann", "nobody", "off"])
async def test_every_refusal_has_the_same_words(desk: Desk, login: str) -> None:
    await desk.hire("boss")
    await desk.hire("ann")
    off = await desk.hire("off")
    await desk.operators.set_disabled(desk.host, off.id, disabled=True)
    with pytest.raises(Unauthenticated) as refused:
        await desk.sign_in.by_password(TENANT, login, PASSWORD if login == "off" else "not that one")
    assert (refused.value.message, refused.value.retry_after_s) == ("this sign-in does not hold", None)


async def test_guesses_at_once_are_no_more_than_the_free_ones(desk: Desk) -> None:
    operator = await desk.hire("ann")
    guesses = [desk.sign_in.by_password(TENANT, "ann", "not that one") for _ in range(30)]
    assert await winners(guesses) == 0  # type: ignore[arg-type]
    found = await desk.people.operator(TENANT, operator.id)
    assert found is not None
    assert found.failures == FREE_TRIES, "the others were refused unseen"
    with pytest.raises(Unauthenticated):
        await desk.sign_in.by_password(TENANT, "ann", PASSWORD)
    desk.clock.ms += 1_001
    assert (await desk.sign_in.by_password(TENANT, "ann", PASSWORD)).identity is not None


async def test_a_locked_door_opens_in_a_quarter_of_an_hour_at_the_latest(desk: Desk) -> None:
    await desk.hire("ann")
    for _ in range(25):
        desk.clock.ms += 900_001
        with pytest.raises(Unauthenticated):
            await desk.sign_in.by_password(TENANT, "ann", "not that one")
    desk.clock.ms += 900_001
    assert (await desk.sign_in.by_password(TENANT, "ann", PASSWORD)).identity is not None


async def test_the_last_owner_stays(desk: Desk) -> None:
    ann = await desk.hire("ann")
    for change in (
        desk.operators.remove(desk.host, ann.id),
        desk.operators.set_disabled(desk.host, ann.id, disabled=True),
        desk.operators.change_role(desk.host, ann.id, Role.VIEWER),
    ):
        with pytest.raises(Conflict):
            await change
    bob = await desk.hire("bob")
    tries = [desk.operators.remove(desk.identity(ann), bob.id), desk.operators.remove(desk.identity(bob), ann.id)]
    await asyncio.gather(*tries, return_exceptions=True)
    assert len([one for one in await desk.people.operators(TENANT) if one.role is Role.OWNER]) == 1


async def test_a_changed_role_ends_what_was_open(desk: Desk) -> None:
    await desk.hire("ann")
    bob = await desk.hire("bob", Role.OPERATOR)
    await desk.operators.change_role(desk.host, bob.id, Role.VIEWER)
    assert desk.ended.actors == [bob.actor]


async def test_somebody_of_another_tenant_does_not_differ_from_nobody(desk: Desk) -> None:
    ann = await desk.hire("ann")
    stranger = Identity(tenant="rival", actor="host", scopes=TENANT_SCOPES, since_ms=0)
    said = []
    for id in (ann.id, "f" * 16):
        with pytest.raises(NotFound) as missed:
            await desk.operators.change_role(stranger, id, Role.VIEWER)
        said.append(missed.value.message.replace(id, ""))
    assert said[0] == said[1]
    assert await desk.operators.all(stranger) == []


async def test_nobody_changes_their_own_role_or_somebody_above(desk: Desk) -> None:
    boss, ann = await desk.hire("boss"), await desk.hire("ann")
    clerk = await desk.hire("clerk", Role.OPERATOR)
    with pytest.raises(Forbidden):
        await desk.operators.change_role(desk.identity(ann), ann.id, Role.OPERATOR)
    with pytest.raises(Forbidden):
        await desk.operators.set_disabled(desk.identity(clerk), boss.id, disabled=True)
    with pytest.raises(Forbidden):
        await desk.operators.invite(desk.identity(clerk), "crony", Role.OWNER)


SCOPE_SETS = st.builds(Scope, st.integers(0, int(Scope(sum(Scope)))))


@given(granter=SCOPE_SETS, given_scopes=SCOPE_SETS)
def test_nobody_gives_what_they_lack(granter: Scope, given_scopes: Scope) -> None:
    try:
        require_grantable(granter, given_scopes)
    except Forbidden:
        assert given_scopes & ~granter
    else:
        assert not given_scopes & ~granter


@pytest.mark.parametrize(
    "password", ["short", "password123", "Passw0rd", "aaaaaaaaaaaa", "innkeeper1", "ann@example.org", "1" * 300]
)
def test_what_everybody_tries_is_refused(password: str) -> None:
    with pytest.raises(Invalid):
        require_good(password, names=("ann@example.org",))


@pytest.mark.parametrize(
    "password", ["seven ravens over Ulm", "x9 " * 21 + "!", "пять воронов над рекой", "🦊🌲🏔️🛶 fox"]
)
def test_long_ones_of_any_letters_are_taken(password: str) -> None:
    assert require_good(password, names=("ann@example.org",)) == normalize(password)


async def test_a_ticket_is_taken_once_and_only_for_its_purpose(desk: Desk) -> None:
    ann = await desk.hire("ann")
    text, ticket = make_ticket(TENANT, "totp", ann.id, desk.clock.ms + 1_000)
    assert await desk.people.add_tickets([ticket])
    take: Callable[[], Awaitable[Ticket | None]] = lambda: desk.people.take_ticket(  # noqa: E731
        TENANT, ticket.digest, "totp", desk.clock.ms
    )
    assert await desk.people.take_ticket(TENANT, ticket.digest, "invitation", desk.clock.ms) is None
    assert await desk.people.take_ticket("rival", ticket.digest, "totp", desk.clock.ms) is None
    assert sum(one is not None for one in await asyncio.gather(*(take() for _ in range(200)))) == 1
    assert text.startswith(f"{TENANT}.")
