"""Who takes part in a shared quest, who is credited at its end, and who is paid what.

Pure. Sums are exact: what is split adds up to the reward, and what cannot be split goes by rule, never by chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from app.core.errors import Conflict
from app.modules.quests.lifecycle.states import COUNTING, LIVE
from app.modules.quests.planning.facts import View
from app.modules.quests.quest import MAIN, Branch, Goal, Payout, Quest, Reward, Step
from app.world.entities import Player

ANYONE = "player"
"""Stands for whoever does it, in the events of a quest of a guild or of the whole server."""
OPEN: frozenset[str] = frozenset({"guild", "server"})
"""Scopes in which nobody leads: whoever may join does so by a first deed."""


def takers(quest: Quest) -> tuple[str, ...]:
    """Those who take part: the members, or the one player of a solo quest."""
    return quest.members or ((quest.player,) if quest.player else ())


def leader(quest: Quest) -> str:
    """Whom a leader's reward goes to: the player, or the first who joined; empty where nobody has."""
    return quest.player or next(iter(quest.members), "")


def actor_of(quest: Quest) -> str:
    """The id in the quest's step events that stands for whoever does them."""
    return ANYONE if quest.scope in OPEN else quest.player


def may_join(quest: Quest, player: str, view: View) -> str:
    """What forbids a player to take part, in words; empty where nothing does."""
    entity = view.players.get(player)
    if entity is None:
        return f"player {player!r} is no player"
    if quest.scope == "solo":
        return f"quest {quest.id!r} is for one player"
    if quest.scope == "guild" and entity.faction != quest.guild:
        return f"player {player!r} is not of {quest.guild!r}"
    if len(quest.members) >= quest.members_max:
        return f"quest {quest.id!r} has all of its {quest.members_max} members"
    return ""


def joined(quest: Quest, player: str, view: View) -> Quest:
    """The quest with one more member; the same one for a member. Raises Conflict where that may not be."""
    if player in takers(quest):
        return quest
    if quest.state not in LIVE:
        raise Conflict(f"quest {quest.id!r} is {quest.state}", hint="only a live quest can be joined")
    if problem := may_join(quest, player, view):
        raise Conflict(problem, hint="see the quest's scope, guild and members_max")
    return msgspec.structs.replace(quest, members=(*quest.members, player))


def left(quest: Quest, player: str) -> Quest:
    """The quest without a member, who loses every claim on it; the same one for a stranger.

    Deeds that were done stay done. A party's next member leads from then on. Raises Conflict after its end, and where
    a solo quest's player would leave.
    """
    if player not in takers(quest):
        return quest
    if quest.state not in LIVE:
        raise Conflict(f"quest {quest.id!r} is {quest.state}", hint="it has ended, with its members as they were")
    if quest.scope == "solo":
        raise Conflict(f"quest {quest.id!r} is for one player", hint="abandon it")
    rest = tuple(member for member in quest.members if member != player)
    quest = msgspec.structs.replace(
        quest,
        members=rest,
        contributions={member: deeds for member, deeds in quest.contributions.items() if member != player},
        goals=_without(quest.goals, player),
        branches=tuple(msgspec.structs.replace(way, goals=_without(way.goals, player)) for way in quest.branches),
    )
    return led_by(quest, rest[0]) if quest.player == player and rest else quest


def led_by(quest: Quest, player: str) -> Quest:
    """The quest with its events told of another leader."""
    return msgspec.structs.replace(retold(quest, quest.player, player), player=player)


def retold(quest: Quest, old: str, new: str) -> Quest:
    """The quest with `new` for `old` as the one who acts in its steps' events, on every way."""
    ways = tuple(msgspec.structs.replace(way, steps=_told_of(way.steps, old, new)) for way in quest.branches)
    return msgspec.structs.replace(quest, steps=_told_of(quest.steps, old, new), branches=ways)


def _told_of(steps: Sequence[Step], old: str, new: str) -> tuple[Step, ...]:
    def told(step: Step) -> Step:
        event = step.event
        actor, target = (new if role == old else role for role in (event.actor, event.target))
        return msgspec.structs.replace(step, event=msgspec.structs.replace(event, actor=actor, target=target))

    return tuple(told(step) for step in steps)


def _without(goals: Iterable[Goal], player: str) -> tuple[Goal, ...]:
    return tuple(_goal_without(goal, player) for goal in goals)


def _goal_without(goal: Goal, player: str) -> Goal:
    """A goal that each has to do, without what one who left did of it; other deeds count for all and stay."""
    if player not in goal.by:
        return goal
    if not goal.each:
        return msgspec.structs.replace(goal, by=tuple("" if by == player else by for by in goal.by))
    kept = [(by, thing) for by, thing in zip(goal.by, goal.counted, strict=True) if by != player]
    by, counted = tuple(by for by, _ in kept), tuple(thing for _, thing in kept)
    return msgspec.structs.replace(goal, by=by, counted=counted, got=len(kept))


def each_done(goal: Goal, members: Iterable[str], players: Mapping[str, Player]) -> bool:
    """Whether everyone who is still there has done it often enough; nobody waits for who is gone from the world."""
    there = [member for member in members if member in players]
    return bool(there) and all(goal.by.count(member) >= goal.count for member in there)


def concluded(quest: Quest, players: Mapping[str, Player]) -> Quest:
    """The quest with the goals marked that each was to do and everyone who is left has done."""
    if quest.state not in COUNTING:
        return quest
    who = takers(quest)

    def marked(goals: Sequence[Goal]) -> tuple[Goal, ...]:
        return tuple(
            msgspec.structs.replace(goal, done=True)
            if goal.each and not goal.done and each_done(goal, who, players)
            else goal
            for goal in goals
        )

    goals = marked(quest.goals)
    branches = tuple(msgspec.structs.replace(way, goals=marked(way.goals)) for way in quest.branches)
    if goals == quest.goals and branches == quest.branches:
        return quest
    return msgspec.structs.replace(quest, goals=goals, branches=branches)


def finished_way(quest: Quest) -> Quest | None:
    """The quest on the way whose goals are all done, or None while there is none."""
    if quest.goals and all(goal.done for goal in quest.goals):
        return quest
    for way in quest.branches:
        if way.goals and all(goal.done for goal in way.goals):
            return on_branch(quest, way)
    return None


def on_branch(quest: Quest, way: Branch) -> Quest:
    """The quest with one of its other ways as its own; the one that it took becomes one of the others."""
    before = Branch(
        id=quest.branch or MAIN, forbid=quest.forbid, goals=quest.goals, steps=quest.steps, effort=quest.reward.effort
    )
    others = tuple(before if other.id == way.id else other for other in quest.branches)
    return msgspec.structs.replace(
        quest, branch=way.id, forbid=way.forbid, goals=way.goals, steps=way.steps, branches=others
    )


def credited(quest: Quest, players: Mapping[str, Player], place: str) -> tuple[str, ...]:
    """The members who are credited when the quest ends at `place`, in order of joining; only who is in the world."""
    there = [member for member in takers(quest) if member in players]
    match quest.credit:
        case _ if quest.scope == "solo":
            return tuple(there)
        case "leader":
            return tuple(member for member in there if member == leader(quest))
        case "contributors":
            return tuple(member for member in there if quest.contributions.get(member, 0) > 0)
        case "all_present":
            return tuple(member for member in there if players[member].alive and players[member].location == place)


def payouts(quest: Quest, reward: Reward, who: Sequence[str]) -> tuple[Payout, ...]:
    """What each of `who` is owed; ids follow the quest's purse, so that a payout told twice is known as the same."""
    if not who:
        return ()
    ranked = sorted(who, key=lambda member: (-quest.contributions.get(member, 0), who.index(member)))
    first = ranked[0]
    match quest.share:
        case "each":
            parts = dict.fromkeys(who, (reward.experience, reward.coins))
        case "one":
            parts = {first: (reward.experience, reward.coins)}
        case "split":
            split = zip(_split(reward.experience, len(who)), _split(reward.coins, len(who)), strict=True)
            parts = dict(zip(ranked, split, strict=True))
    return tuple(
        Payout(
            id=f"{quest.purse or quest.id}.{number}",
            player=member,
            experience=parts[member][0],
            coins=parts[member][1],
            items=reward.items if member == first else (),
        )
        for number, member in enumerate(member for member in who if member in parts)
    )


def _split(amount: int, parts: int) -> list[int]:
    """Equal parts that add up to the amount; of what is left over the first get one each."""
    each, over = divmod(amount, parts)
    return [each + (number < over) for number in range(parts)]


def part(reward: Reward, share: float) -> Reward:
    """A share in [0, 1] of a reward, rounded down; things are not halved, and go to nobody."""
    return msgspec.structs.replace(
        reward, experience=int(reward.experience * share), coins=int(reward.coins * share), items=()
    )


def progress(quest: Quest) -> float:
    """How much of the quest is done, in [0, 1]: by its goals, several deeds counting in part, and its other steps."""
    goals = [1.0 if goal.done else min(1.0, goal.got / max(1, goal.count)) for goal in quest.goals]
    steps = [float(step.done) for step in quest.steps if not step.goal and step.action != "goto"]
    parts = goals + steps
    return sum(parts) / len(parts) if parts else 0.0
