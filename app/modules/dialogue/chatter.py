"""What NPCs may spend on talking among themselves: lines in a game hour and tokens in a day, apart from the players'.

It counts; what the tenant may spend at all is decided where money is reserved. A restart takes what the world's log
says was spent today on lines to no player, which is rather too much than too little.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from app.core.clock import Clock
from app.modules.dialogue.settings import Settings
from app.world.state import World
from app.world.usage import day_name, day_of

HOUR_S = 3_600.0


@dataclass(slots=True)
class _Spent:
    day: int
    tokens: int
    lines: deque[float] = field(default_factory=deque)
    """Game seconds of the lines of this game hour."""


class Chatter:
    """The budget of every world; it keeps one small record for each."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._worlds: dict[tuple[str, str], _Spent] = {}

    def take(self, world: World, tokens: int) -> bool:
        """Room for a line of at most so many tokens, taken at once; False where there is none."""
        spent, now_s = self._of(world), world.state.game_s
        while spent.lines and not now_s - HOUR_S < spent.lines[0] <= now_s:
            spent.lines.popleft()
        if len(spent.lines) >= self._settings.npc_lines_hour_max:
            return False
        if spent.tokens + tokens > self._settings.npc_tokens_day_max:
            return False
        spent.lines.append(now_s)
        spent.tokens += tokens
        return True

    def settle(self, world: World, taken: int, used: int) -> None:
        """Give back what a line has not used of the tokens that were taken for it."""
        spent = self._of(world)
        spent.tokens = max(0, spent.tokens - taken + used)

    def _of(self, world: World) -> _Spent:
        today = day_of(self._clock.wall_ms())
        found = self._worlds.get((world.tenant, world.id))
        if found is None:
            found = self._worlds[world.tenant, world.id] = _Spent(today, _logged(world, today))
        if found.day != today:
            found.day, found.tokens = today, 0
        return found


def _logged(world: World, day: int) -> int:
    """Tokens of that day that no player is charged for, by the world's own log."""
    rows = world.state.usage.get(day_name(day), {})
    return sum(used.tokens_in + used.tokens_out for key, used in rows.items() if not key.split("\x1f")[1])
