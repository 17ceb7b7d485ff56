"""Another planner, asked the same question: Fast Downward through the unified-planning library, over our PDDL."""

from __future__ import annotations

import time
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from app.modules.quests.planning.grounding import Problem
from app.modules.quests.planning.pddl import exported


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether the other planner found a plan, proved that there is none, or neither (None); and its seconds."""

    solvable: bool | None
    seconds: float
    steps: int = 0


def fast_downward(problem: Problem) -> Answer:
    """Read our PDDL with another parser, and search with another search."""
    import unified_planning.environment
    from unified_planning.engines import PlanGenerationResultStatus as Status
    from unified_planning.io import PDDLReader
    from unified_planning.shortcuts import OneshotPlanner

    unified_planning.environment.get_environment().credits_stream = None
    said = exported(problem)
    with TemporaryDirectory() as folder:
        domain, asked = Path(folder, "domain.pddl"), Path(folder, "problem.pddl")
        domain.write_text(said.domain)
        asked.write_text(said.problem)
        read = PDDLReader().parse_problem(str(domain), str(asked))
        read.clear_quality_metrics()  # whether there is a plan, not the cheapest one
        # The planner keeps files where it is started; two at once in one folder would read each other's.
        with chdir(folder), OneshotPlanner(name="fast-downward") as planner:
            began = time.perf_counter()
            found = planner.solve(read)
            seconds = time.perf_counter() - began
    if found.status in (Status.SOLVED_SATISFICING, Status.SOLVED_OPTIMALLY):
        return Answer(True, seconds, len(found.plan.actions))
    proved = found.status in (Status.UNSOLVABLE_PROVEN, Status.UNSOLVABLE_INCOMPLETELY)
    return Answer(False if proved else None, seconds)
