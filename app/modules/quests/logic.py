"""What an event does to the quests of a world: time passes, deeds count, ways break and are mended.

Pure and synchronous, and bounded: whatever needs a longer look is left to a worker, which `mending.py` owns. Each
quest that changes is given once, in its last state.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import msgspec

from app.core.messages import Change
from app.modules.quests.generation.generator import Library
from app.modules.quests.index import Book, Holder, touched_by
from app.modules.quests.lifecycle.credit import left, takers
from app.modules.quests.lifecycle.ends import completed, late, overdue
from app.modules.quests.lifecycle.progress import on_plan, progressed
from app.modules.quests.lifecycle.repair import Budget, Mender
from app.modules.quests.lifecycle.reroute import stranded
from app.modules.quests.lifecycle.states import COUNTING, LIVE, moved
from app.modules.quests.lifecycle.watch import around, broken, disturbed_by, hurt, lacks, ways_touched
from app.modules.quests.planning.facts import View
from app.modules.quests.prose.grammar import grammar_for
from app.modules.quests.prose.writer import Writer
from app.modules.quests.quest import Quest
from app.world.events import EntityRemoved, Happened, SubjectErased

__all__ = [
    "Followed", "accepted", "completed", "followed", "in_time", "lapsed", "parted", "progressed", "rechecked",
    "touched_by", "without",
]  # fmt: skip

DUE_MAX = 32
"""Quests that time changes with one event; the others follow with the next."""
LOOKED_AT_MAX = 64
"""Quests whose ways are looked at with one event; the others are left to a worker."""


@dataclass(slots=True)
class Followed:
    """The quests that an event changes, and the ids of those that a worker must look at."""

    changed: dict[str, Quest] = field(default_factory=dict)
    later: dict[str, None] = field(default_factory=dict)


def followed(library: Library, book: Book, view: View, change: Change) -> Followed:
    """What `change`, which has just been applied to the world of `view`, does to its quests.

    The view's settings bound each look for a way; those that hit a bound are left to a worker.
    """
    found = Followed()
    _pass_time(library, book, view, found)
    doubtful: dict[str, None] = {}
    if isinstance(change, Happened):
        doubtful |= _count(book, view, change, found)
    if isinstance(change, SubjectErased) or (isinstance(change, EntityRemoved) and change.entity_kind == "player"):
        gone = change.alias if isinstance(change, SubjectErased) else change.id
        doubtful |= _let_go(book, view, gone, found)
    doer = change.actor if isinstance(change, Happened) else ""
    doubtful |= _disturbed(book, view, change, found)
    _mend(library, book, view, found, doubtful, doer)
    return found


def in_time(library: Library, view: View, quest: Quest) -> Quest:
    """The quest, ended where its time is over."""
    if not overdue(quest, view.game_s):
        return quest
    waited = quest.state == "suspended"
    reason = Writer(grammar_for(quest.language), view, quest.certificate.seed).reason(
        "waited" if waited else "late", {}
    )
    return late(quest, view, reason, share_max=view.settings.compensation_share_max)


def accepted(quest: Quest, *, game_s: float = 0.0) -> Quest:
    """An offered quest, now active; raises Conflict when it is past that."""
    return moved(quest, "accepted", game_s=game_s)


def lapsed(quest: Quest, view: View, reason: str) -> Quest:
    """An offer that nobody can take up any more."""
    return moved(quest, "late", game_s=view.game_s, reason=reason)


def without(quest: Quest, player: str, view: View) -> Quest:
    """The quest after a member has gone: with nobody left of a party it ends, and what waited for it may be done."""
    if quest.scope == "party" and takers(quest) == (player,):
        return moved(quest, "given_up", game_s=view.game_s, reason="nobody is left of the party")
    rest = left(quest, player)
    if rest is quest:
        return quest
    if rest.player != quest.player:
        rest = _readdressed(rest, view, quest.player)
    return completed(rest, view)


def parted(library: Library, book: Book, view: View, quest: Quest, player: str) -> Followed:
    """`without`, and on another way where the one who has gone took along what the others still need."""
    found = Followed()
    rest = without(quest, player, view)
    if rest is not quest:
        found.changed[quest.id] = rest
        if rest.state in COUNTING and (stranded(rest) or lacks(book.needs(quest), rest, view)):
            _mend(library, book, view, found, {quest.id: None}, "")
    return found


def _readdressed(quest: Quest, view: View, before: str) -> Quest:
    """The quest with its new leader's name where its texts spoke to the one before, who may want to be forgotten."""
    old, new = view.name(before), view.name(quest.player)
    called = re.compile(rf"(?<!\w){re.escape(old)}(?!\w)")

    def said(text: str) -> str:
        return called.sub(lambda _found: new, text)

    texts = tuple(msgspec.structs.replace(text, text=said(text.text)) for text in quest.texts)
    return msgspec.structs.replace(
        quest, title=said(quest.title), description=said(quest.description), texts=texts, reason=said(quest.reason)
    )


def rechecked(library: Library, view: View, quest: Quest, *, states_max: int, proofs_max: int = 0) -> Quest:
    """The quest with a way that still works, waiting, or ended; unchanged where its way holds."""
    budget = Budget(proofs=proofs_max or view.settings.repair_proofs_max, states_max=states_max)
    return Mender(library, view, budget).mended(quest)


def _pass_time(library: Library, book: Book, view: View, found: Followed) -> None:
    for id in book.due(view.game_s, most=DUE_MAX):
        quest = book.quest(id)
        ended = in_time(library, view, quest)
        if ended is not quest:
            found.changed[id] = ended
            continue
        if quest.state == "suspended":
            found.later[id] = None
        book.wake(quest, view.game_s)


def _count(book: Book, view: View, event: Happened, found: Followed) -> dict[str, None]:
    """Mark what the event is in the quests of those who took part; the quests that left their plan with it."""
    strayed: dict[str, None] = {}
    for quest in book.counting_of(_holders(view, event)):
        if quest.id in found.changed:
            continue
        moved_on = progressed(quest, event, view)
        if moved_on is quest:
            continue
        found.changed[quest.id] = done = completed(moved_on, view, event.location or _place(view, event.actor))
        if done.state in COUNTING and (stranded(done) or not on_plan(quest, moved_on)):
            strayed[quest.id] = None
    return strayed


def _holders(view: View, event: Happened) -> list[Holder]:
    """Whose quests an event may move: those of the players in it, of their guilds, and of the whole server."""
    players = [view.players[id] for id in (event.actor, event.target) if id in view.players]
    own: list[Holder] = [("player", player.id) for player in players]
    guilds: list[Holder] = [("guild", player.faction) for player in players if player.faction]
    return [*own, *guilds, ("server", "")] if players else []


def _place(view: View, id: str) -> str:
    player, npc = view.players.get(id), view.npcs.get(id)
    return player.location if player is not None else npc.location if npc is not None else ""


def _let_go(book: Book, view: View, gone: str, found: Followed) -> dict[str, None]:
    """A player is no more: its own quests end, in shared ones nobody waits for it; those that lack what it had."""
    lacking: dict[str, None] = {}
    for quest in [book.quest(id) for id in book.ids_of(gone)]:
        if quest.state not in LIVE or gone not in takers(quest):
            continue
        if quest.scope == "solo":
            ended = moved(quest, "given_up", game_s=view.game_s, reason="the player is gone from the world")
        else:
            ended = without(quest, gone, view)
        found.changed[quest.id] = ended
        if ended.state in COUNTING and (stranded(ended) or lacks(book.needs(quest), ended, view)):
            lacking[quest.id] = None
    return lacking


def _disturbed(book: Book, view: View, change: Change, found: Followed) -> dict[str, None]:
    """The quests of which a need that the change speaks of does not hold any more, and those that wait for such."""
    terms = dict.fromkeys((*disturbed_by(change), *around(view, change)))
    ways = ways_touched(change)
    if not terms and not ways:
        return {}
    near = {quest.id: quest for quest in (*book.counting_about(terms), *(book.counting() if ways else ()))}
    doubtful: dict[str, None] = {}
    for number, quest in enumerate(near.values()):
        if quest.id in found.changed:
            continue
        own = isinstance(change, Happened) and change.actor in takers(quest)
        spoilt = own and quest.state == "suspended" and hurt(book.needs(quest), quest, view, change)
        if spoilt and number < LOOKED_AT_MAX:
            doubtful[quest.id] = None
        elif quest.state == "suspended" or number >= LOOKED_AT_MAX:
            found.later[quest.id] = None
        elif broken(book.needs(quest), quest, view, about=terms, ways=ways):
            doubtful[quest.id] = None
    return doubtful


def _mend(library: Library, book: Book, view: View, found: Followed, doubtful: dict[str, None], doer: str) -> None:
    if not doubtful:
        return
    limits = view.settings
    mender = Mender(library, view, Budget(proofs=limits.recheck_proofs_max, states_max=limits.recheck_states_max))
    for id in doubtful:
        present = found.changed.get(id) or book.quest(id)
        mended = mender.mended(present, doer=doer)
        if mended is not present:
            found.changed[id] = mended
        if mended.state == "suspended" and mender.unsure:
            found.later[id] = None
