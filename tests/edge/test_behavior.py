"""Behavior as clients meet it: named values in JSON, matrices in msgpack, and the raw layout, over HTTP."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import numpy as np

from tests.servers import Server

OCTETS = {"Content-Type": "application/octet-stream"}


def test_a_client_of_names_alone_is_answered_and_told_why(server: Server, world: str) -> None:
    request = {
        "world": world, "tick": 7, "npcs": ["mara", "nobody"], "strict": True, "parameters": True, "format": "lists",
        "features": [{"hp": 0.9, "energy": 1, "is_night": False}, {}],
        "archetype_names": ["villager", "villager"], "allowed": [["flee", "rest", "wander"], ["rest"]],
        "seen": [[{"kind": "friend", "features": {"distance": 3}},
                  {"kind": "foe", "npc": "mara", "features": {"distance": 5, "threat": 0.8}}], []],
    }  # fmt: skip
    status, reply = server.post("/v1/behavior/decide", request)
    assert status == 200, reply
    assert (reply["lists"]["intents"], reply["lists"]["targets"]) == (["flee", ""], [1, -1])
    assert reply["lists"]["parameters"][0]["urgency"] > 0.9
    assert [(error["row"], error["code"]) for error in reply["errors"]] == [(1, "unknown_npc")]
    status, told = server.post("/v1/behavior/explain", {"world": world, "npc": "mara"})
    assert status == 200, told
    assert (told["intent"], told["target_npc"], told["rule"]) == ("flee", "mara", "run from a stronger foe")
    assert told["runner_up"] in ("rest", "wander")
    assert told["tipping"]["intent"] != "flee"


def test_a_schema_that_is_not_there_and_a_value_of_no_kind_are_refused(server: Server, world: str) -> None:
    request = {"world": world, "tick": 1, "npcs": ["mara"], "features": [{"hp": 1}]}
    status, problem = server.post("/v1/behavior/decide", {**request, "schema": "open_wrold"})
    assert (status, problem["code"], problem["hint"]) == (400, "invalid", "did you mean 'open_world'?")
    for features in ([{"hp": [1]}], [{"hp": {}}], [[1.0]], {"hp": 1}):
        assert server.post("/v1/behavior/decide", {**request, "features": features})[0] == 400
    status, reply = server.post("/v1/behavior/decide", {**request, "features": [{"hp": "much"}]})
    assert (status, reply["errors"][0]["code"]) == (200, "not_finite")


def test_raw_and_msgpack_say_the_same(server: Server, world: str) -> None:
    obs = np.zeros((2, 53), "<f4")
    obs[:, 7], obs[0, 16:18], obs[1, 0] = 1.0, (0.03, 1.0), np.nan
    handles = struct.pack("<II", 0, 0)
    head = struct.pack("<4sHHII", b"IKBD", 1, 2 | 4 | 8 | 256, 2, 53) + struct.pack("<Q", 3)
    sizes = struct.pack("<HHHH", 9, 0, 0, 5) + b"arena\0\0\0"
    roles = bytes([3, 3])
    path = f"/v1/behavior/decide?world={world}"
    status, body = server.request("POST", path, head + sizes + handles + obs.tobytes() + roles, headers=OCTETS)
    assert status == 200, body
    assert isinstance(body, bytes)
    data: dict[str, Any] = {
        "world": world, "tick": 3, "handles": handles, "obs": obs.tobytes(), "schema": "arena", "archetypes": roles,
        "parameters": True,
    }  # fmt: skip
    packed = {"Content-Type": "application/msgpack", "Accept": "application/msgpack"}
    status, found = server.request("POST", "/v1/behavior/decide", msgspec.msgpack.encode(data), headers=packed)
    assert status == 200, found
    reply = msgspec.msgpack.decode(found) if isinstance(found, bytes) else found
    assert struct.unpack_from("<4sHHII", body) == (b"IKBD", 1, 256 | 512, 2, 4)
    assert body[16:18] == reply["intents"]
    assert body[18:20] == reply["targets"]
    assert body[24:32] == reply["confidence"]
    assert body[32:56] == reply["parameters"]
    assert struct.unpack("<II", body[56:]) == (1, 5)
