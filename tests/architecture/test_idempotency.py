"""Every message that changes something durable can be sent again: it has a key, or its effect is the same twice."""

from __future__ import annotations

from pathlib import Path

from app.build import MODULE_SETTINGS, ROOT, build
from app.core.module import Handler, Scope
from app.core.profile import layers, load

WITHOUT_KEY = {
    "world.create": "a world that is there stays as it is",
    "world.report": "positions live in RAM until the next report",
    "behavior.formation": "computes, and keeps nothing",
    "behavior.decide": "decisions are not kept; the same tick gives the same answer",
    "dialogue.open": "dialogues live in RAM; one that nobody uses is dropped",
    "dialogue.close": "dialogues live in RAM",
    "dialogue.join": "dialogues live in RAM; who takes part already stays",
    "dialogue.leave": "dialogues live in RAM; who has left already is gone",
    "dialogue.interrupt": "cuts what is being spoken, and keeps nothing",
    "dialogue.bark": "a short line without an effect, which is not kept",
    "memory.reflect": "a conclusion takes the place of the one before",
    "dialogue.report": "one player's report of one line is one report",
    "path.distance": "reads maps",
    "path.field": "fields live in memory; the same goals are the same field",
    "path.find": "reads maps; who walks where lives in memory",
    "path.flee": "reads maps",
    "path.raycast": "reads maps",
    "path.sample": "reads fields",
    "path.steer": "computes, and keeps nothing",
    "path.reachable": "reads maps",
    "path.nearest": "reads maps",
    "path.random_point": "reads maps",
    "quests.accept": "a quest that is active stays as it is, and one that failed is refused",
    "quests.join": "who takes part already stays",
    "quests.leave": "who has left already is gone",
    "quests.abandon": "a quest that was abandoned stays as it is",
}
"""Messages that may write and have no key, with the reason; the list does not grow without one."""


async def handlers(data: Path) -> list[Handler]:
    sources = layers(ROOT / "profiles", mode=1, file=None, environment={}, flags={"server.data_folder": str(data)})
    innkeeper = await build(load(sources, MODULE_SETTINGS).profile)
    found = [handler for module in innkeeper.modules for handler in module.handlers]
    await innkeeper.close()
    return found


async def test_a_message_that_may_write_has_a_key_or_a_reason(tmp_path: Path) -> None:
    without = {
        handler.request.op
        for handler in await handlers(tmp_path)
        if handler.scope is not Scope.READ and "key" not in handler.request.__struct_fields__
    }
    assert without - WITHOUT_KEY.keys() == set()


async def test_no_message_that_only_reads_has_a_key(tmp_path: Path) -> None:
    assert not [
        handler.request.op
        for handler in await handlers(tmp_path)
        if handler.scope is Scope.READ and "key" in handler.request.__struct_fields__
    ]
