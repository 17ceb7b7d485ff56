"""Maps over HTTP: uploaded as files with classes of agents, drawn, and walked around what stands on them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from urllib.parse import quote

import pytest

from tests.servers import Server

ROWS = b"......\n..##..\n......\n......"


def fetch(server: Server, path: str) -> tuple[int, str, bytes]:
    """Status, media type and body of a GET."""
    request = urllib.request.Request(server.url + path, headers={"Authorization": f"Bearer {server.key}"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


@pytest.fixture
def maps(server: Server, world: str) -> str:
    """The address of a world's maps, of which `m` has a class of big agents."""
    classes = quote(json.dumps({"ogre": {"size": 2}}))
    path = f"/v1/worlds/{world}/maps"
    status, uploaded = server.request("PUT", f"{path}/m?format=rows&agent_classes={classes}", ROWS)
    assert status == 200, uploaded
    assert (uploaded["passable_cells"], uploaded["layers"]) == (22, 1)
    return path


def find(server: Server, world: str, **asked: object) -> tuple[int, dict[str, object]]:
    data = {"world": world, "map": "m", "starts": [[0, 0]], "goals": [[4, 0]], "format": "lists", **asked}
    return server.post("/v1/path/find", data)


def test_agents_of_a_class_walk_as_wide_as_they_are(server: Server, world: str, maps: str) -> None:
    assert find(server, world)[1]["cost"] == [4.0]
    status, found = find(server, world, agent_class="ogre")
    assert (status, found["status"]) == (200, ["found"])
    assert found["cost"] != [4.0]
    status, problem = find(server, world, agent_class="orge")
    assert (status, problem["code"]) == (404, "not_found")
    assert "'ogre'" in str(problem["hint"])


def test_a_map_is_drawn_as_png_and_svg(server: Server, maps: str) -> None:
    status, media, body = fetch(server, f"{maps}/m/preview.png?path=0,0;4,0&scale_px=8")
    assert (status, media) == (200, "image/png")
    assert body.startswith(b"\x89PNG")
    status, media, body = fetch(server, f"{maps}/m/preview.svg?show=components,path&path=0,0;4,0")
    assert status == 200
    assert media.startswith("image/svg+xml")
    assert b"<svg" in body
    status, _, body = fetch(server, f"{maps}/m/preview.png?show=everything")
    assert status == 400
    assert json.loads(body)["code"] == "invalid"
    assert fetch(server, f"{maps}/none/preview.png")[0] == 404


def test_classes_that_cannot_be_read_are_refused_and_the_map_stays(server: Server, world: str, maps: str) -> None:
    for classes in ("{", '{"ogre": {"size": 0}}', '{"ogre": {"sise": 2}}', "[1]"):
        status, problem = server.request("PUT", f"{maps}/m?format=rows&agent_classes={quote(classes)}", ROWS)
        assert (status, problem["code"]) == (400, "invalid"), classes
    assert find(server, world)[1]["version"] == 1


def test_whoever_polls_is_told_whose_way_is_blocked(server: Server, world: str, maps: str) -> None:
    assert find(server, world, walkers=["ada"])[0] == 200
    before = server.get(f"/v1/worlds/{world}")[1]["seq"]
    crate = {"id": "crate", "shape": {"type": "cells", "cells": [[0, 0]]}, "x": 2, "y": 0}
    status, accepted = server.post("/v1/obstacle/add", {"world": world, "map": "m", "obstacles": [crate]})
    assert (status, accepted["hit"]) == (200, ["ada"])
    pushes = server.get(f"/v1/worlds/{world}/poll?after={before}&wait=5000")[1]["pushes"]
    assert [(push["op"], push["data"]) for push in pushes] == [("path.blocked", {"map": "m", "walkers": ["ada"]})]
    assert find(server, world)[1]["cost"] != [4.0]
