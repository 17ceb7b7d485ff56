"""What the line that is answered is about: words just said, people and places named or meant, a fact that fits.

It reads the scene alone, so nothing is found that the speaker does not know. It does not decide what is answered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from app.engines.authored.grammar import Grammar
from app.world.scene import Known, Scene, Someone, Spot, Ware

NAME_LETTERS_MIN = 3
"""A part of a name that short is looked for only within the whole name."""
LINES_BACK_MAX = 6
"""Earlier lines in which a pronoun finds who or what it stands for."""
FACT_FIT_MIN = 2
"""A fact fits by a word of its subject, by one long word of its own, or by two short ones."""
ROOT_LETTERS = 6
"""Words count as the same when so many first letters are."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What was understood of the last line. `before` is who or what this dialogue was about earlier."""

    text: str
    words: frozenset[str]
    roots: frozenset[str]
    """The beginnings of the words that say what a line is about."""
    before: Someone | Spot | None = None
    ware: Ware | None = None
    fact: Known | None = None
    again: bool = False
    """Whether the listener said just this before in this dialogue."""
    asked_back: bool = False
    """Whether the speaker's own last line was a question."""
    named: bool = False
    """Whether a person or place of the scene comes from the words themselves."""


def listen(scene: Scene, grammar: Grammar) -> tuple[Scene, Heard]:
    """The scene with the person or place that the line means, and what else was understood."""
    last = scene.lines[-1] if scene.lines else None
    text = scene.heard or (last.text if last is not None and last.speaker != scene.npc.id else "")
    words = words_of(text)
    roots = roots_of(words, grammar)
    mine = [line for line in scene.lines if line.speaker == scene.npc.id]
    before = _earlier(scene)
    found = _meant(scene, grammar, text, words, before)
    if isinstance(found, Someone):
        scene = msgspec.structs.replace(scene, person=found, asked="")
    elif found is not None:
        scene = msgspec.structs.replace(scene, spot=found, asked="")
    bare = _bare(text)
    return scene, Heard(
        text=text,
        words=words,
        roots=roots,
        before=before,
        ware=next((ware for ware in scene.wares if roots & roots_of(words_of(ware.name), grammar)), None),
        fact=_fact(scene, grammar, roots),
        again=bool(scene.heard)
        and len(words) > 1
        and any(line.speaker == scene.listener.id and _bare(line.text) == bare for line in scene.lines),
        asked_back=bool(mine) and mine[-1].text.rstrip().endswith("?"),
        named=scene.person is not None or scene.spot is not None,
    )


def words_of(text: str) -> frozenset[str]:
    """The words of a text, case folded, without a possessive ending."""
    return frozenset(word.removesuffix("'s") for word in _WORD.findall(text.casefold().replace("’", "'")))


def roots_of(words: Iterable[str], grammar: Grammar) -> frozenset[str]:
    """The beginnings of the words that say something: `guards` and `guard`, `traveling` and `traveler` are alike."""
    return frozenset(_root(word) for word in words if len(word) > 2 and word not in grammar.common)


def named_in(text: str, someone: Someone | Spot, *, whole: bool) -> bool:
    """Whether the text names the person or place in full, or else by a part: a first name, a place's last word."""
    name = someone.name.casefold()
    if not name:
        return False
    folded = f" {' '.join(_WORD.findall(text.casefold()))} "
    if whole:
        return f" {' '.join(_WORD.findall(name))} " in folded
    parts = [part for part in name.split() if part not in _TITLES and len(part) >= NAME_LETTERS_MIN]
    if not parts or len(name.split()) < 2:
        return False
    return f" {parts[0] if isinstance(someone, Someone) else parts[-1]} " in folded


def _root(word: str) -> str:
    bare = word[:-1] if word.endswith("s") and len(word) > 3 else word
    return bare[:ROOT_LETTERS]


def _meant(
    scene: Scene, grammar: Grammar, text: str, words: frozenset[str], before: Someone | Spot | None
) -> Someone | Spot | None:
    """Who or what is named where the scene tells nobody yet, else what a pronoun stands for."""
    if scene.person is not None or scene.spot is not None or not text:
        return None
    everyone: tuple[Someone | Spot, ...] = (*scene.present, *scene.people, *scene.places)
    named = _named(text, everyone, scene)
    if named is not None:
        return named
    if scene.intent not in ("ask_person", "ask_place", "ask_why", "unknown") or before is None:
        return None
    kind = "person" if isinstance(before, Someone) else "place"
    return before if words & grammar.pronouns.get(kind, frozenset()) else None


def _earlier(scene: Scene) -> Someone | Spot | None:
    """Who or what the listener and the speaker named last, before the line that is answered."""
    everyone: tuple[Someone | Spot, ...] = (*scene.people, *scene.present, *scene.places)
    for line in reversed(scene.lines[-LINES_BACK_MAX:]):
        if line.text == scene.heard:
            continue
        named = _named(line.text, everyone, scene)
        if named is not None:
            return named
    return None


def _named(text: str, everyone: tuple[Someone | Spot, ...], scene: Scene) -> Someone | Spot | None:
    """The first who is named in full, else the first by a part of the name; neither the speaker nor the listener."""
    others = [one for one in everyone if one.id not in (scene.listener.id, scene.npc.id)]
    for whole in (True, False):
        for one in others:
            if named_in(text, one, whole=whole):
                return one
    return None


def _fact(scene: Scene, grammar: Grammar, roots: frozenset[str]) -> Known | None:
    """The fact or piece of lore that shares most of its words with what was said."""
    best, most = None, FACT_FIT_MIN - 1
    for fact in (*scene.known, *scene.lore):
        subject = roots_of(words_of(f"{fact.subject} {fact.predicate}"), grammar)
        value = roots_of(words_of(fact.value), grammar)
        fit = FACT_FIT_MIN * len(subject & roots) + sum(
            FACT_FIT_MIN if len(root) >= ROOT_LETTERS - 1 else 1 for root in (value - subject) & roots
        )
        if fit > most:
            best, most = fact, fit
    return best


def _bare(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))


_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
_TITLES = frozenset(
    {"old", "young", "the", "sir", "lady", "lord", "captain", "sergeant", "brother", "sister", "father"}
)
