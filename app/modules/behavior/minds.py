"""Everything that belongs to one schema, together: its brains, tastes, nudges, slots and parameters.

It opens a mind for each schema that is shipped or that a studio wrote; it knows no messages and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Clock
from app.core.errors import NotFound
from app.core.ladder import Watcher
from app.core.ports import Network
from app.modules.behavior import candidates, considerations, logic, schema_files
from app.modules.behavior.brains import Brains, in_spans
from app.modules.behavior.candidates import FAST_ROWS_MAX, SLOW_ROWS_MAX, Seats
from app.modules.behavior.considerations import Rules
from app.modules.behavior.frames import UNKNOWN, Tick
from app.modules.behavior.leads import Leads
from app.modules.behavior.messages import DEFAULT
from app.modules.behavior.nudges import Nudges
from app.modules.behavior.parameters import Parameters
from app.modules.behavior.programs import Programs
from app.modules.behavior.recent import Kept
from app.modules.behavior.schema import F32, NONE, U8, Schema
from app.modules.behavior.settings import Settings
from app.world.state import World


@dataclass(frozen=True, slots=True)
class Seated:
    """Who is in which slot."""

    picks: U8
    """(n, slots) the candidate in each slot, NONE where it is empty"""
    handles: NDArray[np.uint32] | None
    """(n, slots) and its handle, UNKNOWN where it is empty"""

    def targets(self, slots: U8) -> U8:
        """The candidates in these slots (n,), NONE for no slot."""
        aimed = slots != NONE
        rows = np.arange(len(slots))
        return np.where(aimed, self.picks[rows, np.where(aimed, slots, 0)], np.uint8(NONE))


class Mind:
    """One schema's brains and what they need around them."""

    def __init__(self, schema: Schema, brains: Brains, settings: Settings) -> None:
        self.schema, self.brains = schema, brains
        intents, share = len(schema.intents), settings.taste_share
        self.tastes = logic.taste_table(intents, share) if share > 0.0 else np.zeros((1, intents), np.float32)
        self.nudges = Nudges(schema, settings)
        self.programs = Programs(schema, settings.content_folder, settings.trees)
        here = {role: brain for role, brain in settings.leads.items() if role in schema.roles}
        self.leads = Leads(self.programs, here, worlds_max=settings.recent_worlds_max)
        self.parameters = Parameters(schema)
        self._seats = Seats.of(schema)
        self._fill, self._loop_rows_max = candidates.fill, SLOW_ROWS_MAX

    def warm(self) -> None:
        """Load what is compiled; for a worker thread."""
        from app.modules.behavior import candidate_kernels

        self.brains.warm()
        self.nudges.warm()
        self.programs.warm()
        self._fill, self._loop_rows_max = candidate_kernels.fill, FAST_ROWS_MAX

    async def lay(self, tick: Tick) -> tuple[Tick, Seated | None]:
        """The tick with its archetypes and candidates written into a copy of the observations; adds to its faults."""
        if tick.archetypes is None and tick.candidates is None:
            return tick, None
        obs, rows = np.empty_like(tick.obs), len(tick.obs)
        picks, broken = np.empty((rows, self.schema.slots), np.uint8), np.full(rows, NONE, np.uint8)

        def work(first: int, last: int) -> int:
            obs[first:last] = tick.obs[first:last]
            if tick.archetypes is not None:
                self.say_roles(obs[first:last], tick.archetypes[first:last])
            if tick.candidates is not None:
                self._fill(self._seats, tick.candidates, obs, picks, broken, first, last)
            return 0

        await in_spans(rows, self._loop_rows_max, work)
        laid = replace(tick, obs=obs)
        return laid, self._seated(tick, picks, broken) if tick.candidates is not None else None

    def say_roles(self, obs: F32, archetypes: U8) -> None:
        """Write the role columns of `obs` (n, features) in place; NONE leaves them all 0."""
        obs[:, self.schema.role_columns] = 0.0
        known = np.flatnonzero(archetypes != NONE)
        obs[known, self.schema.role_columns[archetypes[known]]] = 1.0

    def gather(self, world: World, kept: Kept, seated: Seated) -> Kept:
        """The tick with the attackers of each squad turned to one foe, where it is known who is in which slot."""
        attack = self.schema.intent_index.get("attack")
        if seated.handles is None or attack is None or not world.state.squads:
            return kept
        may = (kept.obs[:, self.schema.slot_columns] > 0.0) & (self.schema.aims[attack] != 0)
        threat = np.zeros(may.shape, np.float32)
        if "threat" in self.schema.slot_features:
            threat[:] = kept.obs[:, self.schema.slot_table[:, self.schema.slot_features.index("threat")]]
        intents, targets = kept.choice.intents, kept.choice.targets.copy()
        self.nudges.gather(world, kept.handles, intents, targets, seated.handles, may.astype(np.uint8), threat)
        return replace(kept, choice=replace(kept.choice, targets=targets))

    def _seated(self, tick: Tick, picks: U8, broken: U8) -> Seated:
        if (broken != NONE).any():
            tick.faults.mark(broken != NONE, "broken_candidate")
        if tick.candidate_handles is None:
            return Seated(picks, None)
        some = picks != NONE
        found = np.take_along_axis(tick.candidate_handles, np.where(some, picks, 0).astype(np.intp), axis=1)
        return Seated(picks, np.where(some, found, np.uint32(UNKNOWN)))


def open_minds(
    *, settings: Settings, clock: Clock, watcher: Watcher, policy: Network | None, rungs: Sequence[str]
) -> Mapping[str, Mind]:
    """A mind for each schema; the policy goes to those that it was trained for, else the default's, which drops it.

    Raises Invalid for a file of the studio's that is not sound.
    """
    content = Path(settings.content_folder) if settings.content_folder else None
    schemas = [schema_files.load(name, content) for name in schema_files.names(content)]
    trained_for = policy.metadata.get("fingerprint", "") if policy is not None else ""
    fitting = {schema.name for schema in schemas if schema.fingerprint == trained_for} or {DEFAULT}
    minds = {}
    for schema in schemas:
        rules = _rules(schema, content)
        brains = Brains(
            schema, rules or considerations.none(schema), policy=policy if schema.name in fitting else None,
            rungs=[rung for rung in rungs if rung != "utility" or rules is not None], settings=settings, clock=clock,
            watcher=watcher,
        )  # fmt: skip
        minds[schema.name] = Mind(schema, brains, settings)
    return minds


def _rules(schema: Schema, content: Path | None) -> Rules | None:
    try:
        return considerations.load(schema.name, schema, content)
    except NotFound:
        return None
