"""One sentence of a model on its way out: mended where it says what is not so, cut where nothing can be mended.

Pure: the same world and sentence, the same revision. What is said instead comes from the language's lexicon and from
the world. It does not know the line that the sentence belongs to, nor whether it repeats itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from app.core.ids import stable_hash
from app.world.entities import AnyEntity, Item, Npc, Player, Value
from app.world.gate.claims import Claim, check_claims, claims_of
from app.world.gate.disguises import plain
from app.world.gate.lexicon import language_of, lexicon_of
from app.world.gate.names import Mention, Names
from app.world.gate.promises import DONE, NEVER, asks, promises_in, transfers, words_of
from app.world.scene import quest_head
from app.world.state import World

PASSES_MAX = 3
"""How often a mended sentence is looked at again before it is given up."""
INVENTED_LANGUAGES = ("en", "fr", "es")
"""Languages in which a capital inside a sentence is the mark of a name; German writes every noun with one."""


class Offer(Protocol):
    """An act that the gate has let through for this line."""

    @property
    def action(self) -> str: ...

    @property
    def arguments(self) -> Mapping[str, Value]: ...


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """What may be said: `text` is empty for a sentence that is cut, `reason` empty for one left as it was.

    `claims` are the statements of `text`, each of them supported. `stand_in` is true where not a word of the model's is
    left: one such sentence in a line is an answer, a second one is noise.
    """

    text: str
    claims: tuple[Claim, ...] = ()
    reason: str = ""
    stand_in: bool = False


def revise(
    world: World,
    npc: str,
    other: str,
    sentence: str,
    *,
    names: Names,
    offered: Iterable[Offer],
    trusted: bool = False,
) -> Revision:
    """What becomes of one clean sentence that `npc` is about to say to `other`, a player or an NPC.

    `offered` are the acts that this line carries. A `trusted` sentence is an author's: its claims are noted and nothing
    is changed. Raises NotFound for an unknown NPC.
    """
    if trusted:
        claims = check_claims(world, npc, sentence, names)
        return Revision(text=sentence, claims=tuple(claim for claim in claims if claim.verdict == "supported"))
    speaker = world.npc(npc)
    listener = world.state.players.get(other) or world.npc(other)
    case = _Case(world, speaker, listener, names)
    mentions = names.find(sentence)
    if secret := names.secrets(world, speaker, listener).found(sentence):
        return case.instead("private", sentence, f"tells what is private: {secret.replace(chr(31), ' ')}")
    if against := _against_promises(case, sentence, mentions, offered):
        what, reason = against
        return case.instead(what, sentence, reason)
    return _true(case, sentence, mentions)


class _Case(msgspec.Struct, frozen=True):
    """Who says something to whom, and what things are called."""

    world: World
    npc: Npc
    other: Npc | Player
    names: Names

    def language(self, sentence: str) -> str:
        """What the sentence is in: the persona's own language, unless its words say otherwise."""
        return language_of(words_of(plain(sentence)), self.npc.persona.language)

    def instead(self, what: str, sentence: str, reason: str, *, name: str = "") -> Revision:
        """Another sentence in the place of this one, the same for the same sentence."""
        lines = lexicon_of(self.language(sentence)).lines.get(what, ())
        if not lines:
            return Revision(text="", reason=reason)
        line = lines[stable_hash(self.npc.id, sentence) % len(lines)]
        return Revision(text=line.format(name=name), reason=reason, stand_in=True)


def _against_promises(
    case: _Case, sentence: str, mentions: list[Mention], offered: Iterable[Offer]
) -> tuple[str, str] | None:
    """(what kind of promise, why it may not be said), for a promise that no act of this line bears out."""
    acts = tuple(offered)
    said = promises_in(sentence)
    things = [mention.id for mention in mentions if mention.id in case.world.state.items]
    for action in said:
        if action == DONE and _finished(case, sentence):
            continue
        if not _carried(action, acts, things):
            stated = NEVER if action == DONE else action
            return action, f"promises {stated!r} without such an act"
    if not said and (things or _names_quest(case, sentence)) and not acts and transfers(sentence):
        return "give_item", "says that a thing of this world changes hands"
    return None


def _carried(action: str, acts: Iterable[Offer], things: list[str]) -> bool:
    """Whether an act of the line is the one that is promised, and about the same thing where one is named."""
    for act in acts:
        if act.action != action:
            continue
        item = act.arguments.get("item")
        if item is None or not things or item in things:
            return True
    return False


def _finished(case: _Case, sentence: str) -> bool:
    """Whether the game itself has recorded as completed what the sentence says is done; plain talk of work is fine."""
    if asks(plain(sentence)):
        return True
    lower = sentence.casefold()
    mine = []
    for record in case.world.state.quests.values():
        head = quest_head(record)
        if head.player not in ("", case.other.id):
            continue
        if head.title and head.title.casefold() in lower:
            return record.state == "completed"
        if head.giver == case.npc.id and head.player == case.other.id:
            mine.append(record.state)
    return bool(mine) and all(state == "completed" for state in mine)


def _names_quest(case: _Case, sentence: str) -> bool:
    lower = sentence.casefold()
    heads = ((record.id, quest_head(record).title) for record in case.world.state.quests.values())
    return any(title and title.casefold() in lower for _, title in heads)


def _true(case: _Case, sentence: str, mentions: list[Mention]) -> Revision:
    """The sentence with what is so in the place of what is not."""
    text, found = sentence, mentions
    reasons: list[str] = []
    for _ in range(PASSES_MAX):
        claims = claims_of(case.world, case.npc, case.other, text, found)
        wrong = [claim for claim in claims if claim.verdict != "supported"]
        if not wrong:
            break
        first = wrong[0]
        reasons.append(f"claim about {first.subject!r} is {first.verdict}: {first.source}")
        mended = _mended(text, wrong)
        if mended == text:
            return _unsure(case, first, sentence, reasons[0])
        text, found = mended, case.names.find(mended)
    else:
        return _unsure(case, None, sentence, reasons[0])
    if invented := _invented(case, text, found):
        return case.instead("unsure", sentence, f"nobody here has heard of {invented!r}")
    return Revision(text=text, claims=claims, reason="; ".join(reasons))


def _mended(text: str, wrong: Iterable[Claim]) -> str:
    """The text with each wrong span replaced, last first; unchanged where one of them cannot be mended."""
    spans = {(claim.start, claim.end): claim.instead for claim in wrong}
    if not all(instead and text[start:end].casefold() != instead.casefold() for (start, end), instead in spans.items()):
        return text
    for (start, end), instead in sorted(spans.items(), reverse=True):
        text = f"{text[:start]}{_fitting(text, start, instead)}{text[end:]}"
    return text


def _fitting(text: str, start: int, name: str) -> str:
    """A name without the article that stands before it already."""
    first, _, rest = name.partition(" ")
    before = text[:start].rstrip().rpartition(" ")[2].lower()
    return rest if rest and first.lower() in ("the", "a", "an") and before in ("the", "a", "an", "our", "my") else name


def _unsure(case: _Case, claim: Claim | None, sentence: str, reason: str) -> Revision:
    """What is said of something that cannot be said."""
    if claim is None:
        return case.instead("unsure", sentence, reason)
    thing = case.world.entity(claim.source.rpartition(".")[0]) if claim.source.endswith(".holder") else None
    if isinstance(thing, Item):
        what = "mine" if claim.subject == case.npc.id else "mine_indeed" if thing.holder == case.npc.id else "holder"
        return case.instead(what, sentence, reason, name=_name(thing))
    person = case.world.entity(claim.subject)
    if claim.source.endswith((".location", ".work")) and isinstance(person, Npc | Player) and person.id != case.npc.id:
        return case.instead("whereabouts", sentence, reason, name=_name(person))
    if claim.source.endswith(("private", "another player")):
        return case.instead("private", sentence, reason)
    return case.instead("unsure", sentence, reason)


def _name(entity: AnyEntity) -> str:
    for article in ("the ", "a ", "an "):
        if entity.name.lower().startswith(article):
            return entity.name[len(article) :]
    return entity.name


def _invented(case: _Case, text: str, mentions: list[Mention]) -> str:
    """A name that the sentence states something of and that this world does not have; denials may say any name."""
    name = case.names.invented(case.world, text, mentions)
    if not name or case.language(text).partition("-")[0].lower() not in INVENTED_LANGUAGES:
        return ""
    return "" if asks(plain(text)) else name
