"""Answers behavior.feedback: checks who is rewarded with what, and waits until it is recorded for good.

It learns nothing and joins nothing; that is done from the files, see `app/learning/`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Clock
from app.core.errors import Conflict, Invalid, TooLarge
from app.core.messages import digest
from app.core.module import Call
from app.modules.behavior import recordings
from app.modules.behavior.frames import UNKNOWN
from app.modules.behavior.messages import Feedback, FeedbackRecorded, RewardError
from app.modules.behavior.recorder import Recorder
from app.modules.behavior.schema import F32
from app.modules.behavior.scribe import Reward
from app.modules.behavior.settings import Recording
from app.world.state import World, Worlds

MENDS = {
    "unknown_npc": "no NPC {npc!r} in this world; upsert it first",
    "not_finite": "the reward is {reward!r}; send a finite number",
    "out_of_range": "the reward is {reward!r}; send at most {size_max!r} either way",
}


class Feedbacks:
    """The handler; `recorder` is None while nothing is recorded."""

    def __init__(self, *, settings: Recording, worlds: Worlds, recorder: Recorder | None, clock: Clock) -> None:
        self._settings, self._worlds, self._recorder, self._clock = settings, worlds, recorder, clock

    async def feedback(self, call: Call, request: Feedback) -> FeedbackRecorded:
        """Record rewards; the reply means that they are on the disk. A bad row is an error of that row.

        Raises Conflict while nothing is recorded or for a key of another request, Invalid and TooLarge for parts
        that do not fit, NotFound for the world, Overloaded, StoreDown.
        """
        world = self._worlds.get(call.tenant, call.world)
        if self._recorder is None:
            raise Conflict("this server records no play", hint="set modules.behavior.recording.enabled to true")
        handles, reward = _who(request, world), _rewards(request)
        if len(handles) > self._settings.rewards_max:
            raise TooLarge(f"{len(handles)} rewards at once, at most {self._settings.rewards_max}", hint="send parts")
        if len(handles) != len(reward):
            raise Invalid(f"{len(reward)} rewards for {len(handles)} NPCs", hint="send one for each NPC")
        fine, errors = self._check(request, handles, reward, known=len(world.state.handles))
        if fine.any():
            head = recordings.Feedback(
                tick=request.tick, reward_kind=request.kind, ends=request.ends, key=request.key,
                digest=digest(request).hex(), wall_ms=self._clock.wall_ms(),
            )  # fmt: skip
            await self._recorder.reward(Reward(call.tenant, call.world, head, handles[fine], reward[fine]))
        recorded = int(fine.sum())
        call.notes.update(rung="recorder", engine="recorder", npcs=len(handles), bad_rows=len(handles) - recorded)
        return FeedbackRecorded(recorded=recorded, refused=len(handles) - recorded, errors=errors)

    def _check(
        self, request: Feedback, handles: NDArray[np.uint32], reward: F32, *, known: int
    ) -> tuple[NDArray[np.bool_], tuple[RewardError, ...]]:
        """Which rows (n,) may be recorded, and what is wrong with the first of the others."""
        size_max = self._settings.reward_size_max
        nobody = handles >= known
        finite = np.isfinite(reward)
        inside = np.abs(np.where(finite, reward, 0.0)) <= size_max
        fine: NDArray[np.bool_] = ~nobody & finite & inside
        errors = []
        for row in np.flatnonzero(~fine)[: self._settings.errors_max].tolist():
            npc = request.npcs[row] if request.npcs else str(int(handles[row]))
            code: Any = "unknown_npc" if nobody[row] else "out_of_range" if finite[row] else "not_finite"
            message = MENDS[code].format(npc=npc, reward=float(reward[row]), size_max=size_max)
            errors.append(RewardError(row=row, npc=npc, code=code, message=message))
        return fine, tuple(errors)


def _who(request: Feedback, world: World) -> NDArray[np.uint32]:
    """(n,) handles, UNKNOWN where an id names no NPC; raises Invalid."""
    if bool(request.handles) == bool(request.npcs):
        raise Invalid("handles and npcs are both given, or neither", hint="send exactly one of them")
    if request.npcs:
        known = world.state.handles
        return np.array([known.get(npc, UNKNOWN) for npc in request.npcs], np.uint32)
    if len(request.handles) % 4:
        raise Invalid(f"handles is {len(request.handles)} bytes long", hint="send 4 bytes (uint32) per NPC")
    return np.frombuffer(request.handles, "<u4").astype(np.uint32)


def _rewards(request: Feedback) -> F32:
    """(n,) float32; raises Invalid. One that float32 cannot hold becomes infinite, and is refused as that."""
    if bool(request.reward) == bool(request.rewards):
        raise Invalid("reward and rewards are both given, or neither", hint="send exactly one of them")
    if request.rewards:
        with np.errstate(over="ignore"):
            return np.array(request.rewards, np.float64).astype(np.float32)
    if len(request.reward) % 4:
        raise Invalid(f"reward is {len(request.reward)} bytes long", hint="send 4 bytes (float32) per NPC")
    return np.frombuffer(request.reward, "<f4").astype(np.float32)
