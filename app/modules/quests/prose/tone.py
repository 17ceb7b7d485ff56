"""What a quest's texts may take for granted: who speaks, how giver and player stand, season, weather, kind of place.

Each is a word that lines of the grammar name as their condition. It reads the world and invents nothing: without a
fact of the season, nobody speaks of it.
"""

from __future__ import annotations

from app.modules.quests.planning.facts import View
from app.world.state import pair

WARM, COLD = 0.3, -0.1
"""Feelings from which a giver speaks as a friend, or as one who keeps a distance, in [-1, 1]."""
VOICES = {
    "guard": "soldier", "captain": "soldier", "soldier": "soldier", "scout": "soldier",
    "scholar": "learned", "mage": "learned", "sage": "learned", "priest": "devout", "healer": "devout",
    "merchant": "trade", "trader": "trade", "innkeeper": "trade", "baker": "trade", "smith": "craft",
    "blacksmith": "craft", "farmer": "craft", "hunter": "craft", "villager": "plain", "elder": "plain",
    "noble": "grand", "bard": "grand",
}  # fmt: skip
SEASONS = frozenset({"spring", "summer", "autumn", "winter"})
WEATHERS = frozenset({"rain", "snow", "storm", "fog", "sun"})
TOLD = {"season": SEASONS, "weather": WEATHERS}
PLACES = frozenset({"inn", "market", "mill", "forge", "temple", "harbor", "farm", "tower"})


def known(view: View, giver: str, player: str, motive: str = "") -> frozenset[str]:
    """The conditions that hold for what this giver says to this player now."""
    found = {"motive"} if motive else set()
    npc = view.npcs.get(giver)
    if npc is None:
        return frozenset(found)
    found.update({VOICES[word] for word in (npc.archetype, *npc.tags) if word in VOICES})
    feeling = _feeling(view, giver, player)
    found.update({"friend"} if feeling >= WARM else {"cold"} if feeling <= COLD else ())
    place = view.place_of(npc)
    if place:
        found.update(PLACES.intersection(view.locations[place].tags))
    for predicate, words in TOLD.items():
        for subject in (place, "world"):
            value = _now(view, subject, predicate)
            if value in words:
                found.add(value)
                break
    return frozenset(found)


def _feeling(view: View, giver: str, player: str) -> float:
    felt = view.relations.get(pair(giver, player))
    if felt is not None:
        return felt
    npc, other = view.npcs[giver], view.players.get(player)
    return view.opinion(npc.faction, other.faction) if other is not None else 0.0


def _now(view: View, subject: str, predicate: str) -> str:
    """The value of a public fact that holds now; empty where there is none."""
    for fact in view.facts.get(pair(subject, predicate), ())[-1:]:
        if not fact.known_by and fact.from_s <= view.game_s and (fact.until_s is None or view.game_s < fact.until_s):
            return str(fact.value)
    return ""
