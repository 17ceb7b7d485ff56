"""Evennia's stock LLM NPC, by the bytes that its client sends, and text-generation-webui's options."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from tests.servers import Server
from tests.standin import WORDS, Standin

PROMPT = "You are roleplaying as Greta, a innkeeper.\nAnn says: Good evening!\nGreta says:"


def exchange(server: Server, headers: list[str], body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
    """(status, headers, JSON) of one request as Twisted's agent writes it."""
    host, port = server.url.removeprefix("http://").split(":")
    sent = json.dumps(body).encode()
    lines = ["POST /api/v1/generate HTTP/1.1", f"Content-Length: {len(sent)}", *headers, f"Host: {host}:{port}"]
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode() + sent)
        received = b""
        while part := connection.recv(65_536):
            received += part
    head, _, told = received.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    return int(status.split()[1]), dict(line.lower().split(": ", 1) for line in fields), json.loads(told)


def test_the_stock_npc_is_answered(door: Server, standin: Standin) -> None:
    headers = ["Content-Type: application/json", f"Authorization: Bearer {door.key}"]
    body = {"max_new_tokens": 250, "temperature": 0.7, "prompt": PROMPT}
    status, fields, told = exchange(door, headers, body)
    assert (status, told) == (200, {"results": [{"text": WORDS}]})
    assert fields["innkeeper-ai-generated"] == "true"
    (seen,) = standin.seen
    assert seen.body["messages"] == [{"role": "user", "content": PROMPT}]


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded"])
def test_options_of_the_sampler_and_any_media_type_are_taken(door: Server, standin: Standin, media: str) -> None:
    body = {
        "prompt": f"{PROMPT} {media}", "max_length": 80, "top_k": 40, "typical_p": 1.0, "repetition_penalty": 1.1,
        "stopping_strings": ["\nAnn"], "seed": -1, "do_sample": True,
    }  # fmt: skip
    status, _, told = exchange(door, [f"Content-Type: {media}", f"x-api-key: {door.key}"], body)
    assert (status, told) == (200, {"results": [{"text": WORDS}]})


@pytest.mark.parametrize(
    ("more", "param"), [({"promt": "x"}, "promt"), ({"prompt": ""}, "prompt"), ({"stream": True}, "stream")]
)
def test_what_cannot_be_done_is_refused(door: Server, standin: Standin, more: dict[str, Any], param: str) -> None:
    status, _, told = exchange(door, [f"Authorization: Bearer {door.key}"], {"prompt": "x", **more})
    assert (status, told["error"]["param"]) == (400, param)
    assert not standin.seen


def test_a_stranger_is_told_how_to_sign_in(door: Server) -> None:
    status, fields, told = exchange(door, ["Content-Type: application/json"], {"prompt": "x"})
    assert (status, told["error"]["code"], fields["www-authenticate"]) == (401, "unauthenticated", "bearer")
