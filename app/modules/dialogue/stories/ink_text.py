"""Lines of ink as steps: text, glue, tags, what stands in braces, and diverts.

It does not know the weave; a block of several lines in braces goes back to whoever weaves. Names are resolved later.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from app.core.errors import Invalid
from app.modules.dialogue.stories import acts, expressions
from app.modules.dialogue.stories.ink_files import Flow
from app.modules.dialogue.stories.limits import Limits
from app.modules.dialogue.stories.model import (
    Act,
    Binary,
    Call,
    Constant,
    Divert,
    End,
    Expr,
    Glue,
    Goto,
    Newline,
    Return,
    Say,
    Sequence,
    Show,
    Step,
    TagMark,
    Target,
    Unless,
    Variable,
)
from app.modules.dialogue.stories.source import Line, closing, find, logical, split, wrong

Block = Callable[[list[Line], Flow, list[Step]], None]
"""Adds the steps of several lines within braces."""
_MARKS = {"&": "cycle", "!": "once", "~": "shuffle", "$": "stopping"}
_KINDS = {
    "stopping": "stopping", "cycle": "cycle", "once": "once", "shuffle": "shuffle",
    "shuffle once": "shuffle once", "once shuffle": "shuffle once",
    "shuffle stopping": "shuffle stopping", "stopping shuffle": "shuffle stopping",
}  # fmt: skip
_BRANCH = re.compile(r"\s*-(?!>)\s*")
ACT_TAG = "act:"
"""A tag that begins so is no tag but an act."""


class Texts:
    """Compiles text of one story."""

    def __init__(self, limits: Limits, block: Block) -> None:
        self._limits, self._block = limits, block
        self._depth = 0

    def expression(self, text: str, line: Line) -> Expr:
        return expressions.parse(text, expressions.INK, line.place, line.number, self._limits.nesting_max)

    def content(self, text: str, line: Line, flow: Flow, into: list[Step]) -> bool:
        """Add the steps of a text; whether it ends in a divert."""
        self._depth += 1
        if self._depth > self._limits.nesting_max:
            raise wrong(line, "{", f"is nested deeper than {self._limits.nesting_max}", "use knots or functions")
        try:
            return self._content(text, line, flow, into)
        finally:
            self._depth -= 1

    def _content(self, text: str, line: Line, flow: Flow, into: list[Step]) -> bool:
        at, said = 0, ""
        while at < len(text):
            sign = text[at]
            if sign == "\\" and at + 1 < len(text):
                said += text[at + 1]
                at += 2
            elif sign == "{":
                said = self._flush(said, into)
                end = closing(text, at)
                if end < 0:
                    raise wrong(line, "{", "is not closed", "add the brace }, or write \\{ for the sign itself")
                self._braces(text[at + 1 : end], line, flow, into)
                at = end + 1
            elif text.startswith("<>", at):
                said = self._flush(said, into)
                into.append(Glue())
                at += 2
            elif text.startswith("->", at):
                self._flush(said.rstrip() + " " if said.strip() or into else "", into)
                self.divert(text[at:], line, into)
                return True
            elif text.startswith("<-", at):
                raise wrong(line, text[at:], "is a thread within a line", "put <- on a line of its own")
            elif sign == "#":
                said = self._flush(said, into)
                at = self._tag(text, at + 1, line, flow, into)
            elif sign == "}":
                raise wrong(line, "}", "closes no brace", "write \\} for the sign itself")
            elif sign == "|":
                raise wrong(line, "|", "stands outside of braces", "write \\| for the sign itself")
            else:
                said += sign
                at += 1
        self._flush(said, into)
        return False

    @staticmethod
    def _flush(said: str, into: list[Step]) -> str:
        if said:
            into.append(Say(said))
        return ""

    def _tag(self, text: str, at: int, line: Line, flow: Flow, into: list[Step]) -> int:
        """A tag up to the next one, a divert or the end; the place after it."""
        end, _ = find(text, ("#", "->"), start=at)
        end = end if end >= 0 else len(text)
        tag = text[at:end].strip()
        if tag.startswith(ACT_TAG):
            into.append(self._act(tag.removeprefix(ACT_TAG), line, flow))
            return end
        if not tag:
            raise wrong(line, "#", "is an empty tag", "write \\# for the sign itself")
        into.append(TagMark(begins=True))
        if self.content(tag, line, flow, into):
            raise wrong(line, tag, "leads elsewhere within a tag", "put the divert behind it")
        into.append(TagMark(begins=False))
        return end

    def _act(self, text: str, line: Line, flow: Flow) -> Act:
        action, *given = acts.words(text, line) or [""]
        arguments = []
        for name, value in acts.named(action, given, line):
            steps: list[Step] = []
            self.content(value, line, flow, steps)
            arguments.append((name, tuple(steps)))
        return Act(action, tuple(arguments), line.number)

    # Diverts.

    def divert(self, text: str, line: Line, into: list[Step]) -> None:
        """The steps of `-> a`, `-> a -> b`, `-> a ->`, `->->`; an arrow alone adds none."""
        text = text.strip()
        if text.startswith("->->"):
            to = text[4:].strip()
            into.append(Return(self._target(to, line)[0] if to else None, tunnel=True))
            return
        onwards = text.endswith("->->")
        names = [part.strip() for part in split(text.removesuffix("->->") if onwards else text, "->")][1:]
        if names == [""]:
            return
        tunnels = names[:-1] if not onwards else names
        into.extend(self._go(name, "tunnel", line) for name in tunnels)
        if onwards:
            into.append(Return(tunnel=True))
        elif names[-1]:
            into.append(self._go(names[-1], "go", line))

    def thread(self, text: str, line: Line) -> Step:
        return self._go(text.strip().removeprefix("<-").strip(), "thread", line)

    def _go(self, name: str, kind: str, line: Line) -> Step:
        if kind == "go" and name in ("END", "DONE"):
            return End(final=name == "END")
        to, arguments = self._target(name, line)
        return Divert(to, kind, arguments, line.number)  # type: ignore[arg-type]  # one of its three words

    def _target(self, name: str, line: Line) -> tuple[Expr, tuple[Expr, ...]]:
        found = self.expression(name, line) if name else None
        match found:
            case Variable(name=target):
                return Constant(Target(target)), ()
            case Call(name=target, arguments=arguments):
                return Constant(Target(target)), arguments
            case _:
                raise wrong(line, name or "->", "is no name to go to", "name a knot, a stitch or a label")

    # Braces.

    def _braces(self, inner: str, line: Line, flow: Flow, into: list[Step]) -> None:
        bare = inner.strip()
        if not bare:
            raise wrong(line, "{}", "is empty", "write \\{ for the sign itself")
        marks = re.match(r"[&!~$]+", bare)
        if marks and "\n" not in bare:
            self._sequence(split(bare[marks.end() :], "|"), self._marked(marks[0], line), line, flow, into)
            return
        head, colon, rest = self._headed(inner, line)
        if colon and head in _KINDS and "\n" in rest:
            self._many(self._branches(rest, line), _KINDS[head], line, flow, into)
        elif colon and "\n" in rest:
            self._conditions(head, self._branches(rest, line), line, flow, into)
        elif colon:
            self._either(self.expression(head, line), split(rest, "|"), line, flow, into)
        elif "\n" in inner and _BRANCH.match(bare):
            self._conditions("", self._branches(inner, line), line, flow, into)
        elif len(parts := split(inner, "|")) > 1:
            self._sequence(parts, "stopping", line, flow, into)
        else:
            into.append(Show(self.expression(bare, line)))

    def _headed(self, inner: str, line: Line) -> tuple[str, bool, str]:
        """(what stands before a colon, whether one is there, the rest) where that is a condition or a word of ink."""
        at, which = find(inner, (":", "|"))
        if which != ":" or _BRANCH.match(inner):
            return "", False, inner
        head = " ".join(inner[:at].split())
        if head not in _KINDS:
            try:
                self.expression(head, line)
            except Invalid:
                if len(split(inner, "|")) > 1:
                    return "", False, inner
                raise
        return head, True, inner[at + 1 :]

    @staticmethod
    def _marked(marks: str, line: Line) -> str:
        kinds = sorted({_MARKS[mark] for mark in marks})
        name = " ".join(kinds)
        if name not in _KINDS:
            raise wrong(line, marks, "are marks that do not go together", "use one of & ! ~ or ~!")
        return _KINDS[name]

    def _sequence(self, parts: list[str], kind: str, line: Line, flow: Flow, into: list[Step]) -> None:
        def part(text: str) -> Callable[[], None]:
            return lambda: void(self.content(text, line, flow, into))

        self._sequenced([part(text) for text in parts], kind, flow, into)

    def _many(self, branches: list[list[Line]], kind: str, line: Line, flow: Flow, into: list[Step]) -> None:
        def part(lines: list[Line]) -> Callable[[], None]:
            first = lines[0]._replace(text=lines[0].text.removeprefix("- "))
            return lambda: self._lines([first, *lines[1:]], flow, into)

        if not branches:
            raise wrong(line, kind, "has no parts", "begin each part on a line of its own with -")
        self._sequenced([part(lines) for lines in branches], kind, flow, into)

    def _lines(self, lines: list[Line], flow: Flow, into: list[Step]) -> None:
        self._depth += 1
        if self._depth > self._limits.nesting_max:
            raise wrong(lines[0], "{", f"is nested deeper than {self._limits.nesting_max}", "use knots or functions")
        into.append(Newline())
        self._block(lines, flow, into)
        self._depth -= 1

    @staticmethod
    def _sequenced(parts: list[Callable[[], None]], kind: str, flow: Flow, into: list[Step]) -> None:
        head, ats, gotos = len(into), [], []
        into.append(Goto(0))
        for part in parts:
            ats.append(len(into))
            part()
            gotos.append(len(into))
            into.append(Goto(0))
        for goto in gotos:
            into[goto] = Goto(len(into))
        into[head] = Sequence(flow.fresh("s"), kind, tuple(ats), len(into))  # type: ignore[arg-type]  # one of its words

    def _either(self, condition: Expr, parts: list[str], line: Line, flow: Flow, into: list[Step]) -> None:
        if len(parts) > 2:
            raise wrong(line, "|", "divides a condition into more than two", "write {condition: then|otherwise}")
        head = len(into)
        into.append(Goto(0))
        self.content(parts[0], line, flow, into)
        if len(parts) == 1:
            into[head] = Unless(condition, len(into))
            return
        over = len(into)
        into.append(Goto(0))
        into[head] = Unless(condition, len(into))
        self.content(parts[1], line, flow, into)
        into[over] = Goto(len(into))

    def _branches(self, rest: str, line: Line) -> list[list[Line]]:
        """The lines of each branch; those before the first dash are a branch of their own."""
        first = line.number + line.text.count("\n") - rest.count("\n") if "\n" in line.text else line.number
        found: list[list[Line]] = []
        for each in logical(rest, line.file, max(1, first)):
            dash = _BRANCH.match(each.text)
            if dash:
                found.append([each._replace(text="- " + each.text[dash.end() :])])
            elif each.text.strip():
                if not found:
                    found.append([])
                found[-1].append(each)
        return found

    def _conditions(self, head: str, branches: list[list[Line]], line: Line, flow: Flow, into: list[Step]) -> None:
        """`{ x: … - else: … }`, `{ - a: … - b: … }` and `{ x: - 1: … - 2: … }`."""
        ends: list[int] = []
        subject = self.expression(head, line) if head else None
        plain_first = bool(branches) and not branches[0][0].text.startswith("- ")
        if not branches or (plain_first and subject is None):
            raise wrong(line, "{", "holds no branches", "begin each on a line of its own with - condition:")
        for number, lines in enumerate(branches):
            if number == 0 and plain_first:
                condition, body = subject, lines
            else:
                condition, body = self._branch(lines, subject if not plain_first else None)
            guard = len(into)
            into.append(Goto(guard + 1))
            self._lines(body, flow, into) if body else None
            ends.append(len(into))
            into.append(Goto(0))
            if condition is not None:
                into[guard] = Unless(condition, len(into))
        for end in ends:
            into[end] = Goto(len(into))

    def _branch(self, lines: list[Line], subject: Expr | None) -> tuple[Expr | None, list[Line]]:
        first = lines[0]
        text = first.text.removeprefix("- ")
        at, _ = find(text, (":",))
        if at < 0:
            raise wrong(first, text, "is a branch without a condition", "write - condition: or - else:")
        head, rest = text[:at].strip(), text[at + 1 :]
        body = [first._replace(text=rest), *lines[1:]] if rest.strip() else lines[1:]
        if head == "else":
            return None, body
        found = self.expression(head, first)
        return (Binary("==", subject, found) if subject is not None else found), body


def void(_value: object) -> None:
    """Let a value go."""
