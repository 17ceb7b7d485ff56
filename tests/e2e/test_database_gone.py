"""A server whose PostgreSQL hangs: it plays on from memory, says so, and takes up what it was told when it is back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from app.stores.cluster import find_tools, private_cluster
from tests import servers

PATIENCE_S = 30.0
EVENT = {"world": "w", "events": [{"verb": "learned", "actor": "mara", "topic": "the road"}], "key": "once"}
MARA = {"type": "npc", "id": "mara", "name": "Mara"}


def until(holds: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < give_up_s
        time.sleep(0.02)


def bearer(server: servers.Server, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    body = b'{"world": "w", "id": "mara"}'
    return server.request("POST", "/v1/world/get", body, headers=headers)[0]


def test_a_server_plays_on_while_its_database_hangs_and_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with private_cluster(find_tools("initdb")) as cluster:
        cluster.create()
        cluster.start()
        server = servers.start(tmp_path, "--set", f"database.url={cluster.url()}")
        try:
            assert server.post("/v1/world/create", {"world": "w"})[0] == 200
            assert (
                server.post("/v1/world/upsert", {"world": "w", "entities": [MARA, {"type": "player", "id": "p"}]})[0]
                == 200
            )
            ended, kept = (server.post("/v1/auth/token", {})[1] for _ in range(2))
            assert server.post("/v1/auth/revoke", {"token": ended["access_token"]})[0] == 200
            _, opened = server.post("/v1/dialogue/open", {"world": "w", "npc": "mara", "participants": ["p"]})
            for pid in cluster.pids():
                os.kill(pid, signal.SIGSTOP)

            until(lambda: "database" in server.get("/health/ready")[1]["degraded"])
            assert server.post("/v1/world/get", {"world": "w", "id": "mara"})[0] == 200
            say = {"world": "w", "dialogue": opened["dialogue"], "speaker": "p", "text": "Well met"}
            status, said = server.post("/v1/dialogue/say", say)
            assert (status, bool(said["text"])) == (200, True)
            status, problem = server.post("/v1/world/event", EVENT)
            assert (status, problem["code"]) == (503, "store_down")
            status, problem = server.post("/v1/world/create", {"world": "other"})
            assert (status, problem["code"]) == (503, "store_down")
            refused = server.request("POST", "/v1/world/event", b"{}", headers={"Authorization": "Bearer wrong"})
            assert refused[0] == 401
            worlds = [bearer(server, each["access_token"]) for each in (ended, kept)]
            assert worlds == [401, 200], "who was revoked stays out, who was not goes on"
            status, told = server.post("/v1/auth/token", {})
            assert (status, "refresh_token" in told) == (200, False), "a key is proved without the database"
            assert bearer(server, told["access_token"]) == 200
            assert server.post("/v1/auth/refresh", {"refresh_token": kept["refresh_token"]})[0] == 503

            for pid in cluster.pids():
                os.kill(pid, signal.SIGCONT)
            until(lambda: server.get("/health/ready")[1]["degraded"] == [])
            first = server.post("/v1/world/event", EVENT)
            assert first[0] == 200
            assert server.post("/v1/world/event", EVENT) == first
            assert server.post("/v1/world/describe", {"world": "w"})[1]["seq"] == 3
        finally:
            for pid in cluster.pids():
                os.kill(pid, signal.SIGCONT)
            assert server.stop() == 0
