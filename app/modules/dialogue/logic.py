"""What dialogue decides: the compiled context, open acts, promises, feelings. Pure: no clock, no chance, no await.

Tokens are estimated as one for every three bytes of UTF-8, which errs high for every language that the
cloud models' tokenizers know; an estimate costs less than a microsecond and needs no vocabulary.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources

import msgspec

from app.core.ids import stable_hash
from app.core.prompts import Chosen
from app.core.words import Part
from app.modules.dialogue.messages import Cut, Emotion
from app.world.entities import Npc, Value
from app.world.gate.acts import Proposed, check_proposal
from app.world.gate.speech import Guard
from app.world.scene import Known, QuestNote, Scene, Someone, Spot, quest_head
from app.world.state import World

HELD_OFFERED_MAX = 8
"""Held items that are looked at as possible gifts."""


TASK = "dialogue.reply"
"""The task of words, and the name of its prompt."""
GUARDED = ("rules", "world", "now", "speak_first", "chatter")
"""Sections whose own words must never be spoken; a persona's may be."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A context within its budget: `parts` in sending order, `cut` what did not fit, by label."""

    parts: tuple[Part, ...]
    tokens: int
    cut: tuple[Cut, ...]
    canary: str


def guard_of(chosen: Chosen) -> Guard:
    """What of a prompt must never be spoken: the rules, and the headings that hold the world."""
    return Guard(*chosen.literals(*GUARDED))


def load_barks() -> dict[str, tuple[str, ...]]:
    """The last rung's lines by language."""
    text = (resources.files("app.modules.dialogue") / "barks.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, tuple[str, ...]])


def tokens_of(text: str) -> int:
    """An estimate of the tokens in `text`, high rather than low."""
    return (len(text.encode("utf-8", "replace")) + 2) // 3


def compile_context(
    scene: Scene, chosen: Chosen, acts: Iterable[Proposed], *, tokens_max: int, canary: str
) -> Compiled:
    """The context of a line within `tokens_max` estimated tokens.

    Kept in the order: rules, persona, what is said now, verified state, quests and acts, last lines (newest
    first), the wider world. Rules, persona and the present line are never cut. Sent with what changes least
    first, so that the head is the same from line to line and a provider's prompt cache holds it.
    """
    variables = _variables(scene, canary)
    rules, persona = chosen.part("rules", variables), chosen.part("persona", variables)
    spoken = _spoken_now(chosen, scene, variables)
    left = tokens_max - sum(tokens_of(part.text) for part in (rules, persona, spoken))
    cut: list[Cut] = []
    kept: dict[str, list[str]] = {}
    present = _now(chosen, variables, {})
    left -= tokens_of(present.text)
    pinned = {"asked": _asked_rows(scene), "facts": _fact_rows(scene), "quests": _quest_rows(scene)}
    for label, rows in (*pinned.items(), ("acts", _act_rows(acts))):
        kept[label], left = _fit(label, rows, left, cut)
    lines, left = _fit_lines(scene, left, cut)
    for label, rows in (("places", _place_rows(scene)), ("people", _people_rows(scene)), ("news", _news_rows(scene))):
        kept[label], left = _fit(label, rows, left, cut)
    known = {label: _join(kept[label]) for label in ("places", "people", "facts")}
    world = chosen.part("world", {**variables, **known})
    now = _now(chosen, variables, kept)
    parts = (rules, persona, world, *lines, now, spoken)
    return Compiled(
        parts=parts,
        tokens=sum(tokens_of(part.text) for part in parts),
        cut=tuple(cut),
        canary=canary,
    )


def canary_of(tenant: str, world: str, npc: str) -> str:
    """A word that stands in this NPC's prompt and nowhere else."""
    return f"ink{stable_hash(tenant, world, npc, 'canary'):016x}"


def open_acts(world: World, npc: Npc, other: str) -> list[Proposed]:
    """Every act with every argument that the gate would let `npc` offer `other` now; few by construction."""
    return [act for act in _thinkable(world, npc, other) if check_proposal(world, act, npc.id, other).allowed]


def relation_delta(scene: Scene, kindness: float, talk_relation_max: float) -> float:
    """How the NPC's feeling moves: a little, by manner alone, never past what talk may reach.

    `kindness` is the sum so far in this dialogue: thanks repeated are worth nothing.
    """
    felt, by_intent = scene.npc_feels(), {"thank": 0.02, "greet": 0.01, "goodbye": 0.01, "threaten": -0.05}
    step = by_intent.get(scene.intent, 0.0) if scene.heard and not scene.listener_is_npc else 0.0
    if step > 0.0:
        return min(step, max(0.0, 0.05 - kindness), max(0.0, talk_relation_max - felt))
    return max(step, min(0.0, -talk_relation_max - felt))


def emotion_of(scene: Scene) -> Emotion:
    """The face that goes with the line."""
    felt = scene.npc_feels()
    if scene.intent == "threaten":
        return "afraid" if scene.need == "hurt" or scene.npc.role in ("villager", "farmer", "child") else "angry"
    if scene.topic == "news" and scene.news and scene.news[0].verb in ("killed", "died"):
        return "sad"
    if scene.need == "hurt":
        return "sad"
    if scene.intent in ("thank", "greet", "trade") and felt >= 0.0:
        return "happy"
    return "angry" if felt <= -0.3 else "neutral"


def _variables(scene: Scene, canary: str) -> dict[str, str]:
    """What every section of the prompt is given: who speaks, to whom, and when."""
    persona, listener = scene.persona, scene.listener
    need = f" {scene.npc.name} is {scene.need}." if scene.need else ""
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
        "feeling": _feeling(scene) + need,
    }


def _spoken_now(chosen: Chosen, scene: Scene, variables: Mapping[str, str]) -> Part:
    """The newest thing: what a player said, as data, or the stage direction for a line unasked."""
    if scene.heard:
        return Part(trust="player", text=scene.heard, speaker=scene.listener.name)
    return chosen.part("chatter" if scene.listener_is_npc else "speak_first", variables)


def _now(chosen: Chosen, variables: Mapping[str, str], kept: Mapping[str, Iterable[str]]) -> Part:
    """The present moment, with what changes from line to line."""
    rows = {label: _join(kept.get(label, ())) for label in ("asked", "quests", "news", "acts")}
    rows["acts"] = rows["acts"] or "none"
    return chosen.part("now", {**variables, **rows})


def _feeling(scene: Scene) -> str:
    felt = scene.npc_feels()
    word = "trusts" if felt >= 0.3 else "likes" if felt > 0.05 else "hates" if felt <= -0.3 else "dislikes"
    if abs(felt) <= 0.05:
        return f"{scene.npc.name} has no opinion of {scene.listener.name} yet."
    return f"{scene.npc.name} {word} {scene.listener.name}."


def _fact_rows(scene: Scene) -> list[str]:
    """What is known beside what was asked for, in an order that lasts."""
    about = _about(scene)
    rows = sorted(_known_row(known) for known in scene.known if known.subject_id not in about)
    return rows + [f"{scene.npc.name} has for sale: {ware.name}, {ware.price:g} coins." for ware in scene.wares]


def _asked_rows(scene: Scene) -> list[str]:
    """What is known of the place or person that was asked for."""
    about = _about(scene)
    rows = [_spot_row(scene.spot)] if scene.spot is not None else []
    rows += [_person_row(scene.person)] if scene.person is not None else []
    return rows + [_known_row(known) for known in scene.known if known.subject_id in about]


def _about(scene: Scene) -> set[str]:
    return {each.id for each in (scene.spot, scene.person) if each is not None}


def _known_row(known: Known) -> str:
    return f"{known.subject}: {known.predicate.replace('_', ' ')} = {known.value}."


def _quest_rows(scene: Scene) -> list[str]:
    return [_quest_row(scene, quest) for quest in scene.quests]


def _quest_row(scene: Scene, quest: QuestNote) -> str:
    who = scene.npc.name
    if quest.state == "offered":
        return f"{who} has work to offer, quest {quest.id!r}: {quest.title}. {quest.description}"
    return (
        f"{scene.listener.name} carries {who}'s quest {quest.title!r}; still to do: {quest.todo or quest.description}"
    )


def _act_rows(acts: Iterable[Proposed]) -> list[str]:
    return [msgspec.json.encode({"act": act.action, "arguments": act.arguments}).decode() for act in acts]


def _place_rows(scene: Scene) -> list[str]:
    return [_spot_row(spot) for spot in scene.places]


def _people_rows(scene: Scene) -> list[str]:
    return [_person_row(person) for person in scene.people]


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


def _fit(label: str, rows: list[str], left: int, cut: list[Cut]) -> tuple[list[str], int]:
    """As many leading rows as `left` tokens hold; what does not fit is listed."""
    kept: list[str] = []
    for at, row in enumerate(rows):
        cost = tokens_of(row) + 1
        if cost > left:
            cut.append(Cut(what=f"{len(rows) - at} of {label}", reason="token budget"))
            break
        kept.append(row)
        left -= cost
    return kept, left


def _fit_lines(scene: Scene, left: int, cut: list[Cut]) -> tuple[list[Part], int]:
    """The newest lines that `left` tokens hold, oldest first."""
    lines = scene.lines
    kept: list[Part] = []
    for at in range(len(lines) - 1, -1, -1):
        cost = tokens_of(lines[at].text) + 4
        if cost > left:
            cut.append(Cut(what=f"{at + 1} of lines", reason="token budget"))
            break
        left -= cost
        line = lines[at]
        mine = line.speaker == scene.npc.id  # what other NPCs said is data as well
        kept.append(Part(trust="npc" if mine else "player", text=line.text, speaker=line.name))
    return kept[::-1], left


def _join(rows: Iterable[str]) -> str:
    return "\n".join(rows)


def _thinkable(world: World, npc: Npc, other: str) -> Iterator[Proposed]:
    for action in ("trade", "follow", "flee"):
        yield Proposed(action=action)
    yield Proposed(action="attack", arguments={"target": other})
    for record in world.state.quests.values():
        if record.state == "offered" and quest_head(record).giver == npc.id:
            yield _with("offer_quest", "quest", record.id)
    for item in world.held_by(npc.id)[:HELD_OFFERED_MAX]:
        yield _with("give_item", "item", item.id)
    for place in {npc.home, npc.work} - {""}:
        yield _with("open_door", "location", place)


def _with(action: str, name: str, value: Value) -> Proposed:
    return Proposed(action=action, arguments={name: value})
