"""Compiles Yarn Spinner scripts, versions 2 and 3: nodes with options, line groups, conditions and detours.

The language is that of its own documentation; node groups, enums and markup are refused. Source in, a story out.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from app.core.errors import TooLarge, nearest
from app.modules.dialogue.stories.functions import COUNTING, FUNCTIONS
from app.modules.dialogue.stories.limits import Limits
from app.modules.dialogue.stories.model import (
    Call,
    Constant,
    Divert,
    Expr,
    Node,
    Set,
    Story,
    Target,
    Value,
    Variable,
)
from app.modules.dialogue.stories.source import Line, checked, wrong
from app.modules.dialogue.stories.yarn_body import Body, Row
from app.modules.dialogue.stories.yarn_text import Texts

_HEADER = re.compile(r"([A-Za-z_][\w.-]*)\s*:\s*(.*)")
_TITLE = re.compile(r"[^\W\d][\w.]*")
_DECLARE = re.compile(r"(\$[^\W\d]\w*)\s*(?:=|to\b)\s*")
INDENT_OF_TAB = 4


def compile(text: str, name: str, *, file: str = "", limits: Limits) -> Story:
    """The story that the Yarn source `text` tells; raises Invalid or TooLarge naming file, line, token and mend."""
    file = file or f"{name}.yarn"
    plain = checked(text, file, limits)
    compiler = _Compiler(limits, file)
    compiler.file(plain)
    return Story(
        name=name,
        syntax="yarn",
        nodes=compiler.checked(),
        start="Start" if "Start" in compiler.nodes else next(iter(compiler.nodes)),
        variables=compiler.initial(),
        smart=compiler.smart,
        tags=tuple(compiler.tags),
        digest=hashlib.sha256(plain.encode()).hexdigest()[:16],
        file=file,
    )


class _Compiler:
    def __init__(self, limits: Limits, file: str) -> None:
        self.nodes: dict[str, Node] = {}
        self.smart: dict[str, Expr] = {}
        self.tags: list[str] = []
        self._limits, self._file = limits, file
        self._texts = Texts(limits)
        self._declared: dict[str, Value] = {}
        self._guessed: dict[str, Value] = {}

    def file(self, text: str) -> None:
        """Read every node; raises Invalid."""
        headers: dict[str, tuple[Line, str]] = {}
        rows: list[Row] | None = None
        last = Line(self._file, 1, "")
        for number, raw in enumerate(text.split("\n"), 1):
            last = Line(self._file, number, raw)
            bare = raw.strip()
            if rows is None:
                rows = self._head(last, bare, headers)
            elif bare == "===":
                self._node(headers, rows)
                headers, rows = {}, None
            elif body := _without_comment(raw).rstrip():
                expanded = body.expandtabs(INDENT_OF_TAB)
                rows.append(Row(len(expanded) - len(expanded.lstrip()), last._replace(text=body.strip())))
        if rows is not None or headers:
            raise wrong(last, "===", "is missing at the end of a node", "add a line === after its last line")
        if not self.nodes:
            raise wrong(last, "title:", "is missing: the file has no node", "write title: Name, ---, lines, ===")

    def _head(self, line: Line, bare: str, headers: dict[str, tuple[Line, str]]) -> list[Row] | None:
        """A line before a body; the body's rows when it begins."""
        if bare == "---":
            return []
        if bare.startswith("#") and not headers:
            self.tags.append(bare[1:].strip())
        elif found := _HEADER.fullmatch(bare):
            if found[1] == "when":
                raise wrong(line, bare, "makes a node group, which is not supported", "use a line group => or <<if>>")
            headers[found[1]] = (line, found[2])
        elif bare and not bare.startswith("//"):
            raise wrong(line, bare, "is no header of a node", "write name: value, then a line --- before the body")
        return None

    def _node(self, headers: dict[str, tuple[Line, str]], rows: list[Row]) -> None:
        line, title = headers.get("title", (rows[0].line if rows else Line(self._file, 1, ""), ""))
        if not _TITLE.fullmatch(title):
            raise wrong(line, title, "is no title of a node", "write title: Name, in letters, digits and underscores")
        if title in self.nodes:
            raise wrong(line, title, "is the title of another node", "give each node its own")
        if len(self.nodes) >= self._limits.nodes_max:
            raise TooLarge(f"{line.place}: more than {self._limits.nodes_max} nodes", hint="divide the story")
        body = Body(self, self._texts, self._limits, title, rows)
        kept = tuple((name, value) for name, (_, value) in headers.items() if name != "title")
        self.nodes[title] = Node(name=title, steps=body.steps(), counts="left", headers=kept, line=line.number)

    def declare(self, text: str, line: Line) -> None:
        """`<<declare $x = value as type>>`; a variable of others is worked out whenever it is read."""
        found = _DECLARE.match(text)
        if found is None:
            raise wrong(line, text, "declares nothing", "write <<declare $name = value>>")
        if found[1] in self._declared or found[1] in self.smart:
            raise wrong(line, found[1], "is declared already", "take one of the two out")
        rest = text[found.end() :]
        kind = rest.rsplit(None, 2)
        value = self._texts.expression(kind[0] if len(kind) == 3 and kind[1] == "as" else rest, line)
        if isinstance(value, Constant):
            self._declared[found[1]] = value.value
        else:
            self.smart[found[1]] = value

    def guess(self, name: str, to: Expr) -> None:
        """A variable that is set has a first value, of the kind that it is set to."""
        first: Value = 0.0
        if isinstance(to, Constant):
            first = False if isinstance(to.value, bool) else "" if isinstance(to.value, str) else 0.0
        self._guessed.setdefault(name, first)

    def initial(self) -> dict[str, Value]:
        return {**self._guessed, **self._declared}

    def checked(self) -> dict[str, Node]:
        """The nodes, after every name in them was looked up; raises Invalid."""
        for node in self.nodes.values():
            self._look(node.steps, Line(self._file, node.line, ""))
        for of in self.smart.values():
            self._look(of, Line(self._file, 1, ""))
        return self.nodes

    def _look(self, value: Any, line: Line) -> None:
        if isinstance(value, tuple):
            for each in value:
                self._look(each, line)
        elif isinstance(value, Variable):
            names = {**self.initial(), **self.smart}
            if value.name not in names:
                at = line._replace(number=value.line)
                raise wrong(at, value.name, "is no variable", nearest(value.name, {*names, "<<declare>>"}))
        elif isinstance(value, Call):
            self._call(value, line._replace(number=value.line))
        elif isinstance(value, Divert) and isinstance(value.to, Constant) and isinstance(value.to.value, Target):
            self._exists(value.to.value.node, line._replace(number=value.line))
        elif isinstance(value, Set) and value.name in self.smart:
            raise wrong(
                line, value.name, "is worked out from others and cannot be set", "declare it with a plain value"
            )
        if isinstance(value, msgspec.Struct):
            for name in value.__struct_fields__:
                self._look(getattr(value, name), line)

    def _exists(self, title: str, line: Line) -> None:
        if title not in self.nodes:
            raise wrong(line, title, "is no node", nearest(title, self.nodes))

    def _call(self, call: Call, line: Line) -> None:
        if call.name in COUNTING["yarn"]:
            if len(call.arguments) != 1:
                raise wrong(line, call.name, f"takes 1 value, not {len(call.arguments)}", f'write {call.name}("Node")')
            if isinstance(call.arguments[0], Constant):
                self._exists(str(call.arguments[0].value), line)
            return
        rule = FUNCTIONS["yarn"].get(call.name)
        if rule is None:
            raise wrong(line, call.name, "is no function", nearest(call.name, {**FUNCTIONS["yarn"], "visited": 0}))
        if not rule.least <= len(call.arguments) <= rule.most:
            raise wrong(line, call.name, f"takes {rule.least} values, not {len(call.arguments)}", "give it as many")


def _without_comment(text: str) -> str:
    """The line without what follows `//` outside of quotes."""
    quoted, here = False, 0
    while here < len(text):
        if text[here] == "\\":
            here += 1
        elif text[here] == '"':
            quoted = not quoted
        elif text.startswith("//", here) and not quoted:
            return text[:here]
        here += 1
    return text
