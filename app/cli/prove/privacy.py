"""Suite M, privacy: fifty markers of each of two persons in a real server; one is exported, erased and looked for.

Markers go through the API into every place that takes text of a person. After the erasure no file holds one, the other
person is whole, the log gives the state, and a backup from before it brings nothing back.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.build import ROOT
from app.cli.prove import child as children
from app.cli.prove.child import Child
from app.cli.prove.figures import Figure, Gap, Outcome, Plan
from app.cli.prove.key_server import KeyServer, find_program
from app.core.errors import Broken, StoreDown
from app.stores.cluster import SUPERUSER, find_tools, private_cluster

WORLD = "haven"
ERASED, KEPT = "p-first", "p-second"
MARKERS = 50
ERASE_S_MAX = 30.0
GRACE_S = 60.0
OLD, FULL = "backup-old", "backup-kept"


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with its server's settings, and what else may hold bytes."""

    folder: Path
    settings: Mapping[str, str]
    files: Sequence[Path]


def run(plan: Plan) -> Sequence[Outcome]:
    """The embedded default; a night also PostgreSQL with Redis."""
    folder = plan.folder / "embedded"
    outcomes: list[Outcome] = [*_proved(plan, "embedded", Place(folder, {}, (folder,)))]
    if plan.scale == "full":
        outcomes += _on_servers(plan)
    return outcomes


def _on_servers(plan: Plan) -> Iterator[Outcome]:
    try:
        tools, program = find_tools("initdb"), find_program()
    except StoreDown as error:
        yield Gap(suite="M", name="on PostgreSQL and Redis", lacks=error.message)
        return
    folder, kept = plan.folder / "servers", plan.folder / "redis"
    kept.mkdir()
    with private_cluster(tools, port=children.free_port()) as cluster:
        cluster.create()
        cluster.start()
        redis = KeyServer(program, kept, children.free_port(), appends="yes")
        redis.start()
        try:
            url = f"postgresql://{SUPERUSER}@127.0.0.1:{cluster.port}/postgres"
            settings = {"database.url": cluster.url() or url, "cache.url": redis.url, "stream.url": redis.url}
            yield from _proved(plan, "servers", Place(folder, settings, (folder, cluster.folder, kept)))
        finally:
            redis.kill()


def _proved(plan: Plan, name: str, place: Place) -> Iterator[Figure]:
    old, kept = plan.folder / f"{name}-{OLD}", plan.folder / f"{name}-{FULL}"
    with children.served(place.folder, place.settings) as child:
        planted = {who: _plant(child, who) for who in (ERASED, KEPT)}
        for target in (old, kept):
            _manage(place, "backup", "--out", str(target))
        yield from _exported(name, child, planted)
        clear = [marker for markers in planted.values() for marker in markers]
        yield _figure(f"{name}: in the clear before", _hits((*place.files, old, kept), clear), "markers", 0)
        started_s = time.monotonic()
        _manage(place, "privacy", "erase", ERASED, "--backups", str(old))
        yield _figure(f"{name}: erased in", time.monotonic() - started_s, "s", ERASE_S_MAX)
        yield from _gone(name, child, planted)
    with children.served(place.folder, place.settings) as child:
        yield from _gone(f"{name}, started again", child, planted)
    yield _figure(f"{name}: in files", _hits((*place.files, old), planted[ERASED]), "markers", 0)
    yield _figure(f"{name}: ids in files", _hits((place.folder,), [ERASED]), "files", 0)
    yield _figure(f"{name}: replay differs", int(_manage(place, "events", "replay", "--check") != 0), "worlds", 0)
    plan.told(f"  {name}: erased, and looked for in {len(place.files)} places")
    for backup, how in ((old, "freed backup"), (kept, "backup that nobody freed")):
        _manage(place, "restore", "--from", str(backup), "--overwrite")
        _drop_replaced(place.folder)
        with children.served(place.folder, place.settings) as child:
            yield from _gone(f"{name}, restored from a {how}", child, planted)
        yield _figure(f"{name}, {how}: in files", _hits(place.files, planted[ERASED]), "markers", 0)


def _exported(name: str, child: Child, planted: Mapping[str, Sequence[str]]) -> Iterator[Figure]:
    status, text = child.read(f"/v1/privacy/subjects/{ERASED}/export")
    _require(status == 200, "export", text)
    found = sum(marker in text for marker in planted[ERASED])
    yield _figure(f"{name}: exported", found, "markers", MARKERS, least=True)
    foreign = sum(marker in text for marker in planted[KEPT])
    yield _figure(f"{name}: exported of another person", foreign, "markers", 0)


def _gone(name: str, child: Child, planted: Mapping[str, Sequence[str]]) -> Iterator[Figure]:
    status, text = _told(child, ERASED)
    left = sum(marker in text for marker in planted[ERASED])
    yield _figure(f"{name}: still told", left + (status != 404), "markers", 0)
    _, text = _told(child, KEPT)
    durable = planted[KEPT][:-LINES]
    whole = sum(marker in text for marker in durable)
    yield _figure(f"{name}: of the other person", whole, "markers", len(durable), least=True)


def _told(child: Child, who: str) -> tuple[int, str]:
    """The export, once the worlds of a server that was killed can be taken."""
    until_s = time.monotonic() + GRACE_S
    while True:
        status, text = child.read(f"/v1/privacy/subjects/{who}/export")
        if status != 503 or time.monotonic() > until_s:
            return status, text
        time.sleep(0.1)


LINES = 5
"""Markers that are said in a dialogue, which memory alone keeps; they come last."""


def _plant(child: Child, who: str) -> list[str]:
    """Put fifty markers of a person in, each in a place of its own."""
    made = [f"zq{who.replace('-', '')}x{number:02d}k" for number in range(MARKERS)]
    rest = iter(made)

    def take(count: int) -> list[str]:
        return [next(rest) for _ in range(count)]

    post = child.post
    post("/v1/world/create", {"world": WORLD})
    places = [
        {"type": "location", "id": "inn", "name": "Inn", "connects": ["well"]},
        {"type": "location", "id": "well", "name": "Well", "connects": ["inn"]},
    ]
    npc = {"type": "npc", "id": "mara", "name": "Mara", "archetype": "innkeeper", "location": "inn"}
    player: dict[str, Any] = {"type": "player", "id": who, "name": take(1)[0], "location": "inn"}
    player |= {"tags": take(8), "attributes": {f"a{n}": text for n, text in enumerate(take(6))}}
    _ok(post("/v1/world/upsert", {"world": WORLD, "entities": [*places, npc, player]}))
    facts: list[dict[str, Any]] = [
        {"subject": who, "predicate": f"p{n}", "value": text} for n, text in enumerate(take(10))
    ]
    facts += [{"subject": who, "predicate": text, "value": True} for text in take(2)]
    facts += [{"subject": "mara", "predicate": "knows", "value": who}]
    _ok(post("/v1/world/assert", {"world": WORLD, "facts": facts}))
    told = [{"verb": "talked", "actor": who, "target": "mara", "details": {"said": text}} for text in take(7)]
    told += [{"verb": "talked", "actor": "mara", "target": who, "details": {"heard": text}} for text in take(5)]
    told += [{"verb": "learned", "actor": who, "topic": text} for text in take(4)]
    other = ERASED if who == KEPT else "mara"
    told += [{"verb": "attacked", "actor": who, "target": other}, {"verb": "moved", "actor": who, "location": "well"}]
    _ok(post("/v1/world/event", {"world": WORLD, "events": [*told, {**told[-1], "location": "inn"}]}))
    title, description = take(2)
    steps = [{"id": "s", "action": "goto", "location": "well"}]
    draft = {"title": title, "description": description, "giver": "mara", "player": who, "steps": steps}
    _ok(post("/v1/quests/offer", {"world": WORLD, "quest": draft}))
    _, opened = post("/v1/dialogue/open", {"world": WORLD, "npc": "mara", "participants": [who]})
    for text in take(LINES):
        _ok(post("/v1/dialogue/say", {"world": WORLD, "dialogue": opened["dialogue"], "speaker": who, "text": text}))
    return made


def _ok(answer: tuple[int, Any]) -> None:
    _require(answer[0] == 200, "planting", answer[1])


def _require(holds: bool, what: str, told: object) -> None:
    if not holds:
        raise Broken(f"{what} failed: {str(told)[:400]}", hint="see the server's log")


def _hits(places: Sequence[Path], texts: Sequence[str]) -> int:
    """How many (file, text) pairs there are under these places."""
    wanted = [text.encode() for text in texts]
    found = 0
    for place in places:
        for path in place.rglob("*"):
            if path.is_file():
                body = path.read_bytes()
                found += sum(text in body for text in wanted)
    return found


def _drop_replaced(folder: Path) -> None:
    """Remove what a restore has moved aside, as its operator would."""
    for path in folder.glob("*.replaced-*"):
        path.unlink()


def _manage(place: Place, *words: str) -> int:
    """Run a verb on the place; its exit code, which only `events replay --check` may have other than 0."""
    command = [sys.executable, str(ROOT / "manage.py"), *words, "--mode", "1", "--data", str(place.folder)]
    for name, value in place.settings.items():
        command += ["--set", f"{name}={value}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=GRACE_S, check=False)  # noqa: S603  # our own verbs
    _require(done.returncode == 0 or words[0] == "events", " ".join(words), done.stderr)
    return done.returncode


def _figure(name: str, value: float, unit: str, bound: float, *, least: bool = False) -> Figure:
    side = "at_least" if least else "at_most"
    return Figure(suite="M", name=name, value=value, unit=unit, bound=bound, side=side)  # type: ignore[arg-type]  # one of the two
