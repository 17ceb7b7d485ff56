"""What others suffered with keys and tokens, each as a test of ours; the rows are those of the specification's list."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from app.build import MODULE_SETTINGS, ROOT
from app.build.access import Access, open_access
from app.control.auth import Authority, Identity
from app.control.permissions import SCOPES, require_grantable
from app.control.ring import Ring
from app.core.clock import SystemClock
from app.core.errors import Forbidden, Unauthenticated
from app.core.module import Scope
from app.core.profile import layers, load
from app.stores.database import Database, open_database
from tests.control.test_tokens import FORGED, Office, claims, header, signed
from tests.doubles import NoAudit
from tests.stores.conftest import MIGRATIONS

scopes = st.integers(0, int(sum(Scope))).map(Scope)


class _Breaking(Ring):
    """A ring in which something goes wrong that nobody thought of."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(token_ms=0)
        self._error = error

    def verify(self, text: str, *, now_ms: int) -> tuple[str, bytes]:
        raise self._error


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyError("x"), TypeError("x"), MemoryError(), RecursionError()])
def test_row_6_whatever_goes_wrong_while_a_credential_is_checked_it_does_not_hold(error: Exception) -> None:
    """LiteLLM CVE-2026-59822: a check that failed fell back to an empty identity."""
    authority = Authority(clock=SystemClock(), ring=_Breaking(error), pepper=b"", token_minutes=15)
    with pytest.raises(Unauthenticated, match="the credential does not hold"):
        authority.identify("a.b.c")


def test_row_7_a_token_is_never_read_without_its_signature() -> None:
    """LiteLLM #20500: a JWT was decoded without verification. tests/architecture/test_tokens.py forbids the means."""
    for text in (signed(header(), claims(), secret=bytes(32)), signed(header(), claims()).rpartition(".")[0] + "."):
        Office().refuses(text)


def test_row_8_tokens_with_the_same_beginning_are_two() -> None:
    """LiteLLM CVE-2026-35030: the first characters of a token were the key of the cache."""
    office = Office()
    token = office.token()
    assert office.authority.identify(token).actor == "operator:ann"
    for kept in (20, 64, 200, len(token) - 2):
        office.refuses(token[:kept] + "".join("A" if letter != "A" else "B" for letter in token[kept:]))


@given(held=scopes, given=scopes)
def test_row_10_nobody_gives_what_they_do_not_have(held: Scope, given: Scope) -> None:
    """LiteLLM CVE-2026-47101: a user stored routes that they were not allowed."""
    if given & ~held:
        with pytest.raises(Forbidden):
            require_grantable(held, given)
    else:
        require_grantable(held, given)


async def opened(tmp_path: Path) -> tuple[Database, Access]:
    database = open_database("", folder=tmp_path, migrations=MIGRATIONS)
    await database.upgrade()
    sources = layers(ROOT / "profiles", mode=1, file=None, environment={}, flags={"server.data_folder": str(tmp_path)})
    profile = load(sources, MODULE_SETTINGS).profile
    access = await open_access(database, profile, clock=SystemClock(), log=structlog.get_logger(), audit=NoAudit())
    return database, access


async def test_row_10_nobody_gets_more_by_a_key_they_make_change_or_rotate(tmp_path: Path) -> None:
    """LiteLLM CVE-2026-47101, over every way to come by a key."""
    database, access = await opened(tmp_path)
    owner = Identity(tenant="t", actor="operator:o", scopes=~Scope(0), since_ms=0)
    strong = await access.api_keys.create(owner, label="strong", scopes=Scope.READ | Scope.PRIVACY)
    for role, held in SCOPES.items():
        giver = Identity(tenant="t", actor=f"operator:{role}", scopes=held & ~Scope.PRIVACY, since_ms=0)
        prefix = strong.row["prefix"]
        with pytest.raises(Forbidden):
            await access.api_keys.create(giver, label="more", scopes=Scope.PRIVACY)
        with pytest.raises(Forbidden):
            await access.api_keys.change(giver, prefix, scopes=Scope.PRIVACY)
        with pytest.raises(Forbidden):
            await access.api_keys.rotate(giver, prefix, grace_minutes=0)
    assert access.authority.identify(strong.text).scopes == Scope.READ | Scope.PRIVACY
    await access.watch.close()
    await database.close()


async def test_row_11_what_was_revoked_here_is_refused_when_the_call_returns(tmp_path: Path) -> None:
    """LiteLLM CVE-2026-12796, Nakama #1014 and #875: sessions survived. Sockets: tests/edge/test_access.py."""
    database, access = await opened(tmp_path)
    ann = Identity(tenant="t", actor="operator:ann", scopes=Scope.READ, since_ms=SystemClock().wall_ms())
    first = await access.grants.sign_in(ann)
    assert access.authority.identify(first.access).actor == "operator:ann"
    await access.grants.revoke_subject("t", "operator:ann", by="host")
    with pytest.raises(Unauthenticated):
        access.authority.identify(first.access)
    with pytest.raises(Unauthenticated):
        await access.grants.refresh(first.refresh)
    again = await access.grants.sign_in(ann)
    assert access.authority.identify(again.access).scopes == Scope.READ
    await access.grants.limit_subject("t", "operator:ann", Scope(0), by="host")
    assert access.authority.identify(again.access).scopes == Scope(0)
    await access.watch.close()
    await database.close()


def test_row_12_a_refusal_names_no_key_no_table_and_no_digest() -> None:
    """LiteLLM #18731 and #39757: error bodies told of keys, tables and hashes."""
    told = set()
    for text in FORGED.values():
        with pytest.raises(Unauthenticated) as refused:
            Office().authority.identify(text)
        told.add((refused.value.message, refused.value.hint))
    ((message, hint),) = told
    assert message == "the credential does not hold"
    assert "expired" in hint


@pytest.mark.parametrize("name", [name for name in FORGED if "crit" in name or "none" in name.lower() or "b64" in name])
def test_row_21_an_extension_that_nobody_knows_and_no_algorithm_are_refused(name: str) -> None:
    """Authlib CVE-2025-59420 and CVE-2026-28802, PyJWT CVE-2026-32597."""
    Office().refuses(FORGED[name])
