"""Quests judged one after another, each in the world that those which it requires leave behind.

A quest that requires nothing is judged as `quests.verify` would. Of one that does, the earlier ones are played by their
plans first; where they only work in another order, that order is taken. Pure: no clock, no random, no await.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from app.modules.quests.auditing import giving
from app.modules.quests.auditing.chains import Chains
from app.modules.quests.auditing.entry import Deed, Entry, Judged
from app.modules.quests.auditing.past import Past, after, events_of, newcomer, placed
from app.modules.quests.draft import Draft
from app.modules.quests.generation.generator import Library
from app.modules.quests.planning.facts import View
from app.modules.quests.report import Fault, Found
from app.modules.quests.settings import Settings
from app.modules.quests.verification.verify import Examined, examine
from app.world.entities import Player
from app.world.events import Happened
from app.world.state import State

FAULTS: dict[str, Fault] = {
    "V0": "types", "V1": "unknown", "V2": "impossible", "V3": "branch", "V4": "soft_lock", "V6": "party", "V7": "loop",
}  # fmt: skip
"""What a rejection at a check is called in a report."""


@dataclass(slots=True)
class _Done:
    """What is known of a group so far, by number."""

    judged: dict[int, Judged]
    pasts: dict[int, Past]
    """The world that each sound quest leaves, those before it included."""


class Judge:
    """The proofs of one audit over one world; `start` is the place where a newcomer enters it, if anyone knows."""

    def __init__(self, library: Library, base: State, settings: Settings, *, start: str = "") -> None:
        self.library = library
        self.base = base
        self.settings = settings
        self.view = View(base, settings)
        self.start = start or giving.start_of(self.view)
        self.player = newcomer(base)

    def group(
        self, entries: Sequence[Entry], chains: Chains, numbers: Sequence[int], told: Callable[[], None]
    ) -> list[Judged]:
        """The verdicts of quests that hang together, in their order; `told` hears of each and may raise to stop."""
        done = _Done({}, {})
        for number in numbers:
            past, found = self._before(entries, chains, number, done)
            judged = self.one(entries[number], past, entries)
            if judged.sound:
                found += self._other_ends(entries, chains, number, done)
                done.pasts[number] = self.played(past, entries[number], judged.ways[0])
                found += self._promises(entries[number], done.pasts[number])
            done.judged[number] = replace(judged, found=(*found, *judged.found))
            told()
        return [done.judged[number] for number in numbers]

    def one(self, entry: Entry, past: Past, entries: Sequence[Entry]) -> Judged:
        """A quest's verdict in the world that `past` leaves."""
        examined, unfit = self.tried(entry, past)
        verdict = examined.verdict
        if unfit:
            return Judged(entry.number, verdict, (self._giverless(entry, past, entries, unfit),))
        if verdict.verdict == "unknown":
            return Judged(entry.number, verdict, (_told(entry, examined, "search", "warning"),))
        if verdict.verdict == "rejected":
            return Judged(entry.number, verdict, (self._rejected(entry, past, entries, examined),))
        certificate = verdict.certificate
        ways = (certificate.plan, *(branch.plan for branch in certificate.branches)) if certificate is not None else ()
        warnings = tuple(_warned(entry, warning) for warning in verdict.warnings)
        return Judged(
            entry.number, verdict, warnings, ways=ways, effort=examined.plan.cost if examined.plan is not None else 0.0
        )

    def tried(self, entry: Entry, past: Past) -> tuple[Examined, str]:
        """The proof of a quest in the world that `past` leaves, and why nobody gets it from its giver, if so."""
        draft = _drafted(entry)
        examined, view = self.examined(draft, past)
        if examined.verdict.check in ("V0", "V1") or draft.giver not in view.npcs:
            return examined, ""
        return examined, giving.unfit(self.library, view, draft, self._from(past, draft), max(1, draft.level))

    def examined(self, draft: Draft, past: Past) -> tuple[Examined, View]:
        """The verdict of `quests.verify` in the world that `past` leaves, and the view of it."""
        if not past.changed:
            return examine(self.library, self.view, msgspec.structs.replace(draft, requires=())), self.view
        id = draft.player or self.player
        state = past.state(self.base)
        known = state.players.get(id, Player(id=id))
        giver = state.npcs.get(draft.giver)
        place = self.view.place_of(giver) if giver is not None else ""
        hero = msgspec.structs.replace(known, location=place or known.location, level=max(draft.level, known.level))
        view = View(placed(past, hero).state(self.base), self.settings)
        return examine(self.library, view, msgspec.structs.replace(draft, player=id, requires=())), view

    def played(self, past: Past, entry: Entry, way: Sequence[Deed]) -> Past:
        """The world once the quest was played by that plan and what it promises was handed over."""
        draft = _drafted(entry)
        id = draft.player or self.player
        state = past.state(self.base)
        giver = state.npcs.get(draft.giver)
        if id not in state.players:
            place = self.view.place_of(giver) if giver is not None else ""
            past = placed(past, Player(id=id, level=max(1, draft.level), location=place))
        promised = draft.reward.items if draft.reward is not None else ()
        paid = [Happened(verb="gave", actor=draft.giver, target=id, item=item) for item in promised]
        events = events_of(self.library.vocabulary, self.view.recipes, way, id)
        return after(self.view, self.base, past, [*events, *paid], entry.number)

    def _from(self, past: Past, draft: Draft) -> str:
        """Where the player is before it goes to the giver, or empty when nobody knows."""
        known = past.changed.get("players", {}).get(draft.player or self.player)
        return known.location if isinstance(known, Player) else "" if draft.player else self.start

    def _before(
        self, entries: Sequence[Entry], chains: Chains, number: int, done: _Done
    ) -> tuple[Past, tuple[Found, ...]]:
        """The world that all which it requires leave, and why they do not all come together, if they do not."""
        parents = chains.parents[number]
        lost = [parent for parent in parents if self._falls(parent, chains, done)]
        sound = [parent for parent in parents if parent in done.pasts]
        found: tuple[Found, ...] = (_never(entries, number, lost),) if lost else ()
        if not sound:
            return Past(), found
        clash: tuple[int, int] | None = None
        for first in sorted(sound, key=lambda parent: -len(done.pasts[parent].quests)):
            past, blocked = self._joined(entries, chains, number, first, done)
            if blocked is None:
                return past, found
            clash = clash or (blocked, past.quests[-1])
        return done.pasts[sound[0]], (*found, _clashing(entries, number, clash or (sound[0], sound[0])))

    def _joined(
        self, entries: Sequence[Entry], chains: Chains, number: int, first: int, done: _Done
    ) -> tuple[Past, int | None]:
        """The world after `first` and then everything else that comes before, and the quest that cannot follow."""
        past = done.pasts[first]
        for other in chains.before(number):
            if other in past.quests or other not in done.pasts:
                continue
            judged = self.one(entries[other], past, entries)
            if not judged.sound:
                return past, other
            past = self.played(past, entries[other], judged.ways[0])
        return past, None

    def _falls(self, parent: int, chains: Chains, done: _Done) -> bool:
        found = done.judged[parent].found
        return parent in chains.lost or parent not in done.pasts or any(each.weight != "warning" for each in found)

    def _other_ends(self, entries: Sequence[Entry], chains: Chains, number: int, done: _Done) -> tuple[Found, ...]:
        """Whether it can also be done after the other branches of the one quest that it requires."""
        if len(chains.parents[number]) != 1:
            return ()
        parent = chains.parents[number][0]
        found: list[Found] = []
        if parent not in done.pasts:
            return ()
        before, _ = self._before(entries, chains, parent, done)
        verdict = done.judged[parent].verdict
        proofs = verdict.certificate.branches if verdict is not None and verdict.certificate is not None else ()
        for proof in proofs:
            judged = self.one(entries[number], self.played(before, entries[parent], proof.plan), entries)
            found.extend(_after_branch(entries, number, parent, proof.branch, each) for each in judged.found[:1])
        return tuple(found)

    def _promises(self, entry: Entry, past: Past) -> tuple[Found, ...]:
        """Whether the giver can hand over the items that it promises, once all is done."""
        draft = _drafted(entry)
        owner = draft.player or self.player
        paid = {id for id, item in past.changed.get("items", {}).items() if getattr(item, "holder", "") == owner}
        lacking = [id for id in (draft.reward.items if draft.reward is not None else ()) if id not in paid]
        if not lacking:
            return ()
        reason = f"the giver {draft.giver!r} does not have what it promises: {', '.join(map(repr, lacking))}"
        return (
            Found(
                check="V7",
                fault="promised",
                weight="fault",
                quests=(entry.key,),
                reason=reason,
                missing=tuple(f"holds({draft.giver}, {id})" for id in lacking),
                where=entry.at(),
            ),
        )

    def _rejected(self, entry: Entry, past: Past, entries: Sequence[Entry], examined: Examined) -> Found:
        """Why it is rejected; where it would be possible in the world as it is, the earlier quests are at fault."""
        if examined.verdict.check in ("V0", "V1") or not past.quests:
            return _told(entry, examined, _called(examined), "fault")
        alone, _ = self.examined(_drafted(entry), Past())
        if alone.verdict.verdict == "rejected":
            return _told(entry, examined, _called(examined), "fault")
        found = _told(entry, examined, "chain", "fault")
        return _blaming(found, entry, past, entries)

    def _giverless(self, entry: Entry, past: Past, entries: Sequence[Entry], reason: str) -> Found:
        found = Found(check="V2", fault="giver", weight="fault", quests=(entry.key,), reason=reason, where=entry.at())
        giver = _drafted(entry).giver
        if giver in past.deeds:
            return _blaming(msgspec.structs.replace(found, fault="chain"), entry, past, entries)
        return found


def _drafted(entry: Entry) -> Draft:
    if entry.draft is None:
        raise ValueError(f"quest {entry.key!r} could not be read")
    return entry.draft


def _mentions(draft: Draft) -> set[str]:
    """Every id that a draft names."""
    steps = [*draft.steps, *(step for branch in draft.branches for step in branch.steps)]
    return {draft.giver, *(id for step in steps for id in (step.target, step.item, step.location))}


def _blaming(found: Found, entry: Entry, past: Past, entries: Sequence[Entry]) -> Found:
    """The finding with the earlier quests that changed what it needs."""
    needed = _mentions(_drafted(entry)) | {
        word for fact in found.missing for word in fact.replace("(", ",").replace(")", ",").replace(" ", "").split(",")
    }
    blamed = {id: number for id, number in past.deeds.items() if id in needed}
    culprits = list(dict.fromkeys(blamed.values())) or list(past.quests[-1:])
    told = "; ".join(f"{entries[number].key!r} has changed {id!r}" for id, number in blamed.items())
    reason = f"{found.reason}: earlier in the chain {told or f'{entries[culprits[-1]].key!r} was done'}"
    return msgspec.structs.replace(
        found, reason=reason, quests=(entry.key, *(entries[number].key for number in culprits))
    )


def _called(examined: Examined) -> Fault:
    verdict = examined.verdict
    return "promised" if verdict.check == "V7" and "reward" in verdict.reason else FAULTS[verdict.check]


def _told(entry: Entry, examined: Examined, fault: Fault, weight: str) -> Found:
    verdict, draft = examined.verdict, _drafted(entry)
    steps = [step.id for step in (*draft.steps, *(step for branch in draft.branches for step in branch.steps))]
    named = next((id for id in steps if f"step {id!r}" in verdict.reason), "")
    step = verdict.unreachable[0] if verdict.unreachable else named
    return Found(
        check=verdict.check,
        fault=fault,
        weight=weight,  # type: ignore[arg-type]  # one of the closed list
        quests=(entry.key,),
        reason=verdict.reason,
        step=step,
        missing=verdict.missing,
        nearest=verdict.nearest,
        variant=verdict.variant,
        where=entry.at(step),
    )


def _warned(entry: Entry, warning: str) -> Found:
    return Found(check="V4", fault="soft_lock", weight="warning", quests=(entry.key,), reason=warning, where=entry.at())


def _never(entries: Sequence[Entry], number: int, lost: Sequence[int]) -> Found:
    names = [entries[parent].key for parent in lost]
    return Found(
        check="V1",
        fault="never",
        weight="follows",
        quests=(entries[number].key, *names),
        reason=f"nobody can start it: it requires {', '.join(map(repr, names))}, which cannot be done",
        where=entries[number].at(),
    )


def _clashing(entries: Sequence[Entry], number: int, clash: tuple[int, int]) -> Found:
    one, other = (entries[each].key for each in clash)
    return Found(
        check="V2",
        fault="chain",
        weight="fault",
        quests=(entries[number].key, one, other),
        reason=f"it requires {one!r} and {other!r}, and {one!r} cannot be done after {other!r} in any order tried",
        where=entries[number].at(),
    )


def _after_branch(entries: Sequence[Entry], number: int, parent: int, branch: str, found: Found) -> Found:
    key, before = entries[number].key, entries[parent].key
    reason = f"it cannot be done when {before!r} ended with branch {branch!r}: {found.reason}"
    return msgspec.structs.replace(found, check="V3", fault="branch", quests=(key, before), reason=reason)
