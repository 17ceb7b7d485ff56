"""Tavern character cards (V1, V2, V3; JSON or PNG) as NPCs with a persona, and their books as facts.

Pure. A card describes somebody; what in it is addressed to a model or to another program is never taken over, and
every piece that is left out is named with its reason. Formats: the character-card-spec-v2 by malfoyslastname and
others, and the CCv3 specification by kwaroran.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from app.core.errors import Invalid, TooLarge
from app.world import lore, pngtext
from app.world.entities import Fact, Npc, Persona, Value
from app.world.gate.acts import POWER_TAG
from app.world.gate.speech import clean_input
from app.world.lorebooks import Dropped, facts_of, filled, slug

FILE_BYTES_MAX = 33_554_432
CARD_BYTES_MAX = 4_194_304
"""Bytes of a card's JSON, unpacked."""
PERSONA_CHARACTERS_MAX = 2_000
LINE_CHARACTERS_MAX = 400
LINES_MAX = 24
"""Authored lines of one intent."""
TRAITS_MAX = 16
GOALS_MAX = 8
TAGS_MAX = 16
NAME_CHARACTERS_MAX = 80
STRANGER = "traveler"
"""Stands for `{{user}}`: a card does not know who will come."""

_DROPPED: Mapping[str, str] = {
    "system_prompt": "another's instructions to a model are never run",
    "post_history_instructions": "another's instructions to a model are never run",
    "extensions": "made for another program",
    "creator_notes": "a note to people",
    "creator_notes_multilingual": "a note to people",
    "creatorcomment": "a note to people",
    "assets": "pictures and sounds are the game's own",
    "group_only_greetings": "a greeting is one line for everybody here",
    "depth_prompt": "another's instructions to a model are never run",
}
_TO_A_MODEL = re.compile(
    r"\{\{\s*original\s*\}\}"
    r"|\b(?:ignore|disregard|forget) (?:all |any |every )?(?:the |your )?(?:previous|prior|above|earlier|other)\b"
    r"|\b(?:as|are) an? (?:ai|language model|llm|assistant)\b|\blanguage model\b|\bjailbreak"
    r"|\bsystem (?:prompt|note|message)\b|\bOOC\b|\bNSFW\b|\bthe (?:ai|bot)\b"
    r"|\{\{char\}\} (?:will|must|should) (?:never|not|always) (?:speak|talk|act|write|respond|reply|control)\b"
    r"|\b(?:write|respond|reply|roleplay|stay) (?:only |always )?(?:as|in character)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.!?\n\]]*(?:[.!?\]]+|\n|$)")
_LABEL = re.compile(
    r"^\W*(?P<label>goals?|motivations?|wants|desires?|speech|voice|speaking style|accent|manner of speaking"
    r"|personality|traits?)\s*[:=(]\s*(?P<text>.+?)[\])]*\s*$",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[\"“«„]([^\"”»“]{2,})[\"”»“]")
_STAGE = re.compile(r"\*[^*]*\*|\([^)]*\)|<[^<>]*>")
_SPEAKER = re.compile(
    r"^\s*(?:\{\{(?P<mark>char|user)\}\}|<(?P<old>bot|user)>|(?P<name>[^:\n]{1,40}))\s*:\s*", re.IGNORECASE
)
_INTENTS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (intent, re.compile(rf"\b(?:{words})\b", re.IGNORECASE))
    for intent, words in (
        ("goodbye", "bye|goodbye|farewell|see you"),
        ("thank", "thanks|thank you|thank"),
        ("trade", "buy|sell|trade|price|cost|wares|how much"),
        ("ask_quest", "quest|work|job|task|help you"),
        ("ask_place", "where|way to"),
        ("ask_person", "who is|who are|about yourself|your name"),
        ("greet", "hello|hi|hey|greetings|good (?:day|morning|evening)"),
    )
)


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What one file becomes: NPCs, at most one, facts, and what was left out."""

    source: str
    npcs: tuple[Npc, ...] = ()
    facts: tuple[Fact, ...] = ()
    dropped: tuple[Dropped, ...] = ()


def read(data: bytes, source: str, *, known_by: tuple[str, ...] = ()) -> Imported:
    """A card or a lorebook in a file; raises Invalid or TooLarge, each naming what is wrong.

    `known_by` is who knows the lore in it; empty for everybody.
    """
    if len(data) > FILE_BYTES_MAX:
        raise TooLarge(f"{source} has {len(data)} bytes", hint=f"{FILE_BYTES_MAX} is the most")
    tree = _tree(_unwrapped(data, source) if data.startswith(pngtext.SIGNATURE) else data, source)
    dropped: list[Dropped] = []
    inner = tree.get("data")
    if isinstance(inner, dict) and "entries" in inner:
        tree = inner  # a lorebook of version 3 by itself
    if "entries" in tree:
        name = tree.get("name") if isinstance(tree.get("name"), str) else ""
        facts = facts_of(tree, str(name or _stem(source)), fill=_fill("you"), known_by=known_by, dropped=dropped)
        return Imported(source=source, facts=tuple(facts), dropped=tuple(dropped))
    npc, facts = _card(_data(tree, source), source, known_by, dropped)
    return Imported(source=source, npcs=(npc,), facts=tuple(facts), dropped=tuple(dropped))


def _unwrapped(data: bytes, source: str) -> bytes:
    """The JSON in a PNG: of version 3 where there is one."""
    found = pngtext.texts(data, ("ccv3", "chara"), text_bytes_max=2 * CARD_BYTES_MAX)
    text = found.get("ccv3") or found.get("chara")
    if text is None:
        raise Invalid(f"{source} is a picture without a character", hint="it needs a text `chara` or `ccv3`")
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error as error:
        raise Invalid(f"the character in {source} is no base64: {error}", hint="export the card again") from error


def _tree(data: bytes, source: str) -> dict[str, Any]:
    if len(data) > CARD_BYTES_MAX:
        raise TooLarge(f"the JSON of {source} has {len(data)} bytes", hint=f"{CARD_BYTES_MAX} is the most")
    try:
        tree = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"{source} is no JSON: {error}", hint="give a card as JSON or PNG") from error
    if not isinstance(tree, dict):
        raise Invalid(f"{source} holds no object", hint="a card is one JSON object")
    return tree


def _data(tree: dict[str, Any], source: str) -> dict[str, Any]:
    """The fields of the character, wherever its version keeps them."""
    inner = tree.get("data", tree)
    if not isinstance(inner, dict):
        raise Invalid(f"`data` of {source} is no object", hint="export the card again")
    return inner


def _card(
    card: Mapping[str, Any], source: str, known_by: tuple[str, ...], dropped: list[Dropped]
) -> tuple[Npc, list[Fact]]:
    name = clean_input(_text(card, "name", source))[:NAME_CHARACTERS_MAX].strip()
    if not name:
        raise Invalid(f"{source} names nobody", hint="a card has a `name`")
    for field, reason in _DROPPED.items():
        if card.get(field):
            dropped.append(Dropped(field, reason))
    fill = _fill(name)
    attributes: dict[str, Value] = {}
    for field, key in (("creator", "card_creator"), ("character_version", "card_version"), ("nickname", "nickname")):
        if text := clean_input(_text(card, field, source))[:200]:
            attributes[key] = text
    npc = Npc(
        id=slug(name),
        name=name,
        tags=_tags(card, source),
        attributes=attributes,
        persona=_persona(card, source, fill, dropped),
    )
    facts: list[Fact] = []
    book = card.get("character_book")
    if isinstance(book, Mapping):
        facts = facts_of(book, name, fill=fill, known_by=known_by, dropped=dropped)
    return npc, [*_scenario(card, source, npc, fill, dropped), *facts]


def _persona(card: Mapping[str, Any], source: str, fill: Mapping[str, str], dropped: list[Dropped]) -> Persona:
    traits: list[str] = []
    goals: list[str] = []
    voice: list[str] = []
    rest: list[str] = []
    for line in _described(card, source, "description", fill, dropped).splitlines():
        found = _LABEL.match(line)
        label = found.group("label").lower() if found else ""
        text = clean_input(found.group("text")) if found else clean_input(line)
        if label.startswith(("personality", "trait")):
            traits += _list(text)
        elif label.startswith(("goal", "motivation", "wants", "desire")):
            goals.append(text)
        elif label:
            voice.append(text)
        elif text:
            rest.append(text)
    personality = clean_input(_described(card, source, "personality", fill, dropped))
    listed = _list(personality)
    if len(listed) > 1 and all(len(each) <= NAME_CHARACTERS_MAX for each in listed):
        traits += listed
    elif personality:
        voice.append(personality)
    return Persona(
        summary=_cut(" ".join(rest), f"description of {source}", dropped),
        voice=_cut(" ".join(voice), f"voice of {source}", dropped),
        traits=tuple(dict.fromkeys(trait[:200] for trait in traits))[:TRAITS_MAX],
        goals=tuple(goal[:PERSONA_CHARACTERS_MAX] for goal in goals[:GOALS_MAX]),
        lines=_lines(card, source, fill, dropped),
    )


def _lines(
    card: Mapping[str, Any], source: str, fill: Mapping[str, str], dropped: list[Dropped]
) -> dict[str, tuple[str, ...]]:
    """Authored lines by intent, out of greetings and of the examples of talk."""
    greetings = card.get("alternate_greetings") or ()
    if not isinstance(greetings, list | tuple) or not all(isinstance(each, str) for each in greetings):
        raise Invalid(f"`alternate_greetings` of {source} is no list of texts", hint="export the card again")
    found: dict[str, dict[str, None]] = {}
    for text in (_text(card, "first_mes", source), *greetings):
        if not text.strip():
            continue
        if said := _said(text, fill):
            found.setdefault("greet", {})[said] = None
        else:
            dropped.append(Dropped(f"greeting {clean_input(text)[:60]!r}", "nothing is spoken in it"))
    for asked, answer in _examples(_text(card, "mes_example", source), fill):
        if said := _said(answer, fill):
            found.setdefault(_intent(asked), {})[said] = None
    return {intent: tuple(lines)[:LINES_MAX] for intent, lines in found.items()}


def _examples(text: str, fill: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """(what was said before, what the character answers) of each line of the examples."""
    asked = ""
    for line in text.splitlines():
        if line.strip().casefold() == "<start>":
            asked = ""
            continue
        found = _SPEAKER.match(line)
        if found is None:
            continue
        mark = (found.group("mark") or found.group("old") or found.group("name") or "").strip().casefold()
        rest = line[found.end() :]
        if mark in ("char", "bot", fill["char"].casefold()):
            yield asked, rest
        elif mark in ("user", "you"):
            asked = rest


def _intent(asked: str) -> str:
    return next((intent for intent, words in _INTENTS if words.search(asked)), "small_talk")


def _said(text: str, fill: Mapping[str, str]) -> str:
    """What of a passage is spoken: what stands in quotation marks, or all but stage directions; whole sentences."""
    if _TO_A_MODEL.search(text):
        text = "".join(each for each in _SENTENCE.findall(text) if not _TO_A_MODEL.search(each))
    whole = filled(text, fill)
    quoted = _QUOTED.findall(whole)
    spoken = clean_input(" ".join(quoted) if quoted else _STAGE.sub(" ", whole))
    if len(spoken) <= LINE_CHARACTERS_MAX:
        return spoken
    head = spoken[:LINE_CHARACTERS_MAX]
    end = max(head.rfind(sign) for sign in ".!?…")
    return head[: end + 1].strip()


def _scenario(
    card: Mapping[str, Any], source: str, npc: Npc, fill: Mapping[str, str], dropped: list[Dropped]
) -> list[Fact]:
    """The scene that a card is set in, as lore that this NPC alone always has at hand."""
    text = clean_input(_described(card, source, "scenario", fill, dropped))
    if not text:
        return []
    subject = f"{lore.PREFIX}{npc.id}-scenario"
    values: dict[str, Value] = {lore.TEXT: _cut(text, f"scenario of {source}", dropped), lore.CONSTANT: True}
    return [Fact(subject=subject, predicate=key, value=value, known_by=(npc.id,)) for key, value in values.items()]


def _described(
    card: Mapping[str, Any], source: str, field: str, fill: Mapping[str, str], dropped: list[Dropped]
) -> str:
    """A field without the sentences that speak to a model, with its names filled in."""
    kept: list[str] = []
    for sentence in _SENTENCE.findall(_text(card, field, source)):
        if _TO_A_MODEL.search(sentence):
            dropped.append(Dropped(f"{field}: {clean_input(sentence)[:80]!r}", "it speaks to a model, not of a person"))
        else:
            kept.append(sentence)
    return filled("".join(kept), fill)


def _cut(text: str, what: str, dropped: list[Dropped]) -> str:
    """The text up to its bound, whole words."""
    if len(text) <= PERSONA_CHARACTERS_MAX:
        return text
    kept = text[:PERSONA_CHARACTERS_MAX].rpartition(" ")[0]
    gone = len(text) - len(kept)
    dropped.append(Dropped(f"{gone} characters of the {what}", f"{PERSONA_CHARACTERS_MAX} is the most"))
    return kept


def _list(text: str) -> list[str]:
    return [each for part in re.split(r"[,;+]|\band\b", text) if (each := part.strip(" .\"'()"))]


def _tags(card: Mapping[str, Any], source: str) -> tuple[str, ...]:
    """The card's tags, without those that would give an NPC powers."""
    tags = card.get("tags") or ()
    if not isinstance(tags, list | tuple) or not all(isinstance(tag, str) for tag in tags):
        raise Invalid(f"`tags` of {source} is no list of texts", hint="export the card again")
    bare = (clean_input(tag)[:60].strip().casefold() for tag in tags)
    return tuple(dict.fromkeys(tag for tag in bare if tag and not tag.startswith(POWER_TAG)))[:TAGS_MAX]


def _text(card: Mapping[str, Any], field: str, source: str) -> str:
    value = card.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Invalid(f"`{field}` of {source} is no text", hint="export the card again")
    return value


def _fill(name: str) -> dict[str, str]:
    return {"char": name, "bot": name, "user": STRANGER}


def _stem(source: str) -> str:
    return source.rpartition("/")[2].rpartition(".")[0] or source
