"""When a player has had enough: intensity from what befell it, and what the next quest had better be.

Pure. It knows events and game time, no quests in making and no clock. The shape is that of the AI Director of Left 4
Dead (Booth, "The AI Systems of Left 4 Dead", AIIDE 2009): build up, peak, relax; never two peaks without a rest. There
it paces seconds of fighting, here hours of play.

`mood_after` folds events into a mood, `settled` lets time pass, `pace` says what that means for the next quest. Time
between events is solved and not stepped through, so asking in between changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from app.core.messages import Change
from app.world.events import Happened

Phase = Literal["calm", "build", "peak", "relax"]

WITH: Mapping[str, float] = MappingProxyType(
    {
        "attacked": 0.15,
        "killed": 0.25,
        "stole": 0.15,
        "defended": 0.2,
        "captured": 0.25,
        "rescued": 0.2,
        "escorted": 0.1,
    }
)
"""How much it stirs a player to do this."""
UNDER: Mapping[str, float] = MappingProxyType({"attacked": 0.25, "stole": 0.2, "captured": 0.4, "killed": 0.6})
"""How much it stirs a player to have this done to it; `died` is its own death."""
DEATH = 0.6
ENDS: Mapping[str, float] = MappingProxyType({"completed": 0.15, "failed": 0.3, "compensated": 0.15})
"""How much the end of a quest stirs whoever played it."""
INTENSITY_MAX = 2.0
CERTAIN = 1e-9
"""Slack in game seconds and intensity, so that rounding makes no phase last for ever."""

STRIFE = ("kill", "capture", "defend", "steal", "spy")
"""Actions that a tired player is spared, where there is another quest."""


class Pacing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How quickly a player is stirred and rests; game seconds, and intensity in units of about four fights."""

    half_life_s: float = 1_200.0
    """After so long half of the intensity is gone."""
    build_min: float = 0.25
    """Below this intensity a player is calm."""
    peak_min: float = 1.0
    """At this intensity it has its peak."""
    fade_max: float = 0.6
    """Below this a peak is over..."""
    peak_s_max: float = 1_800.0
    """...and after so long in any case."""
    rest_s: float = 1_800.0
    """A rest lasts at least so long, and until the player is calm."""


class Mood(msgspec.Struct, frozen=True, kw_only=True):
    """Where a player stands: `intensity` was so at `at_s`, and the phase has lasted since `since_s`."""

    phase: Phase = "calm"
    intensity: float = 0.0
    at_s: float = 0.0
    since_s: float = 0.0
    peaks: int = 0
    """How many peaks it has had."""


class Beat(msgspec.Struct, frozen=True):
    """Something that stirred a player, and when."""

    game_s: float
    strength: float


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """What the next quest had better be. Weights multiply a motive's chance; `avoid` are actions best not needed.

    Efforts are bounds that the generator prefers and may miss where nothing fits.
    """

    phase: Phase
    intensity: float
    weights: Mapping[str, float]
    avoid: frozenset[str] = frozenset()
    effort_min: float = 0.0
    effort_max: float = math.inf
    level_offset: int = 0


def beat_of(change: Change, player: str, game_s: float) -> Beat | None:
    """How an event stirs a player; None where it does not concern it."""
    if not isinstance(change, Happened):
        return None
    strength = 0.0
    if change.actor == player:
        strength = DEATH if change.verb == "died" else WITH.get(change.verb, 0.0)
    elif change.target == player:
        strength = UNDER.get(change.verb, 0.0)
    return Beat(game_s, strength) if strength else None


def end_of(state: str, game_s: float) -> Beat | None:
    """How the end of a quest stirs its player, by the state that the quest is now in; None for other states."""
    strength = ENDS.get(state)
    return Beat(game_s, strength) if strength is not None else None


def mood_after(beats: Iterable[Beat], settings: Pacing, mood: Mood | None = None) -> Mood:
    """The mood after events in order of time; a newcomer's to begin with."""
    now = mood if mood is not None else Mood()
    for beat in beats:
        now = _stirred(settled(now, beat.game_s, settings), beat.strength, settings)
    return now


def settled(mood: Mood, now_s: float, settings: Pacing) -> Mood:
    """The mood once time has passed in which nothing happened; never turned back."""
    while True:
        turn_s = _turns_at(mood, settings)
        if turn_s > now_s:
            return mood if now_s <= mood.at_s else _faded(mood, now_s, settings)
        mood = _turned(_faded(mood, max(turn_s, mood.at_s), settings), settings)


def pace(mood: Mood, now_s: float, settings: Pacing) -> Pace:
    """What the next quest had better be for a player in that mood."""
    now = settled(mood, now_s, settings)
    share = min(1.0, now.intensity / settings.peak_min)
    match now.phase:
        case "relax":
            return Pace(
                phase="relax",
                intensity=now.intensity,
                weights=_REST,
                avoid=frozenset(STRIFE),
                effort_max=6.0,
                level_offset=-1,
            )
        case "peak":
            return Pace(
                phase="peak",
                intensity=now.intensity,
                weights=_REST,
                avoid=frozenset(("kill", "capture")),
                effort_max=10.0,
            )
        case "build":
            return Pace(phase="build", intensity=now.intensity, weights=_blend(_STIR, share), effort_min=4.0 * share)
        case _:
            fresh = now.peaks == 0 and now.intensity < CERTAIN
            if fresh:
                return Pace(phase="calm", intensity=now.intensity, weights=_BEGIN, effort_max=10.0)
            return Pace(phase="calm", intensity=now.intensity, weights=_blend(_STIR, 0.5), effort_min=2.0)


def _stirred(mood: Mood, strength: float, settings: Pacing) -> Mood:
    """The mood right after a beat: the only way to a peak, and never out of a rest."""
    intensity = min(INTENSITY_MAX, mood.intensity + max(0.0, strength))
    phase: Phase = mood.phase
    if phase in ("calm", "build"):
        phase = "peak" if intensity >= settings.peak_min else "build" if intensity >= settings.build_min else "calm"
    since = mood.since_s if phase == mood.phase else mood.at_s
    return msgspec.structs.replace(
        mood, intensity=intensity, phase=phase, since_s=since, peaks=mood.peaks + (phase == "peak" != mood.phase)
    )


def _faded(mood: Mood, now_s: float, settings: Pacing) -> Mood:
    left = mood.intensity * 0.5 ** ((now_s - mood.at_s) / settings.half_life_s)
    return msgspec.structs.replace(mood, intensity=left, at_s=now_s)


def _turns_at(mood: Mood, settings: Pacing) -> float:
    """When, in game seconds, the phase ends by itself; never for a calm player."""
    match mood.phase:
        case "peak":
            return min(_falls_to(mood, settings.fade_max, settings), mood.since_s + settings.peak_s_max)
        case "relax":
            return max(_falls_to(mood, settings.build_min, settings), mood.since_s + settings.rest_s)
        case "build":
            return _falls_to(mood, settings.build_min, settings)
        case _:
            return math.inf


def _turned(mood: Mood, settings: Pacing) -> Mood:
    """The next phase, at the moment at which the present one ends."""
    after: Phase = "relax" if mood.phase == "peak" else "calm"
    below = min(mood.intensity, settings.build_min - CERTAIN) if after == "calm" else mood.intensity
    return msgspec.structs.replace(mood, phase=after, intensity=below, since_s=mood.at_s)


def _falls_to(mood: Mood, intensity: float, settings: Pacing) -> float:
    if mood.intensity <= intensity:
        return mood.at_s
    return mood.at_s + settings.half_life_s * math.log2(mood.intensity / intensity)


def _blend(weights: Mapping[str, float], share: float) -> dict[str, float]:
    """Weights that take hold by a share of their whole force."""
    return {motive: round(1.0 + (weight - 1.0) * share, 3) for motive, weight in weights.items()}


_STIR: Mapping[str, float] = MappingProxyType(
    {
        "conquest": 2.0, "protection": 1.8, "wealth": 1.3, "reputation": 1.2, "equipment": 1.2, "ability": 1.0,
        "knowledge": 0.8, "serenity": 0.6, "comfort": 0.6,
    }
)  # fmt: skip
"""What leads up to a peak."""
_REST: Mapping[str, float] = MappingProxyType(
    {
        "conquest": 0.1, "protection": 0.3, "wealth": 0.8, "reputation": 1.0, "equipment": 0.9, "ability": 1.2,
        "knowledge": 1.8, "serenity": 2.0, "comfort": 2.0,
    }
)  # fmt: skip
_BEGIN: Mapping[str, float] = MappingProxyType(
    {
        "conquest": 0.4, "protection": 0.7, "wealth": 1.0, "reputation": 0.8, "equipment": 1.2, "ability": 1.3,
        "knowledge": 1.4, "serenity": 1.0, "comfort": 1.4,
    }
)  # fmt: skip
"""For somebody who has done nothing here yet."""
