"""Compiles ink: weaves of choices and gathers into nodes of steps. Names get their meaning in `naming`.

The language is inkle's, as its own documentation has it; LIST and `ref` are refused. Source text in, a story out.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from app.core.errors import TooLarge
from app.modules.dialogue.stories import acts, naming
from app.modules.dialogue.stories.ink_files import ROOT, Flow, Parts, divide
from app.modules.dialogue.stories.ink_text import Texts
from app.modules.dialogue.stories.limits import Limits
from app.modules.dialogue.stories.model import (
    Act,
    Binary,
    Call,
    Constant,
    Divert,
    Do,
    End,
    Expr,
    Newline,
    Offer,
    Return,
    Say,
    Set,
    Show,
    Step,
    Story,
    Target,
    Variable,
)
from app.modules.dialogue.stories.source import Include, Line, closing, find, wrong
from app.world.gate.acts import ACTIONS

_BULLETS = re.compile(r"\s*((?:\*\s*)+|(?:\+\s*)+)")
_DASHES = re.compile(r"\s*((?:-(?!>)\s*)+)")
_LABEL = re.compile(r"\(\s*([^\W\d]\w*)\s*\)\s*")
_TEMP = re.compile(r"temp\s+([^\W\d]\w*)\s*=\s*(.+)", re.S)
_STEP = re.compile(r"([^\W\d]\w*)\s*(\+\+|--)")
_ASSIGN = re.compile(r"([^\W\d]\w*)\s*([-+]?=)(?!=)\s*(.+)", re.S)


@dataclass(slots=True)
class Draft:
    """A node in the making, whose names mean nothing yet."""

    name: str
    flow: Flow
    line: Line
    kind: str = "node"
    steps: list[Step] = field(default_factory=list)

    def open(self) -> bool:
        """Whether the flow runs out at its end."""
        last = self.steps[-1] if self.steps else None
        return not (isinstance(last, End | Return) or (isinstance(last, Divert) and last.kind == "go"))


@dataclass(slots=True)
class Item:
    """A statement: a choice or a gather of some level, or content of level 0."""

    line: Line
    text: str
    level: int = 0
    choice: bool = False
    sticky: bool = False


def nothing(_name: str) -> str | None:
    """No file is there to include."""
    return None


def compile(text: str, name: str, *, file: str = "", limits: Limits, include: Include = nothing) -> Story:
    """The story that the ink source `text` tells; raises Invalid or TooLarge naming file, line, token and mend."""
    parts = divide(text, file or f"{name}.ink", limits, include)
    compiler = _Compiler(parts, limits)
    for flow in parts.flows.values():
        compiler.flow(flow)
    nodes = naming.resolved(parts, compiler.drafts)
    first = next((each for each in parts.flows.values() if not each.function and each.name != ROOT), None)
    if not parts.flows[ROOT].lines and first is not None:
        nodes.pop(ROOT)
    return Story(
        name=name,
        syntax="ink",
        nodes=nodes,
        start=ROOT if ROOT in nodes or first is None else first.name,
        variables=naming.initial(parts, compiler.drafts),
        digest=hashlib.sha256("\0".join(parts.texts).encode()).hexdigest()[:16],
        file=file or f"{name}.ink",
    )


class _Compiler:
    def __init__(self, parts: Parts, limits: Limits) -> None:
        self.drafts: dict[str, Draft] = {}
        self._parts, self._limits = parts, limits
        self._texts = Texts(limits, self._block)
        for name in ("VAR", "CONST"):
            table = parts.globals if name == "VAR" else parts.consts
            for variable, (line, text) in table.items():
                self._texts.expression(text, line)
                if variable in parts.flows:
                    raise wrong(line, variable, "is the name of a knot, too", "give one of the two another name")

    def flow(self, flow: Flow) -> None:
        """Compile a knot or stitch with everything that is woven in it."""
        draft = self._draft(flow.name, flow, flow.line, "function" if flow.function else "node")
        if not flow.lines and not flow.stitch:
            inner = next(
                (each.name for each in self._parts.flows.values() if each.knot == flow.knot and each.stitch), ""
            )
            if inner:
                draft.steps.append(Divert(Constant(Target(inner)), line=flow.line.number))
        ends = self._weave(self._items(flow.lines), draft, 0)
        if flow.name == ROOT:
            for end in ends:
                end.steps.append(End())

    def _draft(self, name: str, flow: Flow, line: Line, kind: str) -> Draft:
        if name in self.drafts:
            raise wrong(line, name, "is there already", "give it another name")
        if len(self.drafts) >= self._limits.nodes_max:
            raise TooLarge(f"{line.place}: more than {self._limits.nodes_max} nodes", hint="divide the story")
        draft = self.drafts[name] = Draft(name, flow, line, kind)
        return draft

    def _items(self, lines: list[Line]) -> list[Item]:
        found: list[Item] = []
        for line in lines:
            text = line.text.strip()
            if dashes := _DASHES.match(text):
                rest = text[dashes.end() :]
                label = _LABEL.match(rest)
                after = rest[label.end() :] if label else rest
                found.append(Item(line, label[1] if label else "", dashes[1].count("-")))
                if after.strip():
                    found.append(self._item(line, after.strip()))
            else:
                found.append(self._item(line, text))
        return found

    def _item(self, line: Line, text: str) -> Item:
        bullets = _BULLETS.match(text)
        if bullets is None:
            return Item(line, text)
        level = bullets[1].count("*") + bullets[1].count("+")
        if level > self._limits.nesting_max:
            raise wrong(line, bullets[1], f"is nested deeper than {self._limits.nesting_max}", "use knots")
        return Item(line, text[bullets.end() :], level, choice=True, sticky="+" in bullets[1])

    # The weave.

    def _weave(self, items: list[Item], cursor: Draft, depth: int) -> list[Draft]:
        """Add statements to `cursor`; the nodes whose end is loose, for the next gather outside."""
        level = next((item.level for item in items if item.level), 0)
        loose: list[Draft] = []
        asked, number = False, 0
        while number < len(items):
            item = items[number]
            if item.level > level:
                stop = self._span(items, number, level + 1)
                if cursor in loose:
                    loose.remove(cursor)
                loose += self._weave(items[number:stop], cursor, depth + 1)
                number = stop
                continue
            number += 1
            if not item.level:
                self._statement(item, cursor)
            elif item.choice:
                if cursor.kind == "gather" and cursor in loose:
                    loose.remove(cursor)
                body = self._choice(item, cursor)
                stop = self._span(items, number, level + 1)
                loose += self._weave(items[number:stop], body, depth + 1)
                asked, number = True, stop
            else:
                gather = self._draft(self._named(cursor.flow, item.text, "g"), cursor.flow, item.line, "gather")
                gathered = [*loose, *([] if asked or cursor in loose else [cursor])]
                for end in gathered:
                    if end.open():
                        end.steps.append(Divert(Constant(Target(gather.name)), line=item.line.number))
                loose, cursor, asked = [gather], gather, False
        return loose if level else [cursor]

    @staticmethod
    def _span(items: list[Item], start: int, level: int) -> int:
        """Where the statements that belong to deeper levels, or to none, end."""
        stop = start
        while stop < len(items) and (not items[stop].level or items[stop].level >= level):
            stop += 1
        return stop

    @staticmethod
    def _named(flow: Flow, label: str, letter: str) -> str:
        return f"{flow.name}.{label}" if label else flow.fresh(letter)

    def _block(self, lines: list[Line], flow: Flow, into: list[Step]) -> None:
        """Several lines within braces; a choice among them leads where its own divert says."""
        items = self._items(lines)
        for item in items:
            if item.level and not item.choice:
                raise wrong(item.line, "-", "gathers within braces", "put the gather outside, or begin a knot")
        cursor = Draft("", flow, lines[0] if lines else flow.line)
        cursor.steps = into
        if items:
            self._weave(items, cursor, 0)

    # Statements.

    def _statement(self, item: Item, cursor: Draft) -> None:
        text, line, into = item.text, item.line, cursor.steps
        if text.startswith("~"):
            self._logic(text[1:].strip(), line, cursor)
        elif text.startswith("<-"):
            into.append(self._texts.thread(text, line))
        elif not text.startswith("TODO:"):
            self._texts.content(text, line, cursor.flow, into)
            if not text.startswith("#"):
                into.append(Newline()) if not _leaves(into) else None

    def _logic(self, text: str, line: Line, cursor: Draft) -> None:
        """What follows a tilde: a return, an assignment, a function or an act."""
        into, texts = cursor.steps, self._texts
        if re.match(r"return\b", text):
            of = text.removeprefix("return").strip()
            if not cursor.flow.function:
                raise wrong(line, text, "returns outside of a function", "leave a tunnel by ->->")
            into.append(Return(texts.expression(of, line) if of else None))
        elif temp := _TEMP.fullmatch(text):
            cursor.flow.temps.add(temp[1])
            into.append(Set(temp[1], texts.expression(temp[2], line), temporary=True))
        elif stepped := _STEP.fullmatch(text):
            into.append(Set(stepped[1], Binary(stepped[2][0], Variable(stepped[1]), Constant(1))))
        elif assigned := _ASSIGN.fullmatch(text):
            value: Expr = texts.expression(assigned[3], line)
            if assigned[2] != "=":
                value = Binary(assigned[2][0], Variable(assigned[1]), value)
            into.append(Set(assigned[1], value))
        else:
            self._called(text, line, into)
        if "(" in text and not isinstance(into[-1], Act | Return):
            into.append(Newline())

    def _called(self, text: str, line: Line, into: list[Step]) -> None:
        call = self._texts.expression(text, line)
        if not isinstance(call, Call):
            raise wrong(line, text, "does nothing", "write ~ name = value, or call a function")
        if call.name not in ACTIONS:
            into.append(Do(call))
            return
        names = acts.counted(call.name, len(call.arguments), line)
        arguments = ((name, (Show(of),)) for name, of in zip(names, call.arguments, strict=True))
        into.append(Act(call.name, tuple(arguments), line.number))

    # Choices.

    def _choice(self, item: Item, cursor: Draft) -> Draft:
        """Offer a choice in `cursor`; the node that it leads to."""
        line, flow, rest = item.line, cursor.flow, item.text
        if flow.function:
            raise wrong(line, rest, "is a choice in a function", "make it a knot and go there by a tunnel")
        label = _LABEL.match(rest)
        rest = rest[label.end() :] if label else rest
        body = self._draft(self._named(flow, label[1] if label else "", "c"), flow, line, "choice")
        condition, rest = self._condition(rest, line)
        shown, divert = self._apart(rest)
        start, only, after = self._brackets(shown, line)
        first, second = self._piece(start, body), self._piece(only, body)
        body.steps += first
        if after:
            self._texts.content(after, line, flow, body.steps)
        if divert:
            if body.steps:
                body.steps.append(Say(" "))
            self._texts.divert(divert, line, body.steps)
        if body.open() and (body.steps or not divert):
            body.steps.append(Newline())
        fallback = not start.strip() and not only.strip()
        if fallback and not divert and not after.strip():
            raise wrong(
                line, item.text or "*", "is an empty choice", "write its text, or * -> for one that goes by itself"
            )
        offer = Offer(
            body.name,
            tuple(first),
            tuple(second),
            condition=condition,
            once=not item.sticky,
            fallback=fallback,
            line=line.number,
        )
        cursor.steps.append(offer)
        return body

    def _condition(self, rest: str, line: Line) -> tuple[Expr | None, str]:
        """The conditions in braces before a choice's text, all of which must hold."""
        found: Expr | None = None
        while rest.startswith("{"):
            end = closing(rest, 0)
            inner = rest[1:end]
            if find(inner, (":", "|"))[0] >= 0 or re.match(r"\s*[&~$]", inner):
                break
            one = self._texts.expression(inner, line)
            found = one if found is None else Binary("and", found, one)
            rest = rest[end + 1 :].lstrip()
        return found, rest

    @staticmethod
    def _apart(text: str) -> tuple[str, str]:
        """A choice's text, and the divert behind it."""
        at, _ = find(text, ("->",))
        return (text[:at].rstrip(), text[at:]) if at >= 0 else (text, "")

    @staticmethod
    def _brackets(text: str, line: Line) -> tuple[str, str, str]:
        opened, _ = find(text, ("[",))
        if opened < 0:
            return text, "", ""
        closed, _ = find(text, ("]",), start=opened)
        if closed < 0:
            raise wrong(line, text[opened:], "opens a bracket that is not closed", "add ], or write \\[ for the sign")
        return text[:opened], text[opened + 1 : closed], text[closed + 1 :]

    def _piece(self, text: str, body: Draft) -> list[Step]:
        steps: list[Step] = []
        if text and self._texts.content(text, body.line, body.flow, steps):
            raise wrong(body.line, text, "leads elsewhere within a choice", "put the divert at its end")
        return steps


def _leaves(steps: list[Step]) -> bool:
    last = steps[-1] if steps else None
    return isinstance(last, End | Return) or (isinstance(last, Divert) and last.kind == "go")
