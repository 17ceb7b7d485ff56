"""Looks longer for ways that an event's short look did not find, in worker threads, one quest after another.

It owns its tasks. What it finds is recorded where the quest is still the one that was looked at; else it looks again.
What it loses when the process ends is found again: with a world's first event every quest under way is looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.core.errors import Error, NotFound
from app.core.ports import Journal
from app.modules.quests.codec import record
from app.modules.quests.generation.generator import Library
from app.modules.quests.index import Book
from app.modules.quests.lifecycle.states import COUNTING
from app.modules.quests.logic import rechecked
from app.modules.quests.planning.facts import View
from app.modules.quests.settings import Settings
from app.world.state import World, Worlds

LOOKS_MAX = 8
"""How often a quest is looked at again because it changed in the meantime."""


class Mending:
    """One queue for each world, worked off by one task while anything is in it."""

    def __init__(
        self,
        *,
        settings: Settings,
        library: Library,
        worlds: Worlds,
        journal: Journal,
        book_of: Callable[[World], Book],
    ) -> None:
        self._settings = settings
        self._library = library
        self._worlds = worlds
        self._journal = journal
        self._book_of = book_of
        self._wanted: dict[tuple[str, str], dict[str, int]] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}

    def ask(self, world: World, ids: dict[str, None]) -> None:
        """Look at these quests, and at those that an earlier failure left, once the present event is applied."""
        key = world.tenant, world.id
        wanted = self._wanted.setdefault(key, {}) if ids else self._wanted.get(key)
        if not wanted and not ids:
            return
        assert wanted is not None  # noqa: S101  # ids make a queue
        for id in ids:
            wanted.setdefault(id, LOOKS_MAX)
        present = self._tasks.get(key)
        if present is None or present.done():  # one that is done may still stand here until its callback has run
            task = asyncio.get_running_loop().create_task(self._work(*key), name=f"mend quests of {world.id}")
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._tasks.pop(key, None) if self._tasks.get(key) is done else None)

    async def idle(self) -> None:
        """Return when nothing is left to look at."""
        while self._tasks:
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def close(self) -> None:
        """Stop looking."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, tenant: str, id: str) -> None:
        wanted = self._wanted[tenant, id]
        view: View | None = None
        quest, looks = "", 0
        try:
            while wanted:
                world = self._worlds.get(tenant, id)
                quest = next(iter(wanted))
                looks = wanted.pop(quest)
                if view is None or view.seq != world.state.seq:
                    view = View.snapshot(world.state, self._settings)
                if not await self._mend(world, view, quest) and looks > 1:
                    wanted[quest] = looks - 1
        except NotFound:  # the world went elsewhere
            wanted.clear()
        except Error:  # the store is down: they are looked at again with the next event
            wanted[quest] = looks
        finally:
            if not wanted:
                self._wanted.pop((tenant, id), None)

    async def _mend(self, world: World, view: View, id: str) -> bool:
        """Look at one quest; False when it changed in the meantime."""
        book = self._book_of(world)
        if id not in book.records:
            return True
        quest = book.quest(id)
        if quest.state not in COUNTING:
            return True
        mended = await asyncio.to_thread(rechecked, self._library, view, quest, states_max=self._settings.states_max)
        book = self._book_of(world)
        if book.records.get(id) is None or book.quest(id) is not quest:
            return False
        if mended is not quest:
            await self._journal.append(world.tenant, world.id, [record(mended)])
        return True
