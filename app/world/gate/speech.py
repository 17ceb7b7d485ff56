"""What may leave an NPC's mouth, and what may enter its ear: text cleaned of everything that is not talk.

Pure. A `Speech` takes a stream piece by piece and lets out whole, clean sentences, so nothing can slip
past by being cut in two. It does not know the world: claims and acts are judged elsewhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Protocol

import msgspec

from app.world.entities import Value
from app.world.gate.acts import Proposed
from app.world.gate.disguises import (
    ECHO_LETTERS,
    Guard,
    Letters,
    Mark,
    encoded,
    letters_of,
    squeeze,
    unmixed,
)

__all__ = ["ECHO_LETTERS", "Guard", "Speech", "clean_input", "clean_output", "squeeze"]

ACT_CHARACTERS_MAX = 600
"""Characters of one act line; a longer one is dropped."""
ACTS_MAX = 16
"""Acts that one line may write down to be judged; whatever comes after is dropped."""
CUTS_MAX = 64
"""Cuts that are noted of one line, the first ones."""
STREAM_CHARACTERS_MAX = 32_768
"""Characters of one stream that are looked at; a model that writes on and on is no longer heard."""
MARKS_MAX = 2
"""Accents that one letter may carry."""
REPEATS_MAX = 6
"""How often one sign may stand in a row."""


class _Act(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    act: str
    arguments: dict[str, Value] = {}


_acts = msgspec.json.Decoder(_Act)


def clean_input(text: str) -> str:
    """A player's line as data: one line of plain text without the signs that delimit it in a prompt.

    Control, format (zero-width, bidirectional, tag) and private-use characters go, compatibility forms are
    folded (NFKC), runs of white space become one space, and angle and square brackets become other signs, so
    that neither our delimiters nor a model's control tokens can be forged.
    """
    if text.isascii() and text.isprintable() and _DELIMITERS.isdisjoint(text):
        return " ".join(text.split())
    folded = unicodedata.normalize("NFKC", text)
    kept = "".join(" " if sign.isspace() else sign for sign in folded if sign.isspace() or _printable(sign))
    return " ".join(kept.translate(_BRACKETS).split())


def clean_output(text: str) -> str:
    """One sentence as speech: without markup, stage directions, terminal codes, links or unprintable signs."""
    if text.isascii() and text.isprintable() and not _SUSPECT.search(text):
        return " ".join(text.split())
    bare = _TERMINAL.sub("", unicodedata.normalize("NFC", text).translate(_SHOWN))
    bare = _few_marks(" " if sign.isspace() else sign for sign in bare if sign.isspace() or _printable(sign))
    for _ in range(PASSES_MAX):  # what was nested stands open after the first pass
        before = bare
        for pattern, instead in _MARKUP:
            bare = pattern.sub(instead, bare)
        if bare == before:
            break
    return " ".join(unmixed(bare).split())


class Watch(Protocol):
    """Something that knows what must not be said."""

    def echoes(self, forms: Letters) -> bool:
        """Whether a text, in its forms, says it."""


class Speech:
    """A model's stream on its way out: feed pieces, get clean sentences, find the acts beside them.

    `canary` is a word that stands in the prompt alone, `private` knows what the listener may not be told. `name` is
    the speaker's, cut where a model puts it before its line.
    """

    def __init__(
        self, *, guard: Guard, canary: str, name: str, sentence_characters_max: int, private: Watch | None = None
    ) -> None:
        self.acts: list[Proposed] = []
        self.cut: list[tuple[str, str]] = []
        self.exhausted = False
        """Whether the stream has written more than is looked at; the caller may end it."""
        self._guard = guard
        self._mark = Mark(canary)
        self._private = private
        self._name = re.compile(rf"^\s*{re.escape(name)}\s*:\s*", re.I) if name else None
        self._held_max = sentence_characters_max
        self._held = ""
        self._line_start = True
        self._tails = Letters("", "", "")
        self._left = STREAM_CHARACTERS_MAX
        self._acts_left = ACTS_MAX

    def feed(self, delta: str) -> list[str]:
        """The sentences that `delta` completes."""
        if self.exhausted:
            return []
        self._held += delta[: self._left]
        self._left -= len(delta)
        out = self._drain(last=False)
        if self._left <= 0:
            self.exhausted = True
            self._held = ""
            self._note("the rest", f"more than {STREAM_CHARACTERS_MAX} characters")
        return out

    def flush(self) -> list[str]:
        """What is left once the stream has ended properly."""
        return self._drain(last=True)

    def _drain(self, *, last: bool) -> list[str]:
        out: list[str] = []
        while True:
            taken = self._take(last=last)
            if taken is None:
                return out
            sentence = self._judge(taken)
            if sentence:
                out.append(sentence)

    def _take(self, *, last: bool) -> str | None:
        """The next whole piece of what is held, None when it is not whole yet."""
        if self._line_start:
            self._held = self._held.lstrip()
            if self._held.startswith(("{", "`")):
                return self._take_line(last=last)
        if not self._held:
            return None
        end = _END.search(self._held)
        if end:
            return self._split(end.end(), line_start="\n" in end.group())
        if last:
            return self._split(len(self._held), line_start=True)
        if len(self._held) > self._held_max:
            space = self._held.rfind(" ", 0, self._held_max)
            return self._split(space + 1 if space > 0 else len(self._held), line_start=False)
        return None

    def _take_line(self, *, last: bool) -> str | None:
        end = self._held.find("\n")
        if end < 0 and not last and len(self._held) <= ACT_CHARACTERS_MAX:
            return None
        line = self._split(end + 1 if end >= 0 else len(self._held), line_start=True).strip()
        if line.startswith("{"):
            self._act(line)
        return ""

    def _split(self, at: int, *, line_start: bool) -> str:
        taken, self._held = self._held[:at], self._held[at:]
        self._line_start = line_start
        return taken

    def _act(self, line: str) -> None:
        try:
            act = _acts.decode(line.encode())
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            self._note(clean_output(line[:80]), "not an act")
            return
        if self._acts_left <= 0:
            self._note(act.act[:80], f"more than {ACTS_MAX} acts")
            return
        self._acts_left -= 1
        self.acts.append(Proposed(action=act.act, arguments=act.arguments))

    def _note(self, what: str, reason: str) -> None:
        if len(self.cut) < CUTS_MAX:
            self.cut.append((what, reason))

    def _judge(self, taken: str) -> str:
        if not taken:
            return ""
        if self._echoes(letters_of(squeeze(taken))):
            self._note("", "echo of the prompt, or of what is private")
            return ""
        named = self._name.sub("", taken) if self._name else taken
        clean = clean_output(named)
        if _ROLE.match(named) or _ROLE.match(clean) or _KEYED.match(named) or _JSON.search(named):
            self._note(clean[:80], "speaks as the machine")
            return ""
        if kind := encoded(clean):
            self._note("", f"no talk but {kind}")
            return ""
        return clean if any(sign.isalnum() for sign in clean) else ""

    def _echoes(self, new: Letters) -> bool:
        """Whether this piece, with the end of the one before it, says the mark or a run of what is guarded."""
        joined = Letters(*(tail + form for tail, form in zip(self._tails, new, strict=True)))
        self._tails = Letters(*(form[-(ECHO_LETTERS - 1) :] for form in joined))
        if self._mark.shown(joined.leet) or self._guard.echoes(joined):
            return True
        return self._private is not None and self._private.echoes(joined)


def _few_marks(signs: Iterable[str]) -> str:
    """The signs, with no more than MARKS_MAX accents on one letter."""
    kept: list[str] = []
    marks = 0
    for sign in signs:
        marks = marks + 1 if unicodedata.category(sign) in ("Mn", "Me") else 0
        if marks <= MARKS_MAX:
            kept.append(sign)
    return "".join(kept)


def _printable(sign: str) -> bool:
    return unicodedata.category(sign) not in ("Cc", "Cf", "Co", "Cs", "Cn") and sign not in _UNSEEN


PASSES_MAX = 3
"""How often markup is taken out of what the pass before has opened."""
_TLDS = "com|net|org|io|gg|ru|info|xyz|dev|app|example|tv|ly|cc|biz|co|uk|us|eu|de|fr|es|cn|jp|onion|zip|test|local"
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Signs that show nothing and are no format signs by category."""
_SHOWN = {
    code: instead
    for first, last in ((0x1D400, 0x1D7FF), (0x2460, 0x24FF), (0xFF01, 0xFF65), (0x1F110, 0x1F169), (0xFE50, 0xFE6F))
    for code in range(first, last + 1)
    if (instead := unicodedata.normalize("NFKC", chr(code))) != chr(code)
}
"""Letters and signs in fancy dress as what they are."""
_SUSPECT = re.compile(
    r"[<>\[\](){}*_`#~|@&%\\]|//|www\.|(?:mailto|javascript|data|tel|file):|\w\.\w|(.)\1{5}|[.!?,]{5}", re.I
)
"""What plain printable ASCII has none of when there is nothing to clean."""
_DELIMITERS = frozenset("<>[]`")
_BRACKETS = str.maketrans({"<": "‹", ">": "›", "[": "(", "]": ")", "`": "'"})
_TERMINAL = re.compile(
    r"(?:\x1b\[|\x9b)[0-9;:?<=>]*[ -/]*[@-~]|(?:\x1b[\]P_^X]|[\x9d\x90\x9f\x9e\x98]).*?(?:\x07|\x1b\\|\x9c|$)"
    r"|\x1b[ -/]*[0-~]",
    re.S,
)
"""ECMA-48: control sequences, control strings with their content, and escapes of one sign."""
_END = re.compile(r"(?<!\bMr)(?<!\bMrs)(?<!\bSt)(?<!\bDr)(?:(?<![.!?…])[.!?…。！？]+[\"'”’*_)]*(?=\s)\s*|\n+)")
_ROLE = re.compile(
    r"^\W*(system|assistant|developer|user|human|ai|model|tool|function|instructions?"
    r"|game state|game ?master|gm)\s*[:>\]]",
    re.I,
)
_KEYED = re.compile(r"^\s*[\"'][\w -]{1,40}[\"']\s*:")
_JSON = re.compile(r"\"\w{1,40}\"\s*:")
_MARKUP: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?:%[0-9a-f]{2})+", re.I), ""),
    (re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,30});?", re.I), ""),
    (re.compile(r"!?\[([^\]]{0,300})\]\([^)]{0,300}\)"), r"\1"),
    (re.compile(r"(?:[a-z][a-z0-9+.-]{0,30}://|www\.|(?:javascript|mailto|data|tel|file|vbscript):)\S*", re.I), ""),
    (re.compile(r"\S{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}"), ""),
    (
        re.compile(
            rf"\b[\w-]{{1,63}}(?:\.[\w-]{{1,63}}){{0,4}}\.(?:{_TLDS})\b\S*",
            re.I,
        ),
        "",
    ),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b\S*"), ""),
    (re.compile(r"<[^<>]{0,200}>"), ""),
    (re.compile(r"\*\*([^*]+)\*\*|__([^_]+)__"), r"\1\2"),
    (re.compile(r"\*[^*]*\*|\([^)]*\)|\[[^\]]*\]|（[^）]*）|【[^】]*】"), ""),
    (re.compile(r"@(?=\w)"), ""),
    (re.compile(r"[*_`#~|<>{}\[\]\\‹›〈〉《》【】]+"), ""),
    (re.compile(rf"(.)\1{{{REPEATS_MAX - 1},}}"), r"\1\1\1"),
)
