"""Which variant to try first: pure functions over what is known when a request comes.

It knows features of the request and a snapshot of each candidate. It reads no clock, no store and no engine, so that a
test can lay its decisions out as a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.engines import Hard, Route, Task
from app.core.words import Completion

LOCAL, CLOUD = "local", "cloud"
PATIENCE_SHARE = 0.95
"""Of the time that the caller waits for the first text: what the engines still to try share."""
WARM_PRICE_SHARE = 0.5
"""Of its price, what a prompt costs about that the provider still has in its cache."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What the request wants of whoever writes it."""

    route: Route
    patience_ms: float
    """How long the first text is waited for."""
    fits: tuple[str, ...] = ()
    """Variants, engines, `local` and `cloud`, best first, for a request as hard as this one."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One candidate at that moment, in the order of its place in the profile."""

    variant: str
    engine: str
    local: bool
    chosen: bool = False
    """The experiment gave it to this player."""
    warm: bool = False
    """It wrote this NPC's last line, so that its prompt cache may still hold the prompt."""
    first_ms: float | None = None
    """When its first text is expected; None where nobody knows."""
    most_nano_usd: int = 0


def is_hard(completion: Completion, hard: Hard) -> bool:
    """Whether the request needs a strong model, by what can be counted at once."""
    if completion.schema is not None or completion.tools or completion.output_tokens_max >= hard.output_tokens_min:
        return True
    if completion.turns:
        if len(completion.turns) >= hard.turns_min:
            return True
        return sum(len(turn.text) for turn in completion.turns) >= hard.characters_min
    spoken = sum(part.trust in ("player", "npc") for part in completion.parts)
    return spoken >= hard.turns_min or sum(len(part.text) for part in completion.parts) >= hard.characters_min


def fits(task: Task, completion: Completion, hard: Hard) -> tuple[str, ...]:
    """Whom the task prefers for this request."""
    if not task.easy and not task.hard:
        return ()
    return task.hard if is_hard(completion, hard) else task.easy


def order(ask: Ask, seen: Sequence[Seen]) -> list[int]:
    """The rows of `seen` in the order to try them.

    Whoever is too slow for the caller comes last, then whoever does not fit the request; an experiment's choice goes
    before price and speed, or nobody could compare its variants.
    """
    if len(seen) < 2:
        return [*range(len(seen))]
    return sorted(range(len(seen)), key=lambda row: (*_standing(ask, seen[row]), row))


def _standing(ask: Ask, one: Seen) -> tuple[bool, int, bool, float]:
    late = one.first_ms is not None and one.first_ms > ask.patience_ms
    return (late, _misfit(ask.fits, one), not one.chosen, _preference(ask.route, one))


def _misfit(wanted: tuple[str, ...], one: Seen) -> int:
    names = (one.variant, one.engine, LOCAL if one.local else CLOUD)
    return next((row for row, name in enumerate(wanted) if name in names), len(wanted))


def _preference(route: Route, one: Seen) -> float:
    """Less is better: nano-dollars, milliseconds, or nothing but the listed order."""
    match route:
        case "thrift":
            return one.most_nano_usd * (WARM_PRICE_SHARE if one.warm else 1.0)
        case "speed":
            unknown = 0.0 if one.warm else float("inf")
            return unknown if one.first_ms is None else one.first_ms
        case _:
            return 0.0


def share_ms(left_ms: float, engines_left: int, least_ms: float) -> float:
    """How long an engine may take for its first text: an even share of what is left, and a fair chance at least.

    `left_ms` is the caller's patience, of which a little is kept back for the fall itself.
    """
    all_ms = left_ms * PATIENCE_SHARE
    return min(all_ms, max(all_ms / engines_left, least_ms))
