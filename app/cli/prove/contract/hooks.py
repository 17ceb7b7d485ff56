"""What schemathesis is told of this server, loaded by it in its own process: see its `before_call` hook.

Drawn names almost never name anything. Most valid requests are therefore about the world that the suite has made,
so that they get past "not found". What JSON Schema cannot say of valid data is mended here too.
"""

from __future__ import annotations

import zlib
from typing import Any

import schemathesis

from app.cli.prove.contract.world import ITEM, MAP, NPC, PLACE, PLAYER, WORLD

NAMES: dict[str, Any] = {
    "world": WORLD, "npc": NPC, "id": NPC, "giver": NPC, "actor": NPC, "subject": NPC, "player": PLAYER,
    "speaker": PLAYER, "participants": [PLAYER], "npcs": [NPC], "location": PLACE, "item": ITEM, "map": MAP,
    "map_name": MAP, "intent": "patrol",
}  # fmt: skip
OFTEN = 4
"""All but one of so many valid requests are about what exists."""


@schemathesis.hook  # type: ignore[untyped-decorator,unused-ignore]  # typed in some releases only
def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:
    """Point a valid request at what exists, and give its idempotency key once."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if isinstance(case.body, dict):
        case.body = _whole(case.body)
        if "key" in case.body:
            case.headers.pop("Idempotency-Key", None)
    if zlib.crc32(repr((case.path_parameters, case.body)).encode("utf-8", "replace")) % OFTEN:
        for place in (case.path_parameters, case.body, case.query):
            if isinstance(place, dict):
                place.update({name: value for name, value in NAMES.items() if name in place})


def _whole(value: Any) -> Any:
    """The value with 94.0 as 94: one number to JSON Schema, while this server keeps integers and others apart."""
    if isinstance(value, dict):
        return {name: _whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
