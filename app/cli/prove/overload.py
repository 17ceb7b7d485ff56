"""Suite I, overload: five times what the server can, from one tenant, beside another that pays and asks for little.

Most of the load must still be served, the rest told at once when to come again, and all be normal soon after. The
quiet tenant talks with NPCs through a scripted provider of words and reads; it must hardly notice.
"""

from __future__ import annotations

import importlib.util
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from app.build import ROOT
from app.cli.prove import child as children
from app.cli.prove.child import UNPLANNED, Child
from app.cli.prove.figures import Figure, Gap, Outcome, Plan
from app.cli.prove.load import measures, traffic
from app.cli.prove.load.generator import Generator, populate, served
from app.cli.prove.load.orders import Drive, Found, Stream
from app.cli.prove.words import KEY, scripted_words
from app.cli.serve import KEY_FILE
from app.core.errors import Broken

NOISY, PAYING = "noisy", "paying"
NOISY_GENERATORS, NOISY_SOCKETS = 2, 50
DIALOGUES, PAYING_SOCKETS = 40, 10
TALK_PER_S, READ_PER_S = 20.0, 50.0
GOODPUT = 0.8
SHED_P95_MS = 20.0
RECOVERED_S = 10.0
UNFAIR = 1.3
OVERHEAD_P95_MS = 50.0
ERROR_SHARE = 0.0001
VERB_S_MAX = 60


@dataclass(frozen=True, slots=True)
class Size:
    """Seconds of each part."""

    peak: float
    alone: float
    calm: float
    press: float
    after: float


QUICK = Size(peak=2, alone=6, calm=3, press=8, after=4)
FULL = Size(peak=10, alone=30, calm=20, press=60, after=20)


@dataclass(frozen=True, slots=True)
class Quiet:
    """The quiet tenant's two kinds of traffic, each from a generator of its own."""

    talk: Generator
    read: Generator
    dialogues: tuple[str, ...]

    def begin(self, seconds: float, *, seed: int) -> None:
        """Start talking and reading."""
        talk = Stream(face="socket", say="talk", per_s=TALK_PER_S, dialogues=self.dialogues)
        self.talk.begin(Drive(seconds=seconds, seed=seed, streams=(talk,)))
        read = Stream(face="socket", say="get", per_s=READ_PER_S)
        self.read.begin(Drive(seconds=seconds, seed=seed, streams=(read,)))

    def end(self) -> tuple[Found, Found]:
        """(what talking met, what reading met)."""
        return self.talk.end(), self.read.end()


def run(plan: Plan) -> Sequence[Outcome]:
    """The whole suite."""
    if importlib.util.find_spec("openai") is None:
        return [Gap(suite="I", name="overload", lacks="the package openai: uv sync --extra cloud")]
    folder = plan.folder / "server"
    noisy, paying = (_make_key(folder, tenant) for tenant in (NOISY, PAYING))
    (folder / KEY_FILE).write_text(noisy)
    with ExitStack() as stack:
        url = stack.enter_context(scripted_words(plan.seed))
        settings = {"engines.openai.base_url": url, "engines.words.providers": "openai", **UNPLANNED}
        environment = {"OPENAI_API_KEY": KEY, "NO_PROXY": "127.0.0.1"}
        server = stack.enter_context(served(folder, settings=settings, environment=environment))
        populate(server, paying, 1)
        loud = [stack.enter_context(Generator(port=server.port, key=noisy)) for _ in range(NOISY_GENERATORS)]
        talk, read = (stack.enter_context(Generator(port=server.port, key=paying, worlds=1)) for _ in range(2))
        for generator in loud:
            generator.hold(sockets=NOISY_SOCKETS)
        for generator in (talk, read):
            generator.hold(sockets=PAYING_SOCKETS)
        return list(_overloaded(plan, loud, Quiet(talk, read, _dialogues(server, paying))))


def _overloaded(plan: Plan, loud: Sequence[Generator], quiet: Quiet) -> Iterator[Outcome]:
    size = QUICK if plan.scale == "quick" else FULL
    peak_per_s = measures.peak_per_s(loud[0], seconds=size.peak)
    for seed, seconds in ((0, 1.0), (1, size.alone)):  # the first second warms up
        quiet.begin(seconds, seed=seed)
        alone = quiet.end()
    calm = measures.press(loud, peak_per_s * measures.CALM, size.calm, seed=10)
    quiet.begin(size.press, seed=1)
    pressed = measures.press(loud, peak_per_s * measures.OVERLOAD, size.press, seed=20)
    beside = quiet.end()
    after = measures.press(loud, peak_per_s * measures.CALM, size.after, seed=30)
    plan.told(
        f"  peak {peak_per_s:.0f} messages/s of {measures.PRESS_BATCH} events; at {measures.OVERLOAD:g} times that "
        f"{sum(one.shed.count for one in pressed)} of {sum(one.sent for one in pressed)} were refused; "
        f"the generators were late by {max(one.late_ms for one in pressed):.0f} ms at most"
    )
    for name, before, now in zip(("talk", "reads"), alone, beside, strict=True):
        plan.told(
            f"  the quiet tenant's {name}: p95 {before.ok.p95_ms:.1f} ms alone, {now.ok.p95_ms:.1f} ms beside the "
            f"noisy one; {now.failed_share:.2%} of {now.sent} failed with {now.codes}"
        )
    yield from _shed(size, peak_per_s, pressed)
    yield _figure("normal again", measures.recovered_s(calm, after), "s", RECOVERED_S)
    yield from _unaffected(alone, beside)


def _shed(size: Size, peak_per_s: float, pressed: Sequence[Found]) -> Iterator[Figure]:
    wrong = sum(one.errors for one in pressed) / sum(one.sent for one in pressed)
    goodput = measures.good_per_s(pressed, size.press) / peak_per_s
    yield _figure("goodput under 5 times the peak", goodput, "of the peak", GOODPUT, least=True)
    yield _figure("refused with a time to come again, p95", measures.shed_p95_ms(pressed), "ms", SHED_P95_MS)
    yield _figure("neither served nor told when to come again", wrong, "of all", ERROR_SHARE)


def _unaffected(alone: tuple[Found, Found], beside: tuple[Found, Found]) -> Iterator[Figure]:
    ratio = beside[0].ok.p95_ms / alone[0].ok.p95_ms if alone[0].ok.count else math.inf
    failed = sum(one.errors + one.shed.count for one in beside) / sum(one.sent for one in beside)
    yield _figure("quiet tenant's talk beside a noisy one, p95", ratio, "times alone", UNFAIR)
    yield _figure("quiet tenant's reads beside a noisy one, p95", beside[1].ok.p95_ms, "ms", OVERHEAD_P95_MS)
    yield _figure("quiet tenant's requests that failed", failed, "of all", ERROR_SHARE)


def _make_key(folder: Path, tenant: str) -> str:
    """A key of a tenant of its own, made as an operator makes one."""
    command = [sys.executable, str(ROOT / "manage.py"), "key", "create", "--mode", "1", "--tenant", tenant]
    command += ["--label", "proof", "--set", f"server.data_folder={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=VERB_S_MAX, check=False)  # noqa: S603  # our own command
    if done.returncode != 0:
        raise Broken(f"key create ended with {done.returncode}: {done.stderr.strip()}", hint="run it by hand")
    return done.stdout.strip()


def _dialogues(server: Child, key: str) -> tuple[str, ...]:
    """Open dialogues of the quiet tenant, one with each of so many NPCs."""
    found = []
    for number in range(DIALOGUES):
        data = {"world": traffic.world(0), "npc": f"npc-{number}", "participants": [traffic.SPEAKER]}
        status, answer = children.ask(server.port, "POST", "/v1/dialogue/open", data, key)
        if status != 200:
            raise Broken(f"a dialogue was refused: {status} {answer!r}", hint=f"see {server.folder / 'server.log'}")
        found.append(answer["dialogue"])
    return tuple(found)


def _figure(name: str, value: float | None, unit: str, bound: float, *, least: bool = False) -> Figure:
    """A figure; one that was never seen to be reached is infinite."""
    figure = Figure(suite="I", name=name, value=math.inf if value is None else round(value, 5), unit=unit, bound=bound)
    return msgspec.structs.replace(figure, side="at_least") if least else figure
