"""How a context is laid out for a local chat model, in its tokens, and how its tokens become text again.

What stands around the turns is ours and may hold control tokens; every text that came from elsewhere is made
tokens apart from it, so that nothing that was typed can end a turn or begin one. It knows no queue and no clock.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Protocol

from app.core.words import Completion
from app.engines import wire


class Tokens(Protocol):
    """What a model's vocabulary answers; see app.engines.gguf.Context."""

    def template(self) -> str: ...
    def beginning(self) -> list[int]: ...
    def marks(self, text: str) -> list[int]: ...
    def plain(self, text: str) -> list[int]: ...
    def ends(self, token: int) -> bool: ...


@dataclass(frozen=True, slots=True)
class Scaffold:
    """What stands around the turns of a chat; `{role}` is filled, `marks` are its control tokens."""

    opens: str
    closes: str
    answers: str
    marks: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()
    """Texts that end an answer where no token does."""


CHATML = Scaffold(
    opens="<|im_start|>{role}\n",
    closes="<|im_end|>\n",
    answers="<|im_start|>assistant\n",
    marks=("<|im_start|>", "<|im_end|>"),
)
CHATML_THINKING = Scaffold(
    opens=CHATML.opens,
    closes=CHATML.closes,
    answers=f"{CHATML.answers}<think>\n\n</think>\n\n",  # its thoughts are done: a player waits
    marks=(*CHATML.marks, "<think>", "</think>"),
)
LLAMA3 = Scaffold(
    opens="<|start_header_id|>{role}<|end_header_id|>\n\n",
    closes="<|eot_id|>",
    answers="<|start_header_id|>assistant<|end_header_id|>\n\n",
    marks=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
)
PLAIN = Scaffold(opens="### {role}:\n", closes="\n\n", answers="### assistant:\n", stops=("\n#",))


def scaffold_of(template: str) -> Scaffold:
    """The scaffold that a file's own chat template asks for, where it is known; else plain roles."""
    if "<|start_header_id|>" in template:
        return LLAMA3
    if "<|im_start|>" not in template:
        return PLAIN
    return CHATML_THINKING if "enable_thinking" in template else CHATML


class Scribe:
    """Lays a completion out in a model's tokens."""

    def __init__(self, context: Tokens) -> None:
        self._context = context
        self.scaffold = scaffold_of(context.template())
        found = (context.marks(mark) for mark in self.scaffold.marks)
        self._marks = frozenset(tokens[0] for tokens in found if len(tokens) == 1)

    def tokens(self, completion: Completion) -> list[int]:
        """The prompt, up to where the answer begins; only what this file wrote is read for control tokens."""
        rendered = wire.render(completion.parts)
        tokens = [*self._context.beginning(), *self._turn("system", rendered.head)]
        for turn in rendered.turns:
            if turn.role == "user":  # on one line: in plain roles a line of its own could look like a turn
                tokens += self._turn("user", " ".join(turn.text.split()))
            else:
                tokens += self._turn("assistant" if turn.role == "assistant" else "system", turn.text)
        return tokens + self._context.marks(self.scaffold.answers)

    def _turn(self, role: str, text: str) -> list[int]:
        marks = self._context.marks
        return [*marks(self.scaffold.opens.format(role=role)), *self.foreign(text), *marks(self.scaffold.closes)]

    def foreign(self, text: str) -> list[int]:
        """A text that is not our scaffold, without control tokens.

        Some files call their turn marks `user defined`, and such tokens are found in any text: they are taken out.
        """
        return [token for token in self._context.plain(text) if token not in self._marks]

    def ends(self, token: int) -> bool:
        """True for what ends an answer."""
        return self._context.ends(token) or token in self._marks


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
