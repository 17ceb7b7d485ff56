"""Suite B, contract fuzz: what is asked of the wire that nobody should ask, and that all of it is answered as written.

Requests drawn from the document, texts and JSON that have broken others, frames and heads that break the rules, and
clients that are slow: no fault of ours, no answer outside the document, and nothing left behind.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence

from app.cli.prove.contract import schema, texts, wire
from app.cli.prove.contract.naughty import strings, values
from app.cli.prove.contract.world import Contested, contested
from app.cli.prove.figures import Figure, Gap, Outcome, Plan

SETTLE_S_MAX = 10.0
LEFT_MAX = 2
"""Tasks and descriptors that may come and go by themselves."""


def run(plan: Plan) -> Sequence[Outcome]:
    """The whole suite."""
    with contested(plan.folder / "server") as stage:
        before = _held(stage)
        outcomes = [
            *_wire(plan, stage),
            *_texts(plan, stage),
            *_left(stage, before),
            *schema.run(plan, stage),
            _figure("server died", stage.child.dead, "times", 0),
        ]
        faults, lines = _log(stage)
        return [
            *outcomes,
            _figure("faults in the log", faults, "events", 0),
            _figure("lines that are no event", lines, "lines", 0),
        ]


def _figure(name: str, value: int, unit: str, bound: int, *, least: bool = False) -> Figure:
    return Figure(
        suite="B", name=name, value=int(value), unit=unit, bound=bound, side="at_least" if least else "at_most"
    )


def _wire(plan: Plan, stage: Contested) -> Iterator[Outcome]:
    """Frames, heads and slow clients."""
    for name, judged, least in (
        ("socket cases", wire.sockets(stage.child.port, stage.child.key), 60),
        ("heads of requests", wire.heads(stage.child.port), 60),
        (
            "slow clients",
            wire.slow_clients(stage.child, each=plan.of(quick=12, full=24)),
            1,
        ),
    ):
        wrong = [one for one in judged if one.got != one.want]
        for one in wrong:
            plan.told(f"  {name}: {one.name}: {one.got} in place of {one.want}")
        yield _figure(name, len(judged), "cases", least, least=True)
        yield _figure(f"{name}: not as written", len(wrong), "cases", 0)


def _texts(plan: Plan, stage: Contested) -> Iterator[Outcome]:
    """Naughty strings in every text of every message, and JSON that may or may not be read."""
    words, all_words = strings()
    bodies, all_bodies = values()
    if not (all_words and all_bodies):
        yield Gap(suite="B", name="the whole sets of texts", lacks="the folder shared beside the checkout")
    each = plan.of(quick=10, full=len(words))
    told = texts.everywhere(stage.child.port, stage.child.key, words, each=each, seed=plan.seed)
    plan.told(f"  {told.asked} texts in {told.places} places: {told.faults} faults")
    yield _figure("texts in text fields", told.asked, "requests", 5_000, least=True)
    yield _figure("texts: faults", told.faults, "requests", 0)
    yield _figure("texts: changed on the way", texts.changed(stage.child.port, stage.child.key, words), "texts", 0)
    for way, wrong in texts.verdicts(stage.child.port, stage.child.key, bodies).items():
        for body in wrong[:5]:
            plan.told(f"  {way}: {body[:60]!r}")
        yield _figure(f"JSON of {len(bodies)} judged wrongly: {way}", len(wrong), "values", 0)


def _held(stage: Contested) -> tuple[int, int]:
    """(tasks, descriptors) of the server now."""
    text = stage.child.read("/metrics")[1]
    found = re.search(r"^innkeeper_tasks ([0-9.]+)", text, re.MULTILINE)
    return int(float(found[1])) if found else 0, stage.child.descriptors()


def _left(stage: Contested, before: tuple[int, int]) -> Iterator[Figure]:
    """What is still there once everybody has gone."""
    until_s = time.monotonic() + SETTLE_S_MAX
    while True:
        tasks, descriptors = (now - then for now, then in zip(_held(stage), before, strict=True))
        if max(tasks, descriptors) <= LEFT_MAX or time.monotonic() > until_s:
            break
        time.sleep(0.2)
    yield _figure("tasks left behind", max(0, tasks), "tasks", LEFT_MAX)
    yield _figure("descriptors left behind", max(0, descriptors), "descriptors", LEFT_MAX)


def _log(stage: Contested) -> tuple[int, int]:
    """(events that tell of a fault, lines that are no event)."""
    faults = strange = 0
    for line in (stage.child.folder / "server.log").read_bytes().splitlines():
        try:
            faults += json.loads(line)["level"] == "error"
        except (ValueError, KeyError, TypeError):
            strange += 1
    return faults, strange
