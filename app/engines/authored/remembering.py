"""What the speaker remembers, put into words: a memory as a clause, and when and from whom it has it.

Only what the scene recalls is said, so whoever must not hear of it never does. It does not choose the sentence
around the clause; that is the grammar's.
"""

from __future__ import annotations

from typing import NamedTuple

from app.engines.authored.grammar import Grammar
from app.engines.authored.hearing import Heard, roots_of, words_of
from app.engines.authored.nouns import persons_in
from app.world.gate.claims import sentences
from app.world.scene import Recalled, Scene

CLAUSE_CHARACTERS_MAX = 140
"""A longer memory is not told word for word in passing."""
TOLD_IMPORTANCE_MIN = 0.4
"""What is told without being asked for is at least this important."""
_ASKS = frozenset({"ask_memory", "ask_rumor", "ask_person", "story", "small_talk"})
"""Intents that memories answer even where they share no word with the question."""


_UNQUOTED = frozenset({"request", "threaten", "insult", "unknown", "flirt", "greet", "goodbye", "thank", "yes", "no"})
"""What was said with these intents is not said back: it was a demand, an affront, or nothing to remember."""
_KEPT = frozenset({"ask_memory", "goodbye"})
"""Intents that look back at what was said in this very dialogue."""


class Told(NamedTuple):
    """A memory ready to be told: `kind` says which sentences fit around it."""

    kind: str
    clause: str
    by: str
    when: str


def tell(scene: Scene, heard: Heard, grammar: Grammar) -> Told | None:
    """The best memory that fits now, was not told of late, and can be put into words."""
    if scene.intent in _KEPT:
        for line in reversed(scene.lines):
            clause = _line(line.text, grammar) if line.speaker == scene.listener.id else ""
            if clause and not _stale(clause, scene):
                return Told("said", clause, "", "")
    for recalled in scene.recalled:
        told = _told(recalled, scene, grammar)
        if told is None or _stale(told.clause, scene):
            continue
        fits = bool(roots_of(words_of(recalled.text), grammar) & heard.roots)
        if scene.person is not None and scene.person.name:
            fits = scene.person.name in (recalled.speaker, *recalled.others) or scene.person.name in recalled.text
            if not fits and scene.intent in ("ask_memory", "ask_person"):
                continue  # asked of somebody, whoever else comes to mind is no answer
        if told.kind == "quote" and not fits and recalled.importance < TOLD_IMPORTANCE_MIN:
            continue
        if fits or scene.intent in _ASKS or recalled.importance >= TOLD_IMPORTANCE_MIN:
            return told
    return None


def promise(scene: Scene, grammar: Grammar) -> str:
    """What the listener or the speaker bound itself to, as a clause; empty where nothing is pinned."""
    for pinned in scene.pinned:
        clause = _line(pinned.text, grammar) if pinned.by_listener else ""
        if clause and not _stale(clause, scene):
            return clause
    return ""


def _told(recalled: Recalled, scene: Scene, grammar: Grammar) -> Told | None:
    when = _when(recalled.days_ago, grammar)
    if recalled.kind == "derived" or recalled.by_me or recalled.topic == "met":
        return None
    if recalled.kind == "line":
        if recalled.topic in _UNQUOTED or (recalled.by_listener and not recalled.to_me):
            return None
        if recalled.by_listener and not recalled.told_by:
            clause = _line(recalled.text, grammar)
            return Told("own", clause, "", when) if clause else _quoted(recalled, when, "words")
        return _quoted(recalled, when, "quote")
    clause = _clause(recalled.text, scene, grammar)
    if not clause:
        return None
    if recalled.told_by:
        return Told("hearsay", clause, recalled.told_by, when)
    return Told("deed" if recalled.by_listener else "seen", clause, recalled.speaker, when)


def _quoted(recalled: Recalled, when: str, kind: str) -> Told | None:
    """Words as they were said."""
    said = next(iter(sentences(recalled.text)), "")
    if not recalled.speaker or not said or len(said) > CLAUSE_CHARACTERS_MAX or said.endswith("?"):
        return None
    return Told(kind, said.rstrip(".!"), recalled.speaker, when)


def _line(text: str, grammar: Grammar) -> str:
    """The listener's own words said back: `I'm looking for my sister.` -> `you were looking for your sister`."""
    for said in sentences(text):
        bare = said.rstrip(".!… ")
        if begins_as_said(said, grammar):
            return said_back(bare, grammar, past=True)
    return ""


def said_back(text: str, grammar: Grammar, *, past: bool = False) -> str:
    """A first person's words as said to that person: `I'm lost` -> `you're lost`, or `you were lost` when past."""
    words = {**grammar.flip, **grammar.flip_past} if past else grammar.flip
    return grammar.flipping.sub(lambda match: words[match.group().casefold()], text.replace("’", "'"))


def begins_as_said(text: str, grammar: Grammar) -> bool:
    """Whether a text is one short statement about its speaker, such as can be said back."""
    if not text or len(text) > CLAUSE_CHARACTERS_MAX or text.rstrip().endswith("?") or len(sentences(text)) != 1:
        return False
    return text.casefold().replace("’", "'").startswith(grammar.flip_begins)


def _clause(text: str, scene: Scene, grammar: Grammar) -> str:
    """What happened as a clause, with the listener as `you` and the speaker as `me`."""
    first = next(iter(sentences(text)), "").rstrip(".!… ")
    if not first or len(first) > CLAUSE_CHARACTERS_MAX or first.endswith("?"):
        return ""
    word = first.split()[0]
    if word.casefold() in (grammar.terms["article"], grammar.terms["article_vowel"], grammar.terms["the"]):
        first = f"{word.casefold()}{first[len(word) :]}"
    return persons_in(first, scene, grammar)


def _stale(clause: str, scene: Scene) -> bool:
    """Whether the speaker told just this of late, or it was said in this very dialogue."""
    folded = clause.casefold()
    mine = (line.text for line in scene.lines if line.speaker == scene.npc.id)
    return any(folded in line.casefold() for line in (*scene.stale, *mine))


def _when(days: float, grammar: Grammar) -> str:
    for most, name in ((0.05, "when_now"), (0.7, "when_today"), (1.7, "when_yesterday"), (6.0, "when_days")):
        if days <= most:
            return grammar.terms[name]
    return grammar.terms["when_long"]
