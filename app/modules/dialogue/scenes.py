"""Composes the scene before a line from a world: who stands here, what may be told, what was asked.

Pure: reads the world, changes nothing. Whatever the listener must not learn stays out of the scene,
so no engine that writes from it can give it away; names that players may have chosen are cleaned like speech.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import msgspec

from app.core.ids import stable_hash
from app.core.memory import Cue, Recollection
from app.modules.dialogue.intents import Lexicon, Meaning
from app.modules.dialogue.reminded import mood_of, recalled_of
from app.modules.dialogue.settings import Settings
from app.modules.dialogue.telling import WORLD, known_of
from app.world.entities import Location, Npc, Player
from app.world.gate.acts import may_know, trades
from app.world.gate.claims import Names, direction
from app.world.gate.speech import clean_input
from app.world.lore import lore_for
from app.world.scene import Line, Need, News, PartOfDay, QuestNote, Reach, Scene, Someone, Spot, Ware, quest_head
from app.world.state import World

PLACES_MAX = 16
PEOPLE_MAX = 16
WARES_MAX = 12
QUESTS_MAX = 4
NEWS_MAX = 4
MEMORIES_MAX = 8
CUE_PERSONS_MAX = 8
CUE_LINES = 2
"""Last lines of a dialogue that a cue is made of, beside what was just said."""
CUE_WORDS_MIN = 3
"""Words that tell something, without which what was just said is no cue by itself..."""
CUE_LETTERS_MIN = 4
"""...and the letters of such a word."""
LORE_LINES = 4
"""Last lines that background is looked up for, with what was just said."""


@dataclass(frozen=True, slots=True)
class Talk:
    """What the dialogue brings to a scene. `speaker` opens its mouth, `listener` is addressed, `heard` is cleaned."""

    speaker: str
    listener: str
    heard: str
    location: str
    lines: tuple[Line, ...]
    stale: tuple[str, ...]
    news: Sequence[News]
    seed: int
    before: int = 0
    """Lines of the dialogue before the first of `lines`."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The lie of the land from one place: who works where, and the name of the next place on the way to each."""

    keepers: Mapping[str, Npc]
    via: Mapping[str, str]


def compose(
    world: World,
    talk: Talk,
    lexicon: Lexicon,
    names: Names,
    settings: Settings,
    *,
    recalled: Sequence[Recollection] = (),
    pinned: Sequence[Recollection] = (),
) -> Scene:
    """The scene in which `talk.speaker` is about to say a line; raises NotFound when it is gone.

    `recalled` and `pinned` are the speaker's memories that may be told to the listener, as the memory gave them.
    """
    npc = world.npc(talk.speaker)
    other = world.state.players.get(talk.listener) or world.npc(talk.listener)
    among_npcs = isinstance(other, Npc)
    meaning = _meaning(talk, lexicon, among_npcs=among_npcs)
    place, person, asked = _asked_about(world, npc, meaning, lexicon, names, talk.heard)
    ground = _ground(world, npc.location)
    said = [*(line.text for line in talk.lines), talk.heard]
    spot = spot_of(world, npc, place, ground, settings) if place is not None else None
    about = {place.id} if place is not None else set()
    about |= {person.id} if person is not None else set()
    part = part_of_day(world, settings)
    scene = Scene(
        npc=someone(world, npc, npc),
        persona=npc.persona,
        listener=someone(world, npc, other),
        listener_is_npc=among_npcs,
        intent=meaning.intent,
        heard=talk.heard,
        asked=asked,
        spot=spot,
        person=someone(world, npc, person) if person is not None else None,
        here=_here(world, npc, talk.location, ground, settings),
        met_before=any(line.speaker == npc.id for line in talk.lines) or world.relation(npc.id, other.id) != 0.0,
        part_of_day=part,
        weather=_fact_text(world, npc, npc.location, "weather") or _fact_text(world, npc, WORLD, "weather"),
        need=_need(npc),
        known=known_of(world, npc, other, about),
        quests=_quests(world, npc, other.id),
        wares=_wares(world, npc),
        trader=_trader(world, npc),
        news=tuple(talk.news)[:NEWS_MAX],
        lines=talk.lines,
        lines_before=talk.before,
        stale=talk.stale,
        places=_places(world, npc, ground, settings),
        people=_people(world, npc),
        recalled=recalled_of(world, npc, other, recalled, settings),
        pinned=recalled_of(world, npc, other, pinned, settings),
        lore=lore_for(
            world,
            npc,
            said[-LORE_LINES:],
            most=settings.lore_max,
            characters_max=settings.lore_characters_max,
            listener=other,
        ),
    )
    scene = msgspec.structs.replace(scene, mood=mood_of(scene))
    return _with_topic(scene, talk.seed) if among_npcs else scene


def cue_of(
    world: World,
    *,
    speaker: str,
    listener: str,
    heard: str,
    lines: Sequence[Line] = (),
    present: Iterable[str] = (),
    location: str = "",
    thread: str = "",
    most: int = MEMORIES_MAX,
) -> Cue:
    """What this moment reminds `speaker` of: what was just said, who and where, the quests between.

    Where that was too little to be reminded by (`And then?`), the last lines count too. `thread` is the dialogue that
    goes on, whose own lines are at hand. Raises NotFound when the speaker is gone.
    """
    npc = world.npc(speaker)
    telling = sum(len(word) >= CUE_LETTERS_MIN for word in heard.split())
    before = [line.text for line in lines[-CUE_LINES:]] if telling < CUE_WORDS_MIN else []
    return Cue(
        text=" ".join([*before, heard] if heard else before),
        listener=listener,
        participants=tuple(dict.fromkeys((listener, *present)))[:CUE_PERSONS_MAX],
        place=location or npc.location,
        quests=tuple(quest.id for quest in _quests(world, npc, listener)),
        but_thread=thread,
        most=most,
    )


def someone(world: World, npc: Npc, other: Npc | Player) -> Someone:
    """A person as `npc` knows them: work and home are common knowledge, where they stand now is not."""
    usual = (other.work or other.home) if isinstance(other, Npc) else ""
    return Someone(
        id=other.id,
        name=clean_input(other.name) or ("traveler" if isinstance(other, Player) else other.id),
        role=clean_input(_role(other)),
        place=_place_name(world, usual),
        alive=other.alive,
        here=bool(other.location) and other.location == npc.location,
        relation=world.relation(npc.id, other.id),
    )


def spot_of(world: World, npc: Npc, place: Location, ground: Ground, settings: Settings) -> Spot:
    """A place as seen from where `npc` stands; the way there is in `ground`."""
    keeper = ground.keepers.get(place.id)
    here = world.state.locations.get(npc.location)
    known = here is not None and here.map == place.map
    apart = math.hypot(place.x - here.x, place.y - here.y) if here is not None and known else math.nan
    return Spot(
        id=place.id,
        name=_place_name(world, place.id),
        direction=direction((here.x, here.y), (place.x, place.y)) if here is not None and known else "",
        reach="here" if here is place else _reach(apart, settings.walk_cells),
        via=ground.via.get(place.id, ""),
        keeper=clean_input(keeper.name) if keeper is not None and keeper.id != npc.id else "",
        open=place.open,
    )


def _ground(world: World, start: str) -> Ground:
    """The ways from `start` by `connects`, breadth first, and the first who works at each place."""
    locations = world.state.locations
    keepers: dict[str, Npc] = {}
    for each in world.state.npcs.values():
        if each.work and each.alive:
            keepers.setdefault(each.work, each)
    first: dict[str, str] = {start: ""}
    queue = deque([start] if start in locations else ())
    while queue:
        at = queue.popleft()
        for step in locations[at].connects:
            if step in locations and step not in first:
                first[step] = first[at] or step
                queue.append(step)
    via = {place: _place_name(world, step) for place, step in first.items() if step and step != place}
    return Ground(keepers, via)


def part_of_day(world: World, settings: Settings) -> PartOfDay:
    """By the fact `hour` of `world`, else by the world's own clock."""
    fact = world.fact(WORLD, "hour")
    hour = float(fact.value) if fact is not None and isinstance(fact.value, int | float) else None
    if hour is None:
        hour = (settings.day_start_share + world.state.game_s / settings.day_s) % 1.0 * 24.0
    for until, part in _PARTS:
        if hour < until:
            return part
    return "night"


_PARTS: tuple[tuple[float, PartOfDay], ...] = (
    (5.0, "night"), (7.0, "dawn"), (11.5, "morning"), (13.5, "noon"), (18.0, "afternoon"), (22.0, "evening"),
)  # fmt: skip


def _meaning(talk: Talk, lexicon: Lexicon, *, among_npcs: bool) -> Meaning:
    if among_npcs and not talk.heard:
        return Meaning("chatter", ())
    return lexicon.read(talk.heard) if talk.heard else Meaning("greet", ())


def _asked_about(
    world: World, npc: Npc, meaning: Meaning, lexicon: Lexicon, names: Names, heard: str
) -> tuple[Location | None, Npc | Player | None, str]:
    """The place or person that a question is about, or the word that named neither."""
    asks = meaning.intent in ("ask_place", "ask_person")
    if not asks and meaning.intent not in ("unknown", "small_talk"):
        return None, None, ""
    for mention in names.find(heard.title() if asks else heard):
        entity = world.entity(mention.id)
        if isinstance(entity, Location):
            return entity, None, ""
        if isinstance(entity, Npc | Player):
            return None, entity, ""
    if not asks:
        return None, None, ""
    if meaning.intent == "ask_person" and not meaning.about:
        return None, npc, ""
    for word in meaning.about:
        place, person = _by_word(world, npc, lexicon.kin(word))
        if place is not None and (person is None or meaning.intent == "ask_place"):
            return place, None, ""
        if person is not None:
            return None, person, ""
    return None, None, " ".join(meaning.about[:3])


def _by_word(world: World, npc: Npc, kin: frozenset[str]) -> tuple[Location | None, Npc | None]:
    """A place or person whose name, tags or trade has one of these words; the nearest place wins."""
    here = world.state.locations.get(npc.location)

    def apart(place: Location) -> float:
        return math.hypot(place.x - here.x, place.y - here.y) if here is not None else 0.0

    places = [place for place in world.state.locations.values() if not kin.isdisjoint(_tags(place.name, place.tags))]
    people = [
        each
        for each in world.state.npcs.values()
        if each.id != npc.id and each.alive and not kin.isdisjoint(_tags(f"{each.archetype} {each.name}", each.tags))
    ]
    person = min(people, key=lambda each: (not each.work, each.id), default=None)
    return min(places, key=lambda place: (apart(place), place.id), default=None), person


def _tags(text: str, tags: Sequence[str]) -> set[str]:
    return {word.strip("'’.,").removesuffix("'s").casefold() for word in " ".join((text, *tags)).split()}


def _places(world: World, npc: Npc, ground: Ground, settings: Settings) -> tuple[Spot, ...]:
    """The nearest places of the same map, in the order of their ids: the same from line to line."""
    here = world.state.locations.get(npc.location)
    if here is None:
        return ()
    near = sorted(
        (place for place in world.state.locations.values() if place.map == here.map and place is not here),
        key=lambda place: (math.hypot(place.x - here.x, place.y - here.y), place.id),
    )
    return tuple(
        spot_of(world, npc, place, ground, settings) for place in sorted(near[:PLACES_MAX], key=lambda each: each.id)
    )


def _people(world: World, npc: Npc) -> tuple[Someone, ...]:
    """People with a trade, those who share the NPC's work, home or faction first, in the order of their ids."""
    mine = {npc.work, npc.home} - {""}
    others = [each for each in world.state.npcs.values() if each.work and each.name and each.id != npc.id]
    close = [each for each in others if each.work in mine or each.home in mine]
    allied = [each for each in others if each.faction == npc.faction]
    chosen = {each.id: each for each in chain(close[:PEOPLE_MAX], allied[:PEOPLE_MAX], others[:PEOPLE_MAX])}
    known = sorted(islice(chosen.values(), PEOPLE_MAX), key=lambda each: each.id)
    return tuple(someone(world, npc, each) for each in known)


def _role(other: Npc | Player) -> str:
    return other.archetype if isinstance(other, Npc) else ""


def _place_name(world: World, id: str) -> str:
    place = world.state.locations.get(id)
    return clean_input(place.name or place.id) if place is not None else ""


def _here(world: World, npc: Npc, location: str, ground: Ground, settings: Settings) -> Spot | None:
    place = world.state.locations.get(location or npc.location)
    return spot_of(world, npc, place, ground, settings) if place is not None else None


def _reach(apart: float, walk: float) -> Reach:
    if math.isnan(apart):
        return ""
    return "near" if apart <= walk else "far" if apart <= 3.0 * walk else "remote"


def _fact_text(world: World, npc: Npc, subject: str, predicate: str) -> str:
    fact = world.fact(subject, predicate) if subject else None
    return clean_input(str(fact.value)) if fact is not None and may_know(npc, fact) else ""


def _need(npc: Npc) -> Need:
    """What the game's own attributes `hp`, `hunger` and `energy` say, in shares of one or of a hundred."""
    for word, name, low in _NEEDS:
        value = npc.attributes.get(name)
        if isinstance(value, float | int) and not isinstance(value, bool):
            share = value / 100.0 if value > 1.0 else float(value)
            if (share < 0.35) if low else (share > 0.65):
                return word
    return ""


_NEEDS: tuple[tuple[Need, str, bool], ...] = (
    ("hurt", "hp", True), ("hungry", "hunger", False), ("tired", "energy", True),
)  # fmt: skip


def _quests(world: World, npc: Npc, player: str) -> tuple[QuestNote, ...]:
    notes: list[QuestNote] = []
    for record in world.state.quests.values():
        if record.state not in ("offered", "active", "repaired", "suspended"):
            continue
        head = quest_head(record)
        if head.giver != npc.id or (head.player not in ("", player) and player not in record.party):
            continue
        todo = next((goal.text for goal in head.goals if not goal.done and goal.text), "")
        state = "offered" if record.state == "offered" else "active"
        title, description, todo = map(clean_input, (head.title, head.description, todo))
        notes.append(QuestNote(id=record.id, title=title, description=description, state=state, todo=todo))
    notes.sort(key=lambda note: (note.state != "offered", note.id))
    return tuple(notes[:QUESTS_MAX])


def _wares(world: World, npc: Npc) -> tuple[Ware, ...]:
    if not trades(npc):
        return ()
    held = sorted((item for item in world.held_by(npc.id) if "bound" not in item.tags), key=lambda item: item.id)
    return tuple(
        Ware(name=clean_input(item.name or item.item_kind or item.id), price=item.value) for item in held[:WARES_MAX]
    )


def _trader(world: World, npc: Npc) -> Someone | None:
    """Someone else to buy from, one with a place of work if there is any."""
    others = (each for each in world.state.npcs.values() if trades(each) and each.alive and each.id != npc.id)
    found: Npc | None = None
    for each in others:
        if each.work:
            return someone(world, npc, each)
        found = found or each
    return someone(world, npc, found) if found is not None else None


def _with_topic(scene: Scene, seed: int) -> Scene:
    """NPCs stay with a topic for a line and its answer, then take up another that they can talk about."""
    before = [line for line in scene.lines if line.npc]
    if before and before[-1].topic and (len(before) < 2 or before[-2].topic != before[-1].topic):
        return msgspec.structs.replace(scene, topic=before[-1].topic)
    used = {line.topic for line in before[-6:]}
    able = [topic for topic in _topics(scene) if topic not in used] or _topics(scene)
    return msgspec.structs.replace(scene, topic=able[stable_hash(seed, "topic") % len(able)])


def _topics(scene: Scene) -> list[str]:
    topics = ["time", "work", "life"]
    topics += ["weather"] if scene.weather else []
    topics += ["need"] if scene.need else []
    topics += ["news", "news"] if scene.news else []
    topics += ["place"] if scene.here is not None else []
    return topics
