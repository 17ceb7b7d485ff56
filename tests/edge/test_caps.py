"""Every list and map of every message has an end, and what is nested too deep or kept too long is refused in words."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from msgspec.inspect import DictType, ListType, StructType, Type, UnionType, VarTupleType, type_info

from app.core.messages import Request
from app.edge.session import Outgoing, Session
from tests.servers import Server

MODULES = ("world", "behavior", "pathfinding", "dialogue", "quests", "characters", "content")
DEPTH_MAX = 32
BY_THE_HANDLER = {
    "world.upsert": "modules.world.changes_max, and list_items_max within an entity",
    "world.remove": "modules.world.changes_max",
    "world.assert": "modules.world.changes_max, and list_items_max within a fact",
    "world.event": "modules.world.changes_max, and list_items_max within an event",
    "characters.check": "modules.characters.check_bytes_max",
}
"""Messages whose types are those of the log, so that the bound is looked after by the handler."""


def requests() -> list[type[Request]]:
    found = set()
    for name in MODULES:
        module = import_module(f"app.modules.{name}.messages")
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, Request) and "op" in vars(kind):
                found.add(kind)
    return sorted(found, key=lambda kind: kind.op)


def containers(kind: Type, path: str, depth: int) -> Iterator[tuple[str, Any, int]]:
    """(path, type, depth) of every list and map in a type."""
    match kind:
        case StructType():
            for field in kind.fields:
                yield from containers(field.type, f"{path}.{field.name}", depth + 1)
        case UnionType():
            for member in kind.types:
                yield from containers(member, path, depth)
        case ListType() | VarTupleType():
            yield path, kind, depth
            yield from containers(kind.item_type, f"{path}[]", depth + 1)
        case DictType():
            yield path, kind, depth
            yield from containers(kind.value_type, f"{path}{{}}", depth + 1)


@pytest.mark.parametrize("kind", requests(), ids=lambda kind: kind.op)
def test_every_list_of_a_message_has_a_maximum(kind: type[Request]) -> None:
    found = list(containers(type_info(kind), kind.op, 1))
    assert all(depth < DEPTH_MAX for _, _, depth in found)
    if kind.op not in BY_THE_HANDLER:
        assert [path for path, inner, _ in found if inner.max_length is None] == []


@pytest.mark.parametrize(
    ("path", "data", "named"),
    [
        ("upsert", {"entities": [{"type": "npc", "id": "x", "tags": ["t"] * 257}]}, "tags has 257 items"),
        ("upsert", {"entities": [{"type": "npc", "id": "x", "persona": {"traits": ["t"] * 257}}]}, "traits has 257"),
        (
            "upsert",
            {"entities": [{"type": "npc", "id": "x", "attributes": {str(n): 1.0 for n in range(257)}}]},
            "attributes has 257",
        ),
        ("assert", {"facts": [{"subject": "mara", "predicate": "p", "value": 1, "known_by": ["a"] * 257}]}, "known_by"),
        (
            "event",
            {"events": [{"verb": "learned", "actor": "mara", "details": {str(n): 1 for n in range(257)}}]},
            "details",
        ),
        ("event", {"events": [{"verb": "learned", "actor": "mara"}] * 5_001}, "5001 events"),
    ],
)
def test_a_list_that_is_too_long_is_named(server: Server, world: str, path: str, data: Any, named: str) -> None:
    status, problem = server.post(f"/v1/world/{path}", {"world": world, **data})
    assert status == 413
    assert named in problem["detail"]


@pytest.mark.parametrize("depth", [33, 5_000, 200_000])
@pytest.mark.parametrize("open_close", ["[]", ('{"a":', "}")])
def test_what_is_nested_too_deep_is_refused_and_nothing_breaks(server: Server, depth: int, open_close: Any) -> None:
    begin, end = open_close
    body = f'{{"world": "w", "entities": {begin * depth}{"1" if begin != "[" else ""}{end * depth}}}'.encode()
    assert server.post("/v1/world/upsert", body)[0] in (400, 413)
    packed = b"\x82\xa5world\xa1w\xa8entities" + b"\x91" * depth + b"\x01"
    status, _ = server.post("/v1/world/upsert", packed, headers={"Content-Type": "application/msgpack"})
    assert status == 400
    assert server.get("/health/live")[0] == 200


def test_a_session_keeps_its_last_replies_within_bytes() -> None:
    class Server:
        inflight_max = 64
        answers_bytes_max = 1_000

    session: Any = Session.__new__(Session)
    session._server, session._answered, session._answered_bytes = Server, {}, 0
    for number in range(50):
        session._keep(str(number), Outgoing(b"x" * 300))
    assert list(session._answered) == ["47", "48", "49"]
    session._keep("49", Outgoing(b"y" * 100))
    assert session._answered_bytes == 700
    session._keep("large", Outgoing(b"z" * 5_000))
    assert (list(session._answered), session._answered_bytes) == ([], 0)
