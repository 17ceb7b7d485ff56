"""What a world tells its clients: the newest pushes of each world, by the event that caused them.

A push's `seq` is its event's place in the world's log, so a client that comes back names the last
one it saw and gets what it missed, after a restart or on another replica too. Only the newest are kept; it does not
know sockets, nor whether events were committed here or told by another replica.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from app.core.clock import Deadline
from app.core.messages import Event, Push
from app.core.ports import History
from app.world.state import World

Announce = Callable[[Event], Sequence[Push]]
Listener = Callable[[int, Push], None]


@dataclass(slots=True)
class _Channel:
    pushes: deque[tuple[int, Push]]
    since_seq: int | None = None
    """Every push that came after this event and is not too old is in `pushes`; None before anything was told."""
    listeners: dict[Listener, None] = field(default_factory=dict)
    """A dict for its order and because thousands may come and go at once."""
    told: asyncio.Event = field(default_factory=asyncio.Event)

    def newest_seq(self) -> int:
        return self.pushes[-1][0] if self.pushes else self.since_seq or 0


class Feed:
    """Turns committed events into pushes and hands them to the listeners of their world."""

    def __init__(self, announcers: Sequence[Announce], history: History, *, pushes_kept_max: int) -> None:
        self._announcers = tuple(announcers)
        self._history = history
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
        if channel.since_seq is None and events:
            channel.since_seq = events[0].seq - 1
        self._tell(channel, self._pushes(events))

    def relay(self, tenant: str, world: str, seq: int, push: Push) -> None:
        """Take a push that the world's owner, another replica, has told."""
        channel = self._channel(tenant, world)
        if channel.since_seq is None:
            channel.since_seq = seq - 1
        if seq >= channel.newest_seq():
            self._tell(channel, [(seq, push)])

    def listen(self, tenant: str, world: str, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each coming push; the result ends that."""
        listeners = self._channel(tenant, world).listeners
        listeners[listener] = None
        return partial(listeners.pop, listener, None)

    def heard(self, tenant: str, world: str) -> bool:
        """Whether anybody listens to the world."""
        channel = self._channels.get((tenant, world))
        return channel is not None and bool(channel.listeners)

    def newest_seq(self, tenant: str, world: str) -> int:
        """The event behind the newest push that is known here; 0 when none is."""
        return self._channel(tenant, world).newest_seq()

    def begin(self, tenant: str, world: str, seq: int) -> None:
        """Note that whatever comes after `seq` will be told here."""
        channel = self._channel(tenant, world)
        if channel.since_seq is None:
            channel.since_seq = seq

    async def catch_up(self, world: World) -> None:
        """Tell what happened between the last push of a former owner and now, before the world goes on here."""
        channel = self._channels.get((world.tenant, world.id))
        if channel is not None and channel.since_seq is not None:
            seq = channel.newest_seq()
            events = await self._history.events_after(world.tenant, world.id, seq, None, events_max=self._kept_max)
            self._tell(channel, self._pushes(events))

    async def reach_back(self, tenant: str, world: str, seq: int) -> None:
        """Read from the log what was pushed after `seq` and is not known here; raises StoreDown."""
        channel = self._channel(tenant, world)
        until_seq = channel.since_seq
        if until_seq is not None and seq >= until_seq:
            return
        events = await self._history.events_after(tenant, world, seq, until_seq, events_max=self._kept_max)
        first_known = channel.pushes[0][0] if channel.pushes else None
        older = [told for told in self._pushes(events) if first_known is None or told[0] < first_known]
        channel.pushes = deque([*older, *channel.pushes], self._kept_max)
        channel.since_seq = min(seq, seq if channel.since_seq is None else channel.since_seq)

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

    def forget(self, tenant: str, world: str, player: str) -> None:
        """Let go of the kept pushes to or about a player."""
        channel = self._channel(tenant, world)
        kept = [told for told in channel.pushes if getattr(told[1], "player", "") != player]
        channel.pushes = deque(kept, self._kept_max)

    def _pushes(self, events: Iterable[Event]) -> list[tuple[int, Push]]:
        return [(event.seq, push) for event in events for announce in self._announcers for push in announce(event)]

    def _tell(self, channel: _Channel, pushes: Iterable[tuple[int, Push]]) -> None:
        for seq, push in pushes:
            channel.pushes.append((seq, push))
            for listener in tuple(channel.listeners):
                listener(seq, push)
        channel.told.set()
        channel.told = asyncio.Event()

    def _channel(self, tenant: str, world: str) -> _Channel:
        channel = self._channels.get((tenant, world))
        if channel is None:
            channel = self._channels[tenant, world] = _Channel(deque(maxlen=self._kept_max))
        return channel
