"""The demo's two processes: starts the server and the game, restarts a server that was killed, ends both in order.

It ends only what it started, by process id. It reads the game's reports and knows no protocol but the
files that `serve` writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from app.cli.demo.client import ADDRESS_FILE, Address, call_http, read_address
from app.cli.demo.report import Report
from app.core.errors import Broken, Conflict, EngineDown, Error, NotFound

ROOT = Path(__file__).resolve().parents[3]
"""Where manage.py lies; the children run there."""
OPEN_S_MAX = 60.0
END_S_MAX = 15.0
"""How long a child may take to end before it is killed."""
RESTARTS_MAX = 20
SERVER_LOG = "server.log"
GAME_LOG = "game.log"
CODE_S = 60.0
"""How often the code in the console's address is renewed: a code opens the page once."""


@dataclass(slots=True)
class Supervisor:
    """Runs until the game ends or `stop` is set. `on_note` is told what it does."""

    folder: Path
    serve: tuple[str, ...]
    """Arguments of `serve`."""
    play: str
    """The game's configuration, as JSON."""
    on_note: Callable[[str], None] = lambda _text: None
    console: str = ""
    """Address of the live page with its one-time code."""
    report: Report | None = None
    restarts: int = 0
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it, or send SIGINT or SIGTERM, to end both processes."""
    _server: Process | None = None
    _game: Process | None = None
    _port: int = 0

    async def run(self) -> Report:
        """The last report of the game; raises EngineDown when a child will not start, Broken when the game fails."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop.set)
        try:
            await self._start_server()
            game = await self._start_game()
            keeping = asyncio.create_task(self._keep_server())
            reading = asyncio.create_task(self._read(game))
            stopping = asyncio.create_task(self.stop.wait())
            renewing = asyncio.create_task(self._renew_code())
            await asyncio.wait({keeping, reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in (keeping, stopping, renewing):
                task.cancel()
            if keeping.done() and not keeping.cancelled():
                await keeping
            await _end(game)
            await reading
        finally:
            for process in (self._game, self._server):
                if process is not None:
                    await _end(process)
        if self.report is None or (game.returncode != 0 and self.report.state != "ended"):
            raise Broken(f"the game ended with code {game.returncode}", hint=_tail(self.folder / GAME_LOG))
        return self.report

    def require_alone(self) -> None:
        """Two servers over one data folder would corrupt each other; raises Conflict when one is there."""
        try:
            address = read_address(self.folder)
            call_http(self.folder, "GET", "/health/live", timeout_s=2.0)
        except Error:
            (self.folder / ADDRESS_FILE).unlink(missing_ok=True)
            return
        raise Conflict(
            f"a server (pid {address.pid}) runs already on {str(self.folder)!r}, at {address.url}",
            hint="end it, or give another --data",
        )

    async def _start_server(self) -> None:
        self.on_note("starting the server")
        arguments = [*self.serve, "--port", str(self._port)] if self._port else list(self.serve)
        with (self.folder / SERVER_LOG).open("ab") as log:
            self._server = await asyncio.create_subprocess_exec(
                sys.executable,
                "manage.py",
                "serve",
                *arguments,
                cwd=ROOT,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        address = await self._opened(self._server)
        self._port = int(address.url.rsplit(":", 1)[1])
        await self._make_code()
        self.on_note(f"the server listens at {address.url} (pid {address.pid}); live page: {self.console}")
        health = await asyncio.to_thread(call_http, self.folder, "GET", "/health/ready")
        for engine in health["engines"]:
            if engine["state"] == "degraded":
                runs = f"it runs on {engine['provider']}" if engine["provider"] else "the ladder answers without it"
                self.on_note(f"{engine['name']}: {engine['detail']}; {runs}; to mend: {engine['mend']}")

    async def _opened(self, server: Process) -> Address:
        """Where the server listens, once it does."""
        end_s = time.monotonic() + OPEN_S_MAX
        while time.monotonic() < end_s and server.returncode is None:
            with contextlib.suppress(NotFound):
                address = read_address(self.folder)
                if address.pid == server.pid:
                    return address
            await asyncio.sleep(0.02)
        raise EngineDown("the server did not open its port", hint=_tail(self.folder / SERVER_LOG))

    async def _start_game(self) -> Process:
        self.on_note("starting the game; the first time, its kernels are compiled")
        with (self.folder / GAME_LOG).open("ab") as log:
            self._game = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "app.cli.demo.play",
                self.play,
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        return self._game

    async def _keep_server(self) -> None:
        """Start the server anew whenever it ends by itself; raises EngineDown after too many times."""
        while self._server is not None:
            code = await self._server.wait()
            self.restarts += 1
            if self.restarts > RESTARTS_MAX:
                raise EngineDown(f"the server ended {RESTARTS_MAX} times", hint=_tail(self.folder / SERVER_LOG))
            self.on_note(f"the server ended with code {code}; starting it anew")
            (self.folder / ADDRESS_FILE).unlink(missing_ok=True)
            await self._start_server()

    async def _read(self, game: Process) -> None:
        """The game's reports, until it ends."""
        if game.stdout is None:
            return
        async for line in game.stdout:
            self.report = msgspec.json.decode(line, type=Report)
        await game.wait()

    async def _renew_code(self) -> None:
        while True:
            await asyncio.sleep(CODE_S)
            await self._make_code()

    async def _make_code(self) -> None:
        with contextlib.suppress(Error):
            made = await asyncio.to_thread(call_http, self.folder, "POST", "/v1/auth/code")
            self.console = f"{read_address(self.folder).url}{made['path']}#{made['code']}"


async def _end(process: Process) -> None:
    """Ask a child of ours to end, and insist after a while."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(END_S_MAX):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _tail(path: Path) -> str:
    """The last lines of a log, for an error message."""
    try:
        return " / ".join(path.read_text(errors="replace").splitlines()[-4:])
    except OSError:
        return f"see {path}"
