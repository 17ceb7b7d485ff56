"""Answers the quests module's requests and follows the events of its worlds.

Planning runs in a worker thread over a snapshot; what it found is checked against the world again
where time has passed. Quests change through the journal alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from app.core.errors import Conflict, Invalid, NotFound, nearest
from app.core.ids import stable_hash
from app.core.messages import Change, Event, digest
from app.core.module import Call
from app.core.ports import Journal
from app.modules.quests import logic, messages
from app.modules.quests.codec import draft_of, push_of, read, record, shelved, verdict_of
from app.modules.quests.draft import Draft
from app.modules.quests.generation.balance import objections
from app.modules.quests.generation.generator import Library, Wish, generate, quest_id
from app.modules.quests.generation.history import PAST_MAX, past_of
from app.modules.quests.index import Book, Books, Holder, holder_of
from app.modules.quests.lifecycle import offers
from app.modules.quests.lifecycle.credit import joined
from app.modules.quests.lifecycle.states import COUNTING, KEPT, early, moved
from app.modules.quests.mending import Mending
from app.modules.quests.messages import Quest, QuestReply, QuestUpdated
from app.modules.quests.planning.facts import View
from app.modules.quests.prose.grammar import USUAL, spoken
from app.modules.quests.settings import Settings
from app.modules.quests.verification.verify import Examined, authored, examine
from app.modules.quests.wording import Wording
from app.world.events import EntityRemoved, Happened, QuestRecorded, SubjectErased
from app.world.state import World, Worlds

ENGINE = "planner"


class QuestHandler:
    """One method for each message, and `react`, which moves quests when the game reports events."""

    def __init__(
        self, *, settings: Settings, worlds: Worlds, journal: Journal, library: Library, wording: Wording
    ) -> None:
        self._settings = settings
        self._worlds = worlds
        self._journal = journal
        self._library = library
        self._wording = wording
        self._books = Books(library.vocabulary, worlds)
        self._turns: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()
        """One for each key under which a quest is being made now."""
        self._brief = msgspec.structs.replace(settings, operators_max=settings.recheck_operators_max)
        self.mending = Mending(
            settings=settings, library=library, worlds=worlds, journal=journal, book_of=self._books.of
        )

    async def generate(self, call: Call, request: messages.Generate) -> QuestReply:
        """Make, prove and offer a quest; raises NotFound, Invalid, or Conflict with the reason.

        Of requests with one key the second waits for the first, so that its words are paid for once.
        """
        if not request.key:
            return await self._made(call, request)
        async with self._turns.setdefault((call.tenant, call.world, request.key), asyncio.Lock()):
            return await self._made(call, request)

    async def _made(self, call: Call, request: messages.Generate) -> QuestReply:
        call.deadline.check("making a quest")
        world = self._worlds.get(call.tenant, call.world)
        if before := await self._before(call, world, request):
            return before
        book = self._books.of(world)
        view = View.snapshot(world.state, self._settings)
        offers.require_shareable(view, request.scope, request.guild, request.player, request.members)
        wish = self._wish(world, view, book, request)
        shown = offers.told_to_all(view, request.scope, request.player, request.guild, wish.language)
        made = await asyncio.to_thread(generate, self._library, shown, wish)
        call.notes.update(rung=made.certificate.rung, engine=ENGINE, tries=made.certificate.tries)
        if made.id in world.state.quests:
            return self._shown(world, made.id)
        quest = offers.generated(made, request, view)
        self._require_due(book, quest, view)
        bills: Sequence[Change] = ()
        if request.words:
            quest, bills = await self._wording.worded(call, quest, shown)
        return await self._offered(call, world, quest, request, bills)

    async def verify(self, call: Call, request: messages.Verify) -> messages.Verdict:
        """Judge a hand-written quest; a rejection is a reply, never an error."""
        call.deadline.check("verifying a quest")
        world = self._worlds.get(call.tenant, call.world)
        view = View.snapshot(world.state, self._settings)
        examined = await self._examined(world, view, request.quest)
        call.notes.update(rung="proof", engine=ENGINE, verdict=examined.verdict.verdict)
        return examined.verdict

    async def offer(self, call: Call, request: messages.Offer) -> QuestReply:
        """Offer a hand-written or a kept quest; raises NotFound, Invalid, or Conflict when it is not verified."""
        call.deadline.check("offering a quest")
        world = self._worlds.get(call.tenant, call.world)
        draft = self._drafted(world, request)
        if not draft.player:
            raise Invalid("the quest names no player", hint="set quest.player to whom it is offered")
        if before := await self._before(call, world, request):
            return before
        book = self._books.of(world)
        view = View.snapshot(world.state, self._settings)
        offers.require_shareable(view, draft.scope, draft.guild, draft.player, ())
        examined = await self._examined(world, view, draft)
        found = examined.verdict
        call.notes.update(rung="authored", engine=ENGINE, verdict=found.verdict)
        if examined.plan is None:
            raise Conflict(
                f"quest {draft.title!r} is {found.verdict} at {found.check}: {found.reason}", hint=_mend(found)
            )
        id = quest_id(draft.giver, draft.player, draft.title, request.key or view.seq)
        if id in world.state.quests:
            return self._shown(world, id)
        made = authored(self._library, view, draft, examined.plan, id=id)
        quest = offers.handwritten(made, draft, draft.player)
        self._require_room(book, holder_of(quest))
        self._require_due(book, quest, view)
        return await self._offered(call, world, quest, request)

    async def keep(self, call: Call, request: messages.Keep) -> messages.Kept:
        """Keep a hand-written quest, verified or not; raises Conflict where its id is that of a quest in play."""
        call.deadline.check("keeping a quest")
        world = self._worlds.get(call.tenant, call.world)
        said = digest(request) if request.key else b""
        if request.key:
            before = await self._journal.append(call.tenant, world.id, (), key=request.key, request=said)
            if before:
                return _kept(world, before[0].change)
        draft = request.quest
        id = draft.id or offers.origin_of(draft)
        if id in world.state.quests and world.state.quests[id].state not in KEPT:
            raise Conflict(f"quest {id!r} is {world.state.quests[id].state}", hint="keep it under another id")
        view = View.snapshot(world.state, self._settings)
        examined = await self._examined(world, view, draft)
        found = examined.verdict
        call.notes.update(rung="authored", engine=ENGINE, verdict=found.verdict)
        if examined.plan is None:
            quest = offers.unproved(draft, id, self._library.vocabulary.version)
        else:
            made = authored(self._library, view, draft, examined.plan, id=id)
            quest = offers.kept(made, draft, "verified")
        change = shelved(quest, draft, found)
        if world.state.quests.get(id) != change or request.key:
            events = await self._journal.append(call.tenant, world.id, [change], key=request.key, request=said)
            return _kept(world, events[0].change)
        return _kept(world, change)

    async def accept(self, call: Call, request: messages.Accept) -> QuestReply:
        """Make an offered quest active, on a way that works now, or let it wait for its time.

        Raises Conflict when it is only kept or past that, when others come first, when its way is closed just now,
        or, after recording it as expired, when no way is left.
        """
        call.deadline.check("accepting a quest")
        world, quest = await self._present(call, request.quest)
        call.notes.update(rung="proof", engine=ENGINE)
        if quest.state in COUNTING:
            return self._shown(world, quest.id)
        if quest.state in KEPT:
            raise Conflict(
                f"quest {quest.id!r} is kept, as {quest.state}, and nobody's yet",
                hint="offer it with quests.offer, and accept the quest that this answers",
            )
        view = View.snapshot(world.state, self._settings)
        begun = logic.accepted(quest, game_s=view.game_s)
        book = self._books.of(world)
        offers.require_before(book, quest)
        self._require_due(book, quest, view)
        checked = await asyncio.to_thread(
            logic.rechecked, self._library, view, begun, states_max=self._settings.states_max
        )
        present = self._books.of(world).quest(quest.id)
        if present.state in COUNTING:
            return self._shown(world, quest.id)
        if present != quest:
            raise Conflict(f"quest {quest.id!r} changed in the meantime", hint="read it again with quests.get")
        if checked.state not in COUNTING:
            await self._recorded(call, world, logic.lapsed(quest, view, checked.reason))
            raise Conflict(f"quest {quest.id!r} cannot be completed any more: {checked.reason}", hint="ask for another")
        if checked.state == "suspended" and not early(quest, view.game_s):
            raise Conflict(f"quest {quest.id!r} has no way just now: {checked.reason}", hint="accept it later")
        return await self._recorded(call, world, checked)

    async def abandon(self, call: Call, request: messages.Abandon) -> QuestReply:
        """End a quest at the player's wish; abandoning it again changes nothing."""
        world, quest = await self._present(call, request.quest)
        if quest.state == "abandoned":
            return self._shown(world, quest.id)
        ended = moved(quest, "given_up", game_s=world.state.game_s, reason="the player gave it up")
        return await self._recorded(call, world, ended)

    async def join(self, call: Call, request: messages.Join) -> QuestReply:
        """Let a player take part; raises Conflict where that may not be, and changes nothing for a member."""
        world, quest = await self._present(call, request.quest)
        view = View(world.state, self._settings)
        if request.player not in view.players:
            raise NotFound(f"no player {request.player!r}", hint=nearest(request.player, view.players))
        return await self._changed(call, world, quest, joined(quest, request.player, view))

    async def leave(self, call: Call, request: messages.Leave) -> QuestReply:
        """Let a member go, with all that it holds; a party that nobody is left of is abandoned.

        Changes nothing for a stranger.
        """
        world, quest = await self._present(call, request.quest)
        view = View(world.state, self._brief)
        found = logic.parted(self._library, self._books.of(world), view, quest, request.player)
        reply = await self._changed(call, world, quest, found.changed.get(quest.id, quest))
        self.mending.ask(world, found.later)
        return reply

    async def get(self, call: Call, request: messages.Get) -> QuestReply:
        """The quest as it is now; raises NotFound."""
        world, quest = await self._present(call, request.quest)
        return self._shown(world, quest.id)

    async def list(self, call: Call, request: messages.List) -> messages.Listed:
        """A page of quests in order of their making; raises NotFound where the one to go on after is not among them."""
        world = self._worlds.get(call.tenant, call.world)
        book = self._books.of(world)
        ids = book.ids_of(request.player) if request.player else list(world.state.quests)
        if request.after and request.after not in ids:
            hint = f"{nearest(request.after, ids)}; without after the list begins anew"
            raise NotFound(f"the list has no quest {request.after!r} to go on after", hint=hint)
        start = ids.index(request.after) + 1 if request.after else 0
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
        """The quests that an event moves on, completes, reroutes, stops or ends."""
        change = event.change
        if not world.state.quests and not isinstance(change, Happened | EntityRemoved | SubjectErased):
            return ()
        book = self._books.of(world)
        book.moods.note(change, world.state.players, world.state.game_s)
        if not world.state.quests:
            return ()
        if isinstance(change, QuestRecorded):
            book.note(change.id, world.state.game_s)  # a new way may depend on others, whose events must find it
            return ()
        found = logic.followed(self._library, book, View(world.state, self._brief), change)
        found.later |= book.found
        book.found = {}
        self.mending.ask(world, found.later)
        return [record(quest) for quest in found.changed.values()]

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

    def held(self, tenant: str, world: str, player: str) -> dict[str, Any]:
        """What stirred a player of late, which is in RAM alone; quests are in the world and its log."""
        return {"beats": [msgspec.structs.asdict(beat) for beat in self._books.held(tenant, world, player)]}

    def forget(self, tenant: str, world: str, player: str) -> None:
        """Let go of what stirred a player, and of every quest that was read for them."""
        self._books.forget(tenant, world, player)

    def _wish(self, world: World, view: View, book: Book, request: messages.Generate) -> Wish:
        holder: dict[str, Holder] = {"guild": ("guild", request.guild), "server": ("server", "")}
        self._require_room(book, holder.get(request.scope, ("player", request.player)))
        seq = world.state.seq
        seed = request.seed if request.seed is not None else stable_hash(request.giver, request.player, seq)
        live = offers.beside(book, request)
        offers.require_peace(live, request.giver)
        roles = {id for quest in live for role, id in quest.roles.items() if role != "giver"}
        past = [book.quest(id) for id in reversed(book.ids_of(request.player)[-PAST_MAX:])]
        pace = book.moods.pace(
            request.player, past, world.state.game_s, self._settings.pacing, fights=request.seed is None
        )
        return Wish(
            giver=request.giver,
            player=request.player,
            seed=seed,
            level=request.level,
            motive=request.motive,
            forbid=frozenset(request.forbid),
            taken=frozenset(roles - world.state.locations.keys()),
            spared=offers.spared_by(view, live),
            used=book.strategies_of(request.giver, request.player),
            history=tuple(map(past_of, past)),
            language=request.language or giver_language(world, request.giver),
            heard=book.heard(self._settings.heard_max),
            scope=request.scope,
            members=request.members,
            guild=request.guild,
            members_max=request.members_max,
            credit=request.credit,
            share=request.share,
            last_s=request.last_s,
            repeat_s=request.repeat_s,
            pace=pace,
        )

    def _require_room(self, book: Book, holder: Holder) -> None:
        most = self._settings.open_per_player_max
        if len(book.live_of(holder)) >= most:
            raise Conflict(f"{holder[0]} {holder[1]!r} has {most} open quests", hint="finish or abandon one first")

    def _require_due(self, book: Book, quest: Quest, view: View) -> None:
        offers.require_due(book, quest, view, repeats_per_hour_max=self._settings.repeats_per_hour_max)

    async def _examined(self, world: World, view: View, draft: Draft) -> Examined:
        """The verdict on a draft beside all that is kept and under way."""
        book = self._books.of(world)
        kept = (draft_of(book.records[id]) for id in book.shelf if id != draft.id)
        others: list[Draft | Quest] = [*kept, *book.live()]
        return await asyncio.to_thread(examine, self._library, view, draft, others, objections=objections)

    def _drafted(self, world: World, request: messages.Offer) -> Draft:
        """The draft that is to be offered: the request's own, or a kept one for the request's player."""
        if request.quest is not None:
            if request.kept:
                raise Invalid("the offer has a quest and names a kept one", hint="send either quest or kept")
            return request.quest
        if not request.kept:
            raise Invalid("the offer names no quest", hint="send quest, or kept and player")
        record = world.state.quests.get(request.kept)
        if record is None:
            shelf = self._books.of(world).shelf
            raise NotFound(f"no quest is kept as {request.kept!r}", hint=nearest(request.kept, shelf))
        draft = draft_of(record)
        return msgspec.structs.replace(draft, id=request.kept, player=request.player or draft.player)

    async def _present(self, call: Call, id: str) -> tuple[World, Quest]:
        """The quest as it is by the game's clock; raises NotFound."""
        world = self._worlds.get(call.tenant, call.world)
        if id not in world.state.quests:
            raise NotFound(f"no quest {id!r} in world {world.id!r}", hint=nearest(id, world.state.quests))
        quest = self._books.of(world).quest(id)
        ended = logic.in_time(self._library, View(world.state, self._settings), quest)
        if ended is not quest:
            await self._recorded(call, world, ended)
        return world, self._books.of(world).quest(id)

    async def _changed(self, call: Call, world: World, before: Quest, after: Quest) -> QuestReply:
        return self._shown(world, before.id) if after is before else await self._recorded(call, world, after)

    def _shown(self, world: World, id: str) -> QuestReply:
        quest = self._books.of(world).quest(id)
        return QuestReply(quest=quest, seq=world.state.seq, ai_generated=quest.ai_generated)

    async def _before(self, call: Call, world: World, request: messages.Generate | messages.Offer) -> QuestReply | None:
        """What the request made when it was sent before with its key; raises Conflict when that was another one."""
        if not request.key:
            return None
        said = digest(request)
        events = await self._journal.append(call.tenant, world.id, (), key=request.key, request=said)
        if events and events[0].change.id not in world.state.quests:
            raise _gone(events[0].change.id)
        return self._shown(world, events[0].change.id) if events else None

    async def _offered(
        self,
        call: Call,
        world: World,
        quest: Quest,
        request: messages.Generate | messages.Offer,
        bills: Sequence[Change] = (),
    ) -> QuestReply:
        """Record a new quest and what its words cost; where another was recorded meanwhile, the cost alone."""
        key, said = (request.key, digest(request)) if request.key else (f"quests.offered:{quest.id}", b"")
        change = record(offers.pursed(quest, call.tenant, world.id))
        events = await self._journal.append(call.tenant, world.id, [change, *bills], key=key, request=said)
        if bills and events[0].change != change:
            await self._journal.append(call.tenant, world.id, bills)
        return self._shown(world, events[0].change.id)

    async def _recorded(self, call: Call, world: World, quest: Quest) -> QuestReply:
        await self._journal.append(call.tenant, world.id, [record(quest)])
        return self._shown(world, quest.id)


def giver_language(world: World, giver: str) -> str:
    """The language that the giver speaks, where quests can be told in it; else the usual one."""
    npc = world.state.npcs.get(giver)
    own = npc.persona.language if npc is not None else ""
    return own if spoken(own) else USUAL


def _kept(world: World, change: Change) -> messages.Kept:
    """The answer to keeping, from what was recorded."""
    assert isinstance(change, QuestRecorded)  # noqa: S101  # a keyed keep records its quest first
    if not change.body:
        raise _gone(change.id)
    return messages.Kept(quest=change.id, state=read(change).state, verdict=verdict_of(change), seq=world.state.seq)


def _gone(id: str) -> NotFound:
    """The answer to a retry whose quest was erased with its player, or is of a time before the world was restored."""
    return NotFound(f"quest {id!r}, which was made under this key, is gone", hint="ask again under a new key")


def _listed(page: Sequence[Quest], next: str = "") -> messages.Listed:
    written = any(quest.ai_generated for quest in page)
    return messages.Listed(quests=tuple(page), ai_generated=written, next=next)


def _mend(found: messages.Verdict) -> str:
    """What would make a rejected quest possible, as far as the verdict knows."""
    words = [f"{id!r}: {hint}" for id, hint in found.nearest.items()]
    if found.missing:
        words.append(f"missing: {', '.join(found.missing)}")
    return "; ".join(words) or "see quests.verify"
