"""The sessions of a server: those that have a socket, and those that wait for theirs to come back.

With a shared cache a session whose replica is gone is taken up by another. It does not know what a session does.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Collection
from dataclasses import replace

import msgspec

from app.control.auth import Authority, Identity, Subject
from app.core.errors import Unauthenticated
from app.core.ports import Cache
from app.edge.session import SUSPENDED, Close, Session

SHARED_MS = 86_400_000
"""How long another replica can take a session up; a socket that lives longer must begin anew."""


class _Record(msgspec.Struct, frozen=True):
    """What another replica must know to take a session up."""

    key: str
    """The actor; of a key its prefix alone, as the release before this one has it."""
    world: str
    packed: bool
    frame_bytes_max: int
    family: str = ""
    generation: int = 0
    rotation: int = 0


_records = msgspec.msgpack.Decoder(_Record)


class Sessions:
    """The sessions that have a socket, and those that wait for theirs to come back.

    With a shared `cache`, a session whose replica is gone can be taken up here: with its world and format, without
    the replies that the other replica owed.
    """

    def __init__(self, authority: Authority, cache: Cache | None = None) -> None:
        self._authority = authority
        self._cache = cache
        self._waiting: dict[str, tuple[Session, asyncio.TimerHandle]] = {}
        self._open: set[Session] = set()
        authority.listeners.append(self._changed)

    @property
    def open(self) -> int:
        """How many have a socket."""
        return len(self._open)

    def attach(self, session: Session) -> None:
        self._open.add(session)

    def park(self, session: Session, wait_s: float) -> None:
        """Keep a session without a socket for `wait_s`."""
        self._open.discard(session)
        session.pause()
        timer = asyncio.get_running_loop().call_later(wait_s, self._expire, session.resume_token)
        self._waiting[session.resume_token] = session, timer

    def claim(self, resume_token: str, identity: Identity) -> Session | None:
        """The waiting session of that token, if it is the same key's."""
        found = self._waiting.get(resume_token)
        if found is None or found[0].identity.subject != identity.subject:
            return None
        session, timer = self._waiting.pop(resume_token)
        timer.cancel()
        return session

    async def share(self, session: Session) -> None:
        """Let the other replicas know the session."""
        if self._cache is not None:
            who = session.identity
            record = _Record(
                key=_recorded(who),
                world=session.world,
                packed=session.packed,
                frame_bytes_max=session.frame_bytes_max,
                family=who.family,
                generation=who.generation,
                rotation=who.rotation,
            )
            body, name = msgspec.msgpack.encode(record), _name(session.resume_token)
            await self._cache.set(who.tenant, name, body, ttl_ms=SHARED_MS)

    async def recall(self, resume_token: str, identity: Identity, new: Callable[..., Session]) -> Session | None:
        """A session like the one of that token, which another replica had, if it was the same caller's.

        A sign-in that has ended since leaves none.
        """
        body = await self._cache.get(identity.tenant, _name(resume_token)) if self._cache is not None else None
        record = _records.decode(body) if body is not None else None
        if record is None or record.key != _recorded(identity):
            return None
        former = replace(
            identity, family=record.family, generation=record.generation, rotation=record.rotation, by_token=True
        )
        try:
            self._authority.current(former)
        except Unauthenticated:
            return None
        session = new(world=record.world, packed=record.packed, frame_bytes_max=record.frame_bytes_max)
        session.resume_token = resume_token
        return session

    def _changed(self, subjects: Collection[Subject]) -> None:
        """End or narrow the sessions of whoever's access has changed, with or without a socket."""
        waiting = [session for session, _ in self._waiting.values()]
        for session in [*self._open, *waiting]:
            who = session.identity
            if not who.among(subjects):
                continue
            try:
                session.narrow(self._authority.current(who))
            except Unauthenticated:
                held = self._waiting.pop(session.resume_token, None)
                if held is not None:
                    held[1].cancel()
                session.revoke()

    def suspend(self, tenant: str) -> None:
        """Close every socket of the tenant, and forget its sessions that wait to be resumed."""
        for session in [one for one in self._open if one.identity.tenant == tenant]:
            session.dismiss(Close(SUSPENDED, "the tenant is suspended"))
        for token, (session, timer) in [*self._waiting.items()]:
            if session.identity.tenant == tenant:
                timer.cancel()
                del self._waiting[token]
                session.close()

    def end(self, session: Session) -> None:
        self._open.discard(session)
        session.close()

    async def drain(self) -> None:
        """Wait for everything in flight of open sessions, then end all."""
        await asyncio.gather(*(session.drain() for session in tuple(self._open)))
        for session, timer in self._waiting.values():
            timer.cancel()
            session.close()
        self._waiting.clear()

    def _expire(self, resume_token: str) -> None:
        found = self._waiting.pop(resume_token, None)
        if found is not None:
            found[0].close()


def _recorded(identity: Identity) -> str:
    return identity.actor.removeprefix("key:")


def _name(resume_token: str) -> str:
    """The key of a session in the cache, which need not know its token."""
    return f"session/{hashlib.sha256(resume_token.encode()).hexdigest()}"
