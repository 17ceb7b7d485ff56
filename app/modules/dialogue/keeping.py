"""Which lines may be said again to somebody else, or later: greetings and their like, in just the same state.

Pure, and careful: a line that answers a question, goes on with a talk, or was written from memories or from a context
that names other players is written anew each time.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.core.ids import stable_hash
from app.core.words import Keep, Part
from app.world.gate.speech import clean_input
from app.world.scene import Scene
from app.world.state import World

INTENTS = frozenset(("greet", "goodbye", "thank", "small_talk"))


def keep_of(world: World, scene: Scene, parts: Sequence[Part]) -> Keep | None:
    """How the line is known again; None for one that is not to be kept.

    The whole compiled context but for the player's words is part of what identifies it, so a line is said again only
    where a model would have read the same.
    """
    if scene.lines or scene.recalled or scene.pinned or scene.listener_is_npc:
        return None
    if scene.heard and scene.intent not in INTENTS:
        return None
    if _names_others(world, scene):
        return None
    state = [f"npc:{scene.npc.id}", f"player:{scene.listener.id}"]
    state += [f"location:{scene.here.id}"] if scene.here is not None else []
    state += [f"quest:{quest.id}" for quest in scene.quests]
    context = [text for part in parts if part.trust != "player" for text in (part.trust, part.text)]
    return Keep(
        said=scene.heard, language=scene.persona.language, state=tuple(state), scene=f"{stable_hash(*context):016x}"
    )


def _names_others(world: World, scene: Scene) -> bool:
    """Whether the context says something of a player who is not spoken to: they may ask to be forgotten."""
    players = world.state.players
    told = {known.subject_id for known in scene.known} | {one.id for one in (*scene.people, *scene.present)}
    if scene.person is not None:
        told.add(scene.person.id)
    if any(id in players and id != scene.listener.id for id in told):
        return True
    names = {name for news in scene.news for name in (news.actor, news.target) if name}
    others = (player.name for player in players.values() if player.id != scene.listener.id)
    return bool(names) and any(clean_input(name) in names for name in others)
