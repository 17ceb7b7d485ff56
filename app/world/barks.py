"""Where an NPC's own barks stand among its persona's lines: by event, and by the mood, relation and fact they are for.

`bark_attacked` is for every attack, `bark_attacked.afraid.foe` for one by a foe on somebody who is afraid. Pure names:
who writes such lines and who says them does not matter here.
"""

from __future__ import annotations

from itertools import product

PREFIX = "bark_"
MOODS = ("calm", "cheerful", "grim", "angry", "afraid", "weary")
FRIEND_MIN, FOE_MAX = 0.3, -0.3
"""Relations from which on, and down from which, a line for friends or for foes is said."""


def intent_of(event: str, mood: str = "", relation: str = "", fact: str = "") -> str:
    """The intent of the lines for exactly this; `fact` is its key, `SUBJECT PREDICATE`."""
    return PREFIX + ".".join((event, *(part for part in (mood, relation, fact) if part)))


def intents(event: str, mood: str = "", relation: str = "", fact: str = "") -> tuple[str, ...]:
    """The intents whose lines fit, the closest first: the fact counts most, then the mood, then the relation."""
    choices = product(
        (fact, "") if fact else ("",), (mood, "") if mood else ("",), (relation, "") if relation else ("",)
    )
    return tuple(intent_of(event, m, r, f) for f, m, r in choices)


def relation_of(felt: float) -> str:
    """What somebody is to an NPC that feels so about them, in [-1, 1]: `friend`, `foe` or `stranger`."""
    return "friend" if felt >= FRIEND_MIN else "foe" if felt <= FOE_MAX else "stranger"
