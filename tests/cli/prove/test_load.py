"""The generator counts what it says it counts: against real servers, one of them stopped in the middle of a drive."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.prove.child import Child
from app.cli.prove.load import measures, traffic
from app.cli.prove.load.generator import Generator, served
from app.cli.prove.load.orders import Answers, Churn, Drive, Found, Ingest, Second, Stream, answers
from app.cli.prove.words import CYCLE, KEY, MEDIAN_S, delays_s, scripted_words

WORLDS = 2


@pytest.fixture(scope="module")
def pressed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """A server whose only words are scripted."""
    with scripted_words(1) as url:
        settings = {"engines.openai.base_url": url, "engines.words.providers": "openai"}
        environment = {"OPENAI_API_KEY": KEY, "NO_PROXY": "127.0.0.1"}
        folder = tmp_path_factory.mktemp("pressed")
        with served(folder, settings=settings, environment=environment, worlds=WORLDS) as server:
            yield server


@pytest.fixture
def generator(pressed: Child) -> Iterator[Generator]:
    with Generator(port=pressed.port, key=pressed.key, worlds=WORLDS) as one:
        yield one


def light(seconds: float) -> Drive:
    return Drive(
        seconds=seconds,
        seed=1,
        streams=(
            Stream(face="socket", say="get", per_s=60),
            Stream(face="http", say="get", per_s=60),
            Stream(face="socket", say="events", batch=3, per_s=20, seed=1),
        ),
    )


def test_every_request_of_a_light_drive_is_answered(generator: Generator) -> None:
    opened = generator.hold(sockets=10, connections=4)
    assert (opened.held, opened.failed, opened.hello.count) == (10, 0, 10)
    found = generator.ask(light(1.0))
    assert found.sent > 60
    assert "unanswered" not in found.codes, found
    assert found.ok.count + found.errors + found.shed.count == found.sent, found
    assert found.closed == 0
    # A machine that stands still for a second makes the server refuse what was due in it: an answer too, and named.
    assert found.failed_share < 0.05, found
    assert found.errors + found.shed.count == sum(found.codes.values()), found
    assert sum(second.count for second in found.seconds) == found.ok.count


def test_a_server_that_stands_still_does_not_slow_what_is_sent(pressed: Child, generator: Generator) -> None:
    generator.hold(sockets=10, connections=4)
    os.kill(pressed.pid, signal.SIGSTOP)
    timer = threading.Timer(1.5, os.kill, (pressed.pid, signal.SIGCONT))
    timer.start()
    found = generator.ask(light(1.0))
    timer.join()
    assert found.sent > 60
    assert "unanswered" not in found.codes, found
    assert found.failed_share < 0.05, found
    assert found.ok.p50_ms > 500, "each waited from the moment at which it was due"


def test_events_are_counted_when_they_are_acknowledged(generator: Generator) -> None:
    generator.hold(sockets=2)
    found = generator.ask(Ingest(seconds=0.5, seed=7, batch=5))
    assert found.ok.count == found.sent
    assert found.events_per_s > 0


def test_sockets_come_and_go_and_as_many_are_held(pressed: Child, generator: Generator) -> None:
    generator.hold(sockets=10, over_s=0.2)
    generator.begin(Churn(seconds=0.5, per_s=20))
    churned = generator.churned()
    assert (churned.held, churned.failed, churned.hello.count) == (10, 0, 10)


def test_a_server_that_is_gone_is_an_error_for_each_request(tmp_path: Path) -> None:
    with served(tmp_path, worlds=1) as server, Generator(port=server.port, key=server.key, worlds=1) as one:
        one.hold(sockets=3, connections=2)
        server.kill()
        found = one.ask(Drive(seconds=0.3, seed=1, streams=light(0.3).streams[:2]))
        assert found.errors == found.sent > 0
        assert found.closed == 3
        assert one.hold(sockets=1).failed == 1


def test_scripted_words_are_taken_for_a_provider_s(pressed: Child, generator: Generator) -> None:
    data = {"world": traffic.world(0), "npc": "npc-1", "participants": [traffic.SPEAKER]}
    status, opened = pressed.post("/v1/dialogue/open", data)
    assert status == 200
    line = {"world": traffic.world(0), "dialogue": opened["dialogue"], "speaker": traffic.SPEAKER, "text": "Hello!"}
    status, said = pressed.post("/v1/dialogue/say", line)
    assert (status, said["rung"]) == (200, "words")
    generator.hold(sockets=1)
    talk = Stream(face="socket", say="talk", per_s=2, dialogues=(opened["dialogue"],))
    found = generator.ask(Drive(seconds=1.0, seed=3, streams=(talk,)))
    assert found.ok.count + found.errors == found.sent, "a line's chunks are no answers"


def test_scripted_delays_are_the_same_in_any_order() -> None:
    one, other = delays_s(1), delays_s(2)
    assert one != other
    assert sorted(one) == sorted(other)
    assert sorted(one)[CYCLE // 2 - 1] < MEDIAN_S < sorted(one)[CYCLE // 2]


def test_percentiles_are_nearest_ranks() -> None:
    assert answers([]) == Answers()
    assert answers([float(number) for number in range(100)]) == Answers(count=100, p50_ms=50, p95_ms=95, p99_ms=99)


def found(*p95_ms: float, count: int = 50, shed: Answers | None = None) -> Found:
    """A drive whose seconds had these p95s."""
    seconds = tuple(Second(second=number, count=count, p95_ms=p95) for number, p95 in enumerate(p95_ms))
    return Found(
        sent=count, errors=0, codes={}, ok=Answers(count=count, p95_ms=max(p95_ms, default=0.0)),
        shed=shed or Answers(), seconds=seconds,
    )  # fmt: skip


def test_recovery_ends_with_the_last_late_second() -> None:
    calm = [found(10, 20)]
    assert measures.recovered_s(calm, [found(30, 40)]) == 0, "up to 50 ms are normal"
    assert measures.recovered_s(calm, [found(900, 30, 900, 30), found(900, 30, 30, 30)]) == 3
    assert measures.recovered_s(calm, [found(30, 900)]) is None, "it never was normal again while we looked"
    assert measures.recovered_s([found(100)], [found(140, 140)]) == 0, "nor is what was so before"
    assert measures.recovered_s(calm, [found(900, 30, count=measures.FEW - 1)]) == 0, "a few say nothing"


def test_no_refusal_has_no_time() -> None:
    assert measures.shed_p95_ms([found(10)]) is None
    slow, quick = Answers(count=2, p95_ms=9), Answers(count=5, p95_ms=3)
    assert measures.shed_p95_ms([found(10, shed=quick), found(10, shed=slow), found(10)]) == 9
