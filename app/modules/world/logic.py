"""What a request means for a world, as changes; pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, TooLarge
from app.core.messages import Event, Push
from app.modules.world import messages
from app.world.events import ProposalOffered
from app.world.state import State, World

KINDS = ("npcs", "players", "items", "locations", "factions")


def require_count(what: str, count: int, most: int) -> None:
    """Raise TooLarge when a message carries over `most`, Invalid when it carries nothing."""
    if count == 0:
        raise Invalid(f"{what} is empty", hint=f"send at least one of {what}")
    if count > most:
        raise TooLarge(f"{count} {what} in one message", hint=f"send at most {most} at once")


def counts(state: State) -> dict[str, int]:
    """How many entities of each kind, and facts."""
    return {kind: len(getattr(state, kind)) for kind in (*KINDS, "facts", "quests")}


def entities(state: State) -> int:
    """How many entities of all kinds."""
    return sum(len(getattr(state, kind)) for kind in KINDS)


def positions(request: messages.Report, world: World) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """(handles (n,) uint32, positions (n, 2) float32) of a report; raises Invalid."""
    if len(request.handles) % 4 or len(request.positions) != 2 * len(request.handles):
        raise Invalid(
            f"{len(request.handles)} bytes of handles and {len(request.positions)} of positions do not match",
            hint="send n uint32 handles and 2n float32 coordinates",
        )
    handles = np.frombuffer(request.handles, "<u4")
    if len(handles) and int(handles.max()) >= len(world.state.handles):
        raise Invalid(f"handle {int(handles.max())} stands for no NPC", hint="take handles from world.upsert's reply")
    xy = np.frombuffer(request.positions, "<f4").reshape(-1, 2)  # (n, 2) float32
    if not np.isfinite(xy).all() or not np.isfinite(request.game_s):
        raise Invalid("a position or game_s is not finite", hint="send map cells and seconds")
    return handles, xy


def announce(event: Event) -> tuple[Push, ...]:
    """What clients are told of an event: an offered proposal waits for the game's verdict."""
    change = event.change
    if not isinstance(change, ProposalOffered):
        return ()
    return (
        messages.ProposalPushed(
            id=change.id,
            npc=change.npc,
            player=change.player,
            action=change.action,
            arguments=change.arguments,
        ),
    )
