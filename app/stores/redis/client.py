"""One server: connections, deadlines, and the knowledge whether it is there.

A connection goes back to the pool only after its whole reply was read; a call that was canceled or late
closes its own, so that no reply is ever left for the next caller. Once a call fails, all others fail at once,
until a probe has been answered. It knows commands and replies, not what they are for.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as LateConnection

from app.core.errors import Broken, Invalid, Overloaded, StoreDown
from app.core.ports import Log
from app.stores.redis.commands import ALLOWED
from app.stores.redis.scripts import Script

Word = str | bytes | int
PROBE_S = 0.25
PROBE_DOWN_S_MIN = 0.05
PROBE_DOWN_S_MAX = 1.0
WAITING_PER_CONNECTION = 64
TORN = (RuntimeError, ValueError, IndexError, RecursionError)
"""What uvloop raises for a transport that was reset while it was idle, and the parser for bytes that are no reply."""


class Rejected(StoreDown):
    """The server is there and answered with an error, such as being out of memory."""


class Client:
    """A bounded pool of connections to one server. Every call raises StoreDown or Overloaded, in time."""

    def __init__(self, url: str, *, connections_max: int, command_ms: int, log: Log, prelude: str = "") -> None:
        """`prelude` is put before every script; tests check with it what a script touches."""
        self._kind, self._settings = _settings(url, command_ms / 1000.0)
        self.name = f"{urlsplit(url).hostname or 'localhost'}:{urlsplit(url).port or 6379}"
        self._command_s = command_ms / 1000.0
        self._log = log
        self._prelude = prelude
        self._slots = asyncio.Semaphore(connections_max)
        self._waiting = 0
        self._waiting_max = connections_max * WAITING_PER_CONNECTION
        self._idle: list[AbstractConnection] = []
        self._watching: asyncio.Task[None] | None = None
        self._closed = False
        self.fault = ""
        """Why the server cannot be used now; empty while it can."""

    def start(self) -> None:
        """Begin to watch the server; calls may come before it was found."""
        self._watching = asyncio.create_task(self._watch(), name=f"watch {self.name}")

    async def call(self, *words: Word, wait_s: float = 0.0) -> Any:
        """The server's reply (bytes, int, None or lists of them); a command that blocks may take `wait_s` longer."""
        if words[0] not in ALLOWED:
            raise Broken(f"{words[0]!r} is not in the list of commands", hint="see app/stores/redis/commands.py")
        if self.fault:
            raise StoreDown(self.fault, hint="it is tried again by itself", retry_after_s=PROBE_DOWN_S_MAX)
        return await self._exchange(words, wait_s)

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Word]) -> Any:
        """The reply of a script over its declared keys."""
        text, digest = script.text, script.digest
        if self._prelude:
            return await self.call("EVAL", f"{self._prelude}\n{text}", len(keys), *keys, *arguments)
        try:
            return await self.call("EVALSHA", digest, len(keys), *keys, *arguments)
        except Rejected as error:
            if not isinstance(error.__cause__, NoScriptError):
                raise
        return await self.call("EVAL", text, len(keys), *keys, *arguments)

    async def close(self) -> None:
        """End the watch and close every connection; later calls raise StoreDown."""
        self._closed = True
        self.fault = self.fault or f"the client of {self.name} is closed"
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._drop_idle()

    async def _exchange(self, words: Sequence[Word], wait_s: float) -> Any:
        await self._enter()
        try:
            async with asyncio.timeout(self._command_s + wait_s):
                return await self._talk(words)
        except ResponseError as error:
            raise Rejected(f"{self.name} refused {words[0]!r}: {error}", hint="see the server's log") from error
        except (LostConnection, LateConnection, OSError, RedisError, *TORN) as error:
            reason = str(error) or f"no answer in {round((self._command_s + wait_s) * 1000)} ms"
            await self._lost(f"{self.name} failed: {reason}")
            raise StoreDown(self.fault, hint="it is tried again by itself", retry_after_s=PROBE_DOWN_S_MAX) from error
        finally:
            self._slots.release()

    async def _enter(self) -> None:
        """Wait for a free connection, in a line of bounded length."""
        if self._waiting >= self._waiting_max:
            raise self._busy()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._command_s):
                await self._slots.acquire()
        except TimeoutError as error:
            raise self._busy() from error
        finally:
            self._waiting -= 1

    def _busy(self) -> Overloaded:
        return Overloaded(
            f"{self._waiting} calls wait for a connection to {self.name}",
            hint="raise connections_max",
            retry_after_s=self._command_s,
        )

    async def _talk(self, words: Sequence[Word]) -> Any:
        connection = self._idle.pop() if self._idle else self._kind(**self._settings)
        whole = False
        try:
            if not connection.is_connected:
                await connection.connect()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            await connection.send_command(*words, check_health=False)
            try:
                reply = await connection.read_response(disable_decoding=True)
            except ResponseError:
                whole = True
                raise
            whole = True
            return reply
        finally:
            if whole and not self._closed and connection.is_connected:
                self._idle.append(connection)
            else:
                await connection.disconnect(nowait=True)

    async def _lost(self, reason: str) -> None:
        if not self.fault:
            self.fault = reason
            self._log.warning("redis.lost", server=self.name, reason=reason)
        await self._drop_idle()

    async def _drop_idle(self) -> None:
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)

    async def _watch(self) -> None:
        """Probe a server that is there often enough to miss it in time, and one that is gone with jitter."""
        pause_s = PROBE_DOWN_S_MIN
        while True:
            jitter = random.uniform(0.5, 1.0)  # noqa: S311  # spreads replicas out, guards nothing
            await asyncio.sleep(pause_s * jitter if self.fault else PROBE_S)
            try:
                await self._exchange(("PING",), 0.0)
            except (StoreDown, Overloaded):
                pause_s = min(pause_s * 2, PROBE_DOWN_S_MAX)
                continue
            pause_s = PROBE_DOWN_S_MIN
            if self.fault:
                self.fault = ""
                self._log.info("redis.found", server=self.name)


def _settings(url: str, connect_s: float) -> tuple[type[AbstractConnection], dict[str, Any]]:
    """The kind of connection and its arguments; raises Invalid for an address that we do not use."""
    hint = "write redis://USER:PASSWORD@HOST:PORT, or rediss:// for TLS"
    try:
        parsed: Mapping[str, Any] = parse_url(url)
    except ValueError as error:
        raise Invalid(f"the address of the Redis server cannot be read: {error}", hint=hint) from error
    if parsed.get("db"):
        raise Invalid(f"the address names database {parsed['db']}", hint="leave it out: keys carry their tenant")
    settings = {name: value for name, value in parsed.items() if name not in ("connection_class", "db")}
    settings |= {
        "protocol": 2,
        "driver_info": None,  # else each connection sends CLIENT SETINFO
        "retry": Retry(NoBackoff(), 0),  # a call that may have had its effect is not repeated
        "socket_timeout": None,  # the whole exchange has one deadline
        "socket_connect_timeout": connect_s,
    }
    kind = parsed.get("connection_class", Connection)
    try:
        kind(**settings)
    except TypeError as error:
        raise Invalid(f"the address of the Redis server has an unknown option: {error}", hint=hint) from error
    return kind, settings
