"""Rate limits and usage as a client meets them, on both faces of a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.control.auth import Identity
from app.control.repeats import Repeats
from app.core.errors import RateLimited, Unauthenticated
from app.core.module import Scope
from app.core.quotas import Limits as Section
from app.edge.limits import Callers, Limits
from app.stores.embedded.limiter import EmbeddedLimiter
from tests.doubles import ManualClock, NoAudit
from tests.servers import Server, connect, running

SECTION = Section(
    period_ms=60_000,
    key_requests_max=3,
    key_burst_requests_max=3,
    tenant_requests_max=5,
    tenant_burst_requests_max=5,
    player_requests_max=2,
    player_burst_requests_max=2,
    address_requests_max=4,
    address_burst_requests_max=4,
    lease_ms=100,
    failures_max=2,
)
HOURS = "360000000"


def somebody(key: str, tenant: str = "studio") -> Identity:
    return Identity(tenant=tenant, actor=f"key:{key}", scopes=Scope.READ, since_ms=0)


def over(clock: ManualClock) -> Limits:
    return Limits(
        SECTION,
        EmbeddedLimiter(clock=clock, keys_max=10),
        addresses=EmbeddedLimiter(clock=clock, keys_max=10),
        repeats=Repeats(NoAudit()),
    )


async def admitted(limits: Limits, identity: Identity, tries: int) -> int:
    """Of so many requests, how many are let in."""
    let_in = 0
    for _ in range(tries):
        try:
            await limits.take(identity)
        except RateLimited as error:
            if not error.retry_after_s:
                raise
            continue
        let_in += 1
    return let_in


async def test_a_key_and_its_tenant_each_have_a_limit() -> None:
    limits = over(ManualClock())
    assert await admitted(limits, somebody("a"), 10) == 3
    assert await admitted(limits, somebody("b"), 10) == 2, "the tenant's 5 are used up"
    assert await admitted(limits, somebody("c", "other"), 10) == 3


async def test_requests_come_back_with_time() -> None:
    clock = ManualClock()
    limits = over(clock)
    assert await admitted(limits, somebody("a"), 10) == 3
    clock.now_s += 21.0
    assert await admitted(limits, somebody("a"), 10) == 1


async def test_an_address_that_fails_too_often_is_told_to_wait_and_another_is_not() -> None:
    limits = over(ManualClock())
    told = [type(await limits.failed("10.0.0.1", Unauthenticated("no"))) for _ in range(4)]
    assert told == [Unauthenticated, Unauthenticated, RateLimited, RateLimited]
    assert isinstance(await limits.failed("10.0.0.2", Unauthenticated("no")), Unauthenticated)


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Server]:
    """A server that takes ten requests of a key, and no more for minutes."""
    settings = {
        "limits.period_ms": HOURS, "limits.key_requests_max": "10", "limits.key_burst_requests_max": "10",
        "limits.failures_max": "3",
    }  # fmt: skip
    flags = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    with running(tmp_path, *flags) as server:
        yield server


def test_both_faces_take_from_the_same_limit_and_say_when_to_come_again(limited: Server) -> None:
    assert limited.post("/v1/world/create", {"world": "w"})[0] == 200

    async def by_socket() -> list[dict[str, object]]:
        async with connect(limited, world="w") as link:
            return [await link.ask("world.describe", {}) for _ in range(8)]

    replies = asyncio.run(by_socket())
    assert all(reply["ok"] for reply in replies)
    assert limited.get("/v1/worlds")[0] == 200
    status, problem = limited.post("/v1/world/describe", {"world": "w"})
    assert (status, problem["code"]) == (429, "rate_limited")
    (refused, *_) = asyncio.run(by_socket())
    assert refused["error"]["code"] == "rate_limited"  # type: ignore[index]  # a decoded frame
    assert refused["error"]["retry_after_s"] > 60  # type: ignore[index]  # a decoded frame
    assert limited.get("/health/ready")[0] == 200


def test_wrong_keys_are_refused_and_then_told_to_wait_while_the_right_one_still_holds(limited: Server) -> None:
    wrong = {"Authorization": "Bearer ik_00000000_wrong"}
    statuses = [limited.post("/v1/world/describe", {"world": "w"}, headers=wrong)[0] for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    assert limited.get("/v1/worlds")[0] == 200


def test_usage_of_a_world_that_paid_nothing_is_nothing(server: Server, world: str) -> None:
    status, told = server.get(f"/v1/usage?world={world}")
    assert status == 200
    assert told["worlds"][world]["total"]["cost_nano_usd"] == 0
    assert world in server.get("/v1/usage")[1]["worlds"]
    assert server.get("/v1/usage?world=nowhere")[0] == 404


async def test_a_player_has_a_limit_of_its_own_in_each_world() -> None:
    limits = over(ManualClock())

    async def let_in(world: str, player: str, key: str = "a") -> int:
        count = 0
        for _ in range(5):
            try:
                await limits.take_player(somebody(key), world, player)
            except RateLimited:
                continue
            count += 1
        return count

    assert await let_in("w", "ann") == 2
    assert await let_in("w", "ann", key="b") == 0, "another key of the same studio is the same player"
    assert await let_in("w", "ben") == 2
    assert await let_in("w:ann", "x") + await let_in("w", "ann:x") == 4, "no two names share a count"
    assert await let_in("w", "") == 5, "what is for nobody counts for nobody"


async def test_an_address_has_a_limit_before_anybody_asks_who_it_is() -> None:
    limits = over(ManualClock())
    for _ in range(4):
        await limits.arrive("192.0.2.1")
    with pytest.raises(RateLimited, match="this address"):
        await limits.arrive("192.0.2.1")
    await limits.arrive("192.0.2.2")


def test_a_credential_is_a_hint_only_once_it_has_held() -> None:
    callers = Callers()
    assert callers.tenant(b"ik_x_y") == ""
    callers.note(b"ik_x_y", "studio")
    assert callers.tenant(b"ik_x_y") == "studio"
    assert callers.tenant(b"ik_x_z") == ""


def test_players_and_addresses_are_limited_on_both_faces(tmp_path: Path) -> None:
    settings = (
        f"--set=limits.period_ms={HOURS}", "--set=limits.player_requests_max=3",
        "--set=limits.player_burst_requests_max=3",
        "--set=limits.address_requests_max=40", "--set=limits.address_burst_requests_max=40",
    )  # fmt: skip
    with running(tmp_path, *settings) as server:
        assert server.post("/v1/world/create", {"world": "w"})[0] == 200
        entities = [{"type": "npc", "id": "mara"}, {"type": "player", "id": "ann"}, {"type": "player", "id": "ben"}]
        assert server.post("/v1/world/upsert", {"world": "w", "entities": entities})[0] == 200
        opened = server.post("/v1/dialogue/open", {"world": "w", "npc": "mara", "participants": ["ann", "ben"]})[1]

        def say(speaker: str) -> int:
            said = {"world": "w", "dialogue": opened["dialogue"], "speaker": speaker, "text": "Hello!"}
            return server.post("/v1/dialogue/say", said)[0]

        assert [say("ann") for _ in range(5)] == [200, 200, 200, 429, 429]
        assert say("ben") == 200
        statuses = [server.get("/v1/worlds")[0] for _ in range(40)]
        assert statuses.count(200) == 40 - 9
        assert set(statuses) == {200, 429}
