"""The bot's own books of how quests end and who is owed what; they rest on nothing but the deeds that it did itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.modules.quests.messages import Payout, Quest

PART_MAX = 0.75
"""Most of a reward that is paid for a quest which the world has ended."""


@dataclass
class Crew:
    """Those who play one quest, as the bot knows them; the leader or first of a shared one comes first."""

    members: list[str]
    promised: Quest
    deeds: set[str] = field(default_factory=set)
    """Members of whom something counted."""
    present: set[str] = field(default_factory=set)
    """Members who stood where the last thing was done."""
    harmed: set[str] = field(default_factory=set)
    """What members have killed, used up or given away."""

    def left(self, member: str) -> None:
        self.members.remove(member)
        self.deeds.discard(member)

    def credited(self) -> list[str]:
        """Who has to be paid for the quest when it is completed."""
        quest = self.promised
        if quest.scope == "solo":
            return self.members
        match quest.credit:
            case "leader":
                return self.members[:1]
            case "contributors":
                return [member for member in self.members if member in self.deeds]
            case "all_present":
                return [member for member in self.members if member in self.present]

    def wrongs(self, quest: Quest) -> Iterator[str]:
        """What is wrong with the payouts of an ended quest, in words."""
        told = f"{quest.id} ({quest.scope}, {quest.credit}, {quest.share}, {quest.state})"
        if quest.state not in ("completed", "compensated"):
            if quest.payouts:
                yield f"{told} is paid for"
            return
        owed = [payout.player for payout in quest.payouts]
        if len(set(owed)) != len(owed) or not set(owed) <= set(self.members):
            yield f"{told} pays {owed} of {self.members}"
        if quest.state == "compensated":
            yield from self._too_much(quest, told)
        elif any(repair.kind == "ending" for repair in quest.repairs):
            if quest.reward.coins > self.promised.reward.coins:
                yield f"{told} pays more for less"
        else:
            yield from self._unlike(quest, told, owed)

    def _too_much(self, quest: Quest, told: str) -> Iterator[str]:
        sums = [sum(payout.coins for payout in quest.payouts)]
        if quest.share == "each":
            sums = [payout.coins for payout in quest.payouts]
        if any(coins > PART_MAX * self.promised.reward.coins for coins in sums):
            yield f"{told} pays {sums} of {self.promised.reward.coins}"

    def _unlike(self, quest: Quest, told: str, owed: list[str]) -> Iterator[str]:
        who, reward = self.credited(), self.promised.reward
        if quest.share == "one":
            if len(owed) != min(1, len(who)) or not set(owed) <= set(who):
                yield f"{told} pays {owed}, not one of {who}"
        elif sorted(owed) != sorted(who):
            yield f"{told} pays {owed}, not {who}"
        if not owed:
            return
        for promised, paid in (
            (reward.coins, [payout.coins for payout in quest.payouts]),
            (reward.experience, [payout.experience for payout in quest.payouts]),
        ):
            fair = max(paid) - min(paid) <= 1 and sum(paid) == promised
            if not (set(paid) == {promised} if quest.share == "each" else fair):
                yield f"{told} pays {paid} of {promised}"
        handed = [item for payout in quest.payouts for item in payout.items]
        if sorted(handed) != sorted(reward.items):
            yield f"{told} hands over {handed}, not {reward.items}"


@dataclass
class Tally:
    """How the quests ended, and every payout that was ever told."""

    ends: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    """Quests by scope, and those written by hand."""
    limbo: list[str] = field(default_factory=list)
    undeclared: list[str] = field(default_factory=list)
    """Quests that failed by the players' own doing although their certificates declare no such loss."""
    declared: int = 0
    payouts: dict[str, tuple[str, Payout]] = field(default_factory=dict)
    """Payout id -> the world and quest that owe it, and what."""
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Sums that the bot's own books do not agree with."""
    lost: list[str] = field(default_factory=list)
    """Quests that told other ends or payouts after a power cut than before."""
    refused: int = 0
    kills: int = 0

    def note(self, world: str, quest: Quest) -> None:
        """Take in the payouts that a quest tells of; the same id must always mean the same."""
        for owed in quest.payouts:
            said = (f"{world} {quest.id}", owed)
            if self.payouts.setdefault(owed.id, said) != said:
                self.doubled.append(owed.id)

    def end(self, quest: Quest, crew: Crew) -> None:
        """Take in how a quest ended, and look whether that was to be expected."""
        self.ends[quest.state] += 1
        self.wrong.extend(crew.wrongs(quest))
        if quest.state != "failed":
            return
        failures = quest.certificate.failures
        if any(crew.harmed & set(failure.fact[1:]) for failure in failures):
            self.declared += 1
        else:
            self.undeclared.append(
                f"{quest.id}: {quest.reason} {sorted(crew.harmed)}, {[failure.fact for failure in failures]}"
            )

    @property
    def faults(self) -> list[str]:
        return [*self.limbo, *self.doubled, *self.wrong, *self.lost, *self.undeclared]
