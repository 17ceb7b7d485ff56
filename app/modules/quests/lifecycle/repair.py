"""What becomes of a quest whose way the world has broken: a ladder from the same plan down to a fair end.

The rest of the plan -> another plan -> another of its kind -> an heir -> a sibling branch -> an ending without what
nobody is left for -> waiting, where only a closed way bars it -> an end, the player's own doing or paid for. Pure and
bounded: where looking is capped nothing is concluded, and the quest waits until somebody has looked longer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from app.modules.quests.generation.generator import Library
from app.modules.quests.lifecycle.credit import on_branch, part, takers
from app.modules.quests.lifecycle.ends import compensated, paid
from app.modules.quests.lifecycle.recast import HEARD, heirs, inherited, parts, recast, substitutes, with_what_is_held
from app.modules.quests.lifecycle.reroute import altered, asked, hero_for, open_deeds, rerouted, rest_of, seen_by
from app.modules.quests.lifecycle.states import COUNTING, early, moved
from app.modules.quests.lifecycle.watch import is_over, lacks, needs_of
from app.modules.quests.planning.domain import Fact
from app.modules.quests.planning.facts import View
from app.modules.quests.planning.planner import Outcome, Plan, Unknown, Unsolvable
from app.modules.quests.prose.grammar import grammar_for
from app.modules.quests.prose.telling import told
from app.modules.quests.prose.writer import Writer
from app.modules.quests.quest import Goal, Quest, Repair, RepairKind
from app.modules.quests.verification.certify import holds_still, prove


@dataclass(slots=True)
class Budget:
    """How much may be looked for: `proofs` searches, each of so many states. Shared by all quests of one event."""

    proofs: int
    states_max: int


class Mender:
    """Mends quests in one view of a world; `budget` is used up on the way."""

    def __init__(self, library: Library, view: View, budget: Budget) -> None:
        self._library = library
        self._view = view
        self._budget = budget
        self.unsure = False
        """Whether the last quest was left waiting for somebody who looks longer."""

    def mended(self, quest: Quest, *, doer: str = "") -> Quest:
        """The quest as it goes on or ends; the same one where its way holds. `doer` is who brought the change about."""
        found = self._mended(quest, doer)
        return found if found.repairs == quest.repairs else _worded(found, self._view)

    def _mended(self, quest: Quest, doer: str) -> Quest:
        if quest.state not in COUNTING:
            return quest
        self.unsure = False
        if early(quest, self._view.game_s):
            return self._early(quest, doer)
        if self._holds(quest):
            return self._resumed(quest)
        rungs = (self._replanned, self._recast, self._inherited, self._branched, self._ended, self._barred)
        for rung in rungs:
            found = rung(quest)
            if found is not None:
                return found
        own = quest.blamed or (bool(doer) and doer in takers(quest))
        return self._searching(quest, own) if self.unsure else self._over(quest, own)

    def _holds(self, quest: Quest) -> bool:
        hero = hero_for(self._view, quest)
        view = seen_by(self._view, quest, hero)
        question = asked(self._library, view, quest, hero)
        rest = rest_of(quest, self._library.vocabulary)
        return question is not None and bool(rest) and holds_still(view, hero, question, rest)

    def _outcome(self, quest: Quest, view: View | None = None) -> Outcome:
        """Whether there is a way; unknown, too, when the budget is used up."""
        if self._budget.proofs <= 0:
            self.unsure = True
            return Unknown("no more looks for a way")
        hero = hero_for(self._view, quest)
        shown = seen_by(view or self._view, quest, hero)
        question = asked(self._library, shown, quest, hero)
        if question is None:
            return Unsolvable(())
        self._budget.proofs -= 1
        found = prove(shown, hero, question, states_max=self._budget.states_max).outcome
        self.unsure |= isinstance(found, Unknown)
        return found

    def _on(self, quest: Quest, plan: Plan) -> Quest:
        hero = hero_for(self._view, quest)
        view = seen_by(self._view, quest, hero)
        question = asked(self._library, view, quest, hero)
        goals = question.goals if question is not None else open_deeds(quest)
        return rerouted(self._library, view, quest, plan, goals)

    def _replanned(self, quest: Quest) -> Quest | None:
        hero = hero_for(self._view, quest)
        cast = with_what_is_held(quest, seen_by(self._view, quest, hero), hero)
        found = self._outcome(cast)
        if not isinstance(found, Plan):
            return None
        mended = self._on(cast, found)
        return self._resumed(quest) if mended is quest else self._noted(quest, mended, "replanned")

    def _recast(self, quest: Quest) -> Quest | None:
        """With another of its kind for each thing that, taken alone, can no more be brought to its goals."""
        cast, lost, instead = quest, "", ""
        for thing in parts(quest):
            if not self._lost(cast, thing):
                continue
            hero = hero_for(self._view, cast)
            others = substitutes(cast, seen_by(self._view, cast, hero), hero, thing)
            tried = ((other, recast(cast, thing, by=other)) for other in others)
            for other, candidate in tried:
                if not self._lost(candidate, other):
                    cast, lost, instead = candidate, thing, other
                    break
        return None if cast is quest else self._way(quest, cast, "recast", lost, instead)

    def _lost(self, quest: Quest, thing: str) -> bool:
        alone = tuple(goal for goal in quest.goals if goal.done or thing in goal.deed)
        return isinstance(self._outcome(msgspec.structs.replace(quest, goals=alone)), Unsolvable)

    def _inherited(self, quest: Quest) -> Quest | None:
        for lost in self._unheard(quest):
            hero = hero_for(self._view, quest)
            for heir in heirs(quest, self._view, hero, lost):
                found = self._way(quest, inherited(quest, lost, by=heir), "heir", lost, heir)
                if found is not None:
                    return found
        return None

    def _branched(self, quest: Quest) -> Quest | None:
        for way in quest.branches:
            turned = on_branch(quest, way)
            done = tuple(step for step in turned.steps if step.done)  # its plan began where the player was long ago
            found = self._way(quest, msgspec.structs.replace(turned, steps=done), "branched")
            if found is not None:
                return found
        return None

    def _ended(self, quest: Quest) -> Quest | None:
        """Without the goals that nobody is left to hear of, where the deed itself is done; for less."""
        gone = set(self._unheard(quest))
        dropped = [goal for goal in quest.goals if not goal.done and goal.deed[0] in HEARD and gone & set(goal.deed)]
        essential = any(goal.done and goal.deed[0] != "told" for goal in quest.goals)
        if not dropped or not essential:
            return None
        rest = tuple(goal for goal in quest.goals if goal not in dropped)
        less = part(quest.reward, self._view.settings.ending_share)
        lost = next(id for id in dropped[0].deed[1:] if id in gone)
        kept = tuple(step for step in quest.steps if step.done)
        ending = msgspec.structs.replace(quest, goals=rest, reward=less)
        if all(goal.done for goal in rest):
            noted = self._noted(quest, msgspec.structs.replace(ending, steps=kept), "ending", lost)
            return paid(noted, self._view, "")
        return self._way(quest, ending, "ending", lost)

    def _barred(self, quest: Quest) -> Quest | None:
        """Waiting, where there would be a way if every place were open."""
        view = self._view
        closed = {id: place for id, place in view.locations.items() if not place.open}
        if not closed:
            return None
        opened = {id: msgspec.structs.replace(place, open=True) for id, place in closed.items()}
        found = self._outcome(quest, altered(view, locations=view.locations | opened))
        if not isinstance(found, Plan):
            return None
        rested = self._resting(quest, "suspended")
        return msgspec.structs.replace(rested, blamed=False) if rested.blamed else rested

    def _way(self, quest: Quest, cast: Quest, kind: RepairKind, lost: str = "", instead: str = "") -> Quest | None:
        """The quest on a way for another cast or other goals, or None where there is none."""
        found = self._outcome(cast)
        if not isinstance(found, Plan):
            return None
        return self._noted(quest, self._on(cast, found), kind, lost, instead)

    def _unheard(self, quest: Quest) -> list[str]:
        """Those dead or gone to whom something is still to be told or brought."""
        receivers = (goal.deed[1] if goal.deed[0] == "told" else goal.deed[2] for goal in _open_heard(quest))
        npcs = self._view.npcs
        return [id for id in dict.fromkeys(receivers) if id not in npcs or not npcs[id].alive]

    def _noted(self, quest: Quest, mended: Quest, kind: RepairKind, lost: str = "", instead: str = "") -> Quest:
        """The mended quest in its state, with an entry of what was done and how the giver tells it."""
        lost = lost or self._first_lost(quest)
        return self._told(moved(mended, "mended", game_s=self._view.game_s), kind, lost, instead)

    def _told(self, quest: Quest, kind: RepairKind, lost: str, instead: str, *, words: str = "") -> Quest:
        roles = {"who": lost or quest.giver, "instead": instead or lost or quest.giver}
        text = self._writer(quest).reason(words or kind, roles)
        entry = Repair(seq=self._view.seq, kind=kind, lost=lost, instead=instead, text=text)
        kept = self._view.settings.repairs_kept_max
        return msgspec.structs.replace(quest, repairs=(*quest.repairs, entry)[-kept:])

    def _resumed(self, quest: Quest) -> Quest:
        if quest.state != "suspended":
            return quest
        return self._told(moved(quest, "resumed", game_s=self._view.game_s), "resumed", "", "")

    def _resting(self, quest: Quest, words: str) -> Quest:
        """The quest, waiting for the world, for its time, or until somebody has looked longer."""
        if quest.state == "suspended":
            return quest
        reason = self._writer(quest).reason(words, {})
        start_s = max(self._view.game_s, quest.from_s)
        waits_s = start_s + self._view.settings.suspended_s_max
        waiting = msgspec.structs.replace(quest, waits_s=waits_s)
        rested = moved(waiting, "stopped", game_s=self._view.game_s, reason=reason)
        return self._told(rested, "suspended", "", "", words=words)

    def _early(self, quest: Quest, doer: str) -> Quest:
        """Waiting for its time; a member who has left it without its way by then will have broken it."""
        waiting = self._resting(quest, "early")
        own = doer in takers(quest) and isinstance(self._outcome(quest), Unsolvable)
        return msgspec.structs.replace(waiting, blamed=True) if own and not waiting.blamed else waiting

    def _searching(self, quest: Quest, own: bool) -> Quest:
        """Waiting for a longer look, which is to know whether a member brought it about."""
        waiting = self._resting(quest, "searching")
        return waiting if waiting.blamed == own else msgspec.structs.replace(waiting, blamed=own)

    def _over(self, quest: Quest, own: bool) -> Quest:
        view = self._view
        declared = next((text for text in self._declared(quest) if text), "")
        if own:
            reason = declared or self._why(quest) or self._writer(quest).reason("own", {})
            return moved(quest, "own_doing", game_s=view.game_s, reason=reason)
        reason = declared or self._why(quest) or self._reason(quest, "barred", "")
        return compensated(quest, view, reason, share_max=view.settings.compensation_share_max)

    def _declared(self, quest: Quest) -> Iterable[str]:
        """How the giver puts the ways to lose the quest that were declared and have come true.

        First what the way needs and has lost, fact for fact, then who died, what is gone and what closed.
        """
        lacking = lacks(needs_of(quest, self._library.vocabulary), quest, self._view)
        failures = [failure for failure in quest.certificate.failures if not _meant(quest, failure.fact)]
        yield from (failure.text for failure in failures if failure.fact in lacking)
        yield from (failure.text for failure in failures if is_over(failure.fact, quest, self._view))

    def _why(self, quest: Quest) -> str:
        """What was lost, in words that the giver can say; empty where nothing is."""
        lost = self._first_lost(quest)
        if not lost:
            return ""
        return self._reason(quest, "dead" if lost in self._view.npcs else "gone", lost)

    def _reason(self, quest: Quest, kind: str, who: str) -> str:
        """Of a quest that several share the text names no player: it is not sealed for one alone."""
        solo = bool(quest.player)
        roles = ({"player": quest.player} if solo else {}) | ({"who": who} if who else {})
        return self._writer(quest).reason(kind if solo else f"{kind}_all", roles)

    def _first_lost(self, quest: Quest) -> str:
        """The first entity that the quest needs and the world has no more, the dead before what is gone."""
        terms = (term for deed in open_deeds(quest) for term in deed[1:])
        slain = {goal.deed[1] for goal in quest.goals if goal.done and goal.deed[0] == "slain"}
        named = [id for id in dict.fromkeys((*terms, *quest.roles.values(), *means_of(quest))) if id not in slain]
        owned = {*quest.roles.values(), *means_of(quest)}
        npcs = self._view.npcs
        dead = (id for id in named if id in npcs and not npcs[id].alive)
        gone = (id for id in named if self._view.entity(id) is None and id in owned)
        return next(dead, "") or next(gone, "")

    def _writer(self, quest: Quest) -> Writer:
        return Writer(grammar_for(quest.language), self._view, quest.certificate.seed, names=quest.names)


def _worded(quest: Quest, view: View) -> Quest:
    """The mended quest with a text for each new part; what an author wrote stays, and one of an old log has none."""
    if not quest.texts:
        return quest
    own = frozenset(text.text for text in quest.texts if not text.template)
    return told(quest, view, grammar_for(quest.language), own=own)


def _meant(quest: Quest, fact: Fact) -> bool:
    """Whether the quest itself wanted the fact to end, as by slaying someone."""
    return any(goal.deed[0] == "slain" and fact[0] == "alive" and goal.deed[1] == fact[1] for goal in quest.goals)


def _open_heard(quest: Quest) -> list[Goal]:
    return [goal for goal in quest.goals if not goal.done and goal.deed[0] in HEARD]


def means_of(quest: Quest) -> tuple[str, ...]:
    """The entities that open steps need, such as a key or a seller."""
    events = [step.event for step in quest.steps if not step.done]
    roles = (id for event in events for id in (event.actor, event.target, event.item, event.location))
    return tuple(id for id in dict.fromkeys(roles) if id and id not in (quest.player, "player"))
