"""A module's manifest: which messages it answers, with what, under which scope and deadline.

A handler is one async function; the WebSocket, the HTTP route and the in-process call all reach it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Any

from app.core.clock import Deadline
from app.core.messages import Change, Chunk, Event, Push, Reply, Request
from app.core.ports import Log


class Scope(IntFlag):
    """What a credential may do. Each message and each resource names one, a key or an operator holds several.

    The names travel to clients and the numbers to the database: neither may change its meaning.
    """

    READ = 1
    """See worlds and what modules know of them."""
    PLAY = 2
    """Let NPCs decide, walk, speak and give quests."""
    WRITE = 4
    """Tell what is so in a world: entities, facts, events, maps."""
    ADMIN = 8
    """Read the process's own metrics, which tell of all tenants together."""
    USAGE = 16
    """See what models cost, and against which caps."""
    KEYS = 32
    """Make, rotate and revoke API keys."""
    OPERATORS = 64
    """Invite, change and disable operators."""
    SETTINGS = 128
    """Read and change the tenant's own limits, models and texts."""
    PRIVACY = 256
    """Export and erase what is held about a person."""
    AUDIT = 512
    """Read and verify the tenant's audit trail."""


@dataclass(frozen=True, slots=True)
class Call:
    """What surrounds one request: who asks, about which world, until when, and where chunks go."""

    id: str
    tenant: str
    world: str
    deadline: Deadline
    log: Log
    send: Callable[[Chunk], Awaitable[None]]
    notes: dict[str, str | int | float] = field(default_factory=dict)
    """Fields that the handler adds to the request's canonical log line, such as rung, engine, tokens."""


@dataclass(frozen=True, slots=True)
class Handler:
    """One message and the function that answers it.

    `deadline_ms` applies when the client gives none. A handler with `chunk` set streams. `binary`
    decodes an `application/octet-stream` body and encodes the reply in the same layout.
    """

    request: type[Request]
    reply: type[Reply]
    run: Callable[[Call, Any], Awaitable[Reply]]
    scope: Scope
    deadline_ms: int
    chunk: type[Chunk] | None = None
    binary: Binary | None = None


@dataclass(frozen=True, slots=True)
class Binary:
    """The raw layout of a request and its reply, for clients that send matrices."""

    decode: Callable[[bytes, str], Request]
    """(body, world) -> request; raises Malformed or Invalid."""
    encode: Callable[[Any], bytes]


@dataclass(frozen=True, slots=True)
class Module:
    """A capability, ready to run."""

    name: str
    handlers: tuple[Handler, ...]
    rungs: tuple[str, ...] = ()
    """The ladder that this profile gave the module, best first; empty where there is nothing to fall from."""
    pushes: tuple[type[Push], ...] = ()
    announce: Callable[[Event], Sequence[Push]] | None = None
    """What clients of the world are told of an event; pure and quick."""
    observe: Callable[[Any, Sequence[Event]], None] | None = None
    """(world, committed events, in order); quick, and with no events when a world has come from another process."""
    react: Callable[[Any, Event], Sequence[Change]] | None = None
    """(world, event) -> further changes, committed with the event; pure and quick."""
    warm: Callable[[], None] | None = None
    """Runs once in a worker thread after the port is open: imports and compiles what is slow."""
    close: Callable[[], Awaitable[None]] | None = None
    describe: Callable[[str, str, str], dict[str, Any]] | None = None
    """(tenant, world, npc) -> what this module knows of one NPC, for the console and `explain`."""
    held: Callable[[str, str, str], dict[str, Any]] | None = None
    """(tenant, world, player) -> what this module keeps in memory of one person."""
    forget: Callable[[str, str, str], None] | None = None
    """(tenant, world, player): let go of that."""
