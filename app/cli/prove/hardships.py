"""What breaks in the machine under a server of suite G: a full disk, a jumping clock, no descriptor, a stopped process.

The server is in mode 1 over SQLite, with no peer that could break. What a fault needs and this machine lacks is a gap.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

from app.cli.prove.child import REQUEST_S_MAX, Child, ask
from app.cli.prove.figures import Gap, Outcome, Plan, percentile
from app.cli.prove.ledger import Clients, judge
from app.cli.prove.players import Kept, Players, degraded, let_through, wait_until
from app.cli.prove.reckoning import (
    BACK_S,
    DECIDED_P95_MS,
    ERROR_SHARE,
    NOTICED_S,
    SAID_P95_MS,
    figure,
    judged,
    require,
)  # fmt: skip
from app.cli.prove.stage import NPC, WORLD, make_keys, make_world, start_ready

WRITERS = 2
WAIT_S_MAX = 30.0
DISK_BYTES = 32 * 2**20
NEWCOMERS = 10
"""So many try to come while no descriptor is left; one may find the place of somebody who was just sent away."""
DESCRIPTORS = 100
STALL_S = 1.5
LIVE_S_MAX = 0.5
"""How long a probe of liveness waits before it says that the process stands."""
FAKETIME = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/local/lib/faketime/libfaketimeMT.so.1")
JUMP_S = 3.0
"""The library looks once a second what time it is to show."""
JUMP_LEAST_S = 3_000.0
JUMPS = ("+1h", "+1h x10", "-1h")
GET = {"world": WORLD, "id": NPC}


@dataclass(frozen=True, slots=True)
class Alone:
    """A server on SQLite with writers and players."""

    child: Child
    reader_key: str
    clients: Clients
    players: Players


def run(plan: Plan) -> Sequence[Outcome]:
    """All of them; a short run leaves out the clock, which takes longest."""
    outcomes = [*_full_disk(plan), *_stopped(plan), *_no_descriptor(plan)]
    return outcomes if plan.scale == "quick" else [*outcomes, *_clock(plan)]


@contextmanager
def _alone(
    plan: Plan, folder: Path, *, around: tuple[str, ...] = (), environment: dict[str, str] | None = None
) -> Iterator[Alone]:
    folder.mkdir(exist_ok=True)
    reader_key = make_keys(folder, "")
    keyless = {"OPENAI_API_KEY": "", "ANTHROPIC_API_KEY": "", "AZURE_OPENAI_API_KEY": ""}
    child = start_ready(folder, {}, environment={**keyless, **(environment or {})}, around=around)
    try:
        make_world(child)
        clients = Clients(WRITERS, plan.seed)
        clients.open(child)
        alone = Alone(child, reader_key, clients, Players(child))
        require(wait_until(lambda: _calm(alone), timeout_s=WAIT_S_MAX), "the first calls")
        require(wait_until(alone.players.warm, timeout_s=WAIT_S_MAX), "every player's first call")
        yield alone
    finally:
        child.kill()


def _calm(alone: Alone) -> bool:
    """Nothing is named and a write is acknowledged."""
    event = {"verb": "learned", "actor": NPC, "topic": "calm"}
    written = alone.child.post("/v1/world/event", {"world": WORLD, "events": [event]})[0] == http.client.OK
    return written and not degraded(alone.child)


def _full_disk(plan: Plan) -> Iterator[Outcome]:
    place = plan.folder / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "innkeeper-proof", str(place)]
    if os.geteuid() != 0 or mount is None or subprocess.run([mount, *options], check=False).returncode:  # noqa: S603  # no shell
        yield Gap(suite="G", name="disk full", lacks="the right to mount a small tmpfs")
        return
    try:
        yield from _on_small_disk(plan, place)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=False)  # noqa: S603, S607  # no shell


def _on_small_disk(plan: Plan, place: Path) -> Iterator[Outcome]:
    folder, filler = place / "data", place / "filler"
    with _alone(plan, folder) as alone:
        began_s = _fill(filler)
        named = wait_until(lambda: "database" in degraded(alone.child), timeout_s=WAIT_S_MAX)
        require(named, "a full disk to be named")
        noticed_s = time.monotonic() - began_s
        yield from _lived(plan, "disk full", alone, began_s, noticed_s, filler.unlink)
        yield from _ended("disk full", alone, folder)


def _fill(filler: Path) -> float:
    """Take what is left of the disk; when a page no longer fitted."""
    full_s = 0.0
    with filler.open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            with suppress(OSError):
                while file.write(b"\0" * size):
                    pass
            full_s = full_s or (time.monotonic() if size <= 2**12 else 0.0)
    return full_s


def _stopped(plan: Plan) -> Iterator[Outcome]:
    """The whole process stands still, as on a machine that swaps or a host that pauses it."""
    with _alone(plan, plan.folder / "stopped") as alone:
        os.kill(alone.child.pid, signal.SIGSTOP)
        began_s = time.monotonic()
        noticed_s = require(wait_until(lambda: not _lives(alone.child), timeout_s=WAIT_S_MAX), "a stall to be noticed")
        time.sleep(max(0.0, STALL_S + began_s - time.monotonic()))
        os.kill(alone.child.pid, signal.SIGCONT)
        went_on_s = time.monotonic()
        back_s = require(wait_until(lambda: _calm(alone), timeout_s=WAIT_S_MAX), "the server after its stall")
        blamed = degraded(alone.child)
        time.sleep(plan.of(quick=1, full=3))
        calls = alone.players.between(went_on_s, time.monotonic())
        failed = sum(one.status != http.client.OK for one in calls)
        plan.told(f"  stopped for {STALL_S} s: noticed after {noticed_s:.2f} s, back after {back_s:.2f} s")
        yield figure("stopped process: liveness silent after", noticed_s, "s", NOTICED_S)
        yield figure("stopped process: all as before after", back_s, "s", BACK_S)
        yield figure("stopped process: peers blamed for it", len(blamed), "peers", 0)
        yield figure("stopped process: calls failed after it", failed / max(len(calls), 1), "share", ERROR_SHARE)
        yield from _ended("stopped process", alone, plan.folder / "stopped")


def _lives(child: Child) -> bool:
    try:
        return ask(child.port, "GET", "/health/live", None, "", timeout_s=LIVE_S_MAX)[0] == http.client.OK
    except (OSError, http.client.HTTPException):
        return False


def _no_descriptor(plan: Plan) -> Iterator[Outcome]:
    """Every file descriptor is taken by connections that say nothing."""
    limited = ("sh", "-c", f'ulimit -n {DESCRIPTORS} && exec "$@"', "sh")
    with _alone(plan, plan.folder / "descriptors", around=limited) as alone, ExitStack() as stack:
        kept = Kept(alone.child.port, alone.child.key)
        _must(kept.get("/health/ready")[0] == http.client.OK, "a kept connection")
        began_s = time.monotonic()
        for _ in range(DESCRIPTORS):
            one = stack.enter_context(socket.socket())
            one.settimeout(1.0)
            with suppress(OSError):
                one.connect(("127.0.0.1", alone.child.port))
        noticed_s = require(
            wait_until(lambda: "descriptors" in kept.get("/health/ready")[1]["degraded"], timeout_s=WAIT_S_MAX),
            "missing descriptors to be named",
        )
        refused = sum(not _lives(alone.child) for _ in range(NEWCOMERS)) / NEWCOMERS
        time.sleep(plan.of(quick=1, full=3))
        held_s = time.monotonic()
        stack.close()
        back_s = require(wait_until(lambda: _calm(alone), timeout_s=WAIT_S_MAX), "the server with descriptors again")
        calls = alone.players.between(began_s, held_s)
        failed = sum(one.status != http.client.OK for one in calls)
        plan.told(f"  no descriptor left: named after {noticed_s:.2f} s, back after {back_s:.2f} s")
        yield figure("no descriptor: named after", noticed_s, "s", NOTICED_S)
        yield figure("no descriptor: newcomers turned away", refused, "share", 1 / NEWCOMERS, least=True)
        yield figure("no descriptor: calls failed on kept connections", failed / max(len(calls), 1), "share",
                     ERROR_SHARE)  # fmt: skip
        yield figure("no descriptor: all as before after", back_s, "s", BACK_S)
        yield from _ended("no descriptor", alone, plan.folder / "descriptors")


def _clock(plan: Plan) -> Iterator[Outcome]:
    """The wall clock jumps an hour on, runs ten times too fast, and jumps back; the monotonic one goes on."""
    found = sorted(path for form in FAKETIME for path in Path("/").glob(form.lstrip("/")))
    if not found:
        yield Gap(suite="G", name="clock jump", lacks="libfaketime (apt-get install faketime)")
        return
    setting = plan.folder / "clock"
    setting.write_text("+0")
    environment = {
        "LD_PRELOAD": str(found[0]), "DONT_FAKE_MONOTONIC": "1", "FAKETIME_TIMESTAMP_FILE": str(setting),
        "FAKETIME_CACHE_DURATION": "1", "FAKETIME_FORCE_MONOTONIC_FIX": "0",
    }  # fmt: skip
    with _alone(plan, plan.folder / "jumps", environment=environment) as alone:
        began_s = time.monotonic()
        token = alone.child.post("/v1/auth/token", {})[1]["access_token"]
        for jump in JUMPS:
            setting.write_text(jump)
            time.sleep(JUMP_S)
            _must(abs(_clock_ahead_s(alone.child)) > JUMP_LEAST_S, f"the clock to go {jump}")
            _must(_calm(alone), f"writes after the clock went {jump}")
        _must(let_through(alone.child, alone.reader_key) == [], "wrong keys to be refused")
        calls = alone.players.between(began_s, time.monotonic())
        failed = sum(one.status != http.client.OK for one in calls)
        setting.write_text("+0")
        again = ask(alone.child.port, "POST", "/v1/world/get", GET, token)[0] == http.client.OK
        plan.told(f"  clock jumps: {failed} of {len(calls)} calls failed")
        yield figure("clock jumps", len(JUMPS), "jumps", len(JUMPS), least=True)
        yield figure("clock jumps: calls failed", failed / max(len(calls), 1), "share", ERROR_SHARE)
        yield figure("clock jumps: a token of before holds when the clock is right", int(again), "", 1, least=True)
        yield from _ended("clock jumps", alone, plan.folder / "jumps")


def _clock_ahead_s(child: Child) -> float:
    """How far the server's wall clock is ahead of ours, by the date that it writes on its answers."""
    connection = http.client.HTTPConnection("127.0.0.1", child.port, timeout=REQUEST_S_MAX)
    try:
        connection.request("GET", "/health/live")
        date = connection.getresponse().headers["date"]
        return parsedate_to_datetime(date).timestamp() - time.time()
    finally:
        connection.close()


def _lived(
    plan: Plan, name: str, alone: Alone, began_s: float, noticed_s: float, heal: Callable[[], None]
) -> Iterator[Outcome]:
    """Hold the fault a while, heal it, and say how the players fared."""
    time.sleep(plan.of(quick=2, full=5))
    open_doors = let_through(alone.child, alone.reader_key)
    heal()
    healed_s = time.monotonic()
    back_s = require(wait_until(lambda: _calm(alone), timeout_s=WAIT_S_MAX), f"all as before after {name}")
    calls = alone.players.between(began_s, healed_s)
    failed = sum(one.status != http.client.OK for one in calls)
    said = percentile([one.ms for one in calls if one.kind == "say"], 0.95)
    decided = percentile([one.ms for one in calls if one.kind == "decide"], 0.95)
    plan.told(
        f"  {name}: named after {noticed_s:.2f} s, lines p95 {said:.0f} ms, {failed} of {len(calls)} calls failed, "
        f"back after {back_s:.2f} s"
    )
    yield figure(f"{name}: named after", noticed_s, "s", NOTICED_S)
    yield figure(f"{name}: lines in character, p95", said, "ms", SAID_P95_MS)
    yield figure(f"{name}: behavior.decide, p95", decided, "ms", DECIDED_P95_MS)
    yield figure(f"{name}: calls failed beside the writes", failed / max(len(calls), 1), "share", ERROR_SHARE)
    yield figure(f"{name}: let in without the right", len(open_doors), "calls", 0)
    yield figure(f"{name}: all as before after", back_s, "s", BACK_S)


def _ended(name: str, alone: Alone, folder: Path) -> Iterator[Outcome]:
    """Stop everything well, and hold the log against the ledger."""
    alone.players.stop()
    alone.clients.finish()
    _must(alone.child.stop() == 0, "the server to stop well")
    yield from judged(name, judge(alone.clients, "", folder), alone.clients)


def _must(held: bool, what: str) -> None:
    require(0.0 if held else None, what)
