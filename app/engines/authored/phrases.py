"""A scene as the tags and slots that the grammar's lines are chosen by and filled with."""

from __future__ import annotations

from collections.abc import Mapping

from app.core.ids import stable_hash
from app.engines.authored.grammar import Grammar
from app.world.gate.claims import sentences
from app.world.scene import Known, News, QuestNote, Scene, Someone, Ware

WARES_TOLD_MAX = 3
"""Goods that are named in one breath."""
QUEST_SENTENCES_MAX = 7
"""Sentences of a quest's description that are told in one line."""
TOLD_OUTRIGHT = frozenset({"rumor", "saying", "lore", "legend", "description", "gossip"})
"""Predicates whose value is a sentence of its own."""


def tags_of(scene: Scene, grammar: Grammar) -> frozenset[str]:
    """Everything about the moment that a line may depend on."""
    felt = scene.npc_feels()
    states = {
        "warm": felt >= 0.15, "cold": felt <= -0.15, "hostile": felt <= -0.3,
        "met": scene.met_before, "new": not scene.met_before,
        "day": scene.part_of_day in ("morning", "noon", "afternoon"),
        "dark": scene.part_of_day in ("evening", "night"),
        "quest_offered": any(quest.state == "offered" for quest in scene.quests),
        "quest_told": any(_told(quest, scene) for quest in scene.quests),
        "quest_active": any(quest.state == "active" for quest in scene.quests),
        "trader": bool(scene.wares) or scene.npc.role in grammar.groups["merchant"],
        "wares": bool(scene.wares), "other_trader": scene.trader is not None and bool(scene.trader.place),
        "news": bool(scene.news), "asked": bool(scene.asked), "answer": _answers(scene),
    }  # fmt: skip
    tags = {tag for tag, holds in states.items() if holds}
    tags |= {scene.part_of_day, scene.need} - {""}
    tags |= _kinds(scene.npc.role, grammar.groups) | _kinds(scene.weather, grammar.weather)
    tags |= {f"trait_{trait.casefold()}" for trait in scene.persona.traits}
    return frozenset(tags | _about_tags(scene))


def slots_of(scene: Scene, grammar: Grammar, seed: int) -> dict[str, str]:
    """The values that a line may name; a line whose slot is empty is not said."""
    terms = grammar.terms
    slots = {
        "you": scene.listener.name or terms["stranger"],
        "me": scene.npc.name,
        "role": scene.npc.role.replace("_", " "),
        "a_role": _with_article(scene.npc.role, grammar),
        "my_place": _place(scene.npc.place, grammar),
        "here": _place(scene.here.name, grammar) if scene.here is not None else terms["here"],
        "time": scene.part_of_day,
        "asked": scene.asked,
        "fact": _fact(scene.known, grammar, seed, scene.person.id if scene.person is not None else ""),
        "news": _news(scene.news[0], grammar) if scene.news else "",
        "wares": _wares(scene.wares, grammar, seed),
    }
    other = _someone_else(scene, seed)
    if other is not None:
        slots |= {"other": other.name, "other_place": _place(other.place, grammar)}
    if scene.trader is not None:
        slots |= {"other_trader": scene.trader.name, "other_trader_place": _place(scene.trader.place, grammar)}
    return slots | _about_slots(scene, grammar) | _quest_slots(scene.quests)


def _told(quest: QuestNote, scene: Scene) -> bool:
    """Whether the speaker described this quest of late, to whomever."""
    first = next(iter(sentences(quest.description)), quest.title)
    return any(first in line for line in scene.stale)


def _answers(scene: Scene) -> bool:
    """Whether this line answers one of the same topic by somebody else."""
    last = scene.lines[-1] if scene.lines else None
    return last is not None and last.speaker != scene.npc.id and last.topic == scene.topic


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
        tags |= {"person"}
        tags |= {"person_self"} if person.id == scene.npc.id else set()
        tags |= {"person_here"} if person.here else set()
        tags |= {"person_role"} if person.role else set()
        tags |= {"person_place"} if person.place else set()
        tags |= set() if person.alive else {"person_dead"}
        tags |= {"person_liked"} if person.relation >= 0.15 else set()
        tags |= {"person_disliked"} if person.relation <= -0.15 else set()
    return tags


def _about_slots(scene: Scene, grammar: Grammar) -> dict[str, str]:
    slots: dict[str, str] = {}
    spot = scene.spot
    if spot is not None:
        reach = grammar.terms.get(f"reach_{spot.reach}", "")
        slots |= {"place": _place(spot.name, grammar), "direction": spot.direction, "reach": reach}
        slots["via"] = _place(spot.via, grammar)
        slots["keeper"] = spot.keeper
    person = scene.person
    if person is not None:
        slots |= {"person": person.name, "person_place": _place(person.place, grammar), "person_role": person.role}
        slots["person_a_role"] = _with_article(person.role, grammar)
    return slots


def _quest_slots(quests: tuple[QuestNote, ...]) -> dict[str, str]:
    offered = next((quest for quest in quests if quest.state == "offered"), None)
    active = next((quest for quest in quests if quest.state == "active"), None)
    slots: dict[str, str] = {}
    if offered is not None:
        slots |= {
            "quest_title": offered.title,
            "quest_text": _sentence(" ".join(sentences(offered.description)[:QUEST_SENTENCES_MAX])),
        }
    if active is not None:
        slots |= {"quest_active_title": active.title, "quest_todo": active.todo.rstrip(".!")}
    return slots


def _someone_else(scene: Scene, seed: int) -> Someone | None:
    """Another person with a place, to send the listener to."""
    able = [
        person
        for person in scene.people
        if person.place and person.alive and not person.here and person.id != scene.listener.id
    ]
    return able[stable_hash(seed, "other") % len(able)] if able else None


def _fact(known: tuple[Known, ...], grammar: Grammar, seed: int, about: str) -> str:
    """One fact as a sentence: whatever is known of the person asked for, else something that people tell."""
    able = [fact for fact in known if (fact.subject_id == about if about else fact.predicate in TOLD_OUTRIGHT)]
    if not able:
        return ""
    fact = able[0] if about else able[stable_hash(seed, "fact") % len(able)]
    if fact.predicate in TOLD_OUTRIGHT:
        return _sentence(fact.value)
    return grammar.terms["fact"].format(
        subject=fact.subject, predicate=fact.predicate.replace("_", " "), value=fact.value
    )


def _news(news: News, grammar: Grammar) -> str:
    """A happening as a clause without its full stop, empty where this language has no words for it."""
    template = grammar.verbs.get(news.verb, "")
    named = {"actor": news.actor, "target": news.target, "item": news.item, "place": news.place}
    if any(f"{{{name}}}" in template and not value for name, value in named.items()):
        return ""
    return template.format(**named)


def _wares(wares: tuple[Ware, ...], grammar: Grammar, seed: int) -> str:
    if not wares:
        return ""
    start = stable_hash(seed, "wares") % len(wares)
    told = [_ware(ware, grammar) for ware in (wares[start:] + wares[:start])[:WARES_TOLD_MAX]]
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} {grammar.terms['and']} {told[-1]}"


def _ware(ware: Ware, grammar: Grammar) -> str:
    name = _with_article(ware.name, grammar) if ware.name[:1].islower() else ware.name
    if ware.price <= 0.0:
        return name
    price = grammar.terms["coins_one"] if ware.price == 1.0 else grammar.terms["coins_many"]
    return f"{name} {price.format(count=f'{ware.price:g}')}"


def _with_article(noun: str, grammar: Grammar) -> str:
    if not noun:
        return ""
    article = grammar.terms["article_vowel" if noun[0].casefold() in "aeiou" else "article"]
    return f"{article} {noun.replace('_', ' ')}"


def _place(name: str, grammar: Grammar) -> str:
    """A place's name as it stands in a sentence: with an article where its last word is a common noun."""
    words = name.casefold().split()
    if not words or words[-1] not in grammar.articled or words[0] == grammar.terms["the"] or "'" in name:
        return name
    return f"{grammar.terms['the']} {name}"


def _sentence(text: str) -> str:
    return text if not text or text[-1] in ".!?…" else f"{text}."
