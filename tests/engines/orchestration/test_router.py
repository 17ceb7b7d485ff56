"""The router's decisions as a table: what is known of each candidate, and who is tried first."""

from __future__ import annotations

import msgspec
import pytest

from app.core.engines import Hard, Task
from app.core.words import Part, Tool, Turn
from app.engines.orchestration.router import Ask, Seen, fits, is_hard, order, share_ms
from tests.engines.conftest import COMPLETION

HARD = Hard(characters_min=1_000, turns_min=6, output_tokens_min=500)


def cloud(name: str, **known: object) -> Seen:
    return Seen(variant=name, engine=name, local=False, **known)  # type: ignore[arg-type]  # a test's shorthand


def local(name: str, **known: object) -> Seen:
    return Seen(variant=name, engine=name, local=True, **known)  # type: ignore[arg-type]  # a test's shorthand


@pytest.mark.parametrize(
    ("why", "ask", "seen", "first"),
    [
        ("without more to know, the listed order holds", Ask("order", 800), [cloud("a"), cloud("b")], "a b"),
        (
            "the listed order holds whatever it costs",
            Ask("order", 800),
            [cloud("a", most_nano_usd=9), cloud("b", most_nano_usd=1, warm=True)],
            "a b",
        ),
        (
            "who is too slow for the caller comes last",
            Ask("order", 800),
            [cloud("a", first_ms=900.0), cloud("b", first_ms=700.0), cloud("c")],
            "b c a",
        ),
        (
            "a patient caller waits for the slow one",
            Ask("order", 2_000),
            [cloud("a", first_ms=900.0), cloud("b", first_ms=700.0)],
            "a b",
        ),
        (
            "an experiment's choice goes first",
            Ask("thrift", 800),
            [cloud("a", most_nano_usd=1), cloud("b", most_nano_usd=9, chosen=True)],
            "b a",
        ),
        (
            "an experiment's choice that is too slow does not",
            Ask("order", 800),
            [cloud("a"), cloud("b", chosen=True, first_ms=1_000.0)],
            "a b",
        ),
        (
            "thrift takes the cheapest",
            Ask("thrift", 800),
            [cloud("a", most_nano_usd=9), cloud("b", most_nano_usd=5), local("c")],
            "c b a",
        ),
        (
            "a warm prompt is worth a dearer engine",
            Ask("thrift", 800),
            [cloud("a", most_nano_usd=6), cloud("b", most_nano_usd=9, warm=True)],
            "b a",
        ),
        (
            "but not one that is much dearer",
            Ask("thrift", 800),
            [cloud("a", most_nano_usd=3), cloud("b", most_nano_usd=9, warm=True)],
            "a b",
        ),
        (
            "speed takes the quickest, and whom nobody knows last",
            Ask("speed", 800),
            [cloud("a", first_ms=500.0), cloud("b"), cloud("c", first_ms=200.0)],
            "c a b",
        ),
        ("a warm one is thought quick", Ask("speed", 800), [cloud("a", first_ms=9.0), cloud("b", warm=True)], "b a"),
        (
            "an easy request goes to this machine",
            Ask("order", 800, fits=("local",)),
            [cloud("a"), local("b")],
            "b a",
        ),
        (
            "a task names engines in its own order",
            Ask("thrift", 800, fits=("c", "cloud")),
            [local("a"), cloud("b"), cloud("c", most_nano_usd=99)],
            "c b a",
        ),
        (
            "who fits and is too slow is no help",
            Ask("order", 800, fits=("local",)),
            [cloud("a"), local("b", first_ms=3_000.0)],
            "a b",
        ),
    ],
)
def test_the_first_to_try(why: str, ask: Ask, seen: list[Seen], first: str) -> None:
    assert " ".join(seen[row].variant for row in order(ask, seen)) == first, why


@pytest.mark.parametrize(
    ("change", "hard"),
    [
        ({}, False),
        ({"output_tokens_max": 500}, True),
        ({"schema": {"type": "object"}}, True),
        ({"tools": (Tool(name="look"),)}, True),
        ({"parts": (Part(trust="system", text="x" * 1_000),)}, True),
        ({"parts": tuple(Part(trust="player", text="hm") for _ in range(6))}, True),
        ({"parts": tuple(Part(trust="fact", text="hm") for _ in range(6))}, False),
        ({"turns": tuple(Turn(role="user", text="hm") for _ in range(6))}, True),
        ({"turns": (Turn(role="user", text="x" * 999),)}, False),
    ],
)
def test_what_makes_a_request_hard(change: dict[str, object], hard: bool) -> None:
    assert is_hard(msgspec.structs.replace(COMPLETION, **change), HARD) is hard


def test_a_task_prefers_by_how_hard_the_request_is() -> None:
    task = Task(easy=("local",), hard=("big",))
    assert fits(task, COMPLETION, HARD) == ("local",)
    assert fits(task, msgspec.structs.replace(COMPLETION, output_tokens_max=900), HARD) == ("big",)
    assert fits(Task(), COMPLETION, HARD) == ()


@pytest.mark.parametrize(
    ("left_ms", "engines", "share"),
    [(10_000.0, 2, 4_750.0), (1_000.0, 2, 700.0), (600.0, 3, 570.0), (0.0, 1, 0.0)],
)
def test_the_wait_is_shared_and_each_gets_a_fair_chance(left_ms: float, engines: int, share: float) -> None:
    assert share_ms(left_ms, engines, 700.0) == share
