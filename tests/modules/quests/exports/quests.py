"""A quest as the server tells it, with branches and a full certificate, for pictures and drafts."""

from __future__ import annotations

import hashlib

from app.modules.quests.quest import (
    Branch,
    BranchProof,
    Certificate,
    Failure,
    Goal,
    Knockout,
    Quest,
    Reward,
    Step,
)
from app.world.events import Happened


def _step(id: str, action: str, text: str, *deed: str, goal: bool = False, done: bool = False, **event: str) -> Step:
    happened = Happened(**{"actor": "ada", **event})  # type: ignore[arg-type]  # a verb of the closed list
    return Step(id=id, action=action, text=text, event=happened, deed=deed, goal=goal, done=done)


ASK = _step(
    "s1", "learn", "Ask Mara where the ring fell.", "learned", "ring lost_at", done=True,
    verb="learned", target="mara", topic="ring lost_at",
)  # fmt: skip
WEIR = _step("s2", "goto", "Go down to the weir.", "visited", "weir", verb="moved", location="weir")
BUY = _step(
    "s3", "trade", "Buy the ring from the fence.", "bought", "ring", verb="traded", actor="fence", target="ada",
    item="ring",
)  # fmt: skip
GIVE = _step(
    "s4", "give", "Bring the ring to Brom.", "delivered", "ring", "brom", goal=True, verb="gave", target="brom",
    item="ring",
)  # fmt: skip
SPY = _step("s3", "spy", "Listen at the fence's door.", "spied", "fence sleeps", verb="learned", location="weir",
            topic="fence sleeps")  # fmt: skip
STEAL = _step(
    "s4", "steal", "Take the ring while he sleeps.", "stolen", "ring", verb="stole", target="fence", item="ring"
)
GIVE_TOO = _step(
    "s5", "give", "Bring the ring to Brom.", "delivered", "ring", "brom", goal=True, verb="gave", target="brom",
    item="ring",
)  # fmt: skip
SLAY = _step("s3", "kill", "Defeat the bandit at the weir.", "slain", "bandit", verb="killed", target="bandit")
LOOT = _step(
    "s4", "loot", "Search the bandit for the ring.", "looted", "ring", "bandit", verb="took", target="bandit",
    item="ring",
)  # fmt: skip
DELIVER = Goal(deed=("delivered", "ring", "brom"), text="Bring the ring to Brom.")
PLAN = (
    ("learn", "mara", "ring lost_at", "inn"), ("goto", "weir", "inn"), ("trade", "ring", "fence", "weir"),
    ("give", "ring", "brom", "weir"),
)  # fmt: skip
OATH = Quest(
    id="q7",
    state="active",
    giver="brom",
    player="ada",
    title="The smith's ring",
    description="Brom lost his mother's ring at the weir, and somebody found it. He would have it back before the"
    " market, and does not ask how.",
    motive="comfort",
    strategy="recover",
    level=3,
    roles={"giver": "brom", "witness": "mara", "holder": "fence", "prize": "ring"},
    goals=(DELIVER,),
    steps=(ASK, WEIR, BUY, GIVE),
    reward=Reward(experience=120, coins=30, effort=9.5, items=("hammer",)),
    certificate=Certificate(
        domain_version=2,
        checks=("V0", "V1", "V2", "V3", "V4", "V5", "V6", "V7"),
        world_seq=1_204,
        seed=77,
        plan=PLAN,
        plan_sha256=hashlib.sha256(b"the smith's ring").hexdigest(),
        assumptions=("the player can pay for ring",),
        rung="strategy",
        branches=(
            BranchProof(
                branch="theft",
                plan=(*PLAN[:2], ("spy", "fence", "fence sleeps", "weir"), ("steal", "ring", "fence", "weir"), PLAN[3]),
                plan_sha256="",
            ),
            BranchProof(
                branch="blood",
                plan=(*PLAN[:2], ("kill", "bandit", "weir", "slain bandit"), ("loot", "ring", "bandit", "weir")),
                plan_sha256="",
            ),
        ),
        failures=(
            Failure(fact=("alive", "brom"), cause="world", text="Nobody is left to bring it to."),
            Failure(fact=("has", "ring"), cause="player", text="Once sold, it is gone for good."),
        ),
        knockouts=(
            Knockout(entity="brom", harm="death", outcome="fails"),
            Knockout(entity="ring", harm="loss", outcome="fails"),
            Knockout(entity="fence", harm="death", outcome="branched"),
            Knockout(entity="bandit", harm="death", outcome="unharmed"),
            Knockout(entity="mara", harm="death", outcome="recast"),
            Knockout(entity="weir", harm="closing", outcome="replanned"),
        ),
        fragility=2 / 6,
        players_max=4,
    ),
    branches=(
        Branch(
            id="theft", text="Without paying", forbid=("kill", "trade"), goals=(DELIVER,),
            steps=(ASK, WEIR, SPY, STEAL, GIVE_TOO), effort=12.0,
        ),
        Branch(
            id="blood", text="By the sword", goals=(DELIVER,), steps=(ASK, WEIR, SLAY, LOOT, GIVE_TOO), effort=14.0,
        ),
    ),
    requires=("q6",),
)  # fmt: skip
