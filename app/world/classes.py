"""The class of each field of an event: what a test holds every new field against.

`personal` says something about a person: it is sealed under their key where a person is what it speaks of.
"""

from __future__ import annotations

from typing import Literal

Class = Literal["public", "internal", "confidential", "personal"]

_INTERNAL: Class = "internal"
_PERSONAL: Class = "personal"


def _internal(*names: str) -> dict[str, Class]:
    return dict.fromkeys(names, _INTERNAL)


def _personal(*names: str) -> dict[str, Class]:
    return dict.fromkeys(names, _PERSONAL)


_ENTITY = _internal("id", "name", "tags", "attributes")

FIELDS: dict[str, dict[str, Class]] = {
    "Npc": {
        **_ENTITY,
        **_internal("archetype", "faction", "location", "home", "work", "alive", "level", "persona"),
    },
    "Persona": _internal("summary", "voice", "traits", "goals", "lines", "language"),
    "Player": {
        **_internal("id", "faction", "location", "alive", "level"),
        **_personal("name", "tags", "attributes"),
    },
    "Item": {**_ENTITY, **_internal("item_kind", "holder", "value")},
    "Location": {**_ENTITY, **_internal("map", "x", "y", "connects", "open")},
    "Faction": {**_ENTITY, **_internal("relations")},
    "Fact": {**_internal("subject", "from_s", "until_s", "known_by"), **_personal("predicate", "value")},
    "StoredMap": _internal("name", "version", "format", "sha256", "width", "height", "data", "options"),
    "Obstacle": _internal("id", "shape", "x", "y", "z", "closed", "clears"),
    "Circle": _internal("radius"),
    "Box": _internal("width", "height"),
    "CellSet": _internal("cells"),
    "EntityUpserted": _internal("entity"),
    "EntityRemoved": _internal("entity_kind", "id"),
    "FactAsserted": _internal("fact"),
    "MapStored": _internal("map"),
    "ObstaclesChanged": _internal("map", "put", "removed", "hit"),
    "Happened": {
        **_internal("verb", "actor", "target", "item", "location", "quantity"),
        **_personal("topic", "details"),
    },
    "ProposalOffered": {**_internal("id", "npc", "player", "action"), **_personal("arguments")},
    "ProposalSettled": {**_internal("id", "accepted"), **_personal("reason")},
    "RelationChanged": _internal("npc", "other", "delta"),
    "QuestRecorded": {**_internal("id", "state", "party"), **_personal("body")},
    "IntentSet": _internal("npc", "intent", "target", "until_s", "source"),
    "ScheduleSet": _internal("npc", "schedule"),
    "BrainAssigned": _internal("npc", "brain"),
    "BoardWritten": _internal("npc", "values"),
    "SteeringSet": _internal("name", "rule"),
    "SquadSet": _internal("squad"),
    "SquadDisbanded": _internal("id"),
    "Squad": _internal("id", "members", "leader", "formation", "spacing_cells", "roles", "focus", "board"),
    "WordsUsed": _internal(
        "npc",
        "player",
        "engine",
        "model",
        "tokens_in",
        "tokens_out",
        "cached_tokens_in",
        "cost_nano_usd",
        "estimated",
        "region",
    ),
    "MemoryNoted": {
        **_internal(
            "id", "holders", "source", "told_by", "speaker", "participants", "known_by", "place", "quest", "thread"
        ),
        **_internal("tellers", "importance", "emotion", "strength", "ttl_s", "pinned", "links", "ai_generated"),
        **_personal("text", "topic"),
    },
    "MemoryForgotten": _internal("holder", "ids"),
    "WorldSaved": _internal("slot"),
    "WorldRestored": _internal("slot"),
    "SaveDiscarded": _internal("slot"),
    "StoryMoved": {**_internal("npc", "player", "story"), **_personal("run")},
    "SubjectErased": _internal("subject", "alias", "left", "quests"),
    "SubjectRestricted": _internal("subject", "restricted"),
}
"""Type -> field -> class, for every change and what it is made of."""
