"""A reader for dumps of MySQL, MariaDB, PostgreSQL and SQLite: the rows of their INSERT and COPY statements.

It looks at CREATE TABLE for the order of columns, at INSERT … VALUES and at COPY … FROM stdin; every other statement
is passed over. Nothing is executed: a value is a literal, or it is refused with its line. Sources: the lexical rules of
the MySQL 8.0 manual (9.1 Literal Values) and of PostgreSQL's (4.1 Lexical Structure; COPY, text format).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.cli.quests.tables import ROWS_MAX, Line, Tables, require
from app.core.errors import Invalid, TooLarge

MYSQL, STANDARD = "mysql", "standard"
DIALECTS = (MYSQL, STANDARD)
NO_COLUMN = frozenset({
    "primary", "key", "index", "unique", "constraint", "foreign", "check", "fulltext", "spatial", "exclude", "like",
})  # fmt: skip
"""Words that begin what is no column in CREATE TABLE."""
ESCAPED = r"'(?:[^'\\]|''|\\.)*'"
TEXTS = {MYSQL: rf"(?:{ESCAPED}|\"(?:[^\"\\]|\"\"|\\.)*\")", STANDARD: rf"(?:[eE]{ESCAPED}|'(?:[^']|'')*')"}
NAMES = {MYSQL: r"`(?:[^`]|``)*`", STANDARD: r"\"(?:[^\"]|\"\")*\""}
SPACES = {MYSQL: r"\s+|--[^\n]*|\#[^\n]*|/\*.*?\*/", STANDARD: r"\s+|--[^\n]*|/\*.*?\*/"}
LETTERS = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "Z": "\x1a", "f": "\f", "v": "\v"}
"""What a letter stands for after a backslash; any other stands for itself."""
CONSTANTS = {"null": None, "true": "1", "false": "0"}


def _pattern(dialect: str) -> re.Pattern[str]:
    return re.compile(
        rf"""(?P<space>{SPACES[dialect]}|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
        |(?P<text>{TEXTS[dialect]})
        |(?P<name>{NAMES[dialect]})
        |(?P<number>[-+]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?))
        |(?P<word>[A-Za-z_\u0080-\U0010ffff][\w$]*)
        |(?P<mark>::|.)""",
        re.VERBOSE | re.DOTALL,
    )


PATTERNS = {dialect: _pattern(dialect) for dialect in DIALECTS}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


def tables_of(source: Path, wanted: Sequence[str], *, dialect: str = "") -> Tables:
    """The rows of the wanted tables, each with its line; raises Invalid for what is no dump, naming the line."""
    try:
        text = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(f"{source.name!r} is not UTF-8: {error}", hint="dump it with a character set of utf8") from error
    reader = _Reader(text, source.name, dialect or guessed(text), wanted)
    reader.read()
    known = dict.fromkeys((*reader.columns, *reader.rows))
    require(source, wanted, known)
    return {name: reader.rows.get(name, []) for name in wanted}


def guessed(text: str) -> str:
    """The dialect that a dump seems to be written in: MySQL quotes names with backticks."""
    head = text[: 1 << 16]
    return MYSQL if "`" in head or "ENGINE=" in head or "MySQL" in head or "MariaDB" in head else STANDARD


class _Reader:
    """One pass over the text, statement by statement."""

    def __init__(self, text: str, name: str, dialect: str, wanted: Sequence[str]) -> None:
        self._text = text
        self._name = name
        self._pattern = PATTERNS[dialect]
        self._dialect = dialect
        self._wanted = set(wanted)
        self._breaks = [match.start() for match in re.finditer("\n", text)]
        self._at = 0
        self._kept = 0
        self.columns: dict[str, list[str]] = {}
        self.rows: dict[str, list[Line]] = {}

    def read(self) -> None:
        while (token := self._next()) is not None:
            word = token.text.lower() if token.kind == "word" else ""
            if word in ("insert", "replace"):
                self._insert()
            elif word == "create":
                self._create()
            elif word == "copy":
                self._copy()
            elif token.text != ";":
                self._skip()

    def _next(self) -> _Token | None:
        while self._at < len(self._text):
            match = self._pattern.match(self._text, self._at)
            if match is None:
                raise self._fault(self._at, "cannot be read")
            self._at = match.end()
            if match.lastgroup not in ("space", "tag"):
                return _Token(str(match.lastgroup), match.group(), match.start(), match.end())
        return None

    def _need(self) -> _Token:
        token = self._next()
        if token is None:
            raise self._fault(len(self._text), "ends in the middle of a statement")
        return token

    def _skip(self) -> None:
        """To the end of the statement."""
        while (token := self._next()) is not None and token.text != ";":
            pass

    def _line(self, at: int) -> int:
        return bisect_left(self._breaks, at) + 1

    def _fault(self, at: int, what: str) -> Invalid:
        line = self._line(at)
        return Invalid(f"{self._name}:{line} {what}", hint="name a plain dump of INSERT statements; try --dialect")

    def _table(self, token: _Token) -> tuple[str, _Token]:
        """The table's name without its schema, and the token after it."""
        name, following = self._unquoted(token), self._need()
        while following.text == ".":
            name, following = self._unquoted(self._need()), self._need()
        return name, following

    def _unquoted(self, token: _Token) -> str:
        if token.kind == "name" or (token.kind == "text" and token.text[0] == '"'):
            quote = token.text[0]
            return token.text[1:-1].replace(quote * 2, quote)
        if token.kind != "word":
            raise self._fault(token.start, f"has {token.text[:40]!r} where a name should be")
        return token.text

    def _create(self) -> None:
        token = self._need()
        while token.kind == "word" and token.text.lower() in ("temporary", "temp", "unlogged", "table", "if", "not",
                                                              "exists"):  # fmt: skip
            kind, token = token.text.lower(), self._need()
            if kind == "table":
                break
        else:
            self._at = token.start
            self._skip()
            return
        while token.kind == "word" and token.text.lower() in ("if", "not", "exists"):
            token = self._need()
        name, token = self._table(token)
        if token.text != "(":
            self._at = token.start
            self._skip()
            return
        self.columns[name] = list(self._column_names())
        self._skip()

    def _column_names(self) -> Iterator[str]:
        """The first name of each part between the parentheses, but for keys and constraints."""
        depth, fresh = 1, True
        while depth:
            token = self._need()
            if fresh and (token.kind == "name" or token.text.lower() not in NO_COLUMN):
                yield self._unquoted(token)
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            fresh = token.text == "," and depth == 1

    def _names(self) -> list[str]:
        names: list[str] = []
        while True:
            names.append(self._unquoted(self._need()))
            mark = self._need()
            if mark.text == ")":
                return names
            if mark.text != ",":
                raise self._fault(mark.start, f"has {mark.text[:40]!r} in a list of columns")

    def _insert(self) -> None:
        token = self._need()
        while token.kind == "word" and token.text.lower() in ("ignore", "into", "or", "replace", "delayed"):
            token = self._need()
        name, token = self._table(token)
        columns = self.columns.get(name, [])
        if token.text == "(":
            columns, token = self._names(), self._need()
        if token.text.lower() not in ("values", "value") or name not in self._wanted:
            self._at = token.start
            self._skip()
            return
        if not columns:
            raise self._fault(token.start, f"fills {name!r}, whose columns are named nowhere before")
        while True:
            token = self._need()
            if token.text != "(":
                raise self._fault(token.start, f"has {token.text[:40]!r} where a row should begin")
            self._keep(name, columns, self._values(), token.start)
            token = self._need() if self._at < len(self._text.rstrip()) else _Token("mark", ";", self._at, self._at)
            if token.text != ",":
                if token.text != ";":
                    self._skip()
                return

    def _values(self) -> list[str | None]:
        values: list[str | None] = []
        while True:
            values.append(self._value(self._need()))
            mark = self._need()
            while mark.text == "::":  # a cast: the type's name and what it takes
                mark = self._after_type()
            if mark.text == ")":
                return values
            if mark.text != ",":
                raise self._fault(mark.start, f"has {mark.text[:40]!r} after a value")

    def _after_type(self) -> _Token:
        self._need()
        token = self._need()
        while token.kind == "word":
            token = self._need()
        if token.text != "(":
            return token
        while self._need().text != ")":
            pass
        return self._need()

    def _value(self, token: _Token) -> str | None:
        if token.kind == "number":
            return str(int(token.text, 16)) if token.text.lower().startswith("0x") else token.text
        if token.kind == "text":
            return self._said(token.text)
        word = token.text.lower()
        if token.kind == "word" and word in CONSTANTS:
            return CONSTANTS[word]
        if token.kind == "word" and (word in ("n", "b", "x") or word.startswith("_")):  # a prefix, as in _utf8'…'
            text = self._need()
            if text.kind == "text":
                said = self._said(text.text)
                return str(int(said, 2)) if word == "b" and set(said) <= {"0", "1"} and said else said
        raise self._fault(token.start, f"has {token.text[:40]!r} as a value, which is no literal")

    def _said(self, text: str) -> str:
        """What a quoted text stands for."""
        escaped = self._dialect == MYSQL or text[0] in "eE"
        body = text[2:-1] if text[0] in "eE" else text[1:-1]
        quote = text[-1]
        body = body.replace(quote * 2, quote)
        if not escaped or "\\" not in body:
            return body
        return re.sub(r"\\(.)", lambda match: LETTERS.get(match[1], match[1]), body, flags=re.DOTALL)

    def _copy(self) -> None:
        """`COPY table (columns) FROM stdin;` and its lines, as pg_dump writes them."""
        name, token = self._table(self._need())
        columns = self.columns.get(name, [])
        if token.text == "(":
            columns, token = self._names(), self._need()
        words = [token.text.lower(), self._need().text.lower()]
        self._skip()
        if words != ["from", "stdin"]:
            return
        start = self._text.find("\n", self._at) + 1
        end = self._text.find("\n\\.", start - 1)
        if start == 0 or end < 0:
            raise self._fault(self._at, "copies from stdin without an end")
        self._at = end + len("\n\\.")
        if name not in self._wanted or end < start:
            return
        for line in self._text[start:end].split("\n"):
            self._keep(name, columns, [_copied(cell) for cell in line.split("\t")], start)
            start += len(line) + 1

    def _keep(self, name: str, columns: Sequence[str], values: Sequence[str | None], at: int) -> None:
        if len(values) != len(columns):
            raise self._fault(at, f"has {len(values)} values for the {len(columns)} columns of {name!r}")
        if self._kept == ROWS_MAX:
            raise TooLarge(f"more than {ROWS_MAX} rows", hint="dump only the quests' tables")
        self._kept += 1
        row: Mapping[str, str | None] = dict(zip(columns, values, strict=True))
        self.rows.setdefault(name, []).append(Line(row, f"{self._name}:{self._line(at)}"))


def _copied(cell: str) -> str | None:
    if cell == "\\N":
        return None
    return re.sub(r"\\(.)", lambda match: LETTERS.get(match[1], match[1]), cell) if "\\" in cell else cell
