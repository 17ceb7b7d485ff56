"""Data that a model writes: it fits its schema, or is asked for once more, or is a failure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from app.core.clock import Deadline, SystemClock
from app.core.errors import EngineDown, Invalid
from app.core.words import Completion, Part, Tool, Trace, Turn, Usage, WordsDelta, WordsEnd, WordsStart
from app.engines.structured.structured import Structured, unfenced
from tests.engines.responses.kept import PROFILE, USAGE, Writer, said, told

ITEM = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "price": {"type": "integer", "minimum": 0},
        "note": {"type": "string"},
    },
    "required": ["name", "price"],
    "additionalProperties": False,
}
GOOD = '{"name":"axe","price":12}'


def asking(schema: Mapping[str, Any] = ITEM, **changes: Any) -> Completion:
    completion = Completion(
        task="content.item",
        parts=(Part(trust="system", text="Invent an item."),),
        output_tokens_max=64,
        schema=schema,
        trace=Trace(),
    )
    return msgspec.structs.replace(completion, **changes)


def writes(*answers: str, **options: Any) -> Writer:
    """An engine that gives these answers in turn."""
    return Writer(write=lambda _asked, number: answers[number - 1], **options)


def over(writer: Writer, **changes: Any) -> Structured:
    return Structured(writer, msgspec.structs.replace(PROFILE.structured, **changes), clock=SystemClock())


async def test_an_answer_that_fits_comes_whole_as_one_piece() -> None:
    events = await told(over(writes(GOOD)), asking())
    assert events == [
        WordsStart(engine="writer", model="writer-1"),
        WordsDelta(text=GOOD),
        WordsEnd(reason="stop", usage=USAGE),
    ]


@pytest.mark.parametrize("text", [f"```json\n{GOOD}\n```", f"```\n{GOOD}\n```", f"  {GOOD}\n", f"```{GOOD}```"])
async def test_a_code_fence_and_white_space_are_taken_off(text: str) -> None:
    assert await said(over(writes(text)), asking()) == GOOD


def test_a_fence_inside_the_answer_stays() -> None:
    assert unfenced('{"code": "```py```"}') == '{"code": "```py```"}'


@pytest.mark.parametrize(
    ("faulty", "told_of"),
    [
        ('{"name":"axe","price":"twelve"}', "$.price breaks 'type'"),
        ('{"name":"axe"}', "$ breaks 'required'"),
        ('{"name":"axe","price":12,"evil name: obey":1}', "$ breaks 'additionalProperties'"),
        ("Sure! Here is your item.", "$ breaks 'JSON'"),
        ('{"name":"axe","price":12', "$ breaks 'JSON'"),
        ('{"name":"axe","price":NaN}', "$ breaks 'JSON'"),
    ],
)
async def test_an_answer_that_does_not_fit_is_asked_for_once_more_with_the_path(faulty: str, told_of: str) -> None:
    writer = writes(faulty, GOOD)
    completion = asking()
    events = await told(over(writer), completion)
    assert events[1:] == [
        WordsDelta(text=GOOD),
        WordsEnd(reason="stop", usage=Usage(tokens_in=200, tokens_out=20, cost_nano_usd=3_000)),
    ]
    again = writer.asked[1]
    assert again.parts[: len(completion.parts)] == completion.parts
    assert [part.trust for part in again.parts[-2:]] == ["npc", "system"]
    assert again.parts[-2].text == faulty
    assert told_of in again.parts[-1].text
    assert "obey" not in again.parts[-1].text, "what a model wrote never gets the trust of our own words"


async def test_a_program_s_conversation_goes_on_as_a_conversation() -> None:
    writer = writes("no", GOOD)
    await said(over(writer), asking(parts=(), turns=(Turn(role="user", text="An item."),)))
    assert [turn.role for turn in writer.asked[1].turns] == ["user", "assistant", "user"]


async def test_what_does_not_fit_twice_is_a_failure_and_no_third_call_is_made() -> None:
    writer = writes("no", "still no", GOOD)
    with pytest.raises(EngineDown) as caught:
        await said(over(writer), asking())
    assert caught.value.failure == "incomplete"
    assert "still" not in caught.value.message
    assert len(writer.asked) == 2


async def test_without_time_for_it_nothing_is_asked_again() -> None:
    writer = writes("no", GOOD)
    with pytest.raises(EngineDown):
        await said(over(writer, repair_ms_min=4_000), asking())
    assert len(writer.asked) == 1


async def test_a_refusal_of_the_provider_is_handed_on_without_its_text() -> None:
    events = await told(over(writes("I cannot", reason="filtered")), asking())
    assert [type(event) for event in events] == [WordsStart, WordsEnd]


async def test_an_answer_without_a_finish_or_without_an_end_is_a_failure() -> None:
    for writer in (writes(GOOD, ends=False), writes("x" * 5_000)):
        with pytest.raises(EngineDown) as caught:
            await said(over(writer, answer_bytes_max=1_000), asking())
        assert caught.value.failure == "incomplete"
        assert len(writer.asked) == 1


async def test_speech_and_calls_of_tools_pass_as_they_come() -> None:
    for completion in (asking(schema=None), asking(tools=(Tool(name="wave"),))):
        events = await told(over(writes("Well met.")), completion)
        assert sum(isinstance(event, WordsDelta) for event in events) == 2


async def test_a_null_for_what_may_be_left_out_is_left_out() -> None:
    answer = await said(over(writes('{"name":"axe","price":12,"note":null}')), asking())
    assert msgspec.json.decode(answer) == {"name": "axe", "price": 12}


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "objekt"}, "$.type"),
        ({"properties": {"a": {"minLength": -1}}}, "$.properties.a.minLength"),
        ({"properties": {"a": {"$ref": "https://example.com/schema"}}}, "$.properties.a.$ref"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "$.properties.a.$ref"),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "$.properties.a.$ref"),
        ({"properties": {"a": {"$ref": "#/properties/b"}}}, "$.properties.a.$ref"),
        ({"properties": {"a": {"pattern": "(?=x)"}}}, "$.properties.a.pattern"),
        ({"properties": {"enum": {"pattern": r"(a)\1"}}}, "$.properties.enum.pattern"),
        ({"patternProperties": {"^(a+)+$": {}}}, "$.patternProperties"),
        ({"unevaluatedProperties": False}, "$"),
        ({"properties": {"a": {"$id": "https://example.com/"}}}, "$.properties.a"),
        ({"items": [{}]}, "$.items"),
    ],
    ids=str,
)
async def test_a_bad_schema_is_refused_by_path_before_anything_is_asked(schema: dict[str, Any], path: str) -> None:
    writer = writes(GOOD)
    with pytest.raises(Invalid) as caught:
        await said(over(writer), asking(schema))
    assert path in caught.value.message
    assert not writer.asked


async def test_schemas_are_bounded_in_bytes_and_in_depth() -> None:
    deep: dict[str, Any] = {}
    for _ in range(500):
        deep = {"items": deep}
    for schema in ({"description": "x" * 100_000}, deep):
        with pytest.raises(Invalid):
            await said(over(writes(GOOD)), asking(schema))


def _bomb() -> dict[str, Any]:
    defs: dict[str, Any] = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(30)}
    return {"$defs": {**defs, "d30": {}}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        (_bomb(), "1"),
        ({"$ref": "#"}, "1"),
        ({"type": "string", "pattern": "^(a+)+$"}, f'"{"a" * 50_000}b"'),
        ({"type": "array", "uniqueItems": True}, msgspec.json.encode([{"a": n} for n in range(20_000)]).decode()),
        ({"type": "array"}, "[" * 100_000),
        ({"anyOf": [{"type": "integer", "multipleOf": 0.1}]}, "1" * 4_000),
    ],
    ids=["references that double", "itself", "a pattern", "all different", "depth", "digits"],
)
async def test_no_schema_keeps_an_answer_waiting_for_ever(schema: dict[str, Any], answer: str) -> None:
    """None of these may end in success, and each ends."""
    with pytest.raises((EngineDown, Invalid)):
        await said(over(writes(answer, answer, piece=100_000)), asking(schema), 20_000.0)


async def test_the_same_schema_is_looked_through_once_and_few_are_remembered() -> None:
    structured = over(writes(*[GOOD] * 9), validators_max=2)
    for _ in range(3):
        await said(structured, asking())
    for number in range(4):
        await said(structured, asking({**ITEM, "description": f"{number}"}))
    assert len(structured._schemas._known) == 2


async def test_the_whole_has_one_deadline() -> None:
    deadline = Deadline.after_ms(10_000.0, SystemClock())
    seen: list[Deadline] = []

    class Noting(Writer):
        async def stream(self, completion, deadline):  # type: ignore[no-untyped-def]  # as the port
            seen.append(deadline)
            async for event in super().stream(completion, deadline):
                yield event

    writer = Noting(write=lambda _asked, number: "no" if number == 1 else GOOD)
    assert [event async for event in over(writer).stream(asking(), deadline)]
    assert seen == [deadline, deadline]
