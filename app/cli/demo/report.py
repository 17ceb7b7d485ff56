"""What the two sides of the demo tell each other: the game's configuration, its reports, and the final summary."""

from __future__ import annotations

import msgspec


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor asks of the game.

    `seconds` 0 means until told to end; without `map_file` the seed draws the map.
    """

    folder: str
    seed: int
    npcs: int
    seconds: float = 0.0
    map_file: str = ""


class Report(msgspec.Struct, kw_only=True):
    """Counts since the game began, with what is worth showing."""

    mode: int = 0
    ticks: int = 0
    decisions: int = 0
    missed_deadlines: int = 0
    paths: int = 0
    lines: int = 0
    quests_completed: int = 0
    events_acknowledged: int = 0
    tick_p50_ms: float = 0.0
    tick_p99_ms: float = 0.0
    rungs: dict[str, int] = {}
    """Rung -> how many decisions and lines it gave."""
    engines: dict[str, str] = {}
    """Engine -> the provider that it really runs on, or its state."""

    state: str = "starting"
    url: str = ""
    clock: str = ""
    alive: int = 0
    npcs: int = 0
    walking: int = 0
    doing: dict[str, int] = {}
    decisions_per_s: float = 0.0
    newest_lines: list[str] = []
    newest_events: list[str] = []
    quests: list[str] = []
    newest_seq: int = 0
    events_waiting: int = 0
    events_refused: int = 0
    events_lost: int = 0
    reconnects: int = 0
    seconds: float = 0.0


SUMMARY = (
    "mode", "ticks", "decisions", "missed_deadlines", "paths", "lines", "quests_completed", "events_acknowledged",
    "tick_p50_ms", "tick_p99_ms", "rungs", "engines",
)  # fmt: skip
"""The fields of the one object that `--json` prints."""


def summary(report: Report) -> dict[str, object]:
    """The object that `--json` prints."""
    return {name: getattr(report, name) for name in SUMMARY}
