"""Runs recorded ticks through the brains again and compares what they decide, bit for bit.

Each row is asked of the rung that answered it, since which rung that was may have depended on time. It knows brains
and records; where either comes from is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.clock import Clock, Deadline
from app.core.errors import Unavailable
from app.modules.behavior import logic
from app.modules.behavior.asking import Question
from app.modules.behavior.brains import Answer, Brains
from app.modules.behavior.goals.brain import Goals
from app.modules.behavior.leads import LED
from app.modules.behavior.logic import Choice, Taste
from app.modules.behavior.memory import Memory
from app.modules.behavior.programs import Programs
from app.modules.behavior.recorder import context_of
from app.modules.behavior.recordings import Context, Played, Rewarded
from app.modules.behavior.schema import F32, NONE
from app.modules.behavior.trees.memory import Outcome

PATIENCE_MS = 60_000.0
"""For one tick; nothing waits for a replay."""
COMPARED = {
    "model": "another model: {was!r} was recorded, {now!r} is loaded",
    "provider": "another provider: {was!r} was recorded, {now!r} runs",
    "runtime": "another runtime: {was!r} was recorded, {now!r} runs",
    "passes": "other passes: {was!r} was recorded, {now!r} runs; a power in a curve may differ in the last places",
    "rungs": "another ladder: {was!r} was recorded, {now!r} is built",
}
"""What may make decisions differ, and how to say so."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One NPC that decided otherwise, or whose decision could not be repeated (then `now` is empty)."""

    world: str
    tick: int
    npc: int
    """The NPC's handle."""
    rung: str
    was: str
    now: str


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay found; `why` lists what has changed since the recording, most likely cause first."""

    ticks: int
    rows: int
    differing_ticks: int
    differing_rows: int
    unrepeated_rows: int
    rungs: dict[str, int]
    """Rung -> rows that it had answered."""
    differences: tuple[Difference, ...]
    why: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether every decision was repeated bit for bit."""
        return not self.differing_rows and not self.unrepeated_rows


@dataclass(slots=True)
class _Count:
    ticks: int = 0
    rows: int = 0
    differing_ticks: int = 0
    differing_rows: int = 0
    unrepeated_rows: int = 0
    rungs: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    why: dict[str, None] = field(default_factory=dict)


async def replay(
    records: Iterable[Played | Rewarded], brains_of: Callable[[Context], Brains | None], *, clock: Clock,
    differences_max: int = 20, tell: Callable[[int], None] | None = None,
    programs_of: Callable[[Context], Programs | None] = lambda context: None,
) -> Replayed:  # fmt: skip
    """Ask every recorded tick again.

    `brains_of` and `programs_of` give the brains for a schema as it was recorded, None where there are none. `tell`
    hears of the ticks done. At most `differences_max` differences are listed, all are counted.
    """
    count = _Count()
    known: dict[Context, tuple[Brains | None, F32]] = {}
    for record in records:
        if not isinstance(record, Played):
            continue
        context = record.context
        if context not in known:
            brains = brains_of(context)
            known[context] = (brains, logic.taste_table(len(context.intents), context.taste_share))
            count.why.update(dict.fromkeys(changed(context, brains)))
        await _again(record, *known[context], programs_of(context), count, clock, differences_max)
        if tell is not None:
            tell(count.ticks)
    return Replayed(
        ticks=count.ticks, rows=count.rows, differing_ticks=count.differing_ticks,
        differing_rows=count.differing_rows, unrepeated_rows=count.unrepeated_rows, rungs=count.rungs,
        differences=tuple(count.differences), why=tuple(count.why),
    )  # fmt: skip


def changed(context: Context, brains: Brains | None) -> list[str]:
    """In words, what is otherwise than when it was recorded."""
    if brains is None:
        return [f"no schema {context.schema!r} with fingerprint {context.fingerprint!r} is here"]
    rungs = (*LED, *brains.names) if context.programs else brains.names
    now = context_of(brains, context.taste_share, rungs)
    pairs = {name: (getattr(context, name), getattr(now, name)) for name in COMPARED}
    return [COMPARED[name].format(was=was, now=has) for name, (was, has) in pairs.items() if was != has]


async def _again(
    played: Played, brains: Brains | None, tastes: F32, programs: Programs | None, count: _Count, clock: Clock,
    differences_max: int,
) -> None:  # fmt: skip
    count.ticks += 1
    count.rows += len(played.handles)
    differing = unrepeated = 0
    for number in np.unique(played.arrays["rung_of"]).tolist():
        rung = played.context.rungs[number]
        rows = np.flatnonzero(played.arrays["rung_of"] == number)
        count.rungs[rung] = count.rungs.get(rung, 0) + len(rows)
        if rung in LED:
            answer = await _led(played, rows, programs)
        else:
            answer = await _answer(played, rows, brains, rung, tastes, clock)
        if answer is None or brains is None:
            unrepeated += len(rows)
            _note(count, played, rows, rung, None, differences_max)
            continue
        names = answer.rungs or brains.names
        wrong = np.flatnonzero(differs(played, rows, answer, names))
        differing += len(wrong)
        now = {int(rows[at]): describe(answer, int(at), played.context, names) for at in wrong[:differences_max]}
        _note(count, played, rows[wrong], rung, now, differences_max)
    count.differing_rows += differing
    count.unrepeated_rows += unrepeated
    count.differing_ticks += bool(differing or unrepeated)


async def _answer(
    played: Played, rows: NDArray[np.intp], brains: Brains | None, rung: str, tastes: F32, clock: Clock
) -> Answer | None:
    """What the same rung decides now, or None when it is not there or does not answer."""
    if brains is None or rung not in brains.names:
        return None
    taste = Taste(tastes, played.head.seed, played.handles[rows])
    bonus = None if played.bonus is None else played.bonus[rows]
    memory: Memory | None = None
    if played.remembered is not None:
        memory = Memory(npcs_max=int(played.handles.max()) + 1)
        memory.known = int(played.handles.max()) + 1
        memory.keep(played.handles[rows], played.remembered[rows])
    question = Question(played.obs[rows], played.mask[rows], taste, bonus=bonus, memory=memory)
    try:
        return await brains.answer_as(rung, question, Deadline.after_ms(PATIENCE_MS, clock))
    except Unavailable:
        return None


async def _led(played: Played, rows: NDArray[np.intp], programs: Programs | None) -> Answer | None:
    """What the same authored brains decide now with what they remembered then; None where one is not as it was."""
    which = played.program
    if programs is None or which is None:
        return None
    choice = Choice.room(len(rows), len(played.context.intents), played.context.slots)
    choice.confidence[:] = 1.0
    rung_of = np.zeros(len(rows), np.uint8)
    for number in np.unique(which[rows]).tolist():
        name, _, digest = played.context.programs[number].partition("@")
        program = await programs.load(name) if name in programs.names else None
        if program is None or program.digest.hex() != digest:
            return None
        mine = np.flatnonzero(which[rows] == number)
        handles = np.ascontiguousarray(played.handles[rows[mine]])
        memory, out = program.memory(int(handles.max()) + 1), Outcome.of(len(mine))
        memory.put(handles, played.memory[rows[mine]])
        obs, mask, head = played.obs[rows[mine]], played.mask[rows[mine]], played.head
        program.tick(obs, mask, handles, memory, head.seed, head.tick, head.dt_s, out, 0, len(mine))
        choice.intents[mine], choice.targets[mine] = out.intents, out.targets
        rung_of[mine] = LED.index("goals" if isinstance(program, Goals) else "tree")
    return Answer(played.obs[rows], choice, rung_of, LED[0], rungs=LED)


def differs(played: Played, rows: NDArray[np.intp], answer: Answer, names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which of the rows (n,) came out otherwise: intent, target, rung, or the confidence in any bit."""
    arrays, choice = played.arrays, answer.choice
    recorded = np.array([names.index(name) if name in names else NONE for name in played.context.rungs], np.uint8)
    found: NDArray[np.bool_] = (
        (arrays["intents"][rows] != choice.intents)
        | (arrays["targets"][rows] != choice.targets)
        | (arrays["confidence"][rows].view(np.uint32) != choice.confidence.view(np.uint32))
        | (recorded[arrays["rung_of"][rows]] != answer.rung_of)
    )
    return found


def describe(answer: Answer, row: int, context: Context, names: tuple[str, ...]) -> str:
    """A decision in words."""
    choice = answer.choice
    return _words(
        context, int(choice.intents[row]), int(choice.targets[row]), float(choice.confidence[row]),
        names[int(answer.rung_of[row])],
    )  # fmt: skip


def _words(context: Context, intent: int, target: int, confidence: float, rung: str) -> str:
    wanted = "nothing" if intent == NONE else context.intents[intent]
    aim = "" if target == NONE else f" slot {target}"
    return f"{wanted}{aim} ({confidence:.9g}, {rung})"


def _note(
    count: _Count, played: Played, rows: NDArray[np.intp], rung: str, now: Mapping[int, str] | None, most: int
) -> None:
    """List the first differences; `now` is None where nothing could be decided."""
    for row in rows[: max(0, most - len(count.differences))].tolist():
        arrays = played.arrays
        was = _words(
            played.context, int(arrays["intents"][row]), int(arrays["targets"][row]),
            float(arrays["confidence"][row]), rung,
        )  # fmt: skip
        count.differences.append(
            Difference(
                world=played.segment.world, tick=played.head.tick, npc=int(played.handles[row]), rung=rung, was=was,
                now="" if now is None else now[row],
            )
        )  # fmt: skip
