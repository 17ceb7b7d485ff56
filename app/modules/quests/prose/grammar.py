"""The grammar of quest texts in one language: rules whose lines hold other rules, choices and slots for names.

It knows no world and no quest. A line is `Bring {item.a} [back|home] <soon>`: a slot in braces takes the name of a
role in a form, brackets hold choices (one may be empty, they may be nested), angles name another rule. A line that
begins with `?winter` is said only where that is known, with `?winter&friend` only where both are; a line that names the
player only where there is one. A draw stands for a derivation.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

import msgspec

from app.core.errors import Broken, nearest
from app.modules.quests.planning.domain import PLAYER, data

Lines = tuple[str, ...]
USUAL = "en"
OPEN = frozenset({"plea", "why"})
"""Parts of a description that are no rules: what they mean depends on the quest."""
DEPTH_MAX = 12
"""Rules within rules; a grammar that goes deeper is refused when it is read."""
_WORD = re.compile(r"[^\W_]+(?:[-’'][^\W_]+)*")
_MULTIPLIER, _INCREMENT, _MASK = 6364136223846793005, 1442695040888963407, (1 << 64) - 1


class Story(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The texts of one strategy."""

    titles: Lines
    pleas: Lines


class Nouns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How names are put into sentences."""

    articles: Lines
    """The definite one first; a name that begins with any of them gets none."""
    skill: str = "{0}"


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a checker finds what a text may not hold: see `checker.py`."""

    numbers: str
    """A pattern of a whole word that says how many or the how-manieth."""
    idioms: Lines
    """Phrases in which such a word counts nothing."""
    titles: str
    """A pattern of titles: a word with a capital behind such a title is somebody's name."""
    naming: str
    """A pattern of words after which a name stands."""
    nouns: bool
    """Whether common nouns are written with a capital."""


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All texts of one language, as they are written."""

    nouns: Nouns
    check: Check
    topics: dict[str, Lines]
    description: Lines
    motives: dict[str, Lines]
    actions: dict[str, Lines]
    reasons: dict[str, Lines]
    strategies: dict[str, Story]
    rules: dict[str, Lines]
    branches: dict[str, Lines] = {}
    repairs: dict[str, Lines] = {}
    failures: dict[str, Lines] = {}
    words: Lines = ()
    """Further words of the language that a text may begin with or write with a capital."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A role's name, in a form of the language."""

    role: str
    form: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Alternatives; each with the conditions under which it may be taken."""

    options: tuple[tuple[frozenset[str], Line], ...]
    always: tuple[Line, ...] = ()
    """Its lines, where none has a condition."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Another rule, by its symbol."""

    symbol: str


Part = str | Slot | Choice | Rule
Line = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Grammar:
    """The rules of one language by symbol, such as `actions.goto` or `strategies.study.pleas`."""

    language: str
    nouns: Nouns
    check: Check
    rules: Mapping[str, Choice]
    vocabulary: frozenset[str]
    """Every word of its own and those of `words.<language>.txt`, in small letters."""

    shapes: tuple[tuple[frozenset[str], tuple[str, ...]], ...]
    """What a description may be made of: conditions and symbols, where `plea` and `why` depend on the quest."""

    def parts(self, symbol: str, draw: int, so: frozenset[str]) -> Iterator[str | Slot]:
        """The text of a symbol, piece by piece, in the derivation that `draw` stands for, where `so` is what is known.

        Raises Broken for a symbol that the grammar lacks.
        """
        state = draw & _MASK
        todo: list[Part] = [self.rule(symbol)]
        while todo:
            part = todo.pop()
            if isinstance(part, Rule):
                part = self.rules[part.symbol]
            if not isinstance(part, Choice):
                yield part
                continue
            state = (state * _MULTIPLIER + _INCREMENT) & _MASK
            fitting = part.always or [line for needs, line in part.options if needs <= so]
            todo.extend(fitting[(state >> 33) % len(fitting)][::-1])

    def rule(self, symbol: str) -> Choice:
        """The rule of a symbol; raises Broken."""
        found = self.rules.get(symbol)
        if found is None:
            raise Broken(f"the {self.language} texts have no {symbol!r}", hint=nearest(symbol, self.rules))
        return found

    def slots(self, symbol: str) -> frozenset[str]:
        """The roles that any text of a symbol may name."""
        return frozenset(part.role for part in _walk(self.rule(symbol), self.rules) if isinstance(part, Slot))


@cache
def languages() -> tuple[str, ...]:
    """The languages that texts are shipped in, the usual one first."""
    names = sorted(entry.name for entry in (files("app.modules.quests") / "data").iterdir())
    found = [name.split(".")[1] for name in names if name.startswith("prose.") and name.endswith(".toml")]
    return (USUAL, *(language for language in found if language != USUAL))


@cache
def load_grammar(language: str = USUAL) -> Grammar:
    """Read and check the shipped texts of one language, once; raises Broken naming the line at fault."""
    return read_grammar(data(f"prose.{language}.toml").decode(), language)


def grammar_for(language: str) -> Grammar:
    """The texts in a language, or in the usual one where there are none: `de-AT` is served by `de`."""
    return load_grammar(spoken(language) or USUAL)


def spoken(language: str) -> str:
    """The language whose texts serve another, as those of `de` do for `de-AT`; empty where there are none."""
    base = language.replace("_", "-").partition("-")[0].lower()
    return base if base in languages() else ""


def read_grammar(text: str, language: str) -> Grammar:
    """A grammar from its file's text; raises Broken naming the line at fault."""
    file = msgspec.convert(tomllib.loads(text), File)
    written = dict(_symbols(file))
    rules = {symbol: _rule(symbol, lines) for symbol, lines in written.items()}
    for symbol, choice in rules.items():
        _check(symbol, choice, rules)
    own = {word for choice in rules.values() for word in _words(choice)} | set(file.words)
    own |= {*file.nouns.articles, file.nouns.skill.replace("{0}", "")}
    own |= set(_common(language))
    vocabulary = frozenset(word for text in own for word in words_of(text))
    return Grammar(language, file.nouns, file.check, MappingProxyType(rules), vocabulary, tuple(_shapes(file, rules)))


def words_of(text: str) -> list[str]:
    """The words of a text in small letters, without punctuation; an apostrophe inside a word belongs to it."""
    return [word.casefold() for word in _WORD.findall(text)]


def _common(language: str) -> list[str]:
    """Ordinary words of a language, which name nobody; none where no list ships."""
    path = files("app.modules.quests") / "data" / f"words.{language}.txt"
    return path.read_text("utf-8").split() if path.is_file() else []


def _symbols(file: File) -> Iterator[tuple[str, Lines]]:
    for group in ("topics", "motives", "actions", "reasons", "branches", "repairs", "failures", "rules"):
        table: dict[str, Lines] = getattr(file, group)
        for name, lines in table.items():
            yield (name if group == "rules" else f"{group}.{name}"), lines
    for name, story in file.strategies.items():
        yield f"strategies.{name}.titles", story.titles
        yield f"strategies.{name}.pleas", story.pleas


def _shapes(file: File, rules: Mapping[str, Choice]) -> Iterator[tuple[frozenset[str], tuple[str, ...]]]:
    for line in file.description:
        needs, _, text = line[1:].partition(" ") if line.startswith("?") else ("", "", line)
        symbols = tuple(text.split())
        if strange := [symbol for symbol in symbols if symbol not in rules and symbol not in OPEN]:
            raise Broken(f"description names no rule: {strange[0]!r}", hint=nearest(strange[0], rules))
        met = [rules[symbol] for symbol in symbols if symbol in rules]
        spoken_to = {PLAYER} if any(all(PLAYER in so for so, _ in choice.options) for choice in met) else set()
        yield frozenset(filter(None, needs.split("&"))) | spoken_to, symbols


def _rule(symbol: str, lines: Lines) -> Choice:
    options = []
    for line in lines:
        needs, text = "", line
        if line.startswith("?"):
            needs, _, text = line[1:].partition(" ")
        read = _Reader(symbol, text).line()
        spoken_to = {PLAYER} if _names(read, PLAYER) else set()
        options.append((frozenset(filter(None, needs.split("&"))) | spoken_to, read))
    if not any(needs <= {PLAYER} for needs, _ in options):
        raise Broken(f"rule {symbol!r} has no line that may always be said")
    free = not any(needs for needs, _ in options)
    return Choice(tuple(options), tuple(read for _, read in options) if free else ())


class _Reader:
    """Reads one line, left to right."""

    def __init__(self, symbol: str, text: str) -> None:
        self._symbol, self._text, self._at = symbol, text, 0

    def line(self) -> Line:
        parts = self._sequence("")
        if self._at < len(self._text):
            raise self._wrong()
        return parts

    def _sequence(self, ends: str) -> Line:
        parts: list[Part] = []
        start = self._at
        while self._at < len(self._text) and self._text[self._at] not in ends:
            sign = self._text[self._at]
            if sign in "]}>":
                raise self._wrong()
            if sign not in "[{<":
                self._at += 1
                continue
            if self._at > start:
                parts.append(self._text[start : self._at])
            self._at += 1
            parts.append(self._choice() if sign == "[" else self._name("}" if sign == "{" else ">"))
            start = self._at
        if self._at > start:
            parts.append(self._text[start : self._at])
        return tuple(parts)

    def _choice(self) -> Choice:
        options = [self._sequence("|]")]
        while self._at < len(self._text) and self._text[self._at] == "|":
            self._at += 1
            options.append(self._sequence("|]"))
        if self._at >= len(self._text):
            raise self._wrong()
        self._at += 1
        return Choice(tuple((frozenset(), option) for option in options), tuple(options))

    def _name(self, end: str) -> Slot | Rule:
        stop = self._text.find(end, self._at)
        if stop < 0:
            raise self._wrong()
        name, self._at = self._text[self._at : stop], stop + 1
        if end == ">":
            return Rule(name)
        role, _, form = name.partition(".")
        return Slot(role, form)

    def _wrong(self) -> Broken:
        return Broken(f"a line of {self._symbol!r} has an open or stray bracket: {self._text!r}")


def _names(line: Line, role: str) -> bool:
    """Whether a line may name a role."""
    for part in line:
        if isinstance(part, Slot) and part.role == role:
            return True
        if isinstance(part, Choice) and any(_names(option, role) for _, option in part.options):
            return True
    return False


def _check(symbol: str, choice: Choice, rules: Mapping[str, Choice], depth: int = 0) -> None:
    """Every rule that is named exists, and none contains itself without end."""
    if depth > DEPTH_MAX:
        raise Broken(f"rule {symbol!r} is more than {DEPTH_MAX} rules deep: does it contain itself?")
    for _, line in choice.options:
        for part in line:
            if isinstance(part, Choice):
                _check(symbol, part, rules, depth)
            elif isinstance(part, Rule):
                if part.symbol not in rules:
                    raise Broken(f"rule {symbol!r} names no rule: {part.symbol!r}", hint=nearest(part.symbol, rules))
                _check(part.symbol, rules[part.symbol], rules, depth + 1)


def _walk(choice: Choice, rules: Mapping[str, Choice]) -> Iterator[str | Slot]:
    for _, line in choice.options:
        for part in line:
            if isinstance(part, Choice):
                yield from _walk(part, rules)
            elif isinstance(part, Rule):
                yield from _walk(rules[part.symbol], rules)
            else:
                yield part


def _words(choice: Choice) -> Iterator[str]:
    """The literal pieces of a rule; choices never end in the middle of a word."""
    for _, line in choice.options:
        for part in line:
            if isinstance(part, Choice):
                yield from _words(part)
            elif isinstance(part, str):
                yield part
