"""Random quests in damaged worlds, judged by us and by Fast Downward: does each know what cannot be done?

We compile what matters to a quest and search that; the other planner is given the whole world. So it checks what we
leave out as well as how we search.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from app.core.errors import Conflict
from app.modules.quests.generation.generator import Library, Wish, generate
from app.modules.quests.messages import Draft, DraftStep
from app.modules.quests.planning.facts import View, compiled, focus, foes, hero_of
from app.modules.quests.planning.grounding import Problem
from app.modules.quests.planning.planner import Plan, solve
from app.modules.quests.settings import Settings
from app.modules.quests.verification.verify import examine
from benchmarks.questing.villages import damaged, village
from tests.modules.quests.planners import fast_downward

LIMITS = Settings()


@dataclass(frozen=True, slots=True)
class Judged:
    """One quest in one world: what we say and what the other planner says (None where neither plan nor proof)."""

    seed: int
    ours: str
    theirs: bool | None

    @property
    def agreed(self) -> bool:
        return self.theirs is not None and self.ours == ("solvable" if self.theirs else "unsolvable")


def judged(library: Library, seed: int) -> Judged:
    """A random quest in the damaged world of that seed."""
    view = View(damaged(seed).state, LIMITS)
    draft = (drafted if seed % 3 == 0 else generated)(library, view, seed)
    verdict = examine(library, view, draft).verdict
    unplanned = verdict.verdict == "rejected" and verdict.check in ("V0", "V1", "V2")
    ours = "unknown" if verdict.verdict == "unknown" else "unsolvable" if unplanned else "solvable"
    return Judged(seed, ours, fast_downward(whole(library, view, draft)).solvable)


def drafted(library: Library, view: View, seed: int) -> Draft:
    """One to three steps of any actions, about anything there is; each may wait for the one before."""
    chance = random.Random(f"draft {seed}")
    giver = chance.choice(sorted(view.npcs))
    steps: list[DraftStep] = []
    actions = sorted(library.vocabulary.schemas.keys() - {"craft", "train"})
    for number in range(chance.randint(1, 3)):
        schema = library.vocabulary.schemas[chance.choice(actions)]
        fields = {field: _anything(view, type, chance) for field, type in schema.takes.items()}
        if "topic" in fields and "target" in fields and chance.random() < 0.7:
            fields["topic"] = f"news {fields['target']}"
        if all(fields.values()):
            after = (steps[-1].id,) if steps and chance.random() < 0.5 else ()
            steps.append(DraftStep(id=f"s{number}", action=schema.name, after=after, **fields))
    look = DraftStep(id="look", action="explore", location=chance.choice(sorted(view.locations)))
    return Draft(title="Whatever comes", giver=giver, player="hero", steps=tuple(steps) or (look,))


def generated(library: Library, view: View, seed: int) -> Draft:
    """What a generated quest of the same world, before anything happened to it, asks for; else anything."""
    sound = View(village("tiny", seed).state, LIMITS)
    givers = [id for id, npc in sound.npcs.items() if sound.person(npc) and not sound.hostile(npc, None)]
    if not givers:
        return drafted(library, view, seed)
    try:
        quest = generate(library, sound, Wish(giver=givers[seed % len(givers)], player="hero", seed=seed, level=0))
    except Conflict:
        return drafted(library, view, seed)
    steps: list[DraftStep] = []
    for name, *args in quest.certificate.plan:
        if name not in ("goto", "craft"):
            fields = dict(zip(library.vocabulary.schemas[name].takes, args, strict=False))
            after = (steps[-1].id,) if steps else ()
            steps.append(DraftStep(id=f"s{len(steps)}", action=name, after=after, **fields))
    if not steps:
        return drafted(library, view, seed)
    return Draft(title="As told before", giver=quest.giver, player="hero", steps=tuple(steps))


def _anything(view: View, type: str, chance: random.Random) -> str:
    tables = {"npc": view.npcs, "item": view.items, "location": view.locations}
    if type in tables:
        return chance.choice(sorted(tables[type]) or [""])
    topics = [*view.tellers, *(f"news {id}" for id in view.npcs), *(f"seen {id}" for id in view.locations)]
    return chance.choice(sorted(topics)) if type == "topic" else "archery"


def whole(library: Library, view: View, draft: Draft) -> Problem:
    """The draft's problem about everything in the world."""
    vocabulary = library.vocabulary
    hero = hero_of(view, draft.player, draft.giver, draft.level)
    escorts = any(step.action == "escort" for step in draft.steps)
    steps = [
        vocabulary.schemas[step.action].bound(
            {field: getattr(step, field) for field in vocabulary.schemas[step.action].takes},
            pre=[("step", id) for id in step.after],
            add=[("step", step.id)],
        )
        for step in draft.steps
    ]
    return compiled(
        view,
        hero,
        about=focus(view, hero, (*view.npcs, *view.items, *view.locations, *view.tellers)),
        schemas=(*vocabulary.without(() if escorts else ("escort",)), *steps),
        goals=tuple(("step", step.id) for step in draft.steps),
        given=foes(view, (step.target for step in draft.steps if step.action in ("kill", "capture")), hero.level),
    )


def timed(library: Library, count: int) -> Iterator[tuple[float, float]]:
    """Seconds that each planner takes for the same problem about a whole small world; ours grounds and searches too."""
    seed = found = 0
    while found < count:
        view = View(village("small", seed).state, LIMITS)
        problem = whole(library, view, drafted(library, view, seed))
        seed += 1
        began = time.perf_counter()
        outcome = solve(problem, states_max=LIMITS.states_max, operators_max=10 * LIMITS.operators_max)
        ours = time.perf_counter() - began
        if isinstance(outcome, Plan) and len(outcome.operators) > 1:
            found += 1
            yield ours, fast_downward(problem).seconds
