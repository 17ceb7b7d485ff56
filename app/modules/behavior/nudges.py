"""What authors, schedules and squads lay over a tick before and after a brain decides, for one schema.

It gathers from a world's roster and calls the passes of `steering`, `schedules` and `squads`; it knows no brain.
Where nothing of the kind is in force `at` gives None, and a tick costs what it did.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.modules.behavior import schedules, squads, steering
from app.modules.behavior.roster import Roster, Rosters
from app.modules.behavior.schedules import I16, Timetable
from app.modules.behavior.schema import F32, U8, Schema
from app.modules.behavior.settings import Settings
from app.modules.behavior.steering import Effect, Steering
from app.world.state import World


class Slow:
    """The passes in numpy, ready at once; `nudge_kernels` is the other way, with the same bits."""

    def steer(self, rules: Steering, obs: F32, mask: U8, bonus: F32, laid: U8) -> None:
        rules.lay(obs, mask, bonus, laid, 0, len(obs))

    def ask(
        self, table: Timetable, obs: F32, which: I16, handles: NDArray[np.uint32], day: int, told: I16
    ) -> None:  # fmt: skip
        table.ask(obs, which, handles, day, told, 0, len(obs))

    def gather(
        self, targets: U8, intents: U8, attack: int, candidates: NDArray[np.uint32], may: U8, threat: F32,
        squad: NDArray[np.int32], focus: NDArray[np.uint32], chosen: NDArray[np.uint32],
    ) -> None:  # fmt: skip
        squads.gather(targets, intents, attack, candidates, may, threat, squad, focus, chosen)


class Fast(Slow):
    """The passes as kernels. Making one imports numba, so only a worker thread does."""

    def __init__(self) -> None:
        from app.modules.behavior import nudge_kernels

        self._kernels = nudge_kernels

    def steer(self, rules: Steering, obs: F32, mask: U8, bonus: F32, laid: U8) -> None:
        curves = rules.curves
        cast = np.array([bool(rule.roles) for rule in rules.rules], np.uint8)
        self._kernels.steer(
            obs, mask, curves.columns, curves.start, curves.slope, curves.power, rules.heads, rules.bonuses,
            rules.roles, cast, rules.schema.role_columns, bonus, laid, 0, len(obs),
        )  # fmt: skip

    def ask(
        self, table: Timetable, obs: F32, which: I16, handles: NDArray[np.uint32], day: int, told: I16
    ) -> None:  # fmt: skip
        curves, block = table.curves, table.schema.block("told")
        self._kernels.ask(
            obs, which, handles, day, curves.columns, curves.start, curves.slope, curves.power, table.blocks,
            table.heads, table.spans, table.jitter, *table.clock, block.start, block.stop, told, 0, len(obs),
        )  # fmt: skip

    def gather(
        self, targets: U8, intents: U8, attack: int, candidates: NDArray[np.uint32], may: U8, threat: F32,
        squad: NDArray[np.int32], focus: NDArray[np.uint32], chosen: NDArray[np.uint32],
    ) -> None:  # fmt: skip
        self._kernels.gather(targets, intents, attack, candidates, may, threat, squad, focus, chosen)


@dataclass(frozen=True, slots=True)
class Nudged:
    """A tick with everything laid over it; `bonus` (n, intents) in utilities, None where nobody is nudged."""

    obs: F32
    mask: U8
    bonus: F32 | None


@dataclass(frozen=True, slots=True)
class Nudge:
    """What holds in a world at this moment: arrays by handle, for any thread."""

    schema: Schema
    passes: Slow
    told: I16
    """(handles,) intent of the schema, -1 none"""
    schedule: I16
    shaken: U8
    day: int
    table: Timetable | None
    rules: Steering | None
    rout: float
    flee: int

    def lay(self, handles: NDArray[np.uint32], obs: F32, mask: U8) -> Nudged:
        """The rows with directives and hours in their told_ columns, steering and broken spirits in mask and bonus."""
        rows = np.where(handles < len(self.told), handles, 0)
        known = handles < len(self.told)
        told = np.where(known, self.told[rows], np.int16(-1)).astype(np.int16)
        if self.table is not None:
            which = np.where(known, self.schedule[rows], np.int16(-1)).astype(np.int16)
            self.passes.ask(self.table, obs, which, handles, self.day, told)
        obs = self._tell(obs, told)
        bonus: F32 | None = None
        if self.rules is not None:
            bonus, laid = np.zeros(mask.shape, np.float32), np.empty_like(mask)
            self.passes.steer(self.rules, obs, mask, bonus, laid)
            mask = laid
        if self.rout and self.flee >= 0:
            broken = known & (self.shaken[rows] != 0)
            if broken.any():
                bonus = np.zeros(mask.shape, np.float32) if bonus is None else bonus
                bonus[broken, self.flee] += np.float32(self.rout)
        return Nudged(obs, mask, bonus)

    def _tell(self, obs: F32, told: I16) -> F32:
        """`obs` with `told` in its told_ columns; copied only when one applies."""
        rows = np.flatnonzero(told >= 0)
        if not len(rows):
            return obs
        block = self.schema.block("told")
        laid = obs.copy()
        laid[rows, block] = 0.0
        laid[rows, block.start + told[rows]] = 1.0
        return laid


class Nudges:
    """What can be laid over the ticks of one schema, for every world."""

    def __init__(self, schema: Schema, settings: Settings) -> None:
        """Read the files that the profile names; raises Invalid naming the file and what is wrong in it."""
        self.schema = schema
        self.files = steering.load(settings.steering, schema, settings.content_folder)
        self.table = schedules.load(schema, settings.content_folder, settings.schedules)
        self.passes = Slow()
        names = self.table.names if self.table is not None else ()
        owners = self.table.owners if self.table is not None else {}
        self.rosters = Rosters(
            {name: at for at, name in enumerate(names)}, owners, worlds_max=settings.recent_worlds_max
        )  # fmt: skip
        self._rout, self._day_s = settings.rout_bonus_share, settings.day_s
        self._flee = schema.intent_index.get("flee", -1)
        self._attack = schema.intent_index.get("attack", -1)

    def warm(self) -> None:
        """Load the kernels or compile them; for a worker thread."""
        self.passes = Fast()

    def at(self, world: World) -> Nudge | None:
        """What holds in the world now, None when nothing does; for the event loop."""
        roster = self.rosters.of(world)
        rules = self.rules(roster)
        if rules is None and not (roster.tells or roster.schedules or roster.breaks):
            return None
        game_s = world.state.game_s
        numbers = [self.schema.intent_index.get(intent, -1) for intent in roster.intents]
        own = np.array([*numbers, -1], np.int16)  # the last one is for nobody told
        return Nudge(
            schema=self.schema,
            passes=self.passes,
            told=np.where(roster.until_s > game_s, own[roster.told], np.int16(-1)).astype(np.int16),
            schedule=roster.schedule,
            shaken=roster.shaken,
            day=int(game_s // self._day_s) % schedules.DAYS,
            table=self.table if roster.schedules else None,
            rules=rules,
            rout=self._rout if roster.breaks else 0.0,
            flee=self._flee,
        )

    def rules(self, roster: Roster) -> Steering | None:
        """The rules of files and of the world, laid out; None where there are none."""
        if roster.stale:
            all_rules = [*self.files, *roster.steering.values()]
            compiled = steering.compile_steering(all_rules, self.schema) if all_rules else None
            roster.rules = compiled if compiled is not None and compiled.rules else None
            roster.stale = False
        return roster.rules

    def effects(self, world: World, row: F32) -> tuple[Effect, ...]:
        """What steering does to one row (features,), by the rules as they are now."""
        rules = self.rules(self.rosters.of(world))
        return rules.effects(row) if rules is not None else ()

    def gather(
        self, world: World, handles: NDArray[np.uint32], intents: U8, targets: U8, candidates: NDArray[np.uint32],
        may: U8, threat: F32,
    ) -> None:  # fmt: skip
        """Turn the attackers of each squad to one foe, in place; see squads.gather. For the event loop."""
        roster = self.rosters.of(world)
        if not roster.world.state.squads or self._attack < 0:
            return
        known = handles < len(roster.squad)
        squad = np.where(known, roster.squad[np.where(known, handles, 0)], np.int32(-1)).astype(np.int32)
        chosen = np.empty(len(roster.focus), np.uint32)
        self.passes.gather(targets, intents, self._attack, candidates, may, threat, squad, roster.focus, chosen)
