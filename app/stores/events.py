"""The in-process event stream: committed events of every world, told to whoever subscribed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.core.messages import Event
from app.world.state import World

Subscriber = Callable[[World, Sequence[Event]], None]


class Stream:
    """Calls subscribers in order of commit; a subscriber must be quick and keep its own bound."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.append(subscriber)

    def publish(self, world: World, events: Sequence[Event]) -> None:
        for subscriber in self._subscribers:
            subscriber(world, events)
