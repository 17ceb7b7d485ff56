"""Neighbors who stop to talk: pairs that stand together, a few lines each, and the newest lines to show.

It chooses who talks; what they say is the server's. A short deadline keeps their talk on the authored rung,
so that it costs nothing and comes at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from app.cli.demo.client import Link
from app.cli.demo.life import Life
from app.core.errors import Error
from app.modules.dialogue import messages
from app.world.state import World

CHATTER_MS = 200
"""Deadline of a line among neighbors."""
ANSWER_MS = 8_000
"""Deadline of an answer to a player, who can wait for a model."""
NEAR_CELLS = 4.0
PAIR_EVERY_S = 1.0
TALKS_MAX = 4
"""Conversations at one time."""
LINES = 3
BREATH_S = 1.3
"""Time between two lines of a conversation."""
AGAIN_S = 25.0
"""How long someone who talked leaves others in peace."""
SHOWN_MAX = 8


@dataclass(slots=True)
class Talks:
    """Conversations under way. `lines` counts what was spoken, `rungs` by which rung, `newest` is to be shown."""

    link: Link
    life: Life
    books: World
    generator: np.random.Generator
    lines: int = 0
    rungs: Counter[str] = field(default_factory=Counter)
    newest: deque[str] = field(default_factory=lambda: deque(maxlen=SHOWN_MAX))
    _busy: set[str] = field(default_factory=set)
    _rested_s: dict[str, float] = field(default_factory=dict)

    async def run(self) -> None:
        """Let pairs of neighbors talk, forever."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(PAIR_EVERY_S)
                if len(self._busy) >= 2 * TALKS_MAX or not self.link.up.is_set():
                    continue
                pair = self._pair(loop.time())
                if pair is not None:
                    self._busy.update(pair)
                    group.create_task(self._chat(*pair))

    async def ask(self, npc: str, player: str, text: str) -> messages.Said | None:
        """What `npc` answers to a player, or None when it cannot; the dialogue is closed again."""
        try:
            opened = await self.link.ask(
                messages.Open(npc=npc, participants=(player,)), messages.Opened, deadline_ms=1_000
            )
            request = messages.Say(dialogue=opened.dialogue, speaker=player, text=text)
            said = await self.link.ask(request, messages.Said, deadline_ms=ANSWER_MS)
            self._spoken(said)
            await self.link.ask(messages.Close(dialogue=opened.dialogue), messages.Closed, deadline_ms=1_000)
        except Error:
            return None
        return said

    def _pair(self, now_s: float) -> tuple[str, str] | None:
        """Two neighbors who have not talked of late."""
        ids = self.life.ids
        pairs = [
            (ids[one], ids[other])
            for one, other in self.life.neighbors(NEAR_CELLS)
            if self._free(ids[one], now_s) and self._free(ids[other], now_s)
        ]
        return pairs[int(self.generator.integers(0, len(pairs)))] if pairs else None

    def _free(self, npc: str, now_s: float) -> bool:
        return npc not in self._busy and self._rested_s.get(npc, 0.0) <= now_s and npc in self.books.state.npcs

    async def _chat(self, npc: str, other: str) -> None:
        """A few lines in turn."""
        try:
            opened = await self.link.ask(
                messages.Open(npc=npc, participants=(other,)), messages.Opened, deadline_ms=1_000
            )
            for turn in range(LINES):
                speaker = (npc, other)[turn % 2]
                request = messages.Say(dialogue=opened.dialogue, speaker=speaker)
                self._spoken(await self.link.ask(request, messages.Said, deadline_ms=CHATTER_MS))
                await asyncio.sleep(BREATH_S)
            await self.link.ask(messages.Close(dialogue=opened.dialogue), messages.Closed, deadline_ms=1_000)
        except Error:
            return
        finally:
            self._busy -= {npc, other}
            again_s = asyncio.get_running_loop().time() + AGAIN_S
            self._rested_s.update({npc: again_s, other: again_s})

    def _spoken(self, said: messages.Said) -> None:
        self.lines += 1
        self.rungs[said.rung] += 1
        npc = self.books.state.npcs.get(said.npc)
        self.newest.append(f"{npc.name if npc is not None else said.npc}: {said.text}")


def count_rungs(*counters: Mapping[str, int]) -> dict[str, int]:
    """The counts of several counters in one."""
    found: Counter[str] = Counter()
    for counter in counters:
        found.update(counter)
    return dict(found)
