"""A scene as the tags and slots that the grammar's lines are chosen by and filled with."""

from __future__ import annotations

from collections.abc import Mapping

from app.core.ids import stable_hash
from app.engines.authored.grammar import Grammar
from app.engines.authored.hearing import Heard
from app.engines.authored.nouns import (
    clause_of,
    persons_in,
    place_of,
    price_of,
    sentence_of,
    thing_of,
    ware_of,
    wares_of,
    with_article,
)
from app.engines.authored.remembering import begins_as_said, promise, said_back, tell
from app.world.gate.claims import sentences
from app.world.scene import Known, Line, News, QuestNote, Scene, Someone, Spot

QUEST_SENTENCES_MAX = 7
"""Sentences of a quest's description that are told in one line."""
TOLD_OUTRIGHT = frozenset({"rumor", "saying", "lore", "legend", "description", "gossip"})
"""Predicates whose value is a sentence of its own."""


def tags_of(scene: Scene, heard: Heard, slots: Mapping[str, str], grammar: Grammar) -> frozenset[str]:
    """Everything about the moment that a line may depend on. A slot with a value is a tag of the same name."""
    felt = scene.npc_feels()
    last = scene.lines[-1] if scene.lines else None
    talked = any(line.speaker == scene.npc.id for line in scene.lines)
    states = {
        "warm": felt >= 0.15, "cold": felt <= -0.15, "hostile": felt <= -0.3,
        "met": scene.met_before, "new": not scene.met_before,
        "talked": talked, "first": not talked,
        "day": scene.part_of_day in ("morning", "noon", "afternoon"),
        "dark": scene.part_of_day in ("evening", "night"),
        "quest_offered": any(quest.state == "offered" for quest in scene.quests),
        "quest_told": any(_told(quest, scene) for quest in scene.quests),
        "quest_active": any(quest.state == "active" for quest in scene.quests),
        "trader": bool(scene.wares) or scene.npc.role in grammar.groups["merchant"],
        "other_trader": scene.trader is not None and bool(scene.trader.place),
        "answer": _answers(scene), "again": heard.again, "asked_back": heard.asked_back,
        "named": heard.named, "fact_heard": heard.fact is not None and bool(slots["fact"]) and not heard.named,
        "asked_name": bool(scene.asked) and scene.asked.title() in scene.heard, "spoke_up": not scene.heard,
        "news_mine": _concerns(scene.news, scene.npc.name),
        "news_yours": _concerns(scene.news, scene.listener.name),
        "told_news": last is not None and last.speaker != scene.npc.id and _tells_news(last, scene),
        "question": bool(last is not None and last.speaker != scene.npc.id and last.text.rstrip().endswith("?")),
        "before_person": isinstance(heard.before, Someone), "before_place": isinstance(heard.before, Spot),
        "company": bool(scene.present), "alone": not scene.present, "whisper": scene.whisper,
        "aside": not scene.addressed, "npc": scene.listener_is_npc, "player": not scene.listener_is_npc,
    }  # fmt: skip
    tags = {tag for tag, holds in states.items() if holds}
    tags |= {scene.part_of_day, scene.need, f"mood_{scene.mood}", *(name for name, value in slots.items() if value)}
    tags |= _kinds(scene.npc.role, grammar.groups) | _kinds(scene.weather, grammar.weather)
    tags |= {f"trait_{trait.casefold()}" for trait in scene.persona.traits}
    voice = voice_of(scene, grammar)
    tags.add(f"voice_{voice}" if voice else "voiceless")
    return frozenset(tags | _about_tags(scene) - {""})


def voice_of(scene: Scene, grammar: Grammar) -> str:
    """The voice that the persona's words name first: `voice`, then `traits`."""
    text = f"{scene.persona.voice} {' '.join(scene.persona.traits)}".casefold()
    if text.isspace():
        return ""
    found = [
        (text.find(word), voice) for voice, words in grammar.voices.items() for word in words if text.find(word) >= 0
    ]
    return min(found)[1] if found else ""


def slots_of(scene: Scene, heard: Heard, grammar: Grammar, seed: int) -> dict[str, str]:
    """The values that a line may name; a line whose slot is empty is not said."""
    terms = grammar.terms
    slots = {
        "you": scene.listener.name or terms["stranger"],
        "me": scene.npc.name,
        "role": scene.npc.role.replace("_", " "),
        "a_role": with_article(scene.npc.role, grammar),
        "my_place": place_of(scene.npc.place, grammar),
        "here": place_of(scene.here.name, grammar) if scene.here is not None else terms["here"],
        "time": terms[f"time_{scene.part_of_day}"],
        "weather": scene.weather,
        "asked": scene.asked,
        "fact": _fact(scene, heard, grammar, seed),
        "news": news_of(scene.news[stable_hash(seed, "news") % len(scene.news)], scene, grammar) if scene.news else "",
        "wares": wares_of(scene.wares, grammar, seed),
        "ware": heard.ware.name if heard.ware is not None else "",
        "ware_told": ware_of(heard.ware, grammar) if heard.ware is not None else "",
        "ware_price": price_of(heard.ware, grammar) if heard.ware is not None else "",
        "said_back": said_back(clause_of(scene.heard), grammar) if begins_as_said(scene.heard, grammar) else "",
        "promise": promise(scene, grammar),
    }
    memory = tell(scene, heard, grammar)
    if memory is not None:
        slots |= {
            "memory": memory.clause,
            f"memory_{memory.kind}": memory.clause,
            "memory_by": memory.by,
            "memory_when": memory.when,
        }
    return slots | _others(scene, heard, grammar, seed) | _about_slots(scene, grammar) | _quest_slots(scene.quests)


def _others(scene: Scene, heard: Heard, grammar: Grammar, seed: int) -> dict[str, str]:
    """Who else may be named: somebody to be sent to, another trader, one who stands by, one named before."""
    slots: dict[str, str] = {}
    other = _someone_else(scene, seed)
    if other is not None:
        slots |= {"other": other.name, "other_place": place_of(other.place, grammar)}
    if scene.trader is not None:
        slots |= {"trader_name": scene.trader.name, "trader_place": place_of(scene.trader.place, grammar)}
    near = [one for one in scene.present if one.name and one.id not in (scene.listener.id, scene.npc.id)]
    if near:
        slots["present"] = near[stable_hash(seed, "present") % len(near)].name
    if isinstance(heard.before, Someone):
        slots["before"] = heard.before.name
    elif heard.before is not None:
        slots["before"] = place_of(heard.before.name, grammar)
    return slots


def _told(quest: QuestNote, scene: Scene) -> bool:
    """Whether the speaker described this quest of late, to whomever."""
    first = next(iter(sentences(quest.description)), quest.title)
    return any(first in line for line in scene.stale)


def _answers(scene: Scene) -> bool:
    """Whether this line answers one of the same topic by somebody else."""
    last = scene.lines[-1] if scene.lines else None
    return last is not None and last.speaker != scene.npc.id and last.topic == scene.topic


def _concerns(news: tuple[News, ...], name: str) -> bool:
    """Whether somebody suffered what is told."""
    return bool(name) and any(name in (one.target, *one.item.split("'")[:1]) for one in news)


def _tells_news(line: Line, scene: Scene) -> bool:
    """Whether the line names who or what the news is about, beside those two who talk."""
    names = {name for news in scene.news for name in (news.actor, news.target, news.item) if name}
    text = line.text.casefold()
    return any(name.casefold() in text for name in names - {scene.npc.name, scene.listener.name})


def _kinds(text: str, groups: Mapping[str, tuple[str, ...]]) -> set[str]:
    folded = text.casefold()
    return {f"is_{name}" for name, words in groups.items() if any(word in folded for word in words)}


def _about_tags(scene: Scene) -> set[str]:
    tags: set[str] = set()
    if scene.spot is not None:
        tags |= {"spot", f"spot_{scene.spot.reach}"}
        tags |= {"spot_known"} if scene.spot.direction else set()
        tags |= {"spot_via"} if scene.spot.via else set()
        tags |= set() if scene.spot.open else {"spot_closed"}
    person = scene.person
    if person is not None:
        tags |= (
            {"person_self"}
            if person.id == scene.npc.id
            else {"person_you"}
            if person.id == scene.listener.id
            else {"person_other"}
        )
        tags |= {"person_here"} if person.here else set()
        tags |= set() if person.alive else {"person_dead"}
        tags |= {"person_liked"} if person.relation >= 0.15 else set()
        tags |= {"person_disliked"} if person.relation <= -0.15 else set()
    return tags


def _about_slots(scene: Scene, grammar: Grammar) -> dict[str, str]:
    slots: dict[str, str] = {}
    spot, terms = scene.spot, grammar.terms
    if spot is not None:
        slots |= {
            "place": place_of(spot.name, grammar),
            "direction": terms.get(f"direction_{spot.direction}", ""),
            "reach": terms.get(f"reach_{spot.reach}", ""),
            "via": place_of(spot.via, grammar),
            "keeper": spot.keeper,
        }
    person = scene.person
    if person is not None:
        slots |= {"person": person.name, "person_role": person.role.replace("_", " ")}
        slots |= {"person_place": place_of(person.place, grammar), "person_a_role": with_article(person.role, grammar)}
    return slots


def _quest_slots(quests: tuple[QuestNote, ...]) -> dict[str, str]:
    offered = next((quest for quest in quests if quest.state == "offered"), None)
    active = next((quest for quest in quests if quest.state == "active"), None)
    slots: dict[str, str] = {}
    if offered is not None:
        slots |= {
            "quest_title": offered.title,
            "quest_text": sentence_of(" ".join(sentences(offered.description)[:QUEST_SENTENCES_MAX])),
        }
    if active is not None:
        slots |= {"quest_active_title": active.title, "quest_todo": clause_of(active.todo)}
    return slots


def _someone_else(scene: Scene, seed: int) -> Someone | None:
    """Another person with a place, to send the listener to."""
    able = [
        person
        for person in scene.people
        if person.place and person.alive and not person.here and person.id != scene.listener.id
    ]
    return able[stable_hash(seed, "other") % len(able)] if able else None


def _fact(scene: Scene, heard: Heard, grammar: Grammar, seed: int) -> str:
    """One fact as a sentence: about who was asked for, or of the words of the question, or what people tell."""
    about = scene.person.id if scene.person is not None else scene.spot.id if scene.spot is not None else ""
    able = [fact for fact in scene.known if fact.subject_id == about] if about else []
    if not able and heard.fact is not None and not about:
        able = [heard.fact]
    if not able and not about:
        able = [fact for fact in scene.known if fact.predicate in TOLD_OUTRIGHT]
    if not able:
        return ""
    return _fact_text(able[stable_hash(seed, "fact") % len(able)], grammar)


def _fact_text(fact: Known, grammar: Grammar) -> str:
    if fact.predicate in TOLD_OUTRIGHT or (" " in fact.value.strip() and fact.value.rstrip().endswith((".", "!", "?"))):
        return sentence_of(fact.value)
    return grammar.terms["fact"].format(
        subject=fact.subject, predicate=fact.predicate.replace("_", " "), value=fact.value.rstrip(".")
    )


def news_of(news: News, scene: Scene, grammar: Grammar) -> str:
    """A happening as a clause without its full stop, empty where this language has no words for it."""
    template = grammar.verbs.get(news.verb, "")
    named = {"actor": news.actor, "target": news.target, "item": news.item, "place": news.place}
    if any(f"{{{name}}}" in template and not value for name, value in named.items()):
        return ""
    named["place"] = place_of(news.place, grammar)
    named["item"] = thing_of(news.item, grammar)
    return persons_in(template.format(**named), scene, grammar)
