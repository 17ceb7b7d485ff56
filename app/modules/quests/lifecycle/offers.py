"""What a quest is given beside its way when it is offered: who shares it, its times, what comes before it and again.

Pure. It refuses what a player may not have yet; how a quest is made and proved is not its matter.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from app.core.errors import Conflict, Invalid, NotFound, nearest
from app.core.ids import stable_hash
from app.modules.quests.draft import Draft
from app.modules.quests.index import Book, Holder, holder_of
from app.modules.quests.lifecycle.credit import ANYONE, OPEN, leader, retold
from app.modules.quests.lifecycle.reroute import altered
from app.modules.quests.messages import Generate
from app.modules.quests.planning.domain import Fact
from app.modules.quests.planning.facts import View
from app.modules.quests.prose.grammar import grammar_for
from app.modules.quests.quest import Certificate, Quest, QuestState, Reward, Scope
from app.modules.quests.verification.rivals import bound_by

HOUR_S = 3_600.0
HARMS = frozenset({"kill", "capture"})
FRIENDS = {"en": "friends", "de": "Freunde"}
"""How a giver calls all those to whom it speaks."""


def require_shareable(view: View, scope: Scope, guild: str, player: str, members: tuple[str, ...]) -> None:
    """Raise NotFound or Invalid where a quest cannot be shared as it says."""
    for member in members:
        if member not in view.players:
            raise NotFound(f"member {member!r} is no player", hint=nearest(member, view.players))
    if members and scope != "party":
        raise Invalid(f"a quest of scope {scope!r} names members", hint="only a party names its members")
    if guild and scope != "guild":
        raise Invalid(
            f"a quest of scope {scope!r} names the guild {guild!r}", hint="set scope to guild, or leave it out"
        )
    if scope != "guild":
        return
    if guild not in view.factions:
        raise NotFound(f"guild {guild!r} is no faction", hint=nearest(guild, view.factions))
    if player in view.players and view.players[player].faction != guild:
        raise Invalid(f"player {player!r} is not of {guild!r}", hint="name a player of that guild")


def told_to_all(view: View, scope: Scope, player: str, guild: str, language: str) -> View:
    """The world in which the quest is worded: of one that is nobody's own, no text names the player who asked.

    Its body lies open in the log, since no single player's key could seal it.
    """
    asking, faction = view.players.get(player), view.factions.get(guild)
    if scope not in OPEN or asking is None:
        return view
    name = (
        (faction.name or faction.id)
        if faction is not None
        else FRIENDS.get(grammar_for(language).language, FRIENDS["en"])
    )
    nameless = msgspec.structs.replace(asking, name=name)
    return altered(view, players=view.players | {player: nameless})


def generated(quest: Quest, request: Generate, view: View) -> Quest:
    """A quest that the generator made, as the request wants it shared and timed."""
    members = tuple(dict.fromkeys((request.player, *request.members))) if request.scope != "solo" else ()
    until_s = view.game_s + request.last_s if request.last_s is not None else None
    cast = stable_hash(quest.giver, quest.strategy, *sorted(quest.roles.values()))
    return _shared(
        msgspec.structs.replace(
            quest,
            scope=request.scope,
            guild=request.guild,
            members=members,
            members_max=max(request.members_max, len(members), 1),
            credit=request.credit,
            share=request.share,
            until_s=until_s,
            repeat_s=request.repeat_s,
            origin=f"cast-{cast:016x}" if request.repeat_s is not None else "",
        )
    )


def handwritten(quest: Quest, draft: Draft, player: str) -> Quest:
    """A quest that was made from a draft, as the draft wants it shared and timed."""
    members = (player,) if draft.scope != "solo" else ()
    reward = draft.reward
    promised = quest.reward if reward is None else msgspec.structs.replace(
        quest.reward, experience=reward.experience, coins=reward.coins, items=reward.items
    )  # fmt: skip
    return _shared(
        msgspec.structs.replace(
            quest,
            reward=promised,
            scope=draft.scope,
            guild=draft.guild,
            members=members,
            members_max=draft.members_max,
            credit=draft.credit,
            share=draft.share,
            requires=draft.requires,
            from_s=draft.from_s,
            until_s=draft.until_s,
            repeat_s=draft.repeat_s,
            origin=origin_of(draft),
        )
    )


def origin_of(draft: Draft) -> str:
    """What a draft is called where its author gave it no name: by its giver and its title."""
    return draft.id or f"draft-{stable_hash(draft.giver, draft.title):016x}"


def unproved(draft: Draft, id: str, domain_version: int) -> Quest:
    """A draft that has no plan, as it is kept."""
    nothing = Certificate(
        domain_version=domain_version, checks=(), world_seq=0, seed=0, plan=(), plan_sha256="", rung="authored"
    )
    return Quest(
        id=id,
        state="draft",
        giver=draft.giver,
        player="",
        title=draft.title,
        description=draft.description,
        level=draft.level,
        forbid=draft.forbid,
        roles={"giver": draft.giver},
        goals=(),
        steps=(),
        reward=Reward(experience=0, coins=0, effort=0.0),
        certificate=nothing,
        requires=draft.requires,
        scope=draft.scope,
        guild=draft.guild,
        origin=origin_of(draft),
    )


def pursed(quest: Quest, tenant: str, world: str) -> Quest:
    """The quest with the beginning of its payouts' ids: another for each quest, of whatever world and tenant."""
    return msgspec.structs.replace(quest, purse=f"pay-{stable_hash(tenant, world, quest.id):016x}")


def kept(quest: Quest, draft: Draft, state: QuestState) -> Quest:
    """A proved draft on the shelf: nobody's, with its texts and its proof."""
    dressed = handwritten(quest, draft, quest.player)
    return msgspec.structs.replace(dressed, state=state, player="", members=())


def _shared(quest: Quest) -> Quest:
    """A quest that anyone may join is led by nobody, and its events are told of whoever does them."""
    if quest.scope not in OPEN:
        return quest
    return msgspec.structs.replace(retold(quest, quest.player or ANYONE, ANYONE), player="")


def beside(book: Book, request: Generate) -> list[Quest]:
    """The live quests of all those whom a new one is for, each once."""
    shared: list[Holder] = [("guild", request.guild)] if request.guild else []
    shared += [("server", "")] if request.scope == "server" else []
    holders: list[Holder] = [("player", player) for player in (request.player, *request.members)]
    return list({quest.id: quest for holder in (*holders, *shared) for quest in book.live_of(holder)}.values())


def spared_by(view: View, live: Iterable[Quest]) -> frozenset[str]:
    """Whom these quests need alive: their givers, and those to whom something is still to be brought, told or done."""
    return frozenset(id for quest in live for way in _ways(quest) for id in bound_by(view, way, _none).living)


def require_peace(live: Iterable[Quest], giver: str) -> None:
    """Raise Conflict where the way of one of these quests is to kill or capture whoever gives the new one."""
    for quest in live:
        if any(step.action in HARMS and step.event.target == giver and not step.done for step in quest.steps):
            raise Conflict(f"quest {quest.id!r} is to harm {giver!r}", hint="finish or abandon it first")


def _ways(quest: Quest) -> Iterable[Quest]:
    return quest, *(msgspec.structs.replace(quest, goals=branch.goals) for branch in quest.branches)


def _none(_draft: Draft) -> tuple[Fact, ...]:
    """What a draft asks for; live quests are none."""
    return ()


def require_due(book: Book, quest: Quest, view: View, *, repeats_per_hour_max: int) -> None:
    """Raise Conflict where the same quest may not be had again now; a quest without a name is always another."""
    if not quest.origin:
        return
    for holder in _claimants(quest):
        past = [one for one in book.past_of(holder, quest.origin) if one.id != quest.id]
        _require_once(quest, view.game_s, [one.ended_s for one in past if one.state == "completed"])
        paid = [one for one in past if one.state in ("completed", "compensated")]
        recent = [one for one in paid if one.ended_s > view.game_s - HOUR_S]
        if len(recent) >= repeats_per_hour_max:
            raise Conflict(
                f"{quest.title!r} was had {len(recent)} times in the last hour", hint="come back later in the game"
            )


def _require_once(quest: Quest, game_s: float, completed_s: list[float]) -> None:
    if not completed_s:
        return
    if quest.repeat_s is None:
        raise Conflict(f"{quest.title!r} was completed before", hint="it can be had once")
    again_s = max(completed_s) + quest.repeat_s
    if game_s < again_s:
        raise Conflict(f"{quest.title!r} can be had again at {again_s!r} game seconds", hint="come back then")


def require_before(book: Book, quest: Quest) -> None:
    """Raise Conflict naming the quests that must have been completed before this one can be accepted."""
    missing = [
        name
        for name in quest.requires
        if not any(past.state == "completed" for holder in _claimants(quest) for past in book.past_of(holder, name))
    ]
    if missing:
        raise Conflict(f"quest {quest.id!r} comes after {missing!r}", hint="complete these first")


def _claimants(quest: Quest) -> tuple[Holder, ...]:
    """Whose past counts: the holder's own, and of a shared quest that of whoever leads."""
    first = leader(quest)
    holders: tuple[Holder, ...] = (holder_of(quest), *((("player", first),) if first else ()))
    return tuple(dict.fromkeys(holders))
