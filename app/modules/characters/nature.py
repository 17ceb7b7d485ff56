"""Who somebody is by nature: traits drive needs, voice and hours; the trade moves the means. Pure.

Needs follow from traits in the directions that the Five-Factor literature reports (Roccas and others 2002 on the Big
Five and values: openness with curiosity, conscientiousness with achievement, neuroticism with safety); the weights are
ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from app.modules.characters.dice import Dice
from app.modules.characters.library import CHILD, MOTIVES, TRAITS, VOICES, Trade
from app.modules.characters.messages import Hours
from app.world.entities import Npc, Value

SPREAD = 0.45
"""How far from its mean a trait can be drawn."""
MARKED = 0.62
"""From here a trait shows; below 1 - MARKED its other end does."""
NEED_MEAN = 0.22
NIGHT = "night watch"

_NEEDS: Mapping[str, Mapping[str, float]] = {
    "knowledge": {"openness": 0.7},
    "comfort": {"conscientiousness": -0.3, "neuroticism": 0.3},
    "reputation": {"extraversion": 0.4, "agreeableness": -0.4},
    "serenity": {"agreeableness": 0.4, "extraversion": -0.3},
    "protection": {"neuroticism": 0.5, "agreeableness": 0.2},
    "conquest": {"agreeableness": -0.5, "neuroticism": -0.2},
    "wealth": {"conscientiousness": 0.2, "agreeableness": -0.3},
    "ability": {"openness": 0.3, "conscientiousness": 0.3},
    "equipment": {"conscientiousness": 0.4, "openness": -0.2},
}
_VOICES: Mapping[str, Mapping[str, float]] = {
    "gruff": {"agreeableness": -0.9, "extraversion": -0.3},
    "courtly": {"conscientiousness": 0.7, "openness": -0.1, "extraversion": 0.2},
    "merry": {"extraversion": 0.9, "neuroticism": -0.3},
    "shy": {"extraversion": -0.9, "neuroticism": 0.6},
    "sly": {"agreeableness": -0.6, "openness": 0.5, "conscientiousness": -0.3},
    "scholarly": {"openness": 0.7, "extraversion": -0.4, "conscientiousness": 0.2},
    "warm": {"agreeableness": 0.9, "neuroticism": -0.2},
}


def traits(trade: Trade, dice: Dice) -> dict[str, float]:
    """The Big Five in [0, 1], about the trade's means."""
    drawn = {name: dice.bell(0.5 + trade.nature.get(name, 0.0), SPREAD, "trait", name) for name in TRAITS}
    return {name: _share(value) for name, value in drawn.items()}


def needs(trade: Trade, nature: Mapping[str, float], dice: Dice) -> dict[str, float]:
    """The nine needs in [0, 1]: what the trade wants, what the traits do, and some of one's own."""
    return {
        motive: _share(
            NEED_MEAN + trade.needs.get(motive, 0.0) + _leaning(_NEEDS[motive], nature) + dice.bell(0.0, 0.15, motive)
        )
        for motive in MOTIVES
    }


def voice(trade: Trade, nature: Mapping[str, float], dice: Dice, taken: Iterable[str]) -> str:
    """The voice that fits best; one that somebody beside has already is less likely."""
    used = list(taken)

    def fits(name: str) -> float:
        drawn = 0.35 * dice.unit("voice", name)
        return trade.voices.get(name, 0.0) + _leaning(_VOICES[name], nature) + drawn - 0.3 * used.count(name)

    return max(VOICES, key=fits)


def marked(nature: Mapping[str, float]) -> list[str]:
    """The ends of traits that show, such as `openness_high`, the most marked first."""
    ends = [
        (abs(value - 0.5), f"{name}_{'high' if value >= 0.5 else 'low'}")
        for name, value in nature.items()
        if not 1.0 - MARKED < value < MARKED
    ]
    return [end for _, end in sorted(ends, key=lambda end: (-end[0], end[1]))]


def rises(trade: Trade, nature: Mapping[str, float], dice: Dice) -> float:
    """The hour of rising: conscientious people rise early, and so do trades that must."""
    late = (0.5 - nature["conscientiousness"]) * 3.0
    return round(2.0 * min(11.0, max(3.0, trade.rises_h + late + dice.bell(0.0, 0.5, "rises")))) / 2.0


def hours(npc: Npc, schedule: str) -> tuple[Hours, ...]:
    """A day of the character, from its attributes; the whole day once, beginning with its rising."""
    up = number(npc.attributes, "rises_h") or 6.0
    if schedule == NIGHT:
        return (
            Hours(from_h=19.0, until_h=7.0, doing="guard", place=npc.work),
            Hours(from_h=7.0, until_h=8.0, doing="eat", place=npc.home),
            Hours(from_h=8.0, until_h=18.0, doing="rest", place=npc.home),
            Hours(from_h=18.0, until_h=19.0, doing="eat", place=npc.home),
        )
    doing = "patrol" if schedule == "day watch" else "play" if npc.archetype == CHILD else "work"
    awake = 13.0 if npc.archetype == CHILD else 16.0
    begins, ends, bed = up + 1.0, min(20.0, up + awake - 4.0), min(23.5, up + awake)
    return (
        Hours(from_h=up, until_h=begins, doing="eat", place=npc.home),
        Hours(from_h=begins, until_h=ends, doing=doing, place=npc.work or npc.home),  # type: ignore[arg-type]  # one of three words
        Hours(from_h=ends, until_h=bed, doing="talk", place=npc.home),
        Hours(from_h=bed, until_h=up, doing="rest", place=npc.home),
    )


def number(attributes: Mapping[str, Value], name: str) -> float | None:
    """An attribute that is a number, or None."""
    value = attributes.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _leaning(weights: Mapping[str, float], nature: Mapping[str, float]) -> float:
    return sum(weight * (nature[name] - 0.5) for name, weight in weights.items())


def _share(value: float) -> float:
    return round(min(1.0, max(0.0, value)), 2)
