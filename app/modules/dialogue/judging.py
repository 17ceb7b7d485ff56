"""What of a line may be said: each act and each sentence on its way out, judged by the gate.

It notes on the turn what it let through and what it took out, and why. It does not know who writes.
"""

from __future__ import annotations

from app.core.clock import Clock
from app.core.ids import new_id
from app.modules.dialogue.messages import ClaimMade, Cut, Proposal, Ruling
from app.modules.dialogue.settings import Settings
from app.modules.dialogue.turn import Turn
from app.world.gate.acts import Proposed, check_proposal
from app.world.gate.claims import check_claims
from app.world.gate.promises import promised
from app.world.gate.speech import squeeze

PARROT_LETTERS_MIN = 12
"""A model's sentence of so many letters that stands whole in the player's line is the player's, not the NPC's."""


class Judging:
    """The gate, for the turns of one module."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

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

    def sentence(self, turn: Turn, sentence: str, *, trusted: bool) -> str:
        """What may be said of a sentence, empty where nothing may; `trusted` text is the author's.

        Notes on the turn the claims of what may be said, and what was cut and why.
        """
        against = self._against(turn, sentence, trusted=trusted)
        if against:
            turn.cut.append(Cut(what=sentence, reason=against))
            return ""
        return sentence

    def _against(self, turn: Turn, sentence: str, *, trusted: bool) -> str:
        """Why a sentence may not be said; notes the claims of one that may."""
        if sum(map(len, turn.spoken)) + len(sentence) > self._settings.line_characters_max:
            return f"the line is longer than {self._settings.line_characters_max} characters"
        bare = squeeze(sentence)
        if bare in {squeeze(said) for said in turn.spoken}:
            return "said already"
        claims = check_claims(turn.world, turn.scene.npc.id, sentence, turn.names)
        if not trusted:
            if len(bare) >= PARROT_LETTERS_MIN and bare in squeeze(turn.scene.heard):
                return "repeats the player's words"
            offered = {proposal.action for proposal in turn.proposals}
            for action in promised(sentence):
                if action not in offered:
                    return f"promises {action!r} without such an act"
            for claim in claims:
                if claim.verdict != "supported":
                    return f"claim about {claim.subject!r} is {claim.verdict}: {claim.source}"
        turn.claims += [
            ClaimMade(text=claim.text, subject=claim.subject, source=claim.source)
            for claim in claims
            if claim.verdict == "supported"
        ]
        return ""


def kept_proposals(turn: Turn) -> list[Proposal]:
    """The proposals that go with what was said: all, or in a line that was cut those that were spoken of."""
    if not turn.interrupted:
        return turn.proposals
    announced = {action for sentence in turn.spoken for action in promised(sentence)}
    return [proposal for proposal in turn.proposals if proposal.action in announced]
