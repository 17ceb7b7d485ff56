"""What a model wrote is marked (EU AI Act, article 50): every message type that can carry such text has the mark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from app.build import MODULE_SETTINGS, ROOT, build
from app.core.messages import ModelText
from app.core.profile import layers, load
from app.modules.behavior.messages import Explained as Acted
from app.modules.characters.messages import Cast
from app.modules.content.messages import Generated
from app.modules.dialogue.messages import Explained, Replayed, Said, Spoken
from app.modules.memory.messages import Recalled
from app.modules.quests.messages import Exported, Listed, QuestReply, QuestUpdated

WRITTEN = {"written_by": "model"}


async def told_types(data: Path) -> set[type[msgspec.Struct]]:
    """Every reply, chunk and push of every module."""
    sources = layers(ROOT / "profiles", mode=1, file=None, environment={}, flags={"server.data_folder": str(data)})
    innkeeper = await build(load(sources, MODULE_SETTINGS).profile)
    await innkeeper.close()
    found: set[type[msgspec.Struct]] = set()
    for module in innkeeper.modules:
        found |= {*module.pushes}
        for handler in module.handlers:
            found |= {handler.reply, *([handler.chunk] if handler.chunk is not None else [])}
    return found


def carries(kind: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Whether the type holds text of a model anywhere within."""
    if kind in seen:
        return False
    meta = getattr(kind, "__metadata__", ())
    if any(isinstance(one, msgspec.Meta) and one.extra == WRITTEN for one in meta):
        return True
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        inside: Iterator[Any] = iter(get_type_hints(kind, include_extras=True).values())
    else:
        inside = iter(get_args(kind))
    return any(carries(one, seen | {kind}) for one in inside)


async def test_whatever_can_carry_a_model_s_words_has_the_mark(tmp_path: Path) -> None:
    told = await told_types(tmp_path)
    carriers = {kind for kind in told if carries(kind)}
    assert carriers == {
        Said, Spoken, Explained, Replayed, Acted, Recalled, QuestReply, Listed, QuestUpdated, Exported, Cast, Generated,
    }  # fmt: skip
    for kind in carriers:
        hints = get_type_hints(kind)
        assert hints.get("ai_generated") is bool
        field = next(field for field in msgspec.structs.fields(kind) if field.name == "ai_generated")
        assert field.required, "nobody forgets it"


@pytest.mark.parametrize("nested", [ModelText, tuple[ModelText, ...], dict[str, ModelText], ModelText | None])
def test_the_mark_s_absence_would_be_seen_however_deep_the_text_lies(nested: Any) -> None:
    inner = msgspec.defstruct("Inner", [("text", nested)])
    outer = msgspec.defstruct("Outer", [("rows", tuple[inner, ...])])
    assert carries(nested)
    assert any(carries(field.type) for field in msgspec.structs.fields(outer)) or carries(inner)
    assert not carries(msgspec.defstruct("Plain", [("text", str)]))
