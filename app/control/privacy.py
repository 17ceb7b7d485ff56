"""What is held of a person and the ways to be rid of it: report, export, erase, anonymize, restrict.

It orders the steps of an erasure so that a kill between any two leaves one that can be gone on with. It knows the
worlds, the log and the modules as ports, and neither SQL nor HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from app.core.errors import Conflict, Error, NotFound
from app.core.module import Module
from app.core.persons import Erasure, Persons
from app.core.ports import Audit, Journal, Log, Places
from app.world.events import QuestRecorded, SubjectErased, SubjectRestricted
from app.world.personal import known_in
from app.world.state import World, Worlds
from app.world.subjects import quests_of

Renew = Callable[[str], Awaitable[None]]
Forget = Callable[[str, str, str], None]


class Privacy:
    """Holds the ports, and the erasures that run."""

    def __init__(
        self,
        *,
        persons: Persons,
        worlds: Worlds,
        places: Places,
        journal: Journal,
        modules: Sequence[Module],
        forgets: Sequence[Forget],
        renew: Renew,
        audit: Audit,
        log: Log,
        retention: Mapping[str, str],
    ) -> None:
        """`renew` writes the tenant's checkpoints anew; `forgets` are told of a person who is to be let go."""
        self._persons = persons
        self._worlds = worlds
        self._places = places
        self._journal = journal
        self._modules = modules
        self._forgets = [*forgets, *(module.forget for module in modules if module.forget is not None)]
        self._renew = renew
        self._audit = audit
        self._log = log
        self._retention = retention
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def report(self, tenant: str, subject: str) -> dict[str, Any]:
        """How much is held of the person, where, and for how long; raises NotFound where nothing is."""
        held = await self.export(tenant, subject)
        counts = {kind: len(rows) for kind, rows in held.items() if isinstance(rows, list)}
        return {"subject": subject, "restricted": held["restricted"], "counts": counts, "retention": self._retention}

    async def export(self, tenant: str, subject: str) -> dict[str, Any]:
        """Everything that is held of the person, as plain values (GDPR art. 20); raises NotFound."""
        await self._gather(tenant)
        stored = await self._persons.held(tenant, subject)
        states = [_in_state(world, subject) for world in self._worlds.of(tenant)]
        states = [state for state in states if state]
        memory = [
            {"world": world.id, "module": module.name, **module.held(tenant, world.id, subject)}
            for world in self._worlds.of(tenant)
            for module in self._modules
            if module.held is not None
        ]
        if not (states or stored["events"] or stored["usage"]):
            raise NotFound(f"nothing is held of {subject!r}", hint="ids are the game server's own")
        restricted = any(subject in world.state.withheld for world in self._worlds.of(tenant))
        events = [_readable(event) for event in stored["events"]]
        return {
            "subject": subject,
            "restricted": restricted,
            "worlds": states,
            "events": events,
            "usage": msgspec.to_builtins(stored["usage"]),
            "reports": msgspec.to_builtins(stored["reports"]),
            "lines": stored["lines"],
            "memory": [each for each in memory if any(isinstance(value, list) and value for value in each.values())],
        }

    async def erase(
        self, tenant: str, subject: str, *, actor: str, left: Literal["totals", "numbers"] = "totals"
    ) -> Erasure:
        """Begin to forget a person: durable, and gone from every world here, when this returns; files follow.

        `left` "numbers" keeps what is no content under an alias (anonymize). Raises NotFound, Conflict, StoreDown.
        """
        await self._gather(tenant)
        known = set(await self._persons.worlds(tenant, subject))
        known |= {world.id for world in self._worlds.of(tenant) if known_in(world.state, subject)}
        if not known:
            raise NotFound(f"nothing is held of {subject!r}", hint="ids are the game server's own")
        self._require_one_meaning(tenant, subject, known)
        erasure = await self._persons.begin(tenant, subject, left)
        seqs = {world: await self._append(erasure, world) for world in sorted(known)}
        self._audit.note(tenant, actor, "subject.erased", erasure.alias, left=erasure.left)
        key = (tenant, erasure.alias)
        if key not in self._running:
            task = asyncio.create_task(self._finish(erasure, seqs), name=f"erase {erasure.alias}")
            self._running[key] = task
            task.add_done_callback(lambda _task: self._running.pop(key, None))
        return erasure

    async def erasure(self, tenant: str, alias: str) -> Erasure:
        """An erasure as it stands; raises NotFound."""
        found = await self._persons.erasure(tenant, alias)
        if found is None:
            raise NotFound(f"no erasure {alias!r}", hint="its name was the answer to the request")
        return found

    async def restrict(self, tenant: str, subject: str, *, actor: str, restricted: bool) -> int:
        """Hold what is known of the person without using it, or use it again; in how many worlds. Raises NotFound."""
        await self._gather(tenant)
        worlds = [world for world in self._worlds.of(tenant) if known_in(world.state, subject)]
        if not worlds:
            raise NotFound(f"nothing is held of {subject!r}", hint="ids are the game server's own")
        for world in worlds:
            change = SubjectRestricted(subject=subject, restricted=restricted)
            await self._journal.append(tenant, world.id, [change])
            self._forget(tenant, world.id, subject)
        action = "subject.restricted" if restricted else "subject.unrestricted"
        self._audit.note(tenant, actor, action, subject)
        return len(worlds)

    async def close(self) -> None:
        """End what runs; the next start goes on with it."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _gather(self, tenant: str) -> None:
        """Take the tenant's worlds that nobody owns; raises Conflict where another replica does, Unavailable."""
        for id, _ in await self._places.all(tenant):
            address = "" if self._worlds.has(tenant, id) else await self._places.find(tenant, id)
            if address:
                raise Conflict(
                    f"world {id!r} is at {address}", hint="ask there, or run manage.py privacy with all stopped"
                )

    def _require_one_meaning(self, tenant: str, subject: str, known: set[str]) -> None:
        for id in sorted(known):
            state = self._worlds.get(tenant, id).state
            if any(subject in table for table in (state.npcs, state.items, state.locations, state.factions)):
                raise Conflict(
                    f"{subject!r} is also something else in world {id!r}", hint="remove that entity, then ask again"
                )

    async def _append(self, erasure: Erasure, world: str) -> int:
        """The place of the erasure's event in a world's log, after its commit."""
        state = self._worlds.get(erasure.tenant, world).state
        change = SubjectErased(
            subject=erasure.subject,
            alias=erasure.alias,
            left=erasure.left,
            quests=quests_of(state, erasure.subject),
        )
        events = await self._journal.append(erasure.tenant, world, [change], key=f"erasure:{erasure.alias}")
        self._forget(erasure.tenant, world, erasure.subject)
        return events[-1].seq

    def _forget(self, tenant: str, world: str, subject: str) -> None:
        for forget in self._forgets:
            forget(tenant, world, subject)

    async def _finish(self, erasure: Erasure, seqs: Mapping[str, int]) -> None:
        try:
            rows = 0
            for world, seq in seqs.items():
                rows += await self._persons.rewrite(erasure, world, seq)
            await self._persons.retire(erasure.tenant)
            await self._renew(erasure.tenant)
            await self._persons.finish(erasure)
            for world in seqs:
                self._forget(erasure.tenant, world, erasure.subject)
        except Error as error:  # the next start goes on with it
            self._log.error("erasure.halted", alias=erasure.alias, reason=error.message)
            return
        self._log.info("erasure.finished", alias=erasure.alias, rows=rows)


def _readable(event: dict[str, Any]) -> dict[str, Any]:
    """An event as plain values; a quest's body is read, since it is text of the person like any other."""
    found: dict[str, Any] = msgspec.to_builtins(event)
    change = event["change"]
    if isinstance(change, QuestRecorded) and change.body:
        found["change"]["body"] = msgspec.msgpack.decode(change.body)
    return found


def _in_state(world: World, subject: str) -> dict[str, Any]:
    """What a world's state holds of the person, with what is set aside."""
    state = world.state
    found: dict[str, Any] = {
        "entity": state.players.get(subject),
        "facts": [fact for key, known in state.facts.items() if key.startswith(f"{subject}\x1f") for fact in known],
        "relations": {key: felt for key, felt in state.relations.items() if subject in key.split("\x1f")},
        "proposals": [offered for offered in state.proposals.values() if offered.player == subject],
        "quests": [
            msgspec.msgpack.decode(state.quests[id].body) for id in quests_of(state, subject) if id in state.quests
        ],
        "items": [item.id for item in state.items.values() if item.holder == subject],
        "withheld": state.withheld.get(subject),
    }
    if not any(found.values()):
        return {}
    kept: dict[str, Any] = msgspec.to_builtins({"world": world.id, **found})
    return kept
