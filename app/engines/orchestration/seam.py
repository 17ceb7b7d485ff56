"""The seam between two engines in one line: what the second is told of the first, and what it says again.

It knows text and requests. It does not know why an engine broke off.
"""

from __future__ import annotations

import msgspec

from app.core.words import Completion, Part, Turn
from app.world.scene import Scene

CJK_FIRST = 0x2E80
"""The first code point of the scripts that do without spaces (Unicode, CJK Radicals Supplement)."""
GO_ON = "The line broke off there. Go on from the very next word and repeat nothing."


class Seam:
    """Takes out of a continuation what it says again of the text before it.

    A model that goes on with the next word begins its answer without the space before it, which is put there.
    Text is held back as long as it could still be a repetition: while it is found in what was said. A repetition of
    fewer than `overlap_min` characters is taken for chance.
    """

    def __init__(self, said: str, overlap_min: int) -> None:
        self._said = said
        self._overlap_min = overlap_min
        self._held = ""
        self._open = bool(said)

    def feed(self, text: str) -> str:
        """What of `text`, and of what was held, is new."""
        if not self._open:
            return text
        self._held += text
        if self._held.strip() in self._said or self._said.startswith(self._held.lstrip()):
            return ""
        return self.flush()

    def flush(self) -> str:
        """What is left; nothing is held after it."""
        held, self._held, self._open = self._held, "", False
        bare = held.lstrip()
        if not self._said or not bare:
            return held
        if bare.startswith(self._said):
            return bare[len(self._said) :]
        for length in range(min(len(bare), len(self._said)), self._overlap_min - 1, -1):
            if self._said.endswith(bare[:length]):
                return bare[length:]
        again = bare.rstrip()
        if len(again) >= self._overlap_min and again in self._said:
            return ""
        return f" {held}" if _parted(self._said[-1], held[0]) else held


def _parted(before: str, after: str) -> bool:
    """Whether a space stands between two signs of a script that parts its words by spaces; CJK does not."""
    if ord(before) >= CJK_FIRST or ord(after) >= CJK_FIRST:
        return False
    return (before.isalnum() and after.isalnum()) or (before in ".,;:!?" and after.isalpha())


def continued(completion: Completion, said: str) -> Completion:
    """The same request with what was said already, for the engine that goes on from there."""
    if not said:
        return completion
    if completion.turns:
        turns = (*completion.turns, Turn(role="assistant", text=said), Turn(role="user", text=GO_ON))
        return msgspec.structs.replace(completion, turns=turns)
    parts = (*completion.parts, Part(trust="npc", text=said), Part(trust="system", text=GO_ON))
    scene = completion.scene
    if isinstance(scene, Scene):
        scene = msgspec.structs.replace(scene, said=(*scene.said, said))
    return msgspec.structs.replace(completion, parts=parts, scene=scene)


def instructed(completion: Completion, text: str) -> Completion:
    """The same request with a tenant's own rule behind what the author wrote first."""
    if completion.turns:
        heads = next((row for row, turn in enumerate(completion.turns) if turn.role != "system"), len(completion.turns))
        rule = Turn(role="system", text=text)
        turns = (*completion.turns[:heads], rule, *completion.turns[heads:])
        return msgspec.structs.replace(completion, turns=turns)
    rule_part = Part(trust="system", text=text)
    others = {engine: (*parts[:1], rule_part, *parts[1:]) for engine, parts in completion.parts_for.items()}
    parts = (*completion.parts[:1], rule_part, *completion.parts[1:])
    return msgspec.structs.replace(completion, parts=parts, parts_for=others)
