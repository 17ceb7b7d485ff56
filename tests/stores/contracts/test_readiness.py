"""A whole server on shared stores: it answers without them, and readiness tells what is gone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests import servers
from tests.stores.contracts.servers import key_server

ANNA = {"type": "npc", "id": "anna", "name": "Anna"}


def degraded(server: servers.Server, wanted: set[str], within_s: float) -> dict[str, Any]:
    """The readiness that names exactly `wanted`; fails when it does not come in time."""
    until = time.monotonic() + within_s
    while True:
        status, told = server.get("/health/ready")
        if set(told["degraded"]) == wanted:
            assert status == 200
            return dict(told)
        assert time.monotonic() < until, f"{told['degraded']} after {within_s} s"
        time.sleep(0.02)


def test_a_server_serves_on_when_its_shared_stores_are_gone_and_says_so(tmp_path: Path) -> None:
    with key_server("valkey", tmp_path) as store:
        environment = {"INNKEEPER__CACHE__URL": store.url, "INNKEEPER__STREAM__URL": store.url}
        server = servers.start(tmp_path, environment=environment)
        try:
            assert server.post("/v1/world/create", {"world": "w"})[0] == 200
            degraded(server, set(), 2.0)
            store.kill()
            told = degraded(server, {"cache", "stream"}, 1.0)
            assert str(store.port) in told["cache"]
            assert server.post("/v1/world/upsert", {"world": "w", "entities": [ANNA]})[0] == 200
            degraded(server, {"cache", "outlet", "stream"}, 1.0)
            store.start()
            degraded(server, set(), 8.0)
        finally:
            assert server.stop() == 0
