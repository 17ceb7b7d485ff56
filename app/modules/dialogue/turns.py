"""Who speaks next in a group: pure functions over who is there and what was just said.

After Sacks, Schegloff and Jefferson, "A simplest systematics for the organization of turn-taking for conversation",
Language 50 (1974): whoever is selected by the speaker has the turn; where nobody is, somebody selects themselves;
where nobody does, whoever spoke may go on. They know no world and no dialogue.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.core.ids import stable_hash

SELECTS_ITSELF = 1.0
"""What an NPC that nobody addressed has to weigh before it takes the word."""
CONCERNED, FOND, WARY, TALKATIVE, CHANCE, JUST_SPOKE = 1.0, 0.5, 0.25, 0.5, 0.4, 0.6
"""What it weighs that a line is about it, how it feels about whoever spoke, its nature, chance, having spoken."""
_TRAITS = {
    "talkative": 1.0, "chatty": 1.0, "garrulous": 1.0, "gossip": 1.0, "nosy": 0.8, "cheerful": 0.6, "warm": 0.5,
    "friendly": 0.5, "bold": 0.5, "proud": 0.4, "quiet": -0.6, "shy": -0.8, "taciturn": -1.0, "gruff": -0.4,
    "sullen": -0.8, "silent": -1.0,
}  # fmt: skip
"""How much words for a nature make one speak unasked, in [-1, 1]."""
TALKATIVENESS = "talkativeness"
"""The attribute of an NPC, in [0, 1], that says so instead."""
_WORD = re.compile(r"[\w'’-]+")


@dataclass(frozen=True, slots=True)
class Seat:
    """One who takes part: `words` are what they are called, `concerns` what they are about, all case folded.

    `relation` is how an NPC feels about whoever spoke last, `talkative` its nature, both in [-1, 1].
    """

    id: str
    npc: bool
    words: frozenset[str] = frozenset()
    concerns: frozenset[str] = frozenset()
    relation: float = 0.0
    talkative: float = 0.0


@dataclass(frozen=True, slots=True)
class Uttered:
    """What was said last, by whom, and to whom if that is known."""

    speaker: str
    text: str
    to: str = ""


def talkative(traits: Sequence[str], attribute: object) -> float:
    """A nature in [-1, 1], from the attribute where it is a number, else from the traits."""
    if isinstance(attribute, int | float) and not isinstance(attribute, bool):
        return max(-1.0, min(1.0, 2.0 * float(attribute) - 1.0))
    known = [_TRAITS[trait.casefold()] for trait in traits if trait.casefold() in _TRAITS]
    return sum(known) / len(known) if known else 0.0


def answerer(seats: Sequence[Seat], uttered: Uttered, before: Sequence[str], seed: int) -> str:
    """The NPC that answers a line; empty where no NPC is there but its speaker.

    By `to`, else by being called by name, else who is concerned most, knows the speaker, spoke to them last.
    `before` are the speakers of the lines so far, oldest first.
    """
    npcs = [seat for seat in seats if seat.npc and seat.id != uttered.speaker]
    if not npcs:
        return ""
    selected = _selected(npcs, uttered)
    if selected:
        return selected
    last = next((id for id in reversed(before) if id != uttered.speaker), "")

    def weight(seat: Seat) -> float:
        goes_on = 0.5 if seat.id == last else 0.0  # an answer comes from whoever was talked with
        return _eager(seat, uttered, seed) + goes_on

    return max(npcs, key=lambda seat: (weight(seat), seat.id)).id


def next_speaker(
    seats: Sequence[Seat], uttered: Uttered, before: Sequence[str], *, npc_lines_row_max: int, seed: int
) -> str:
    """Who would speak after a line of an NPC: a player, an NPC, or empty where it is any player's turn.

    `before` are the speakers of the lines so far, oldest first, this one included. Where players take part, NPCs
    leave the word to them after `npc_lines_row_max` lines of their own.
    """
    others = [seat for seat in seats if seat.id != uttered.speaker]
    players, npcs = [seat for seat in others if not seat.npc], [seat for seat in others if seat.npc]
    if len(others) < 2:
        return others[0].id if others else ""
    named = _called(others, uttered.text)
    asked = uttered.to if _asks(uttered.text) and any(seat.id == uttered.to for seat in others) else ""
    selected = named or asked
    if not players:
        return selected or _most_eager(npcs, uttered, before, seed)
    if selected and selected in {seat.id for seat in players}:
        return selected
    if _npcs_in_a_row(seats, before) >= npc_lines_row_max:
        return ""
    if selected:
        return selected
    eager = [(_eager(seat, uttered, seed) - _spoke_lately(seat, before), seat.id) for seat in npcs]
    most, id = max(eager, default=(0.0, ""))
    return id if most >= SELECTS_ITSELF else ""


def words_of(*texts: str) -> frozenset[str]:
    """The words of names, case folded, without those that stand in every name."""
    found = (word.removesuffix("'s") for text in texts for word in _WORD.findall(text.casefold()))
    return frozenset(word for word in found if len(word) > 2 and word not in ("the", "and", "von", "van", "old"))


def _selected(seats: Sequence[Seat], uttered: Uttered) -> str:
    if any(seat.id == uttered.to for seat in seats):
        return uttered.to
    return _called(seats, uttered.text)


def _called(seats: Sequence[Seat], text: str) -> str:
    """Who is named first in a line; a name that two of them share is nobody's."""
    found: dict[str, list[str]] = {}
    for seat in seats:
        for word in seat.words:
            found.setdefault(word, []).append(seat.id)
    for word in _WORD.findall(text.casefold()):
        ids = found.get(word.removesuffix("'s"), ())
        if len(ids) == 1:
            return ids[0]
    return ""


def _asks(text: str) -> bool:
    return text.rstrip("\"'”’) ").endswith("?")


def _eager(seat: Seat, uttered: Uttered, seed: int) -> float:
    """How much an NPC wants to answer a line that was not meant for it."""
    said = words_of(uttered.text)
    about = CONCERNED * (1.0 if said & seat.concerns else 0.0) * (1.0 if _asks(uttered.text) else 0.6)
    feels = FOND * seat.relation if seat.relation >= 0.0 else WARY * seat.relation
    chance = CHANCE * (stable_hash(seed, seat.id, "turn") % 1_000) / 1_000.0
    return about + feels + TALKATIVE * seat.talkative + chance


def _spoke_lately(seat: Seat, before: Sequence[str]) -> float:
    return JUST_SPOKE if seat.id in before[-2:] else 0.0


def _most_eager(npcs: Sequence[Seat], uttered: Uttered, before: Sequence[str], seed: int) -> str:
    """Among NPCs alone somebody always goes on, rather who has been silent."""
    return max(npcs, key=lambda seat: (_eager(seat, uttered, seed) - _spoke_lately(seat, before), seat.id)).id


def _npcs_in_a_row(seats: Sequence[Seat], before: Sequence[str]) -> int:
    players = {seat.id for seat in seats if not seat.npc}
    row = 0
    for id in reversed(before):
        if id in players:
            return row
        row += 1
    return row
