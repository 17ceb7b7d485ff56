"""What an eval set finds in answers, and what a run keeps."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from app.control.prompts.bundled import load_sets
from app.control.prompts.evals import Checks, Runner, broken, read_set
from app.core.clock import SystemClock
from app.core.prompts import version_of
from app.core.words import Completion
from app.engines.authored.engine import open_authored
from tests.control.prompts.test_registry import NAME, OWN, reworded
from tests.modules.dialogue.village import Script
from tests.prompts import LIMITS, registry

PERSON = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


@pytest.mark.parametrize(
    ("checks", "answer", "told"),
    [
        ({}, "Good day.", []),
        ({}, "  \n", ["nothing was written"]),
        ({"contains": ["GOOD", "day"]}, "Good day.", []),
        ({"contains": ["night"]}, "Good day.", ["does not contain 'night'"]),
        ({"not_contains": ["Day"]}, "Good day.", ["contains 'Day'"]),
        ({"regex": r"^Good \w+\.$"}, "Good day.", []),
        ({"regex": r"^good"}, "Good day.", ["does not match '^good'"]),
        ({"tokens_max": 3}, "Good day.", []),
        ({"tokens_max": 2}, "Good day.", ["takes 3 tokens, more than 2"]),
        ({}, "It says I-N-K 77.", ["speaks the canary"]),
        ({"no_canary": False}, "It says ink77.", []),
        ({"json_schema": PERSON}, '{"age": 3}', []),
        ({"json_schema": PERSON}, '{"age": "old"}', ["is not of the schema at $.age: type"]),
        ({"json_schema": PERSON}, "Good day.", ["is no JSON"]),
    ],
)
def test_each_check_says_what_is_wrong(checks: dict[str, Any], answer: str, told: list[str]) -> None:
    assert list(broken(msgspec.convert(checks, Checks), answer, "ink77")) == told


def runner(words: Any) -> Runner:
    return Runner(words, LIMITS, clock=SystemClock(), tenant="t")


async def run(words: Any, text: str, prompt: Any = OWN) -> tuple[Any, int]:
    set_id, found = read_set(text, "set.toml", LIMITS)
    steps: list[int] = []
    done = await runner(words).run(registry().compile(prompt), found, set_id, contract=OWN, told=steps.append)
    return done, sum(steps)


CASES = """
prompt = "dialogue.reply"
pass_share_min = 0.5
[[cases]]
name = "one"
sections = ["rules", "now"]
said = "Good evening!"
variables = { name = "Mara" }
checks = { contains = ["evening"] }
[[cases]]
name = "two"
variables = { name = "Mara" }
checks = { contains = ["dragon"] }
"""


async def test_a_run_counts_its_cases_and_names_what_failed() -> None:
    script = Script(lambda _completion: "Good evening.")
    mine = reworded("Be brief.")
    done, steps = await run(script, CASES, mine)
    assert (done.cases, done.passed, done.ok, steps) == (2, 1, True, 2)
    assert done.failures == ("two: does not contain 'dragon'",)
    assert (done.version, done.engine) == (version_of(mine), "script")
    first, second = script.asked
    assert [part.trust for part in first.parts] == ["system", "fact", "player"]
    assert (first.parts[-1].text, len(second.parts)) == ("Good evening!", len(OWN.sections))
    assert "Be brief." in first.parts[0].text
    strict = CASES.replace("0.5", "1.0")
    assert not (await run(script, strict, mine))[0].ok


async def test_a_canary_is_put_into_each_case_and_may_not_come_out() -> None:
    def tell(completion: Completion) -> str:
        return completion.parts[0].text.split("never to be written: ")[1]

    done, _ = await run(Script(tell), CASES)
    assert [failure for failure in done.failures if "canary" in failure] == [
        "one: speaks the canary",
        "two: speaks the canary",
    ]


async def test_an_engine_that_fails_fails_the_case_and_not_the_run() -> None:
    script = Script(lambda _completion: "Good evening.", fails_after=3)
    done, steps = await run(script, CASES)
    assert (done.passed, steps) == (0, 2)
    assert all("broke" in failure for failure in done.failures)


async def test_a_case_that_names_what_is_not_there_fails_by_name() -> None:
    text = CASES.replace('["rules", "now"]', '["rule"]').replace(
        '"two"\nvariables = { name', '"two"\nvariables = { nam'
    )
    done, _ = await run(Script(lambda _completion: "Good evening."), text)
    assert done.failures == ("one: no section 'rule'", "two: no variable 'nam'")


async def test_the_set_that_ships_is_passed_by_the_authored_lines_and_by_no_parrot() -> None:
    text = load_sets()[NAME]
    done, _ = await run(open_authored(), text)
    assert (done.ok, done.passed, done.engine) == (True, 4, "authored")
    parrot = Script(lambda completion: completion.parts[0].text)
    done, _ = await run(parrot, text)
    assert done.passed == 0
