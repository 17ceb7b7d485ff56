"""An ink file divided into flows: the beginning, knots, stitches; with its variables and what it includes.

It does not look into lines of content.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from app.core.errors import TooLarge
from app.modules.dialogue.stories.limits import Limits
from app.modules.dialogue.stories.source import Include, Line, checked, logical, without_comments, wrong

NOWHERE = Line("", 0, "")
ROOT = "(start)"
"""The flow of what stands before the first knot."""
_KNOT = re.compile(r"==+\s*(function\s+)?([^\W\d]\w*)\s*(?:\(([^()]*)\))?\s*=*\s*")
_STITCH = re.compile(r"=(?!=)\s*([^\W\d]\w*)\s*(?:\(([^()]*)\))?\s*")
_GLOBAL = re.compile(r"(VAR|CONST)\s+([^\W\d]\w*)\s*=\s*(.+)", re.S)
_EXTERNAL = re.compile(r"EXTERNAL\s+([^\W\d]\w*)\s*\(([^()]*)\)\s*")
_WORD = re.compile(r"(VAR|CONST|EXTERNAL|INCLUDE|LIST)\b")


@dataclass(slots=True)
class Flow:
    """A knot, a stitch or the beginning: its lines and the names that it alone knows."""

    knot: str
    stitch: str = ""
    line: Line = NOWHERE
    function: bool = False
    parameters: tuple[str, ...] = ()
    lines: list[Line] = field(default_factory=list)
    temps: set[str] = field(default_factory=set)
    keys: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.knot}.{self.stitch}" if self.stitch else self.knot

    def fresh(self, letter: str) -> str:
        """A name for something without one."""
        self.keys[letter] = self.keys.get(letter, -1) + 1
        return f"{self.name}.{letter}-{self.keys[letter]}"


@dataclass(slots=True)
class Parts:
    """Everything that a file and its includes hold."""

    flows: dict[str, Flow] = field(default_factory=dict)
    globals: dict[str, tuple[Line, str]] = field(default_factory=dict)
    consts: dict[str, tuple[Line, str]] = field(default_factory=dict)
    externals: dict[str, tuple[Line, int]] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    """What was read, in the order in which it was included."""


def divide(text: str, file: str, limits: Limits, include: Include) -> Parts:
    """The parts of a story; raises Invalid with the place and the mend."""
    parts = Parts()
    parts.flows[ROOT] = Flow(ROOT, line=Line(file, 1, ""))
    _Divider(parts, limits, include).file(text, file, ())
    return parts


class _Divider:
    def __init__(self, parts: Parts, limits: Limits, include: Include) -> None:
        self._parts, self._limits, self._include = parts, limits, include
        self._bytes = 0

    def file(self, text: str, file: str, within: tuple[str, ...]) -> None:
        self._bytes += len(text)
        if self._bytes > self._limits.file_bytes_max:
            raise TooLarge(f"{file}: the story has more than {self._limits.file_bytes_max} bytes", hint="divide it")
        text = checked(text, file, self._limits)
        self._parts.texts.append(text)
        flow = self._parts.flows[ROOT]
        for line in logical(without_comments(text), file):
            bare = line.text.strip()
            if bare.startswith("="):
                flow = self._head(line, bare, flow)
            elif found := _WORD.match(bare):
                self._declare(line, bare, found[1], (*within, file))
            elif bare and not bare.startswith("TODO:"):
                flow.lines.append(line)

    def _head(self, line: Line, bare: str, flow: Flow) -> Flow:
        if knot := _KNOT.fullmatch(bare):
            new = Flow(knot[2], line=line, function=bool(knot[1]), parameters=self._names(line, knot[3]))
        elif stitch := _STITCH.fullmatch(bare):
            if flow.knot == ROOT:
                raise wrong(line, bare, "is a stitch outside of any knot", "open a knot with === name before it")
            new = Flow(flow.knot, stitch[1], line, parameters=self._names(line, stitch[2]))
            new.temps = self._parts.flows[flow.knot].temps
        else:
            raise wrong(line, bare, "is no heading", "write === knot ===, === function name(a) === or = stitch")
        if new.name in self._parts.flows or new.name in ("END", "DONE"):
            raise wrong(line, new.name, "is there already", "give it another name")
        if len(self._parts.flows) >= self._limits.nodes_max:
            raise wrong(line, bare, f"is one knot more than {self._limits.nodes_max}", "divide the story")
        new.temps |= set(new.parameters)
        self._parts.flows[new.name] = new
        return new

    @staticmethod
    def _names(line: Line, text: str | None) -> tuple[str, ...]:
        names = [name.strip().removeprefix("->").strip() for name in (text or "").split(",")] if text else []
        for name in names:
            if name.startswith("ref "):
                raise wrong(line, name, "changes a variable of its caller, which is not supported", "return the value")
            if not re.fullmatch(r"[^\W\d]\w*", name):
                raise wrong(line, name, "is no name of a parameter", "separate names by commas")
        return tuple(names)

    def _declare(self, line: Line, bare: str, word: str, within: tuple[str, ...]) -> None:
        match word:
            case "INCLUDE":
                self._read(line, bare.removeprefix("INCLUDE").strip(), within)
            case "LIST":
                raise wrong(line, bare, "is a list, which is not supported", "use a VAR for each item, true or false")
            case "EXTERNAL":
                found = _EXTERNAL.fullmatch(bare)
                if found is None:
                    raise wrong(line, bare, "declares nothing", "write EXTERNAL name(a, b)")
                self._parts.externals[found[1]] = (line, len(self._names(line, found[2])))
            case _:
                found = _GLOBAL.fullmatch(bare)
                if found is None:
                    raise wrong(line, bare, "declares nothing", f"write {word} name = value")
                if found[2] in self._parts.globals or found[2] in self._parts.consts:
                    raise wrong(line, found[2], "is declared already", "give it another name")
                table = self._parts.globals if word == "VAR" else self._parts.consts
                table[found[2]] = (line, found[3])

    def _read(self, line: Line, name: str, within: tuple[str, ...]) -> None:
        if "/" in name or "\\" in name or name.startswith("."):
            raise wrong(line, name, "is not in the folder of this file", "move the file here and name it alone")
        if name in within:
            raise wrong(line, name, "includes itself", "take one of the two INCLUDE lines out")
        text = self._include(name)
        if text is None:
            raise wrong(line, name, "is no file of this folder", "put the file beside this one")
        if len(within) > self._limits.nesting_max:
            raise wrong(line, name, f"is included deeper than {self._limits.nesting_max}", "merge some files")
        self.file(text, name, within)
