"""What dialogue decides beside its context: open acts, feelings, faces, what of a prompt is guarded.

Pure: no clock, no chance, no await.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib import resources

import msgspec

from app.core.ids import stable_hash
from app.core.prompts import Chosen
from app.modules.dialogue.messages import Emotion
from app.world.entities import Npc, Value
from app.world.gate.acts import Proposed, check_proposal
from app.world.gate.speech import Guard
from app.world.scene import Scene, quest_head
from app.world.state import World

HELD_OFFERED_MAX = 8
"""Held items that are looked at as possible gifts."""


TASK = "dialogue.reply"
"""The task of words, and the name of its prompt."""
GUARDED = ("rules", "world", "now", "speak_first", "chatter")
"""Sections whose own words must never be spoken; a persona's may be."""


def guard_of(chosen: Chosen) -> Guard:
    """What of a prompt must never be spoken: the rules, and the headings that hold the world."""
    return Guard(*chosen.literals(*GUARDED))


def load_barks() -> dict[str, tuple[str, ...]]:
    """The last rung's lines by language."""
    text = (resources.files("app.modules.dialogue") / "barks.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, tuple[str, ...]])


def canary_of(tenant: str, world: str, npc: str) -> str:
    """A word that stands in this NPC's prompt and nowhere else."""
    return f"ink{stable_hash(tenant, world, npc, 'canary'):016x}"


def open_acts(world: World, npc: Npc, other: str) -> list[Proposed]:
    """Every act with every argument that the gate would let `npc` offer `other` now; few by construction."""
    return [act for act in _thinkable(world, npc, other) if check_proposal(world, act, npc.id, other).allowed]


def relation_delta(scene: Scene, kindness: float, talk_relation_max: float) -> float:
    """How the NPC's feeling moves: a little, by manner alone, never past what talk may reach.

    `kindness` is the sum so far in this dialogue: thanks repeated are worth nothing.
    """
    felt = scene.npc_feels()
    step = _MANNERS.get(scene.intent, 0.0) if scene.heard and not scene.listener_is_npc else 0.0
    if step > 0.0:
        return min(step, max(0.0, 0.05 - kindness), max(0.0, talk_relation_max - felt))
    return max(step, min(0.0, -talk_relation_max - felt))


_MANNERS = {
    "thank": 0.02, "compliment": 0.02, "greet": 0.01, "goodbye": 0.01, "apologize": 0.01, "insult": -0.03,
    "threaten": -0.05,
}  # fmt: skip
"""How far one line moves a feeling, by what it wants."""


def emotion_of(scene: Scene) -> Emotion:
    """The face that goes with the line."""
    felt = scene.npc_feels()
    if scene.intent == "threaten":
        return "afraid" if scene.need == "hurt" or scene.npc.role in ("villager", "farmer", "child") else "angry"
    if scene.intent == "insult":
        return "angry"
    if scene.topic == "news" and scene.news and scene.news[0].verb in ("killed", "died"):
        return "sad"
    if scene.need == "hurt":
        return "sad"
    if scene.intent in ("thank", "greet", "trade") and felt >= 0.0:
        return "happy"
    return "angry" if felt <= -0.3 else "neutral"


def _thinkable(world: World, npc: Npc, other: str) -> Iterator[Proposed]:
    for action in ("trade", "follow", "flee"):
        yield Proposed(action=action)
    yield Proposed(action="attack", arguments={"target": other})
    for record in world.state.quests.values():
        if record.state == "offered" and quest_head(record).giver == npc.id:
            yield _with("offer_quest", "quest", record.id)
    for item in world.held_by(npc.id)[:HELD_OFFERED_MAX]:
        yield _with("give_item", "item", item.id)
    for place in {npc.home, npc.work} - {""}:
        yield _with("open_door", "location", place)


def _with(action: str, name: str, value: Value) -> Proposed:
    return Proposed(action=action, arguments={name: value})
