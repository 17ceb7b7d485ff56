"""One line while it is being spoken: what is known before its first word, and what it has become so far.

It keeps, and decides nothing. Who speaks it is in `speaking`, what may be said in `judging`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from app.core.memory import Recollection
from app.core.module import Call
from app.core.words import Bill, Completion, Usage
from app.modules.dialogue.book import Dialogue
from app.modules.dialogue.context import Compiled
from app.modules.dialogue.messages import ClaimMade, Cut, Proposal, Ruling, Spoken, Tokens
from app.modules.dialogue.stories.told import Told
from app.world.gate.names import Names
from app.world.gate.secrets import SecretsView
from app.world.gate.speech import Guard
from app.world.scene import Scene
from app.world.state import World


class Take(msgspec.Struct, kw_only=True):
    """What one rung wrote for a line, before the gate; `ended` where it finished properly."""

    rung: str
    engine: str = ""
    model: str = ""
    text: str = ""
    ended: bool = False


@dataclass(slots=True)
class Turn:
    """What is known before the first word, and what the line has become so far."""

    call: Call
    world: World
    dialogue: Dialogue
    scene: Scene
    compiled: Compiled
    guard: Guard
    completion: Completion
    prompt_label: str
    """How the version of the prompt was found."""
    names: Names
    secrets: SecretsView
    """What the speaker keeps from the listener."""
    offers: dict[str, float]
    explain_id: str
    started_s: float
    audience: tuple[str, ...] = ()
    """Everyone who hears the line that is answered and this one, the NPC that speaks first."""
    filler_before: str = ""
    """The NPC's last filler, which must not come again; so must none where no player waits."""
    recalled: Sequence[Recollection] = ()
    pinned: Sequence[Recollection] = ()
    told: Told | None = None
    """What the NPC's story has to say to the line, if anything."""
    takes: list[Take] = field(default_factory=list)
    """What each rung that was tried has written."""
    spoken: list[str] = field(default_factory=list)
    proposals: list[Proposal] = field(default_factory=list)
    rulings: list[Ruling] = field(default_factory=list)
    claims: list[ClaimMade] = field(default_factory=list)
    cut: list[Cut] = field(default_factory=list)
    falls: list[Cut] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    engine: str = ""
    model: str = ""
    by_model: bool = False
    """Whether a model wrote anything that was spoken..."""
    model_wrote: bool = False
    """...or anything at all."""
    rung: str = ""
    """The rung that speaks, or spoke last."""
    filler: str = ""
    """What was said to bridge the wait; no part of the line."""
    sent: int = 0
    """Chunks that went out."""
    broken: bool = False
    """Whether what was spoken ends in the middle of a sentence."""
    interrupted: bool = False
    refusal: str = ""
    """What is said to words that are not answered; empty for all others."""
    held_back: str = ""
    """A sentence of a model that was said to others of late; it is spoken where there is nothing else."""
    stood_in: bool = False
    """Whether a sentence of the gate's own has been spoken."""
    delta: float = 0.0
    ms_first_token: float = 0.0
    ms_total: float = 0.0

    @property
    def bill(self) -> Bill:
        """What the line has cost so far and is not written down yet."""
        return self.completion.bill or Bill()

    @property
    def text(self) -> str:
        return " ".join(self.spoken)

    @property
    def heard_by(self) -> tuple[str, ...]:
        """Who heard the line beside the NPC that spoke it."""
        return self.audience[1:]

    async def send(self, text: str, now_s: float, *, ai_generated: bool, filler: bool = False) -> None:
        """Send a chunk, and note when the first one went out."""
        chunk = Spoken(
            dialogue=self.dialogue.id,
            npc=self.scene.npc.id,
            text=text,
            index=self.sent,
            ai_generated=ai_generated,
            filler=filler,
        )
        if not self.sent:
            self.ms_first_token = (now_s - self.started_s) * 1000.0
        self.sent += 1
        await self.call.send(chunk)

    @property
    def cache(self) -> Literal["off", "miss", "hit"]:
        """Whether what was spoken comes from the response cache."""
        trace = self.completion.trace
        return trace.cache if trace is not None and self.by_model else "off"

    @property
    def tokens(self) -> Tokens:
        usage = self.usage
        return Tokens(input=usage.tokens_in, output=usage.tokens_out, cached_input=usage.cached_tokens_in)

    @property
    def tokens_billed(self) -> int:
        """What is on the bill, in and out, whatever became of the line."""
        return sum(spent.usage.tokens_in + spent.usage.tokens_out for spent in self.bill.items)

    @property
    def cost_usd(self) -> float:
        return self.usage.cost_nano_usd / 1e9
