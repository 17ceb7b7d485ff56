"""Safe XML: elements with their places, and nothing that a file could do harm with.

Entities, document types and processing of anything outside the file are refused; size and depth are bounded. It knows
no tag.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

from app.core.errors import Invalid

DEPTH_MAX = 256


@dataclass(slots=True)
class Element:
    """A tag; text between tags is not kept."""

    tag: str
    attributes: dict[str, str]
    line: int
    column: int
    children: list[Element] = field(default_factory=list)

    @property
    def place(self) -> str:
        """For an error."""
        return f"line {self.line}, column {self.column}, <{self.tag}>"


def read_xml(data: bytes, *, bytes_max: int) -> Element:
    """The outermost element; raises Invalid with line and column."""
    if len(data) > bytes_max:
        raise Invalid(f"the file has {len(data)} bytes", hint=f"at most {bytes_max}")
    reader = _Reader()
    try:
        reader.parser.Parse(data, True)
    except expat.ExpatError as error:
        where = f"line {error.lineno}, column {error.offset + 1}"
        raise Invalid(f"the XML is wrong at {where}: {expat.ErrorString(error.code)}") from error
    return reader.root.children[0]


class _Reader:
    """Collects elements while expat reads."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.root = Element("", {}, 0, 0)
        self._open = [self.root]
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype
        self.parser.EntityDeclHandler = self._refuse_entity

    def _where(self) -> str:
        return f"line {self.parser.CurrentLineNumber}, column {self.parser.CurrentColumnNumber + 1}"

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._open) > DEPTH_MAX:
            raise Invalid(f"the XML is wrong at {self._where()}: more than {DEPTH_MAX} tags within another")
        line, column = self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber + 1
        element = Element(tag, attributes, line, column)
        self._open[-1].children.append(element)
        self._open.append(element)

    def _end(self, tag: str) -> None:
        self._open.pop()

    def _refuse_doctype(self, *_: object) -> None:
        raise Invalid(f"the XML is wrong at {self._where()}: a document type", hint="leave out <!DOCTYPE …>")

    def _refuse_entity(self, *_: object) -> None:
        raise Invalid(f"the XML is wrong at {self._where()}: an entity", hint="leave out <!ENTITY …>")
