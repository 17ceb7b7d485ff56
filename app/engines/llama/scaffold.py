"""How a context is laid out for a local chat model, in its tokens, and how its tokens become text again.

What stands around the turns is ours and may hold control tokens; every text that came from elsewhere is made
tokens apart from it, so that nothing that was typed can end a turn or begin one. It knows no queue and no clock.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from app.core.words import Completion, Turn
from app.engines import wire
from app.engines.llama import calls


class Tokens(Protocol):
    """What a model's vocabulary answers; see app.engines.llama.gguf.Model."""

    def template(self) -> str: ...
    def beginning(self) -> list[int]: ...
    def marks(self, text: str) -> list[int]: ...
    def plain(self, text: str) -> list[int]: ...
    def ends(self, token: int) -> bool: ...
    def text(self, token: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Scaffold:
    """What stands around the turns of a chat; `{role}` is filled, `marks` are its control tokens."""

    family: str
    opens: str
    closes: str
    answers: str
    marks: tuple[str, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)
    """What the model calls a role, where it is another word than ours."""
    stops: tuple[str, ...] = ()
    """Texts that end an answer where no token does."""


CHATML = Scaffold(
    family="ChatML",
    opens="<|im_start|>{role}\n",
    closes="<|im_end|>\n",
    answers="<|im_start|>assistant\n",
    marks=("<|im_start|>", "<|im_end|>"),
)
CHATML_THINKING = Scaffold(
    family="ChatML, thinking",
    opens=CHATML.opens,
    closes=CHATML.closes,
    answers=f"{CHATML.answers}<think>\n\n</think>\n\n",  # its thoughts are done: a player waits
    marks=(*CHATML.marks, "<think>", "</think>"),
)
LLAMA3 = Scaffold(
    family="Llama 3",
    opens="<|start_header_id|>{role}<|end_header_id|>\n\n",
    closes="<|eot_id|>",
    answers="<|start_header_id|>assistant<|end_header_id|>\n\n",
    marks=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    roles={"tool": "ipython"},
)
GEMMA = Scaffold(
    family="Gemma",
    opens="<start_of_turn>{role}\n",
    closes="<end_of_turn>\n",
    answers="<start_of_turn>model\n",
    marks=("<start_of_turn>", "<end_of_turn>"),
    roles={"assistant": "model", "system": "user", "tool": "user"},
)
PHI = Scaffold(
    family="Phi",
    opens="<|{role}|>\n",
    closes="<|end|>\n",
    answers="<|assistant|>\n",
    marks=("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
    roles={"tool": "user"},
)
PLAIN = Scaffold(family="plain", opens="### {role}:\n", closes="\n\n", answers="### assistant:\n", stops=("\n#",))
_FAMILIES = (
    ("<|start_header_id|>", LLAMA3),
    ("enable_thinking", CHATML_THINKING),
    ("<|im_start|>", CHATML),
    ("<start_of_turn>", GEMMA),
    ("<|end|>", PHI),
)


def scaffold_of(template: str) -> Scaffold:
    """The scaffold that a file's own chat template asks for, where it is known; else plain roles."""
    return next((scaffold for sign, scaffold in _FAMILIES if sign in template), PLAIN)


class Scribe:
    """Lays a completion out in a model's tokens."""

    def __init__(self, context: Tokens) -> None:
        self._context = context
        self.scaffold = scaffold_of(context.template())
        found = (context.marks(mark) for mark in self.scaffold.marks)
        self._marks = frozenset(tokens[0] for tokens in found if len(tokens) == 1)

    def tokens(self, completion: Completion) -> list[int]:
        """The prompt, up to where the answer begins; only what this file wrote is read for control tokens."""
        tokens = self._context.beginning()
        tools = calls.offered(completion)
        if tools:
            tokens += self._turn("system", calls.told(tools))
        for role, text in _spoken(completion.turns) if completion.turns else _compiled(completion):
            tokens += self._turn(role, text)
        return tokens + self._context.marks(self.scaffold.answers)

    def _turn(self, role: str, text: str) -> list[int]:
        marks, named = self._context.marks, self.scaffold.roles.get(role, role)
        return [*marks(self.scaffold.opens.format(role=named)), *self.foreign(text), *marks(self.scaffold.closes)]

    def foreign(self, text: str) -> list[int]:
        """A text that is not our scaffold, without control tokens.

        Some files call their turn marks `user defined`, and such tokens are found in any text: they are taken out.
        In plain roles no line may look like a turn: one that begins as a turn does is moved in by a space.
        """
        if self.scaffold is PLAIN:
            text = "\n".join(f" {line}" if line.startswith("#") else line for line in text.splitlines())
        return [token for token in self._context.plain(text) if token not in self._marks]

    def ends(self, token: int) -> bool:
        """True for what ends an answer."""
        return self._context.ends(token) or token in self._marks

    def text(self, token: int) -> bytes:
        """The token's bytes, which may be a part of one character."""
        return self._context.text(token)


def _compiled(completion: Completion) -> Iterator[tuple[str, str]]:
    rendered = wire.render(completion.parts)
    yield "system", rendered.head
    for turn in rendered.turns:
        if turn.role == "user":  # on one line: what a player types is one line
            yield "user", " ".join(turn.text.split())
        else:
            yield ("assistant" if turn.role == "assistant" else "system"), turn.text


def _spoken(turns: tuple[Turn, ...]) -> Iterator[tuple[str, str]]:
    for turn in turns:
        yield turn.role, "\n".join(filter(None, (turn.text, calls.written(turn.calls))))


class Answer:
    """Tokens' bytes as text, whole characters only, up to the first stop."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = stops
        self._held = ""
        self._begun = False
        self.stopped = False

    def feed(self, data: bytes) -> str:
        """What can be said now; what may be the beginning of a stop is held back."""
        self._held += self._decoder.decode(data)
        if not self._begun:
            self._held = self._held.lstrip()
            self._begun = bool(self._held)
        at = min((found for stop in self._stops if (found := self._held.find(stop)) >= 0), default=-1)
        if at >= 0:
            self.stopped = True
            self._held = self._held[:at]
            return self.flush()
        sure = len(self._held) - self._doubtful()
        said, self._held = self._held[:sure], self._held[sure:]
        return said

    def flush(self) -> str:
        """What was held back."""
        held, self._held = self._held, ""
        return held

    def _doubtful(self) -> int:
        """Characters at the end that a stop may begin with."""
        lengths = (
            length for stop in self._stops for length in range(1, len(stop)) if self._held.endswith(stop[:length])
        )
        return max(lengths, default=0)
