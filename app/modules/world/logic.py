"""What a request means for a world, as changes; pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, TooLarge
from app.core.messages import Event, Push
from app.modules.world import messages
from app.world.events import ProposalOffered, WorldRestored
from app.world.state import State, World

KINDS = ("npcs", "players", "items", "locations", "factions")


def require_count(what: str, count: int, most: int) -> None:
    """Raise TooLarge when a message carries over `most`, Invalid when it carries nothing."""
    if count == 0:
        raise Invalid(f"{what} is empty", hint=f"send at least one of {what}")
    if count > most:
        raise TooLarge(f"{count} {what} in one message", hint=f"send at most {most} at once")


def require_bounded(things: Iterable[msgspec.Struct], items_max: int) -> None:
    """Raise TooLarge for a list or map with over `items_max` items in any of the things, or in a struct of theirs.

    The types say no such bound, since the log is read with them: what it holds must stay readable.
    """
    for thing in things:
        for name in _inner(type(thing)):
            value = getattr(thing, name)
            if isinstance(value, msgspec.Struct):
                require_bounded((value,), items_max)
            elif value and len(value) > items_max:
                raise TooLarge(f"{name} has {len(value)} items", hint=f"send at most {items_max}")


@cache
def _inner(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """The fields that hold a list, a map or another struct."""
    found = msgspec.inspect.type_info(kind)
    fields = found.fields if isinstance(found, msgspec.inspect.StructType) else ()
    return tuple(field.name for field in fields if _holds(field.type))


def _holds(kind: msgspec.inspect.Type) -> bool:
    if isinstance(kind, msgspec.inspect.UnionType):
        return any(_holds(member) for member in kind.types)
    return isinstance(
        kind,
        msgspec.inspect.VarTupleType | msgspec.inspect.ListType | msgspec.inspect.DictType | msgspec.inspect.StructType,
    )


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
    """What clients are told of an event: an offer waits for their verdict, a restored world is another one."""
    change = event.change
    if isinstance(change, WorldRestored):
        return (messages.RestoredPushed(slot=change.slot, seq=event.seq),)
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
