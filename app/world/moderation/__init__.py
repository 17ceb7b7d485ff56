"""Moderation by age rating: what an NPC may say and what a player's words may do to it.

Pure, and quick enough for every sentence: words are read once and then known. The packs, words and answers are data
beside this file. It changes no world and keeps no text.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Literal, NamedTuple

import msgspec

from app.core.errors import Invalid, nearest
from app.core.ids import stable_hash
from app.world.moderation import classifier, folding, lexicon, private

__all__ = ["DEFAULT_RATING", "Heard", "Judged", "Moderation", "Pack", "looser", "ratings"]

Action = Literal["allow", "soften", "refuse", "bar"]
DEFAULT_RATING = "pegi12"
KNOWN_WORDS_MAX = 32_768
KNOWN_LETTERS_MAX = 16
"""Longer words, and those with a digit or an @, may be a person's own and are read anew each time."""
SPELLED_LETTERS_MIN = 3
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+")
_STRICTEST: Mapping[Action, int] = {"allow": 0, "soften": 1, "refuse": 2, "bar": 3}


class Judged(NamedTuple):
    """What may become of a sentence.

    Allowed, it stands as it is; else `text` is a milder form of it, or empty where there is none. `category` is what
    was found, empty for nothing. `barred` words of a player are kept nowhere.
    """

    allowed: bool
    category: str
    text: str
    barred: bool = False


class Heard(NamedTuple):
    """What is left of a player's words, and what the NPC says to them at once.

    `text` is what may be understood, remembered and put into a prompt, empty where nothing may. `answer` is empty
    where the talk goes on as ever.
    """

    text: str
    answer: str
    category: str


class Pack(msgspec.Struct, frozen=True, kw_only=True):
    """A rating: what is done about each category."""

    rating: str
    title: str
    actions: dict[str, Action]
    about: dict[str, str]
    """Category -> what it is, in words."""


class Seen(NamedTuple):
    """What a piece of text between white space holds, whatever the rating."""

    words: tuple[str, ...]
    coded: tuple[classifier.Word, ...]
    finds: tuple[tuple[str, str, str], ...]
    """(category, the part that is of it, what may stand in its place or empty)."""
    cue: bool


class Reader:
    """The lexicon and the classifier, with the words that were met before."""

    def __init__(self) -> None:
        self.lexicon = lexicon.load()
        self.classifier = classifier.load()
        self._known: dict[str, Seen] = {}

    def see(self, token: str) -> Seen:
        """What a token holds; a plain short word is remembered."""
        found = self._known.get(token)
        if found is not None:
            return found
        seen = self._read(token)
        if len(token) <= KNOWN_LETTERS_MAX and "@" not in token and not any(map(str.isdigit, token)):
            if len(self._known) >= KNOWN_WORDS_MAX:
                self._known.clear()
            self._known[token] = seen
        return seen

    def _read(self, token: str) -> Seen:
        words: list[str] = []
        finds: list[tuple[str, str, str]] = []
        parts = folding.parts(token)
        for part in parts:
            ways = folding.forms(part[: lexicon.PART_LETTERS_MAX])
            words += ways[:1]
            if (find := self.lexicon.find(part)) is not None:
                finds.append((find.category, part, find.soft))
        if not finds and len(parts) > 1:
            joined = self.lexicon.words.get("".join(words))
            if joined is not None and joined.category not in ("violence", "alcohol", "drugs"):
                finds.append((joined.category, token, ""))
        coded = tuple(map(self.classifier.word, words))
        return Seen(tuple(words), coded, tuple(finds), any(word in self.lexicon.cues for word in words))


@cache
def _reader() -> Reader:
    return Reader()


class Moderation:
    """Judges sentences by one rating; has no state of its own."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack
        self._reader = _reader()

    @classmethod
    def load(cls, rating: str = DEFAULT_RATING) -> Moderation:
        """The moderation of a rating, such as `pegi12` or `esrb_t`; raises Invalid for one that nobody knows."""
        return _moderation(rating)

    def judge(self, text: str, *, guess: bool = True) -> Judged:
        """What may become of a sentence, of an NPC or of a player.

        Without `guess` only words, phrases and personal data count, and no classifier: so an author's text is judged.
        """
        return self._judge(text, guess=guess)

    def hear(self, text: str, *, language: str = "en", seed: int = 0) -> Heard:
        """What an NPC makes of all that a player typed at once, sentence by sentence and as a whole."""
        sentences = _SENTENCE_END.split(text)
        judged = [self._judge(sentence, guess=True) for sentence in sentences]
        if len(sentences) > 1:
            judged.append(self._judge(text, guess=False))
        worst = max(judged, key=lambda one: _STRICTEST[self.pack.actions.get(one.category, "allow")])
        if worst.allowed:
            return Heard(text, "", worst.category)
        said = zip(sentences, judged, strict=False)
        mild = " ".join(sentence if one.allowed else one.text for sentence, one in said)
        if self.pack.actions[worst.category] == "soften" and all(one.allowed or one.text for one in judged):
            return Heard(mild, "", worst.category)
        answer = self.answer(worst.category, language=language, seed=seed)
        return Heard("" if worst.barred else mild, answer, worst.category)

    def _judge(self, text: str, *, guess: bool) -> Judged:
        tokens = text.split()
        seen = [self._reader.see(token) for token in tokens]
        words = [word for one in seen for word in one.words]
        found = [find[0] for one in seen if one.finds for find in one.finds]
        found += self._beyond_words(text, words, seen)
        if guess and words:
            coded = [word for one in seen for word in one.coded]
            found += filter(None, [self._reader.classifier.find(coded)])
        if not found:
            return ALLOWED
        category = max(found, key=self._weight)
        action = self.pack.actions.get(category, "bar")
        if action == "allow":
            return Judged(True, category, "")
        return Judged(
            False, category, self._softened(tokens, seen, guess=guess) if action == "soften" else "", action == "bar"
        )

    def answer(self, category: str, *, language: str = "en", seed: int = 0) -> str:
        """What an NPC says to a player whose words it will not answer, in character and without repeating them."""
        answers = _answers()
        lines = answers.get(language, answers["en"])
        kind = _ANSWERS.get(category, "talk")
        return lines[kind][stable_hash(seed, category, "refusal") % len(lines[kind])]

    def _weight(self, category: str) -> int:
        return _STRICTEST[self.pack.actions.get(category, "bar")]

    def _beyond_words(self, text: str, words: list[str], seen: Sequence[Seen]) -> list[str]:
        """What is found in phrases, in spelled-out words, in addresses and numbers."""
        found: list[str] = []
        if any(one.cue for one in seen):
            found += self._reader.lexicon.phrases(words)
        spelled = sum(len(word) == 1 for word in words)
        if spelled >= SPELLED_LETTERS_MIN:
            found += self._spelled(words)
        if private.is_private(text):
            found.append("personal_data")
        return found

    def _spelled(self, words: Sequence[str]) -> list[str]:
        """What runs of single letters spell, such as `s h i t`."""
        runs = "".join(word if len(word) == 1 else " " for word in words).split()
        known = self._reader.lexicon.words
        return [
            find.category
            for run in runs
            for start in range(len(run))
            for end in range(start + SPELLED_LETTERS_MIN, min(len(run), start + 16) + 1)
            if (find := known.get(run[start:end])) is not None
        ]

    def _softened(self, tokens: Sequence[str], seen: Sequence[Seen], *, guess: bool) -> str:
        """The sentence with milder words; empty where one has none, or what is wrong lies not in its words."""
        out: list[str] = []
        changed = False
        for token, one in zip(tokens, seen, strict=True):
            for category, part, soft in one.finds:
                if self._weight(category) != _STRICTEST["soften"]:
                    continue
                if not soft:
                    return ""
                token = token.replace(part, _cased(soft, part))
                changed = True
                if out and out[-1].lower() in ("a", "an"):
                    out[-1] = out[-1][0] + ("n" if soft[0] in "aeiou" else "")
            out.append(token)
        text = " ".join(out)
        return text if changed and self.judge(text, guess=guess).allowed else ""


ALLOWED = Judged(True, "", "")
_ANSWERS: Mapping[str, str] = {"self_harm": "care", "contact": "stranger", "personal_data": "stranger"}


def looser(rating: str, than: str) -> bool:
    """Whether a rating lets anything through that the other does not; raises Invalid for one that nobody knows."""
    mine, other = Moderation.load(rating).pack.actions, Moderation.load(than).pack.actions
    return any(_STRICTEST[action] < _STRICTEST[other[category]] for category, action in mine.items())


class _PackRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    allow: tuple[str, ...]
    soften: tuple[str, ...]
    refuse: tuple[str, ...]


class _Packs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    categories: dict[str, str]
    packs: dict[str, _PackRow]
    same: dict[str, str]


@cache
def _packs() -> _Packs:
    return msgspec.convert(tomllib.loads(_text("packs.toml")), _Packs)


def ratings() -> tuple[str, ...]:
    """Every rating that there is, other boards' names too."""
    packs = _packs()
    return (*packs.packs, *packs.same)


@cache
def _moderation(rating: str) -> Moderation:
    packs = _packs()
    own = packs.same.get(rating, rating)
    row = packs.packs.get(own)
    if row is None:
        raise Invalid(f"no age rating {rating!r}", hint=nearest(rating, ratings()))
    actions: dict[str, Action] = dict.fromkeys(packs.categories, "bar")
    actions.update(dict.fromkeys(row.allow, "allow"))
    actions.update(dict.fromkeys(row.soften, "soften"))
    actions.update(dict.fromkeys(row.refuse, "refuse"))
    return Moderation(Pack(rating=own, title=row.title, actions=actions, about=packs.categories))


@cache
def _answers() -> dict[str, dict[str, tuple[str, ...]]]:
    return msgspec.convert(tomllib.loads(_text("answers.toml")), dict[str, dict[str, tuple[str, ...]]])


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _cased(soft: str, like: str) -> str:
    """`soft` in capitals, with a capital, or as it is."""
    if like.isupper() and len(like) > 1:
        return soft.upper()
    return soft[0].upper() + soft[1:] if like[:1].isupper() else soft
