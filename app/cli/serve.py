"""`manage.py serve`: opens the server of a profile on a port and tells a newcomer what to do with it."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import uvicorn

from app.asgi import create_admin_app, create_app
from app.build import Innkeeper, build
from app.cli.allocator import keep_pages
from app.cli.options import load_profile, profile_options
from app.cli.resident import release_compiler
from app.control.operators import invitation_link
from app.control.safety import require_safe
from app.core.errors import Invalid
from app.core.profile import Profile
from app.edge.guards import server_options
from app.edge.tls import renew, server_context
from app.telemetry.logs import take_over

KEY_FILE = "api-key"
SWITCH_S = 0.001
"""Longest time that one thread keeps the interpreter while another waits for it."""
ADDRESS_FILE = "address.json"
INVITATION_FILE = "invitation-link"
WHOLE = 2
"""The collector's generation that holds everything."""
PASS_S_MAX = 0.04
"""A pass of the collector over everything that took longer was over too much."""


@click.command()
@profile_options
@click.option("--host", help="Address to listen on; loopback unless told.")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one.")
@click.option("--data", "data_folder", type=click.Path(path_type=Path), help="Folder of the database and keys.")
@click.option("--quiet", is_flag=True, help="Print no banner.")
def serve(
    mode: str,
    file: Path | None,
    assignments: tuple[str, ...],
    host: str | None,
    port: int | None,
    data_folder: Path | None,
    quiet: bool,
) -> None:
    """Start the server."""
    # A thread that plans a quest must hand the interpreter back well within a tick.
    sys.setswitchinterval(SWITCH_S)
    _keep_passes_short()
    folder = str(data_folder) if data_folder is not None else None
    loaded = load_profile(mode, file, assignments, server__host=host, server__port=port, server__data_folder=folder)
    for danger in require_safe(loaded.profile, os.environ, key_file=KEY_FILE):
        click.echo(f"warning: {danger.setting}: {danger.what}; {danger.mend}", err=True)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(loaded.profile, quiet=quiet))


async def _serve(profile: Profile, *, quiet: bool) -> None:
    keep_pages()
    context = _tls(profile)
    innkeeper = await build(profile)
    take_over(innkeeper.log)
    folder = Path(profile.server.data_folder)
    if innkeeper.access.first_key:
        write_private(folder / KEY_FILE, innkeeper.access.first_key)

    async def opened() -> None:
        _settle()
        if innkeeper.warming is not None:
            innkeeper.warming.add_done_callback(lambda _task: _warmed())

    app = create_app(innkeeper, opened=opened)
    options = server_options(
        header_ms_max=profile.server.header_ms_max,
        body_ms_max=profile.server.body_ms_max,
        stall_ms_max=profile.server.stall_ms_max,
        half_open_max=profile.server.half_open_max,
        head_bytes_max=profile.server.head_bytes_max,
        frame_bytes_max=profile.server.frame_bytes_max,
        drain_ms_max=profile.server.drain_ms_max,
        router=innkeeper.router,
    )
    if context is not None:
        options["ssl_context_factory"] = lambda _config, _default: context
        _renew_on_hangup(context, profile, innkeeper)
    server = _Server(innkeeper, uvicorn.Config(app, host=profile.server.host, port=profile.server.port, **options))
    admin = _open_admin(innkeeper, options)
    # uvicorn raises the signal that stopped it once more when it is done; by then there is nothing left to do.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: None)
    told = asyncio.create_task(_tell(server, innkeeper, folder, quiet=quiet))
    try:
        await server.serve()
    finally:
        told.cancel()
        await _close_admin(admin)
        (folder / ADDRESS_FILE).unlink(missing_ok=True)


def _tls(profile: Profile) -> ssl.SSLContext | None:
    """The context under which the server speaks TLS; None where it does not. Raises Invalid."""
    certificate, key = profile.server.tls_certificate, profile.server.tls_key
    return server_context(certificate, key) if certificate else None


def _renew_on_hangup(context: ssl.SSLContext, profile: Profile, innkeeper: Innkeeper) -> None:
    """SIGHUP reads the certificate again; one that cannot be used is told to the log, and the old one stays."""

    def reread() -> None:
        try:
            renew(context, profile.server.tls_certificate, profile.server.tls_key)
        except Invalid as error:
            innkeeper.log.error("certificate.refused", reason=error.message)
        else:
            innkeeper.log.info("certificate.renewed", file=profile.server.tls_certificate)

    if sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reread)


def _open_admin(innkeeper: Innkeeper, options: dict[str, Any]) -> tuple[_Admin, asyncio.Task[None]] | None:
    """The second port, where the profile has one; it lives a little longer than the first."""
    server = innkeeper.profile.server
    if not server.admin_port:
        return None
    plain = {name: value for name, value in options.items() if name != "ssl_context_factory"} | {"lifespan": "off"}
    config = uvicorn.Config(create_admin_app(innkeeper), host=server.admin_host, port=server.admin_port, **plain)
    admin = _Admin(config)
    return admin, asyncio.create_task(admin.serve(), name="admin")


async def _close_admin(opened: tuple[_Admin, asyncio.Task[None]] | None) -> None:
    if opened is not None:
        admin, task = opened
        admin.should_exit = True
        await asyncio.wait({task})


def _settle() -> None:
    """What is there by now lives as long as the process: the collector need never look at it again."""
    gc.collect()
    gc.freeze()


def _keep_passes_short() -> None:
    """Let the collector never look again at what has survived a pass over everything that took long.

    Such a pass stops the server, and ten thousand sockets make it take most of a second. What is set aside and later
    dies is freed by its count of references, as a session and its socket are.
    """
    began_s = 0.0

    def watch(phase: str, info: dict[str, int]) -> None:
        nonlocal began_s
        if phase == "start":
            began_s = time.perf_counter()
        elif info["generation"] == WHOLE and time.perf_counter() - began_s > PASS_S_MAX:
            gc.freeze()

    gc.callbacks.append(watch)


def _warmed() -> None:
    _settle()
    release_compiler()


class _Server(uvicorn.Server):
    """Tells Innkeeper first that it stops: open streams end, and readiness says no."""

    def __init__(self, innkeeper: Innkeeper, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._innkeeper = innkeeper

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._innkeeper.begin_stopping()
        await super().shutdown(sockets)


class _Admin(uvicorn.Server):
    """Leaves the signals to the server that it stands beside."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _tell(server: uvicorn.Server, innkeeper: Innkeeper, folder: Path, *, quiet: bool) -> None:
    """When the port is open: write where it is, and print how to use it."""
    while not server.started:  # noqa: ASYNC110  # uvicorn offers no event to wait for
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    profile = innkeeper.profile
    scheme = "https" if profile.server.tls_certificate else "http"
    host = profile.server.host
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    names = {"public": f"{scheme}://{profile.security.hosts[0]}"} if profile.security.hosts else {}
    pinned = {"certificate": profile.server.tls_certificate} if profile.server.tls_certificate else {}
    address = {"url": url, "pid": os.getpid(), "mode": profile.mode, **names, **pinned}
    (folder / ADDRESS_FILE).write_text(json.dumps(address))
    innkeeper.log.info("server.opened", **address)
    _tell_invitation(innkeeper, url, folder)
    if not quiet:
        click.echo(_banner(innkeeper, url, folder), err=True)


def _tell_invitation(innkeeper: Innkeeper, url: str, folder: Path) -> None:
    """Write the link by which the first owner joins beside the key, and take it away when somebody has joined."""
    if innkeeper.people.invitation:
        link = invitation_link(innkeeper.profile.sign_in.url or url, innkeeper.people.invitation)
        write_private(folder / INVITATION_FILE, link)
    else:
        (folder / INVITATION_FILE).unlink(missing_ok=True)


def _banner(innkeeper: Innkeeper, url: str, folder: Path) -> str:
    from app import __version__

    key = f"$(cat {folder / KEY_FILE})"
    statuses = innkeeper.engines.statuses()
    engines = [f"{engine.name}: {engine.provider or engine.state}" for engine in statuses]
    degraded = [
        f"  degraded  {one.name}: {one.detail}; to mend: {one.mend}" for one in statuses if one.state == "degraded"
    ]
    first = f"  join      the link in {folder / INVITATION_FILE} lets the first owner join the console, once, for a day"
    return "\n".join(
        (
            f"Innkeeper {__version__}, mode {innkeeper.profile.mode}, at {url}",
            f"  data      {folder.resolve()} (the first key is in {KEY_FILE})",
            f"  engines   {', '.join(engines)}",
            *degraded,
            f"  console   {url}/console (python manage.py console prints a link that signs you in)",
            *([first] if innkeeper.people.invitation else []),
            f'  try       curl -X POST {url}/v1/world/create -H "Authorization: Bearer {key}" -d \'{{"world":"w1"}}\'',
        )
    )


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """Uvloop where it is installed (it has no Windows build)."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop
