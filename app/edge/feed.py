"""What a world tells its clients: the newest pushes of each world, by the event that caused them.

A push's `seq` is its event's place in the world's log, so a client that comes back names the last
one it saw and gets what it missed. Only the newest are kept; it does not know sockets.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from app.core.clock import Deadline
from app.core.messages import Event, Push
from app.world.state import World

Announce = Callable[[World, Event], Sequence[Push]]
Listener = Callable[[int, Push], None]


@dataclass(slots=True)
class _Channel:
    pushes: deque[tuple[int, Push]]
    listeners: dict[Listener, None] = field(default_factory=dict)
    """A dict for its order and because thousands may come and go at once."""
    told: asyncio.Event = field(default_factory=asyncio.Event)


class Feed:
    """Turns committed events into pushes and hands them to the listeners of their world."""

    def __init__(self, announcers: Sequence[Announce], *, pushes_kept_max: int) -> None:
        self._announcers = tuple(announcers)
        self._kept_max = pushes_kept_max
        self._channels: dict[tuple[str, str], _Channel] = {}
        self.closed = False
        """Set when the server stops: whoever waits for news must end."""

    def close(self) -> None:
        """Wake everyone who waits, with nothing to tell."""
        self.closed = True
        for channel in self._channels.values():
            channel.told.set()

    def publish(self, world: World, events: Sequence[Event]) -> None:
        """Take committed events; a subscriber of the stream."""
        channel = self._channel(world.tenant, world.id)
        for event in events:
            for announce in self._announcers:
                for push in announce(world, event):
                    channel.pushes.append((event.seq, push))
                    for listener in tuple(channel.listeners):
                        listener(event.seq, push)
        channel.told.set()
        channel.told = asyncio.Event()

    def listen(self, tenant: str, world: str, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each coming push; the result ends that."""
        listeners = self._channel(tenant, world).listeners
        listeners[listener] = None
        return partial(listeners.pop, listener, None)

    def after(self, tenant: str, world: str, seq: int) -> list[tuple[int, Push]]:
        """The kept pushes that came after `seq`, oldest first."""
        return [(at, push) for at, push in self._channel(tenant, world).pushes if at > seq]

    async def wait(self, tenant: str, world: str, seq: int, deadline: Deadline) -> list[tuple[int, Push]]:
        """As `after`, waiting for the first one until the deadline."""
        found = self.after(tenant, world, seq)
        while not found and not self.closed and deadline.left_s() > 0.0:
            told = self._channel(tenant, world).told
            try:
                async with asyncio.timeout(deadline.left_s()):
                    await told.wait()
            except TimeoutError:
                break
            found = self.after(tenant, world, seq)
        return found

    def _channel(self, tenant: str, world: str) -> _Channel:
        channel = self._channels.get((tenant, world))
        if channel is None:
            channel = self._channels[tenant, world] = _Channel(deque(maxlen=self._kept_max))
        return channel
