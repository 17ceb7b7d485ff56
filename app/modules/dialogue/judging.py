"""What of a line may be said: each act and each sentence on its way out, judged by the gate.

It notes on the turn what it let through and what it took out, and why. It does not know who writes.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from app.core.clock import Clock
from app.core.ids import new_id
from app.modules.dialogue.messages import ClaimMade, Cut, Proposal, Ruling
from app.modules.dialogue.rated import Ratings
from app.modules.dialogue.settings import Settings
from app.modules.dialogue.turn import Turn
from app.world.gate.acts import Proposed, check_proposal
from app.world.gate.disguises import squeeze
from app.world.gate.promises import promised
from app.world.gate.revise import Revision, revise
from app.world.loops import LOOPING

TELLING = frozenset({"ask_quest", "ask_place", "ask_person", "ask_time", "ask_weather", "ask_self", "trade", "bargain"})
"""Questions that want a fact: better told twice than not at all."""
UNRATED = "not for this rating"
PARROT_LETTERS_MIN = 12
"""A model's sentence of so many letters that stands whole in the player's line is the player's, not the NPC's."""


TO_OTHERS = ", to others"
"""Ends the reason of a sentence that its listener has not heard in this dialogue: if it is all there is, it is said."""


class Allowed(NamedTuple):
    """What may be said, empty for nothing, and whether it is a model's."""

    text: str
    by_model: bool


NOTHING = Allowed("", by_model=False)


class Loops(Protocol):
    """Hears whether an NPC goes round in circles."""

    def judge(self, tenant: str, world: str, npc: str, text: str) -> str:
        """Why a sentence would; empty where it is fresh."""
        ...


class Judging:
    """The gate, for the turns of one module."""

    def __init__(self, settings: Settings, clock: Clock, ratings: Ratings, loops: Loops) -> None:
        self._settings = settings
        self._clock = clock
        self._ratings = ratings
        self._loops = loops

    def act(self, turn: Turn, act: Proposed) -> None:
        """Judge one act and keep it as a proposal if it may be offered."""
        scene = turn.scene
        verdict = check_proposal(
            turn.world,
            act,
            scene.npc.id,
            scene.listener.id,
            last_s=turn.offers,
            cooldown_s=self._settings.proposal_cooldown_s,
        )
        allowed, reason = verdict.allowed, verdict.reason
        if allowed and any(known.action == act.action for known in turn.proposals):
            allowed, reason = False, "proposed already in this line"
        if allowed and len(turn.proposals) >= self._settings.proposals_max:
            allowed, reason = False, f"more than {self._settings.proposals_max} acts in one line"
        turn.rulings.append(
            Ruling(action=act.action[:80], arguments=act.arguments if allowed else {}, allowed=allowed, reason=reason)
        )
        if allowed:
            id = new_id(self._clock.wall_ms())
            turn.proposals.append(Proposal(id=id, action=act.action, arguments=act.arguments))

    def sentence(self, turn: Turn, sentence: str, *, trusted: bool) -> Allowed:
        """What may be said of a sentence; `trusted` text is the author's, of which no claim is doubted.

        The age rating judges an author's text by its words, phrases and personal data alone: no classifier guesses.
        Notes on the turn the claims of what may be said, and what was cut or mended, and why.
        """
        scene = turn.scene
        if not trusted and turn.world.entity(scene.listener.id) is None:
            turn.cut.append(Cut(what=sentence, reason="who it was for has gone"))
            return NOTHING
        revised = self._revised(turn, sentence, trusted=trusted)
        text = "" if revised.stand_in and turn.stood_in else revised.text
        rated = self._ratings.of(turn.call.tenant).judge(text, guess=not trusted)
        reason = revised.reason or ("" if rated.allowed else f"{UNRATED}: {rated.category}")
        text = text if rated.allowed else rated.text
        against = self._against(turn, text, trusted=trusted) if text else ""
        if reason or against:
            turn.cut.append(Cut(what=sentence, reason=reason or against))
        if against.endswith(TO_OTHERS) and not turn.held_back:
            turn.held_back = text
        if not text or against:
            return NOTHING
        turn.claims += [ClaimMade(text=one.text, subject=one.subject, source=one.source) for one in revised.claims]
        turn.stood_in = turn.stood_in or revised.stand_in
        return Allowed(text, by_model=not trusted and not revised.stand_in)

    def told(self, turn: Turn, text: str) -> str:
        """What may be said of a line of an author's story, milder where its words are not for the rating; notes both.

        Empty where it has no milder form. Its claims are noted, and none is cut.
        """
        text = self.rated(turn, text)
        claims = self._revised(turn, text, trusted=True).claims
        turn.claims += [ClaimMade(text=one.text, subject=one.subject, source=one.source) for one in claims]
        return text

    def rated(self, turn: Turn, text: str) -> str:
        """An author's text as the rating lets it be said, empty where it does not; notes on the turn what was cut."""
        rated = self._ratings.of(turn.call.tenant).judge(text, guess=False)
        if rated.allowed:
            return text
        turn.cut.append(Cut(what=text, reason=f"{UNRATED}: {rated.category}"))
        return rated.text

    def fits(self, turn: Turn, text: str) -> bool:
        """Whether a model's wording of an author's line may be said as it is."""
        revised = self._revised(turn, text, trusted=False)
        rated = self._ratings.of(turn.call.tenant).judge(text)
        return revised.text == text and rated.allowed and not self._against(turn, text, trusted=False)

    def _revised(self, turn: Turn, sentence: str, *, trusted: bool) -> Revision:
        return revise(
            turn.world,
            turn.scene.npc.id,
            turn.scene.listener.id,
            sentence,
            names=turn.names,
            offered=turn.proposals,
            trusted=trusted,
        )

    def _against(self, turn: Turn, sentence: str, *, trusted: bool) -> str:
        """Why a sentence may not be said in this line."""
        if sum(map(len, turn.spoken)) + len(sentence) > self._settings.line_characters_max:
            return f"the line is longer than {self._settings.line_characters_max} characters"
        bare = squeeze(sentence)
        if bare in {squeeze(said) for said in turn.spoken}:
            return "said already"
        if trusted:
            return ""
        if len(bare) >= PARROT_LETTERS_MIN and bare in squeeze(turn.scene.heard):
            return "repeats the player's words"
        return _overheard(turn, sentence) or self._round(turn, sentence)

    def _round(self, turn: Turn, sentence: str) -> str:
        """Why a sentence goes round in circles; what was asked for, and what was kept to be said again, does not."""
        trace = turn.completion.trace
        if turn.scene.intent in TELLING or (trace is not None and trace.cache == "hit"):
            return ""
        reason = self._loops.judge(turn.call.tenant, turn.call.world, turn.scene.npc.id, sentence)
        return f"{reason}{TO_OTHERS}" if reason in LOOPING and not _heard_here(turn, sentence) else reason


def _overheard(turn: Turn, sentence: str) -> str:
    """Why a sentence is not for the ears of another player who hears it."""
    world = turn.world
    npc, players = world.npc(turn.scene.npc.id), world.state.players
    for id in turn.audience[2:]:
        if id in players and (secret := turn.names.secrets(world, npc, players[id]).found(sentence)):
            return f"tells another who hears what is private: {secret.replace(chr(31), ' ')}"
    return ""


def _heard_here(turn: Turn, sentence: str) -> bool:
    """Whether the speaker has said this in this dialogue."""
    bare = squeeze(sentence)
    return any(bare in squeeze(line.text) for line in turn.scene.lines if line.speaker == turn.scene.npc.id)


def kept_proposals(turn: Turn) -> list[Proposal]:
    """The proposals that go with what was said: all, or in a line that was cut those that were spoken of."""
    if not turn.interrupted:
        return turn.proposals
    announced = {action for sentence in turn.spoken for action in promised(sentence)}
    return [proposal for proposal in turn.proposals if proposal.action in announced]
