"""Committed events of every world, told to the subscribers in this process, at once and in order.

It keeps nothing and no group: what other processes consume, with retries, goes through app.core.ports.Stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.core.messages import Event
from app.world.state import World

Subscriber = Callable[[World, Sequence[Event]], None]


class Stream:
    """Calls subscribers in order of commit, and with no events when a world has come here from another process.

    A subscriber must be quick and keep its own bound.
    """

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.append(subscriber)

    def publish(self, world: World, events: Sequence[Event]) -> None:
        for subscriber in self._subscribers:
            subscriber(world, events)
