"""Lines of Yarn as steps: text, values in braces, hashtags, what stands behind a line in chevrons.

It does not know how lines nest. Markup is refused, since speech cannot carry it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from app.modules.dialogue.stories import expressions
from app.modules.dialogue.stories.limits import Limits
from app.modules.dialogue.stories.model import Expr, Newline, Say, Show, Step, TagMark
from app.modules.dialogue.stories.source import Line, closing, find, wrong

_TAG = re.compile(r"#([^\s#{}]+)")


class Said(NamedTuple):
    """A line taken apart: its text, whether it is said at all, and its tags."""

    text: str
    condition: Expr | None
    once: bool
    tags: tuple[str, ...]


def command(text: str) -> str | None:
    """What stands in the chevrons of a line that is a command and nothing else; hashtags may follow."""
    end = text.find(">>")
    if not text.startswith("<<") or end < 0 or "<<" in text[2:end]:
        return None
    return text[2:end].strip() if all(word.startswith("#") for word in text[end + 2 :].split()) else None


class Texts:
    """Compiles text of one file."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def expression(self, text: str, line: Line) -> Expr:
        return expressions.parse(text, expressions.YARN, line.place, line.number, self._limits.nesting_max)

    def apart(self, text: str, line: Line) -> Said:
        """The parts of `text <<if condition>> #tag`; raises Invalid."""
        at, _ = find(text, ("#",))
        tags: tuple[str, ...] = ()
        if at >= 0:
            tags = tuple(_TAG.findall(text[at:]))
            if _TAG.sub("", text[at:]).strip():
                raise wrong(
                    line, text[at:], "stands among the tags", "put tags at the end; write \\# for the sign itself"
                )
            text = text[:at]
        condition, once = None, False
        text = text.rstrip()
        if text.endswith(">>") and (begin := text.rfind("<<")) >= 0:
            condition, once = self._when(text[begin + 2 : -2].strip(), line)
            text = text[:begin]
        if (chevron := find(text, ("<<", ">>"))[0]) >= 0:
            raise wrong(line, text[chevron:], "is a command within a line", "put commands on lines of their own")
        return Said(text.strip(), condition, once, tags)

    def _when(self, command: str, line: Line) -> tuple[Expr | None, bool]:
        word, _, rest = command.partition(" ")
        if word == "if" and rest:
            return self.expression(rest, line), False
        if word == "once":
            inner = rest.strip().removeprefix("if ").strip()
            return (self.expression(inner, line) if inner else None), True
        raise wrong(line, command, "is a command behind a line", "only <<if …>> and <<once>> may stand there")

    def line(self, said: Said, line: Line, into: list[Step]) -> None:
        """The steps of a whole line with its tags."""
        into += self.pieces(said.text, line)
        for tag in said.tags:
            into += (TagMark(begins=True), Say(tag), TagMark(begins=False))
        into.append(Newline())

    def pieces(self, text: str, line: Line) -> list[Step]:
        """The steps of a text with its values."""
        found: list[Step] = []
        said, at = "", 0
        while at < len(text):
            sign = text[at]
            if sign == "\\" and at + 1 < len(text):
                said += text[at : at + 2] if text[at + 1] == ":" else text[at + 1]
                at += 2
            elif sign == "{":
                end = closing(text, at)
                if end < 0:
                    raise wrong(line, "{", "is not closed", "add the brace }, or write \\{ for the sign itself")
                found += [Say(said)] if said else []
                found.append(Show(self.expression(text[at + 1 : end], line)))
                said, at = "", end + 1
            elif sign == "[":
                raise wrong(line, text[at:], "is markup, which speech cannot carry", "take it out, or write \\[")
            else:
                said += sign
                at += 1
        return [*found, Say(said)] if said else found
