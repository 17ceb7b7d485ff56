"""Calls that every protocol is held to, and the adapters that make them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from app.core.words import (
    Completion,
    Sampling,
    Tool,
    ToolCall,
    Turn,
    WordsDelta,
    WordsEnd,
    WordsStart,
    WordsToolDelta,
)
from app.engines.providers.anthropic import open_anthropic
from app.engines.providers.azure import open_azure
from app.engines.providers.openai import open_openai
from app.engines.providers.provider import Provider
from tests.engines.conftest import COMPLETION, PRICES, soon
from tests.standin import KEY, Standin

GPT, CLAUDE = "gpt-5.6-luna", "claude-haiku-5-5"
SCHEMA = {
    "type": "object",
    "properties": {"mood": {"type": "string"}},
    "required": ["mood"],
    "additionalProperties": False,
}
OPEN_SCHEMA = {"type": "object", "properties": {"mood": {"type": "string"}}}
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = Tool(name="weather", description="The weather now.", schema=CITY, strict=True)
GATE = Tool(name="gate")
TURNS = (
    Turn(role="system", text="You keep the gate."),
    Turn(role="user", text="What is it like in Bree?"),
    Turn(
        role="assistant",
        text="Let me see.",
        calls=(
            ToolCall(id="call_a", name="weather", arguments='{"city": "Bree"}'),
            ToolCall(id="call_b", name="gate", arguments="{}"),
        ),
    ),
    Turn(role="tool", text="Rain.", call_id="call_a"),
    Turn(role="tool", text="Shut.", call_id="call_b"),
    Turn(role="user", text="And tomorrow?"),
)
TALK = Completion(task="door", turns=TURNS, output_tokens_max=64, tenant="studio")


def of(completion: Completion, **changes: Any) -> Completion:
    return msgspec.structs.replace(completion, **changes)


CALLS: dict[str, Completion] = {
    "context": COMPLETION,
    "for_an_npc": of(COMPLETION, npc="mira", world="vale"),
    "schema": of(COMPLETION, schema=SCHEMA),
    "open_schema": of(COMPLETION, schema=OPEN_SCHEMA),
    "turns": TALK,
    "tools": of(TALK, tools=(WEATHER, GATE)),
    "one_tool": of(TALK, tools=(WEATHER, GATE), tool_choice="gate"),
    "any_tool": of(TALK, tools=(WEATHER,), tool_choice="required"),
    "no_tool": of(TALK, tools=(WEATHER,), tool_choice="none"),
    "tools_and_schema": of(TALK, tools=(WEATHER,), schema=OPEN_SCHEMA),
    "sampling": of(TALK, sampling=Sampling(temperature=0.5, top_p=0.9, stop=("\n",))),
    "effort": of(TALK, sampling=Sampling(effort="high")),
    "ends_with_the_assistant": of(TALK, turns=(*TURNS, Turn(role="assistant", text="Tomorrow"))),
    "begins_with_the_assistant": of(TALK, turns=(Turn(role="assistant", text="Halt!"), Turn(role="user", text="Hm?"))),
}
OPENERS: dict[str, Callable[[Standin], Provider]] = {
    "chat": lambda at: open_openai(name="chat", model=GPT, key=KEY, prices=PRICES, base_url=at.openai_url),
    "responses": lambda at: open_openai(
        name="responses", model=GPT, key=KEY, prices=PRICES, base_url=at.openai_url, api="responses"
    ),
    "azure": lambda at: open_azure(
        name="azure", endpoint=at.origin, deployment=GPT, api_version="2026-06-01", key=KEY, prices=PRICES
    ),
    "azure_responses": lambda at: open_azure(
        name="azure",
        endpoint=at.origin,
        deployment=GPT,
        api_version="2026-06-01",
        key=KEY,
        prices=PRICES,
        api="responses",
    ),
    "messages": lambda at: open_anthropic(name="messages", model=CLAUDE, key=KEY, prices=PRICES, base_url=at.origin),
}


class Heard:
    """What came of one stream, put together."""

    def __init__(self) -> None:
        self.text = ""
        self.calls: dict[int, ToolCall] = {}
        self.model = ""
        self.end: WordsEnd | None = None

    def take(self, event: object) -> None:
        if isinstance(event, WordsStart):
            assert not self.model, "there is one start"
            self.model = event.model
        elif isinstance(event, WordsDelta):
            assert event.text, "a delta is never empty"
            self.text += event.text
        elif isinstance(event, WordsToolDelta):
            held = self.calls.get(event.index, ToolCall(id="", name="", arguments=""))
            self.calls[event.index] = ToolCall(
                id=held.id or event.id, name=held.name or event.name, arguments=held.arguments + event.arguments
            )
        elif isinstance(event, WordsEnd):
            assert self.end is None, "there is one end"
            self.end = event


async def hear(engine: Provider, completion: Completion) -> Heard:
    heard = Heard()
    async for event in engine.stream(completion, soon()):
        heard.take(event)
    return heard
