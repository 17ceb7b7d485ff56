"""What an audit of many quests says: a row for each, and everything that was found wrong with it or between them.

Nothing here decides. The same types are the reply of `quests.audit` and what `manage.py quests audit --json` prints.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from app.core.messages import Message

Fault = Literal[
    "unreadable", "types", "unknown", "twice", "cycle", "giver", "impossible", "chain", "branch", "soft_lock",
    "party", "rivals", "promised", "budget", "loop", "window", "never", "search", "levels",
]  # fmt: skip
"""What kind of thing was found; docs/reference/quest-audit.md says what each means and how it is mended."""

Weight = Literal["fault", "follows", "warning"]
"""A proven fault; a quest that falls with another one and is sound by itself; what deserves a look."""

RowVerdict = Literal["verified", "verified_with_assumptions", "rejected", "blocked", "unknown"]
"""As the verdict of `quests.verify`; `blocked` is sound by itself, but what it requires is rejected."""


class Found(Message, frozen=True, kw_only=True):
    """One thing that was found: which quests it concerns (the broken one first), the check, and why.

    `missing` is a smallest set of facts that would mend it, `nearest` the closest known id for each unknown one,
    `variant` the steps that can be done all the same. `step` is the first step at fault, and `where` its place in the
    source: `file:line` or `table:row`.
    """

    check: str
    fault: Fault
    weight: Weight
    quests: tuple[str, ...]
    reason: str
    step: str = ""
    missing: tuple[str, ...] = ()
    nearest: dict[str, str] = msgspec.field(default_factory=dict)
    variant: tuple[str, ...] = ()
    where: str = ""


class Row(Message, frozen=True, kw_only=True):
    """One quest: its id (`#7` for the seventh without one), its verdict, and the check where it stopped or ended."""

    quest: str
    title: str = ""
    level: int = 0
    verdict: RowVerdict
    check: str = ""
    fragility: float = 0.0
    where: str = ""


class Report(Message, frozen=True, kw_only=True):
    """The whole audit. `verdicts` counts rows by verdict, `checks` what was found by check and weight.

    `found` lists faults first, then what follows from them, then warnings, each in the order of the quests.
    """

    quests: int
    verdicts: dict[str, int]
    checks: dict[str, dict[str, int]]
    rows: tuple[Row, ...]
    found: tuple[Found, ...]
