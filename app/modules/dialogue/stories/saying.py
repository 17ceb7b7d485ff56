"""How a line of a story may be said: word for word, in other words around what must be said, or with a slot filled.

Pure. A draft that a model wrote is taken only if it keeps to the line's bounds; otherwise the line is said as written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from app.modules.dialogue.stories.model import Spoken
from app.world.gate.speech import clean_output

GROWTH = 2.0
"""How many times as long as the line a paraphrase may be..."""
GROWTH_CHARS = 60
"""...and these characters more."""
FILL_WORDS_MAX = 12
"""Words that may go into a slot."""
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_NEGATIONS = frozenset({"no", "not", "never", "nobody", "nothing", "none", "nor", "neither", "without", "cannot"})
_SLOT = re.compile(r"%([^\W\d]\w*)%")


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """What the tags of a line allow: `must` stays in any paraphrase, `slots` maps a slot to what is wanted in it.

    `otherwise` holds what each slot says where no model fills it.
    """

    mode: Literal["verbatim", "paraphrase", "fill"] = "verbatim"
    must: tuple[str, ...] = ()
    slots: Mapping[str, str] = {}
    otherwise: Mapping[str, str] = {}


def manner(line: Spoken) -> Manner:
    """Read `paraphrase`, `must: words`, `fill: slot = wish` and `else: slot = words` among the tags."""
    must: list[str] = []
    slots: dict[str, str] = {}
    otherwise: dict[str, str] = {}
    mode: Literal["verbatim", "paraphrase", "fill"] = "verbatim"
    for tag in line.tags:
        name, _, rest = tag.partition(":")
        rest = rest.strip().replace("_", " ")
        slot, _, words = (part.strip() for part in rest.partition("="))
        match name.strip():
            case "paraphrase" if mode == "verbatim":
                mode = "paraphrase"
            case "must" if rest:
                must.append(rest)
            case "fill" if slot and words:
                mode, slots[slot] = "fill", words
            case "else" if slot and words:
                otherwise[slot] = words
            case _:
                pass
    return Manner(mode=mode, must=tuple(must), slots=slots, otherwise=otherwise)


def faults(text: str, tags: Sequence[str]) -> list[str]:
    """What is wrong with the tags of a line, for its author; none for most lines."""
    found, told = [], manner(Spoken(text=text, tags=tuple(tags)))
    for slot in told.slots:
        if f"%{slot}%" not in text:
            found.append(f"slot %{slot}% is not in the line")
        if slot not in told.otherwise:
            found.append(f"slot %{slot}% has no words to fall back on; add # else: {slot} = …")
    written = verbatim(Spoken(text=text, tags=tuple(tags)))
    missed = [must for must in told.must if told.mode == "paraphrase" and not _says(written, must)]
    return [*found, *(f"{must!r} must be said, but the line itself does not say it" for must in missed)]


def verbatim(line: Spoken) -> str:
    """The line as its author wrote it, every slot with the author's own words."""
    otherwise = manner(line).otherwise
    return " ".join(_SLOT.sub(lambda slot: otherwise.get(slot[1], ""), line.text).split())


def paraphrased(line: Spoken, draft: str) -> str:
    """The draft, if the line allows one and it says what must be said; otherwise the line as written.

    A draft is refused that misses a must-say fact, brings a number of its own, denies more or less often than the
    line does, is empty or much longer, or is not plain speech.
    """
    written, told = verbatim(line), manner(line)
    text = clean_output(draft)
    if told.mode != "paraphrase" or not text or text != " ".join(draft.split()):
        return written
    if len(text) > GROWTH * len(written) + GROWTH_CHARS:
        return written
    kept = all(_says(text, must) for must in told.must)
    return text if kept and _numbers(text) <= _numbers(written) and _denials(text) == _denials(written) else written


def filled(line: Spoken, drafts: Mapping[str, str]) -> str:
    """The line with its slots filled by drafts of a few plain words each; author's words where one is no such thing."""
    told = manner(line)

    def words(slot: re.Match[str]) -> str:
        name = slot[1]
        draft = " ".join(drafts.get(name, "").split()).strip(" .\"'“”")
        plain = draft and clean_output(draft) == draft and len(_WORD.findall(draft)) <= FILL_WORDS_MAX
        allowed = told.mode == "fill" and name in told.slots and plain and not re.search(r"[.!?…:;\d%]", draft)
        return draft if allowed else told.otherwise.get(name, "")

    return " ".join(_SLOT.sub(words, line.text).split())


def _words(text: str) -> list[str]:
    return [word.casefold().replace("’", "'") for word in _WORD.findall(text)]


def _says(text: str, must: str) -> bool:
    """Whether the words of `must` stand in the text in a row."""
    return f" {' '.join(_words(must))} " in f" {' '.join(_words(text))} "


def _numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+", text))


def _denials(text: str) -> int:
    return sum(word in _NEGATIONS or word.endswith("n't") for word in _words(text))
