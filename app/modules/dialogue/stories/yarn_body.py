"""The body of one Yarn node as steps: how lines nest, options, line groups, conditions, commands.

It does not know other nodes, nor what the names of variables and functions mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

import msgspec

from app.modules.dialogue.stories import acts
from app.modules.dialogue.stories.limits import Limits
from app.modules.dialogue.stories.model import (
    Act,
    Binary,
    Branch,
    Constant,
    Divert,
    Do,
    End,
    Expr,
    Goto,
    Offer,
    Pick,
    Return,
    Sequence,
    Set,
    Step,
    Target,
    Unless,
    Variable,
    Wait,
)
from app.modules.dialogue.stories.source import Line, wrong
from app.modules.dialogue.stories.yarn_text import Said, Texts, command

_SET = re.compile(r"(\$[^\W\d]\w*)\s*(?:to\b|([-+*/%]?)=(?!=))\s*(.+)", re.S)
_REFUSED = {
    "enum": "write numbers or texts instead",
    "local": "declare the variable for the whole story",
}


class Variables(Protocol):
    """Where a body's variables are noted."""

    def declare(self, text: str, line: Line) -> None: ...

    def guess(self, name: str, to: Expr) -> None: ...


class Row(msgspec.Struct):
    """A line of a body with how far it is indented."""

    indent: int
    line: Line


class Body:
    """The steps of one node's body."""

    def __init__(self, file: Variables, texts: Texts, limits: Limits, title: str, rows: list[Row]) -> None:
        self._file, self._texts, self._limits, self._title, self._rows = file, texts, limits, title, rows
        self._at = 0
        self._depth = 0
        self._keys = 0
        self._into: list[Step] = []

    def steps(self) -> tuple[Step, ...]:
        self._block(0, ())
        return tuple(self._into)

    def _block(self, indent: int, ends: tuple[str, ...]) -> str:
        """Statements as far as they are indented, or up to a command of `ends`; that command."""
        self._depth += 1
        while self._at < len(self._rows):
            row = self._rows[self._at]
            if self._depth > self._limits.nesting_max:
                raise wrong(row.line, row.line.text, f"is nested deeper than {self._limits.nesting_max}", "use nodes")
            if row.indent < indent:
                break
            text = row.line.text
            if text.startswith("->"):
                self._options(row.indent)
            elif text.startswith("=>"):
                self._group(row.indent)
            elif (found := command(text)) is not None:
                word = found.split(maxsplit=1)[0] if found else ""
                if word in ends:
                    self._depth -= 1
                    return found
                self._at += 1
                self._command(word, found[len(word) :].strip(), row)
            else:
                self._at += 1
                self._line(text, row.line)
        self._depth -= 1
        return ""

    def _key(self, letter: str) -> str:
        self._keys += 1
        return f"{self._title}.{letter}-{self._keys}"

    def _line(self, text: str, line: Line) -> None:
        said = self._texts.apart(text, line)
        if said.text.startswith("[["):
            raise wrong(line, said.text, "is a link of Yarn 1", "write -> for an option and <<jump Node>> to go there")
        with_guard = self._guarded(said)
        self._texts.line(said, line, self._into)
        with_guard()

    def _guarded(self, said: Said) -> Callable[[], None]:
        """Begin what is said only under a condition, or once; the function ends it."""
        into, guards = self._into, []
        if said.condition is not None:
            guards.append(len(into))
            into.append(Goto(0))
        once = len(into) if said.once else -1
        if said.once:
            into.append(Goto(0))

        def end() -> None:
            for guard in guards:
                into[guard] = Unless(said.condition, len(into)) if said.condition is not None else Goto(guard + 1)
            if once >= 0:
                into[once] = Sequence(self._key("o"), "once", (once + 1,), len(into))

        return end

    def _options(self, indent: int) -> None:
        """Neighboring options of the same depth: all are offered, then their bodies follow."""
        into, offers, texts = self._into, [], []
        at = self._at
        while at < len(self._rows) and self._rows[at].indent >= indent:
            row = self._rows[at]
            if row.indent == indent and not row.line.text.startswith("->"):
                break
            if row.indent == indent:
                offers.append(at)
            at += 1
        first = len(into)
        for number in offers:
            line = self._rows[number].line
            texts.append((line, self._texts.apart(line.text[2:].strip(), line)))
            into.append(Goto(0))
        into += (Wait(), Goto(0))
        ends = [len(into) - 1]
        for place, (number, (line, said)) in enumerate(zip(offers, texts, strict=True), first):
            into[place] = self._offer(said, line)
            self._at = number + 1
            self._block(indent + 1, ())
            ends.append(len(into))
            into.append(Goto(0))
        for end in ends:
            into[end] = Goto(len(into))

    def _offer(self, said: Said, line: Line) -> Offer:
        if not said.text:
            raise wrong(line, "->", "is an option without text", "write what the player says")
        start: list[Step] = []
        self._texts.line(said, line, start)
        key = self._key("o") if said.once else ""
        return Offer(
            self._title,
            tuple(start),
            at=len(self._into),
            condition=said.condition,
            once=said.once,
            key=key,
            line=line.number,
        )

    def _group(self, indent: int) -> None:
        """A line group: one of its lines is said."""
        into, branches, ends = self._into, [], []
        head = len(into)
        into.append(Goto(0))
        while self._at < len(self._rows):
            row = self._rows[self._at]
            if row.indent != indent or not row.line.text.startswith("=>"):
                break
            said = self._texts.apart(row.line.text[2:].strip(), row.line)
            branches.append(Branch(len(into), said.condition, said.once))
            if said.text:
                self._texts.line(said, row.line, into)
            self._at += 1
            self._block(indent + 1, ())
            ends.append(len(into))
            into.append(Goto(0))
        into[head] = Pick(self._key("g"), tuple(branches), len(into))
        for end in ends:
            into[end] = Goto(len(into))

    # Commands.

    def _command(self, word: str, rest: str, row: Row) -> None:
        into, line = self._into, row.line
        match word:
            case "if":
                self._if(rest, row)
            case "once":
                self._once(rest, row)
            case "set":
                self._set(rest, line)
            case "declare":
                self._file.declare(rest, line)
            case "jump" | "detour":
                kind = "go" if word == "jump" else "tunnel"
                into.append(Divert(self._target(rest, line), kind, line=line.number))  # type: ignore[arg-type]  # a kind
            case "return":
                into.append(Return(tunnel=True))
            case "stop":
                into.append(End())
            case "call":
                into.append(Do(self._texts.expression(rest, line)))
            case "else" | "elseif" | "endif" | "endonce":
                raise wrong(line, word, "has no <<if>> or <<once>> before it", "add it, at the same depth")
            case _ if word in _REFUSED:
                raise wrong(line, word, "is not supported", _REFUSED[word])
            case _:
                self._act(word, rest, line)

    def _target(self, text: str, line: Line) -> Expr:
        if text.startswith("{") and text.endswith("}"):
            raise wrong(line, text, "is worked out while the story runs", "name the node, or use <<if>> for each")
        return Constant(Target(text))

    def _set(self, text: str, line: Line) -> None:
        found = _SET.fullmatch(text)
        if found is None:
            raise wrong(line, text, "sets nothing", "write <<set $name to value>>")
        value = self._texts.expression(found[3], line)
        self._file.guess(found[1], value)
        self._into.append(
            Set(found[1], Binary(found[2], Variable(found[1], line.number), value) if found[2] else value)
        )

    def _act(self, word: str, rest: str, line: Line) -> None:
        given = acts.named(word, acts.words(rest, line), line)
        arguments = tuple((name, tuple(self._texts.pieces(value, line))) for name, value in given)
        self._into.append(Act(word, arguments, line.number))

    def _if(self, condition: str, row: Row) -> None:
        into, ends = self._into, []
        test: Expr | None = self._texts.expression(condition, row.line)
        while True:
            guard = len(into)
            if test is not None:
                into.append(Goto(0))
            ended = self._block(0, ("elseif", "else", "endif") if test is not None else ("endif",))
            if not ended:
                raise wrong(row.line, "<<if>>", "is not ended", "add <<endif>>")
            ending = self._rows[self._at].line
            self._at += 1
            if ended.split()[0] != "endif":
                ends.append(len(into))
                into.append(Goto(0))
            if test is not None:
                into[guard] = Unless(test, len(into))
            word, _, rest = ended.partition(" ")
            if word == "endif":
                break
            rest = rest.strip().removeprefix("if ") if word == "else" else rest
            test = self._texts.expression(rest, ending) if rest.strip() else None
        for end in ends:
            into[end] = Goto(len(into))

    def _once(self, condition: str, row: Row) -> None:
        """`<<once>> … <<else>> … <<endonce>>`, with a condition or without."""
        into = self._into
        inner = condition.removeprefix("if ").strip()
        guard = -1
        if inner:
            guard = len(into)
            into.append(Goto(0))
        head = len(into)
        into.append(Goto(0))
        ended = self._block(0, ("else", "endonce"))
        over = len(into)
        into.append(Goto(0))
        otherwise = len(into)
        if ended == "else":
            self._at += 1
            ended = self._block(0, ("endonce",))
        if not ended:
            raise wrong(row.line, "<<once>>", "is not ended", "add <<endonce>>")
        self._at += 1
        into[head] = Sequence(self._key("o"), "once", (head + 1,), otherwise)
        if guard >= 0:
            into[guard] = Unless(self._texts.expression(inner, row.line), otherwise)
        into[over] = Goto(len(into))
