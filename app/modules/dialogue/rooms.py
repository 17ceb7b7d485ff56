"""Who takes part in a dialogue, who speaks to whom, and who hears it.

Reads the world and the dialogue, changes neither. It knows where people stand, not what is said.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from app.core.errors import Conflict, Invalid, NotFound, nearest
from app.core.memory import Recollection
from app.modules.dialogue import messages, turns
from app.modules.dialogue.book import Dialogue
from app.modules.dialogue.settings import Settings
from app.world.entities import Npc, Player
from app.world.gate.acts import may_tell
from app.world.gate.speech import clean_input
from app.world.scene import Known, Scene
from app.world.state import World


@dataclass(frozen=True, slots=True)
class Roles:
    """Which NPC opens its mouth, to whom, and whether it was meant by the line that it answers."""

    speaker: str
    listener: str
    addressed: bool = True


def require_seats(world: World, npc: Npc, participants: Sequence[str], settings: Settings) -> None:
    """Raise unless a living NPC and these people may talk together: Conflict, Invalid or NotFound."""
    if not npc.alive:
        raise Conflict(f"NPC {npc.id!r} is dead", hint="only the living talk")
    if len({*participants, npc.id}) != len(participants) + 1:
        raise Invalid(f"participants {tuple(participants)!r} repeat", hint="name each once, without the NPC")
    if len(participants) > settings.participants_max:
        raise Invalid(
            f"{len(participants)} participants, at most {settings.participants_max}",
            hint="see participants_max of modules.dialogue",
        )
    for id in participants:
        if id not in world.state.players and id not in world.state.npcs:
            known = {**world.state.players, **world.state.npcs}
            raise NotFound(f"participant {id!r} is neither player nor NPC", hint=nearest(id, known))


def without(world: World, dialogue: Dialogue, leaving: str) -> tuple[str, tuple[str, ...]]:
    """(NPC, participants) once `leaving` is gone; raises Conflict when nobody would be left to talk."""
    rest = tuple(id for id in dialogue.everyone if id != leaving)
    npc = dialogue.npc if leaving != dialogue.npc else next((id for id in rest if id in world.state.npcs), "")
    others = tuple(id for id in rest if id != npc)
    if not npc or not others:
        raise Conflict(f"without {leaving!r} nobody is left to talk", hint="close the dialogue with dialogue.close")
    return npc, others


def roles(world: World, dialogue: Dialogue, request: messages.Say, seed: int) -> Roles:
    """An NPC that sends no text speaks itself; whatever else is sent is answered by the NPC addressed."""
    everyone = dialogue.everyone
    for id in (request.speaker, *([request.to] if request.to else [])):
        if id not in everyone:
            raise NotFound(f"{id!r} is not in dialogue {dialogue.id!r}", hint=nearest(id, everyone))
    if request.to == request.speaker:
        raise Invalid(f"{request.speaker!r} speaks to itself", hint="name another in `to`")
    if request.speaker in world.state.npcs and not request.text:
        listener = request.to or _partner(dialogue, request.speaker)
        return Roles(request.speaker, listener, addressed=_was_asked(dialogue, request.speaker))
    if request.to and request.to not in world.state.npcs:
        raise Invalid(f"{request.to!r} is no NPC", hint="`to` names the NPC that answers")
    able = seats(world, dialogue, request.speaker)
    npcs = [seat for seat in able if seat.npc and seat.id != request.speaker]
    if request.whisper and not request.to and len(npcs) > 1:
        raise Invalid("a whisper has one hearer", hint=f"name one of {[seat.id for seat in npcs]!r} in `to`")
    before = [told.line.speaker for told in dialogue.lines]
    found = request.to or turns.answerer(able, turns.Uttered(request.speaker, request.text), before, seed)
    if not found:
        if dialogue.npc != request.speaker:
            raise Conflict(f"NPC {dialogue.npc!r} is dead", hint="close the dialogue")
        raise Invalid(f"nobody can answer {request.speaker!r}", hint="let the NPC speak with empty text")
    return Roles(found, request.speaker)


def seats(world: World, dialogue: Dialogue, last: str) -> list[turns.Seat]:
    """Who may take the word after `last` has spoken; the dead do not."""
    places = world.state.locations
    found: list[turns.Seat] = []
    for id in dialogue.everyone:
        one = person(world, id)
        if one is None or not (one.alive or isinstance(one, Player)):
            continue
        if isinstance(one, Player):
            found.append(turns.Seat(id, npc=False, words=turns.words_of(one.name)))
            continue
        haunts = [place.name for each in (one.work, one.home) if (place := places.get(each)) is not None]
        found.append(
            turns.Seat(
                id,
                npc=True,
                words=turns.words_of(one.name),
                concerns=turns.words_of(one.archetype, *one.tags, *haunts),
                relation=world.relation(id, last),
                talkative=turns.talkative(one.persona.traits, one.attributes.get(turns.TALKATIVENESS)),
            )
        )
    return found


def _partner(dialogue: Dialogue, speaker: str) -> str:
    """Whom an NPC speaks to that begins by itself: whoever it heard last, else the first of the others."""
    for told in reversed(dialogue.lines):
        other = told.line.speaker
        if other != speaker and speaker in told.heard_by and other in dialogue.everyone:
            return other
    return dialogue.participants[0] if speaker == dialogue.npc else dialogue.npc


def _was_asked(dialogue: Dialogue, speaker: str) -> bool:
    """Whether the last line was for this NPC, or nobody has said anything; else it speaks up unasked."""
    return not dialogue.lines or len(dialogue.everyone) == 2 or dialogue.lines[-1].to == speaker


def audience(world: World, dialogue: Dialogue, found: Roles, settings: Settings, *, whisper: bool) -> tuple[str, ...]:
    """Everyone who hears a line and its answer, the two who speak first.

    In a whisper those two and who stands within `whisper_cells`; else all who take part and who is within earshot.
    """
    two = (found.speaker, found.listener)
    inside = two if whisper else (*two, *(id for id in dialogue.everyone if id not in two))
    cells = settings.whisper_cells if whisper else settings.earshot_cells
    outside = bystanders(world, dialogue.location, two, inside, cells=cells, measured=whisper)
    if not settings.players_overhear:
        outside = [id for id in outside if id not in world.state.players]
    return (*inside, *outside)[: max(settings.hearers_max, 2)]


def bystanders(
    world: World, place: str, at: Iterable[str], inside: Iterable[str], *, cells: float, measured: bool = False
) -> list[str]:
    """Players, then NPCs, the nearest first, within `cells` of the first of `at` whose position is known.

    Where no position is known those count who are at the same location, unless it has to be `measured`.
    """
    if cells <= 0.0:
        return []
    state, known = world.state, set(inside)
    apart, home = _distances(world, at)
    players = [] if measured else [each.id for each in state.players.values() if _is_at(each, place)]
    near: list[tuple[float, str]] = []
    for npc in state.npcs.values():
        far = apart.get(state.handles.get(npc.id, -1), math.nan) if apart is not None else math.nan
        if not math.isnan(far):
            if far <= cells and npc.alive and _map(world, npc.location) == home:
                near.append((far, npc.id))
        elif not measured and _is_at(npc, place):
            near.append((cells, npc.id))
    return [id for id in (*players, *(id for _, id in sorted(near))) if id not in known]


def _is_at(person: Npc | Player, place: str) -> bool:
    return person.alive and bool(place) and person.location == place


def _distances(world: World, at: Iterable[str]) -> tuple[dict[int, float] | None, str]:
    """(handle -> cells from where the first of `at` stands, its map); None where nobody's position is known."""
    positions = world.crowd.positions  # (handles, 2) float32
    for id in at:
        handle = world.state.handles.get(id, -1)
        if 0 <= handle < len(positions) and not np.isnan(positions[handle, 0]):
            apart = np.hypot(*(positions - positions[handle]).T)  # (handles,)
            known = np.flatnonzero(~np.isnan(apart))
            npc = world.state.npcs.get(id)
            return dict(zip(known.tolist(), apart[known].tolist(), strict=True)), _map(
                world, npc.location if npc else ""
            )
    return None, ""


def _map(world: World, location: str) -> str:
    place = world.state.locations.get(location)
    return place.map if place is not None else ""


def discreet(world: World, scene: Scene, hearers: Iterable[str]) -> Scene:
    """The scene without the facts and the lore that another player who hears must not learn."""
    npc, state = world.npc(scene.npc.id), world.state
    others = [id for id in hearers if id not in (scene.npc.id, scene.listener.id)]
    players = [state.players[id] for id in others if id in state.players]
    if not players:
        return scene

    def all_may_hear(told: Known) -> bool:
        fact = world.fact(told.subject_id, told.predicate)
        return fact is not None and all(may_tell(world, npc, player, fact) for player in players)

    known, lore = (tuple(filter(all_may_hear, told)) for told in (scene.known, scene.lore))
    return msgspec.structs.replace(scene, known=known, lore=lore)


def tellable(world: World, recalled: Iterable[Recollection], hearers: Iterable[str]) -> tuple[Recollection, ...]:
    """The memories that every player who hears may be told."""
    players = [id for id in hearers if id in world.state.players]
    return tuple(one for one in recalled if not one.known_by or all(id in one.known_by for id in players))


def person(world: World, id: str) -> Npc | Player | None:
    """The NPC or player of that id, if there is one."""
    return world.state.npcs.get(id) or world.state.players.get(id)


def name_of(world: World, id: str) -> str:
    """The name of an entity as it is spoken, its id where it has none; empty for no entity."""
    entity = world.entity(id) if id else None
    return clean_input(entity.name or entity.id) if entity is not None else ""
