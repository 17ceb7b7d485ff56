"""What may leave an NPC's mouth, and what may enter its ear: text cleaned of everything that is not talk.

Pure. A `Speech` takes a stream piece by piece and lets out whole, clean sentences, so nothing can slip
past by being cut in two. It does not know the world: claims and acts are judged elsewhere.
"""

from __future__ import annotations

import re
import unicodedata

import msgspec

from app.world.entities import Value
from app.world.gate.acts import Proposed

ECHO_LETTERS = 24
"""A run of so many letters and digits shared with a guarded text is an echo of it."""
ACT_CHARACTERS_MAX = 600
"""Characters of one act line; a longer one is dropped."""


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
    bare = _TERMINAL.sub("", unicodedata.normalize("NFC", text))
    bare = "".join(" " if sign.isspace() else sign for sign in bare if sign.isspace() or _printable(sign))
    for pattern, instead in _MARKUP:
        bare = pattern.sub(instead, bare)
    return " ".join(bare.split())


def squeeze(text: str) -> str:
    """The letters and digits of a text alone, case folded: what an echo is compared by."""
    return "".join(sign for sign in unicodedata.normalize("NFKC", text).casefold() if sign.isalnum())


class Guard:
    """Texts that must never be said again, such as the rules of a prompt; made once, used for every line."""

    def __init__(self, *texts: str) -> None:
        self._shingles = frozenset(shingle for text in texts for shingle in _shingles(squeeze(text)))

    def echoed(self, letters: str) -> bool:
        """Whether squeezed `letters` share a run of ECHO_LETTERS with a guarded text."""
        return not self._shingles.isdisjoint(_shingles(letters))


class Speech:
    """A model's stream on its way out: feed pieces, get clean sentences, find the acts beside them.

    `canary` is a word that stands in the prompt alone. `name` is the speaker's, cut where a model puts it before
    its line.
    """

    def __init__(self, *, guard: Guard, canary: str, name: str, sentence_characters_max: int) -> None:
        self.acts: list[Proposed] = []
        self.cut: list[tuple[str, str]] = []
        self._guard = guard
        self._canary = squeeze(canary)
        self._name = re.compile(rf"^\s*{re.escape(name)}\s*:\s*", re.I) if name else None
        self._held_max = sentence_characters_max
        self._held = ""
        self._line_start = True
        self._tail = ""

    def feed(self, delta: str) -> list[str]:
        """The sentences that `delta` completes."""
        self._held += delta
        return self._drain(last=False)

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
        except (msgspec.DecodeError, UnicodeEncodeError):
            self.cut.append((line[:80], "not an act"))
            return
        self.acts.append(Proposed(action=act.act, arguments=act.arguments))

    def _judge(self, taken: str) -> str:
        if not taken:
            return ""
        raw = squeeze(taken)
        if self._echoes(raw):
            self.cut.append((clean_output(taken)[:80], "echo of the prompt"))
            return ""
        named = self._name.sub("", taken) if self._name else taken
        if _ROLE.match(named) or _KEYED.match(named):
            self.cut.append((clean_output(named)[:80], "speaks as the machine"))
            return ""
        return clean_output(named)

    def _echoes(self, raw: str) -> bool:
        """Whether this piece, with the end of the one before it, repeats the canary or a run of a guarded text."""
        joined = self._tail + raw
        self._tail = joined[-(max(ECHO_LETTERS, len(self._canary)) - 1) :]
        for form in (joined, joined[::-1]):
            if self._canary and self._canary in form:
                return True
            if self._guard.echoed(form):
                return True
        return False


def _shingles(letters: str) -> set[str]:
    return {letters[at : at + ECHO_LETTERS] for at in range(len(letters) - ECHO_LETTERS + 1)}


def _printable(sign: str) -> bool:
    return unicodedata.category(sign) not in ("Cc", "Cf", "Co", "Cs", "Cn")


_DELIMITERS = frozenset("<>[]`")
_BRACKETS = str.maketrans({"<": "‹", ">": "›", "[": "(", "]": ")", "`": "'"})
_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-Z\\-_]")
_END = re.compile(r"(?<!\bMr)(?<!\bMrs)(?<!\bSt)(?<!\bDr)(?:(?<![.!?…])[.!?…]+[\"'”’*_)]*(?=\s)\s*|\n+)")
_ROLE = re.compile(r"^\W*(system|assistant|developer|user|human|instructions?|game state)\s*[:>\]]", re.I)
_KEYED = re.compile(r"^\s*[\"'][\w -]{1,40}[\"']\s*:")
_MARKUP: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"!?\[([^\]]{0,300})\]\([^)]{0,300}\)"), r"\1"),
    (re.compile(r"(?:[a-z][a-z0-9+.-]{0,30}://|www\.|javascript:|mailto:)\S*", re.I), ""),
    (re.compile(r"\b[\w-]{1,63}(?:\.[\w-]{1,63}){0,4}\.(?:com|net|org|io|gg|ru|info|xyz|dev|app)\b\S*", re.I), ""),
    (re.compile(r"<[^<>]{0,200}>"), ""),
    (re.compile(r"\*\*([^*]+)\*\*|__([^_]+)__"), r"\1\2"),
    (re.compile(r"\*[^*]*\*|\([^)]*\)|\[[^\]]*\]"), ""),
    (re.compile(r"[*_`#~|<>{}\[\]]+"), ""),
)
