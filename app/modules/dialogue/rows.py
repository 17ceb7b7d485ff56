"""What a scene holds, as rows of a prompt, by the label of the variable that takes them.

Words that somebody said stand between <memory> and </memory>, and the signs of delimiters are taken out of them. Rows
that are sent before the dialogue so far are in an order that lasts. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from app.world.gate.acts import Proposed
from app.world.scene import Known, QuestNote, Recalled, Scene, Someone, Spot

EARLY = ("facts", "places", "people", "pinned", "quests")
"""Sent before the dialogue so far..."""
LATE = ("acts", "asked")
"""...and after it, beside what `late_rows` gives."""
LABELS = (*EARLY, *LATE, "recalled", "news", "lore")
_SIGNS = str.maketrans({"<": "‹", ">": "›"})


def variables_of(scene: Scene, canary: str) -> dict[str, str]:
    """What every section of the prompt is given: who speaks, to whom, and when."""
    persona, listener = scene.persona, scene.listener
    need = f" {scene.npc.name} is {scene.need}." if scene.need else ""
    mood = f" {scene.npc.name} is in a {scene.mood} mood." if scene.mood != "calm" else ""
    return {
        "name": scene.npc.name,
        "language": persona.language,
        "canary": canary,
        "role": f", {_article(scene.npc.role)}" if scene.npc.role else "",
        "summary": persona.summary,
        "voice": persona.voice or "plain and natural",
        "traits": ", ".join(persona.traits) or "none in particular",
        "goals": " ".join(persona.goals) or "to get through the day",
        "listener": listener.name,
        "listener_role": f", {_article(listener.role)}" if listener.role else "",
        "topic": scene.topic,
        "time": scene.part_of_day,
        "weather": f", the weather is {scene.weather}" if scene.weather else "",
        "here": f"at {scene.here.name}" if scene.here is not None else "here",
        "present": f" Within earshot: {', '.join(one.name for one in scene.present)}." if scene.present else "",
        "feeling": _feeling(scene) + need + mood,
    }


def state_rows(scene: Scene, acts: Iterable[Proposed]) -> dict[str, list[str]]:
    """What the game says is so: acts that are open, what was asked for, facts, places and people."""
    return {
        "acts": [_act_row(act) for act in acts],
        "asked": _asked_rows(scene),
        "facts": _fact_rows(scene),
        "places": [_spot_row(spot) for spot in scene.places],
        "people": [_person_row(person) for person in scene.people],
    }


def pinned_rows(scene: Scene) -> dict[str, list[str]]:
    """What must stay in mind: promises and standing orders, and the quests between the two."""
    return {
        "pinned": [memory_row(memory) for memory in scene.pinned],
        "quests": [_quest_row(scene, quest) for quest in scene.quests],
    }


def late_rows(scene: Scene) -> dict[str, list[str]]:
    """What the moment brings to mind, what happened of late, and background."""
    return {
        "recalled": [memory_row(memory) for memory in scene.recalled],
        "news": _news_rows(scene),
        "lore": [f"{known.subject}: {known.value}" for known in scene.lore],
    }


def memory_row(memory: Recalled) -> str:
    """One memory with its source and its age; its words are data."""
    text = f"<memory>{memory.text.translate(_SIGNS)}</memory>"
    age, place = age_of(memory.days_ago), f", at {memory.place}" if memory.place else ""
    if memory.told_by:
        return f"Heard from {memory.told_by}, {age}{place}: {text}"
    if memory.kind == "derived":
        return f"Concluded {age}: {text}"
    if memory.kind == "line" and memory.speaker:
        to = f" to {', '.join(memory.others)}" if memory.others else ""
        return f"{memory.speaker} said{to}, {age}{place}: {text}"
    return f"Known since {age}{place}: {text}" if memory.kind == "note" else f"Seen {age}{place}: {text}"


def age_of(days: float) -> str:
    """How long ago that is, in words that change seldom."""
    if days < 1.0:
        return "today"
    if days < 2.0:
        return "a day ago"
    if days < 14.0:
        return f"{int(days)} days ago"
    if days < 60.0:
        return f"{int(days / 7.0)} weeks ago"
    return f"{int(days / 30.0)} months ago" if days < 720.0 else "years ago"


def _feeling(scene: Scene) -> str:
    felt = scene.npc_feels()
    word = "trusts" if felt >= 0.3 else "likes" if felt > 0.05 else "hates" if felt <= -0.3 else "dislikes"
    if abs(felt) <= 0.05:
        return f"{scene.npc.name} has no opinion of {scene.listener.name} yet."
    return f"{scene.npc.name} {word} {scene.listener.name}."


def _fact_rows(scene: Scene) -> list[str]:
    """What is known beside what is only there since it was asked for."""
    found = sorted(_known_row(known) for known in scene.known if not known.asked)
    return found + [f"{scene.npc.name} has for sale: {ware.name}, {ware.price:g} coins." for ware in scene.wares]


def _asked_rows(scene: Scene) -> list[str]:
    """What is known of the place or person that was asked for, where the world's list does not tell it already."""
    found = [_spot_row(scene.spot)] if scene.spot is not None and scene.spot not in scene.places else []
    found += [_person_row(scene.person)] if scene.person is not None and scene.person not in scene.people else []
    return found + [_known_row(known) for known in scene.known if known.asked]


def _known_row(known: Known) -> str:
    return f"{known.subject}: {known.predicate.replace('_', ' ')} = {known.value}."


def _quest_row(scene: Scene, quest: QuestNote) -> str:
    who = scene.npc.name
    if quest.state == "offered":
        return f"{who} has work to offer, quest {quest.id!r}: {quest.title}. {quest.description}"
    return (
        f"{scene.listener.name} carries {who}'s quest {quest.title!r}; still to do: {quest.todo or quest.description}"
    )


def _act_row(act: Proposed) -> str:
    return msgspec.json.encode({"act": act.action, "arguments": act.arguments}).decode()


def _news_rows(scene: Scene) -> list[str]:
    return [
        f"Of late: {news.actor} {news.verb} {news.target or news.item}{f' at {news.place}' if news.place else ''}."
        for news in scene.news
    ]


def _spot_row(spot: Spot) -> str:
    way = f" lies to the {spot.direction}" if spot.direction else ""
    via = f", by way of {spot.via}" if spot.via else ""
    keeper = f"; {spot.keeper} works there" if spot.keeper else ""
    return f"{spot.name}{way}{via}{keeper}{'' if spot.open else '; it is closed'}."


def _person_row(person: Someone) -> str:
    role = f", {_article(person.role)}" if person.role else ""
    found = f", usually found at {person.place}" if person.place else ""
    return f"{person.name}{role}{found}{'' if person.alive else ', is dead'}."


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
