"""Tools for a local model: how they are told to it, the grammar of a call, and a drawn call as events.

A call is one JSON object, `{"name":…,"arguments":…}`, which the grammar holds to a tool's name and schema; so what is
drawn is known to be a call from its first character. It knows no vocabulary and no llama.cpp.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence

from app.core.errors import EngineDown
from app.core.words import Completion, Tool, ToolCall, WordsDelta, WordsEvent, WordsToolDelta
from app.engines.llama.grammar import Rules, literal

OPENS, BETWEEN, CLOSES = '{"name":', ',"arguments":', "}"
SPEECH = r"[^{\x00-\x1F] [^\x00]*"
"""A line that is no call: it begins with another sign."""


def told(tools: Sequence[Tool]) -> str:
    """The tools as a text for the model."""
    lines = [json.dumps({"name": tool.name, "description": tool.description, "parameters": dict(tool.schema)},
                        ensure_ascii=False) for tool in tools]  # fmt: skip
    call = f'{OPENS}"NAME"{BETWEEN}{{…}}{CLOSES}'
    return "\n".join(("You may call these tools:", *lines, f"To call one, write nothing but {call}."))


def written(calls: Sequence[ToolCall]) -> str:
    """Calls of a turn before, as the model would have written them."""
    return "\n".join(f"{OPENS}{_name(call.name)}{BETWEEN}{call.arguments or '{}'}{CLOSES}" for call in calls)


def offered(completion: Completion) -> tuple[Tool, ...]:
    """The tools that the model may call; raises EngineDown for a choice that names none of them."""
    if completion.tool_choice == "none":
        return ()
    if completion.tool_choice in ("auto", "required"):
        return completion.tools
    found = tuple(tool for tool in completion.tools if tool.name == completion.tool_choice)
    if not found:
        raise EngineDown(f"no tool {completion.tool_choice!r} is offered", failure="refused")
    return found


def grammar(tools: Sequence[Tool], *, must: bool) -> str:
    """The grammar of a call of one of the tools, or, unless one `must` be called, of a line of speech."""
    rules = Rules()
    ways = [
        rules.rule(f"{literal(_head(tool.name))} {rules.value(tool.schema or {'type': 'object'})} {literal(CLOSES)}")
        for tool in tools
    ]
    if not must:
        ways.append(rules.rule(SPEECH))
    return rules.grammar(rules.choice(ways))


class Caller:
    """Text as events: deltas of a call where it begins as one, else deltas of speech."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._heads = {_head(tool.name): tool.name for tool in tools}
        self._held = ""
        self._said = False
        self.called = False

    def feed(self, text: str) -> Iterator[WordsEvent]:
        """The events of the next piece. What may be the head of a call, or its last brace, is held back."""
        self._held += text
        if not self.called and not self._said:
            yield from self._begin()
        if self.called:
            sure = self._held[: -len(CLOSES)]
            self._held = self._held[len(sure) :]
            if sure:
                yield WordsToolDelta(index=0, arguments=sure)
        elif self._said and self._held:
            yield WordsDelta(text=self._held)
            self._held = ""

    def _begin(self) -> Iterator[WordsEvent]:
        head = next((head for head in self._heads if self._held.startswith(head)), None)
        if head is not None:
            self.called = True
            self._held = self._held.removeprefix(head)
            name = self._heads[head]
            yield WordsToolDelta(index=0, id=f"call_{secrets.token_hex(12)}", name=name)
        elif self._held and not any(head.startswith(self._held) for head in self._heads):
            self._said = True

    def flush(self) -> Iterator[WordsEvent]:
        """What was held back; of a call nothing but its own last brace is."""
        if self._held and not self.called:
            yield WordsDelta(text=self._held)
        elif self._held and self._held != CLOSES:
            yield WordsToolDelta(index=0, arguments=self._held)
        self._held = ""


def _head(name: str) -> str:
    return f"{OPENS}{_name(name)}{BETWEEN}"


def _name(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)
