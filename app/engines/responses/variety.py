"""Who has heard which line, so that nobody hears one again before the others. In this process alone, and bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from app.engines.responses.lines import Line

LINES_MAX = 32
"""Lines of one request that are remembered of a player; twice as many as a request may have."""


class Variety:
    """The lines that each player has heard for each request, oldest first."""

    def __init__(self, *, players_max: int, keys_max: int) -> None:
        self._players_max = players_max
        self._keys_max = keys_max
        self._players: OrderedDict[tuple[str, str], OrderedDict[str, list[str]]] = OrderedDict()

    def fresh(self, tenant: str, player: str, key: str, lines: Sequence[Line]) -> Line | None:
        """The first of the lines that the player has not heard."""
        heard = self._heard(tenant, player, key)
        return next((line for line in lines if line.id not in heard), None)

    def oldest(self, tenant: str, player: str, key: str, lines: Sequence[Line]) -> Line:
        """Of lines that were all heard, the one that was heard longest ago."""
        heard = self._heard(tenant, player, key)
        return min(lines, key=lambda line: heard.index(line.id) if line.id in heard else -1)

    def note(self, tenant: str, player: str, key: str, line: str) -> None:
        """The player hears the line now."""
        if not player:
            return
        keys = self._players.setdefault((tenant, player), OrderedDict())
        self._players.move_to_end((tenant, player))
        heard = keys.setdefault(key, [])
        keys.move_to_end(key)
        if line in heard:
            heard.remove(line)
        heard.append(line)
        del heard[:-LINES_MAX]
        if len(keys) > self._keys_max:
            keys.popitem(last=False)
        if len(self._players) > self._players_max:
            self._players.popitem(last=False)

    def forget(self, tenant: str, player: str) -> None:
        """Let go of what is known of a player."""
        self._players.pop((tenant, player), None)

    def _heard(self, tenant: str, player: str, key: str) -> Sequence[str]:
        keys = self._players.get((tenant, player))
        return keys.get(key, ()) if keys is not None else ()
