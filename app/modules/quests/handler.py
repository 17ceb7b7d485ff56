"""Answers the quests module's requests and follows the events of its worlds.

Planning runs in a worker thread over a snapshot; what it found is checked against the world again
where time has passed. Quests change through the journal alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from app.core.errors import Conflict, Invalid, NotFound, nearest
from app.core.ids import stable_hash
from app.core.messages import Change, Event, digest
from app.core.module import Call
from app.core.ports import Journal
from app.modules.quests import logic, messages
from app.modules.quests.codec import push_of, record
from app.modules.quests.generation.generator import Library, Wish, generate, quest_id
from app.modules.quests.index import Book, Books
from app.modules.quests.messages import Quest, QuestReply, QuestUpdated
from app.modules.quests.planning.facts import View
from app.modules.quests.settings import Settings
from app.modules.quests.verification.verify import authored, examine
from app.world.events import Happened, QuestRecorded
from app.world.state import World, Worlds

ENGINE = "planner"


class QuestHandler:
    """One method for each message, and `react`, which moves quests when the game reports events."""

    def __init__(self, *, settings: Settings, worlds: Worlds, journal: Journal, library: Library) -> None:
        self._settings = settings
        self._worlds = worlds
        self._journal = journal
        self._library = library
        self._books = Books()

    async def generate(self, call: Call, request: messages.Generate) -> QuestReply:
        """Make, prove and offer a quest; raises NotFound, Invalid, or Conflict with the reason."""
        call.deadline.check("making a quest")
        world = self._worlds.get(call.tenant, call.world)
        if before := await self._before(call, world, request):
            return before
        book = self._books.of(world)
        wish = self._wish(world, book, request)
        view = View.snapshot(world.state, self._settings)
        quest = await asyncio.to_thread(generate, self._library, view, wish)
        call.notes.update(rung=quest.certificate.rung, engine=ENGINE, tries=quest.certificate.tries)
        if quest.id in world.state.quests:
            return self._shown(world, quest.id)
        return await self._offered(call, world, quest, request)

    async def verify(self, call: Call, request: messages.Verify) -> messages.Verdict:
        """Judge a hand-written quest; a rejection is a reply, never an error."""
        call.deadline.check("verifying a quest")
        world = self._worlds.get(call.tenant, call.world)
        view = View.snapshot(world.state, self._settings)
        examined = await asyncio.to_thread(examine, self._library, view, request.quest)
        call.notes.update(rung="proof", engine=ENGINE, verdict=examined.verdict.verdict)
        return examined.verdict

    async def offer(self, call: Call, request: messages.Offer) -> QuestReply:
        """Offer a hand-written quest; raises Invalid without a player, Conflict when it is not verified."""
        call.deadline.check("offering a quest")
        draft = request.quest
        if draft is None or not draft.player:
            raise Invalid("the quest names no player", hint="set quest.player to whom it is offered")
        world = self._worlds.get(call.tenant, call.world)
        if before := await self._before(call, world, request):
            return before
        self._require_room(self._books.of(world), draft.player)
        view = View.snapshot(world.state, self._settings)
        examined = await asyncio.to_thread(examine, self._library, view, draft)
        found = examined.verdict
        call.notes.update(rung="authored", engine=ENGINE, verdict=found.verdict)
        if examined.plan is None:
            raise Conflict(
                f"quest {draft.title!r} is {found.verdict} at {found.check}: {found.reason}", hint=_mend(found)
            )
        id = quest_id(draft.giver, draft.player, draft.title, request.key or view.seq)
        if id in world.state.quests:
            return self._shown(world, id)
        quest = authored(self._library, view, draft, examined.plan, id=id)
        return await self._offered(call, world, quest, request)

    async def accept(self, call: Call, request: messages.Accept) -> QuestReply:
        """Make an offered quest active, on a way that works now.

        Raises Conflict when it is past that, or, after recording it as failed, when no way is left.
        """
        call.deadline.check("accepting a quest")
        world, quest = self._found(call, request.quest)
        call.notes.update(rung="proof", engine=ENGINE)
        if quest.state == "active":
            return self._shown(world, quest.id)
        logic.accepted(quest)
        view = View.snapshot(world.state, self._settings)
        checked = await asyncio.to_thread(
            logic.rechecked, self._library, view, quest, states_max=self._settings.states_max
        )
        present = self._books.of(world).quest(quest.id)
        if present.state == "active":
            return self._shown(world, quest.id)
        if present != quest:
            raise Conflict(f"quest {quest.id!r} changed in the meantime", hint="read it again with quests.get")
        if checked.state == "failed":
            await self._recorded(call, world, checked)
            raise Conflict(f"quest {quest.id!r} cannot be completed any more: {checked.reason}", hint="ask for another")
        return await self._recorded(call, world, logic.accepted(checked))

    async def abandon(self, call: Call, request: messages.Abandon) -> QuestReply:
        """End a quest at the player's wish; abandoning it again changes nothing."""
        world, quest = self._found(call, request.quest)
        if quest.state == "abandoned":
            return self._shown(world, quest.id)
        return await self._recorded(call, world, logic.closed(quest, "abandoned", "the player gave it up"))

    async def get(self, call: Call, request: messages.Get) -> QuestReply:
        """The quest as it is now; raises NotFound."""
        world, quest = self._found(call, request.quest)
        return self._shown(world, quest.id)

    async def list(self, call: Call, request: messages.List) -> messages.Listed:
        """A page of quests in order of their making."""
        world = self._worlds.get(call.tenant, call.world)
        book = self._books.of(world)
        ids = book.ids_of(request.player) if request.player else list(world.state.quests)
        start = ids.index(request.after) + 1 if request.after in ids else 0
        page: list[Quest] = []
        for id in ids[start:]:
            if request.state is not None and world.state.quests[id].state != request.state:
                continue
            quest = book.quest(id)
            if request.giver and quest.giver != request.giver:
                continue
            if len(page) == request.limit:
                return _listed(page, next=page[-1].id)
            page.append(quest)
        return _listed(page)

    def react(self, world: World, event: Event) -> Sequence[Change]:
        """The quests that an event moves on, completes, reroutes or makes impossible."""
        change = event.change
        if not world.state.quests:
            return ()
        book = self._books.of(world)
        if isinstance(change, QuestRecorded):
            book.quest(change.id)  # a new way may depend on others, whose events must find it
            return ()
        changed: dict[str, Quest] = {}
        strayed: list[Quest] = []
        foreseen: set[str] = set()
        if isinstance(change, Happened):
            for quest in book.active_of((change.actor, change.target)):
                moved = logic.progressed(quest, change, world.state.items)
                if moved is not quest:
                    changed[quest.id] = moved
                    if logic.on_plan(quest, moved):
                        foreseen.add(quest.id)
                    else:
                        strayed.append(quest)
        disturbed = book.active_about(logic.disturbed_by(change))
        for id in dict.fromkeys(quest.id for quest in (*strayed, *disturbed)):
            present = changed.get(id) or book.quest(id)
            if id in foreseen or present.state != "active":
                continue
            checked = self._rechecked(world, present)
            if checked is not present:
                changed[id] = checked
        return [record(quest) for quest in changed.values()]

    def announce(self, event: Event) -> Sequence[QuestUpdated]:
        """What clients are told when a quest was recorded; nothing of one whose player was erased since."""
        change = event.change
        return (push_of(change),) if isinstance(change, QuestRecorded) and change.body else ()

    def describe(self, tenant: str, world: str, npc: str) -> dict[str, Any]:
        """The live quests that an NPC gave or plays a part in."""
        book = self._books.of(self._worlds.get(tenant, world))
        return {
            "quests": [
                {"id": quest.id, "title": quest.title, "state": quest.state, "player": quest.player}
                for quest in book.live_about(npc)
            ]
        }

    def _rechecked(self, world: World, quest: Quest) -> Quest:
        view = View(world.state, self._settings)
        return logic.rechecked(self._library, view, quest, states_max=self._settings.recheck_states_max)

    def _wish(self, world: World, book: Book, request: messages.Generate) -> Wish:
        self._require_room(book, request.player)
        seq = world.state.seq
        seed = request.seed if request.seed is not None else stable_hash(request.giver, request.player, seq)
        live = book.live_of(request.player)
        roles = {id for quest in live for role, id in quest.roles.items() if role != "giver"}
        return Wish(
            giver=request.giver,
            player=request.player,
            seed=seed,
            level=request.level,
            motive=request.motive,
            forbid=frozenset(request.forbid),
            taken=frozenset(roles - world.state.locations.keys()),
            used=book.strategies_of(request.giver, request.player),
        )

    def _require_room(self, book: Book, player: str) -> None:
        most = self._settings.open_per_player_max
        if len(book.live_of(player)) >= most:
            raise Conflict(f"player {player!r} has {most} open quests", hint="finish or abandon one first")

    def _found(self, call: Call, id: str) -> tuple[World, Quest]:
        world = self._worlds.get(call.tenant, call.world)
        if id not in world.state.quests:
            raise NotFound(f"no quest {id!r} in world {world.id!r}", hint=nearest(id, world.state.quests))
        return world, self._books.of(world).quest(id)

    def _shown(self, world: World, id: str) -> QuestReply:
        quest = self._books.of(world).quest(id)
        return QuestReply(quest=quest, seq=world.state.seq, ai_generated=quest.ai_generated)

    async def _before(self, call: Call, world: World, request: messages.Generate | messages.Offer) -> QuestReply | None:
        """What the request made when it was sent before with its key; raises Conflict when that was another one."""
        if not request.key:
            return None
        said = digest(request)
        events = await self._journal.append(call.tenant, world.id, (), key=request.key, request=said)
        return self._shown(world, events[0].change.id) if events else None

    async def _offered(
        self, call: Call, world: World, quest: Quest, request: messages.Generate | messages.Offer
    ) -> QuestReply:
        key, said = (request.key, digest(request)) if request.key else (f"quests.offered:{quest.id}", b"")
        events = await self._journal.append(call.tenant, world.id, [record(quest)], key=key, request=said)
        return self._shown(world, events[0].change.id)

    async def _recorded(self, call: Call, world: World, quest: Quest) -> QuestReply:
        await self._journal.append(call.tenant, world.id, [record(quest)])
        return self._shown(world, quest.id)


def _listed(page: Sequence[Quest], next: str = "") -> messages.Listed:
    written = any(quest.ai_generated for quest in page)
    return messages.Listed(quests=tuple(page), ai_generated=written, next=next)


def _mend(found: messages.Verdict) -> str:
    """What would make a rejected quest possible, as far as the verdict knows."""
    words = [f"{id!r}: {hint}" for id, hint in found.nearest.items()]
    if found.missing:
        words.append(f"missing: {', '.join(found.missing)}")
    return "; ".join(words) or "see quests.verify"
