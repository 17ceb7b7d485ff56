"""Text to the numbers that a sentence encoder was taught with: WordPiece (Devlin et al. 2019, BERT).

It reads a vocabulary, as `vocab.txt` or inside a `tokenizer.json`; it knows no network and no memory. What stands in
a text is never read as a special token, so nobody writes [SEP] into another's ranking.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from app.core.errors import Broken

LETTERS_MAX = 100
"""A longer word is unknown as a whole."""
_CJK = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip
"""Where ideographs stand, each of which is a word."""
_HINT = "bring the vocab.txt or tokenizer.json that the network was exported with"


class WordPiece:
    """Words into the longest pieces that the vocabulary has; a piece inside a word begins with `##`."""

    def __init__(
        self, vocabulary: Mapping[str, int], *, lower: bool = True, accents: bool = False, unknown: str = "[UNK]"
    ) -> None:
        """`lower` folds case, `accents` keeps accents. Raises Broken without the tokens that every text needs."""
        lacking = [token for token in ("[CLS]", "[SEP]", unknown) if token not in vocabulary]
        if lacking:
            raise Broken(f"the vocabulary lacks {', '.join(lacking)}", hint=_HINT)
        self._pieces = dict(vocabulary)
        self._lower, self._accents = lower, accents
        self._first, self._last = vocabulary["[CLS]"], vocabulary["[SEP]"]
        self._unknown = vocabulary[unknown]
        self.padding = vocabulary.get("[PAD]", 0)
        self.largest = max(vocabulary.values())
        """The largest number that a text may get."""

    def numbers(self, text: str, *, most: int) -> list[int]:
        """The numbers of a text between those of its start and its end, `most` in all; what is beyond is cut."""
        found = [self._first]
        for word in _words(self._folded(text)):
            found += self._split(word)
            if len(found) >= most:
                break
        return [*found[: most - 1], self._last]

    def _folded(self, text: str) -> str:
        """Without control characters, ideographs apart, folded as the vocabulary is."""
        if text.isascii():
            kept = "".join(letter if letter.isprintable() else _plain(letter) for letter in text)
            return kept.lower() if self._lower else kept
        kept = "".join(f" {letter} " if _is_ideograph(letter) else _plain(letter) for letter in text)
        if not self._accents:
            kept = "".join(
                letter for letter in unicodedata.normalize("NFD", kept) if unicodedata.category(letter) != "Mn"
            )
        return "".join(letter.lower() for letter in kept) if self._lower else kept

    def _split(self, word: str) -> list[int]:
        """The pieces of a word, the longest first from its start; a word with a part that nobody knows is unknown."""
        if len(word) > LETTERS_MAX:
            return [self._unknown]
        found: list[int] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            for end in range(len(word), start, -1):
                piece = self._pieces.get(prefix + word[start:end])
                if piece is not None:
                    found.append(piece)
                    start = end
                    break
            else:
                return [self._unknown]
        return found


def read(data: bytes) -> WordPiece:
    """The tokenizer in the bytes of a vocab.txt or a tokenizer.json; raises Broken where there is none."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Broken("the tokenizer's file is no text", hint=_HINT) from error
    if text.lstrip().startswith("{"):
        return _from_json(text)
    pieces = {line.rstrip("\r"): place for place, line in enumerate(text.split("\n"))}
    pieces.pop("", None)
    return WordPiece(pieces)


def _from_json(text: str) -> WordPiece:
    try:
        tree: dict[str, Any] = json.loads(text)
        model, folding = tree["model"], tree.get("normalizer") or {}
        kind, vocabulary = model.get("type", "WordPiece"), model["vocab"]
        if kind == "WordPiece" and all(isinstance(number, int) for number in vocabulary.values()):
            lower = bool(folding.get("lowercase", True))
            strip = folding.get("strip_accents")
            accents = not (lower if strip is None else strip)
            return WordPiece(vocabulary, lower=lower, accents=accents, unknown=model.get("unk_token", "[UNK]"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Broken(f"no tokenizer.json: {error!r}"[:200], hint=_HINT) from error
    raise Broken(
        f"the tokenizer is of type {kind!r}"[:100], hint="bring a network that reads WordPiece, such as BERT's"
    )


def _words(text: str) -> Iterator[str]:
    """Runs of letters, and every mark of punctuation alone."""
    for run in text.split():
        if run.isalnum():
            yield run
            continue
        start = 0
        for at, letter in enumerate(run):
            if _is_mark(letter):
                if at > start:
                    yield run[start:at]
                yield letter
                start = at + 1
        if start < len(run):
            yield run[start:]


def _plain(letter: str) -> str:
    """The letter; a space for what is space, nothing for what controls."""
    if letter in "\t\n\r":
        return " "
    if letter == "\ufffd" or unicodedata.category(letter)[0] == "C":
        return ""
    return " " if letter.isspace() else letter


def _is_ideograph(letter: str) -> bool:
    place = ord(letter)
    return place >= 0x3400 and any(first <= place <= last for first, last in _CJK)


def _is_mark(letter: str) -> bool:
    if letter.isascii():
        return not letter.isalnum() and letter > " "
    return unicodedata.category(letter)[0] == "P"
