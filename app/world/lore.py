"""Background that talk touches: entries of lore whose keys were just said, found among a world's facts.

An entry is a subject `lore:SLUG` with facts: `lore` is its text, `keys` the words that call it, with commas between;
`keys_too` are further ones, of which `keys_logic` says whether `any`, `all`, `none` or `not_all` must be said as well;
`order` ranks it, greater first, and `constant` true means that it is always at hand. Pure. It reads facts and
does not know where they come from.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import is_
from typing import NamedTuple

from app.world.entities import Fact, Npc, Player, Value
from app.world.gate.acts import may_know, may_tell
from app.world.gate.speech import clean_input
from app.world.scene import Known
from app.world.state import World, pair

PREFIX = "lore:"
TEXT, KEYS, KEYS_TOO, LOGIC, ORDER, CONSTANT = "lore", "keys", "keys_too", "keys_logic", "order", "constant"
LOGICS = ("any", "all", "none", "not_all")
DEFAULT_ORDER = 100.0
TEXTS_MAX = 8
"""Lines that are looked through, the last ones."""
CHARACTERS_READ_MAX = 8_000
"""Characters of them, the last ones."""
WORLDS_MAX = 256
"""Worlds whose books are kept."""
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[^\W\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+")
"""A run of letters and digits; a sign of its own in scripts that part no words."""

_Facts = dict[str, tuple[Fact, ...]]
_Phrase = tuple[str, ...]


class Entry(NamedTuple):
    """One entry, ready to be looked up."""

    subject: str
    name: str
    also: tuple[_Phrase, ...]
    logic: str
    order: float
    constant: bool


@dataclass(frozen=True, slots=True)
class Book:
    """The entries of a world by their keys, and the facts that they were made of."""

    size: int
    newest: str
    places: tuple[str, ...] = ()
    held: tuple[tuple[Fact, ...], ...] = ()
    entries: tuple[Entry, ...] = ()
    lengths: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """First word of a key -> how many words such keys have."""
    calls: Mapping[_Phrase, tuple[int, ...]] = field(default_factory=dict)
    """Key -> the places of its entries."""
    constant: tuple[int, ...] = ()

    def holds(self, facts: _Facts) -> bool:
        """Whether the lore among `facts` is what this was made of: nothing was added at their end or replaced."""
        return (
            len(facts) == self.size
            and next(reversed(facts), "") == self.newest
            and all(map(is_, map(facts.get, self.places), self.held))
        )


_books: OrderedDict[tuple[str, str], Book] = OrderedDict()
"""By tenant and world; a book that is of other facts than the world's is made anew."""


def lore_for(
    world: World,
    npc: Npc,
    texts: Sequence[str],
    *,
    most: int,
    characters_max: int,
    listener: Npc | Player | None = None,
) -> tuple[Known, ...]:
    """The entries that the last lines call, `texts` oldest first, after those that are constant; greater `order` first.

    What `npc` may not know is left out, and so is what it may not tell `listener`, where one is given. At most `most`
    entries and `characters_max` characters of text; an entry that does not fit is passed over.
    """
    book = _book(world)
    if not book.entries:
        return ()
    words = words_of(" \n ".join(texts[-TEXTS_MAX:])[-CHARACTERS_READ_MAX:])
    called = [book.entries[at] for at in dict.fromkeys((*book.constant, *_called(book, words)))]
    called.sort(key=lambda entry: (not entry.constant, -entry.order, entry.subject))
    found: list[Known] = []
    left = characters_max
    for entry in called:
        if len(found) >= most:
            break
        fact = world.fact(entry.subject, TEXT)
        if fact is None or not (may_know(npc, fact) if listener is None else may_tell(world, npc, listener, fact)):
            continue
        text = clean_input(str(fact.value))
        if text and len(text) <= left:
            left -= len(text)
            found.append(Known(subject_id=entry.subject, subject=entry.name, predicate=TEXT, value=text))
    return tuple(found)


def words_of(text: str) -> list[str]:
    """The words of a text in small letters, as keys are compared by."""
    return _WORD.findall(text.casefold())


def is_lore(subject: str) -> bool:
    """Whether a fact's subject is an entry of lore, which is no fact to be told by itself."""
    return subject.startswith(PREFIX)


def _called(book: Book, words: list[str]) -> Iterator[int]:
    """The entries that have a key among the words, and whose further keys are as they must be."""
    said = frozenset(words)
    for at, word in enumerate(words):
        for length in book.lengths.get(word, ()):
            for entry in book.calls.get(tuple(words[at : at + length]), ()):
                also = book.entries[entry].also
                if not also or _as_it_must(book.entries[entry].logic, [_says(words, said, each) for each in also]):
                    yield entry


def _says(words: list[str], said: frozenset[str], phrase: _Phrase) -> bool:
    if not said.issuperset(phrase):
        return False
    size = len(phrase)
    return size == 1 or any(tuple(words[at : at + size]) == phrase for at in range(len(words) - size + 1))


def _as_it_must(logic: str, found: list[bool]) -> bool:
    match logic:
        case "all":
            return all(found)
        case "none":
            return not any(found)
        case "not_all":
            return not all(found)
    return any(found)


def _book(world: World) -> Book:
    """The book of a world's facts: the one that was made before, while it holds."""
    place, facts = (world.tenant, world.id), world.state.facts
    book = _books.get(place)
    if book is None or not book.holds(facts):
        book = _books[place] = _compiled(facts)
        if len(_books) > WORLDS_MAX:
            _books.popitem(last=False)
    return book


def _compiled(facts: dict[str, tuple[Fact, ...]]) -> Book:
    places = tuple(key for key in facts if key.startswith(PREFIX))
    subjects = dict.fromkeys(key.partition("\x1f")[0] for key in places if key.endswith(f"\x1f{TEXT}"))
    entries: list[Entry] = []
    calls: dict[_Phrase, list[int]] = {}
    lengths: dict[str, set[int]] = {}
    for subject in subjects:
        keys = _phrases(_value(facts, subject, KEYS))
        for phrase in keys:
            calls.setdefault(phrase, []).append(len(entries))
            lengths.setdefault(phrase[0], set()).add(len(phrase))
        order = _value(facts, subject, ORDER)
        entries.append(
            Entry(
                subject=subject,
                name=" ".join(keys[0]) if keys else subject.removeprefix(PREFIX),
                also=tuple(_phrases(_value(facts, subject, KEYS_TOO))),
                logic=str(_value(facts, subject, LOGIC) or LOGICS[0]),
                order=float(order) if isinstance(order, int | float) else DEFAULT_ORDER,
                constant=_value(facts, subject, CONSTANT) is True,
            )
        )
    return Book(
        size=len(facts),
        newest=next(reversed(facts), ""),
        places=places,
        held=tuple(facts[place] for place in places),
        entries=tuple(entries),
        lengths={word: tuple(found) for word, found in lengths.items()},
        calls={phrase: tuple(found) for phrase, found in calls.items()},
        constant=tuple(at for at, entry in enumerate(entries) if entry.constant),
    )


def _value(facts: _Facts, subject: str, predicate: str) -> Value | None:
    known = facts.get(pair(subject, predicate))
    return known[-1].value if known else None


def _phrases(value: Value | None) -> list[_Phrase]:
    """The keys of a fact, each as its words."""
    texts: Iterable[str] = value.split(",") if isinstance(value, str) else ()
    return [words for text in texts if (words := tuple(words_of(text)))]
