"""The record behind every line: what was known, what was written, what the gate made of it; and the line made again.

A record is put together in a thread, after the line is over. It is about everybody whom its text could name, so that
it goes with any of them. It does not know where records are kept.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from functools import partial

import msgspec

from app import __version__
from app.core.clock import Deadline
from app.core.dialogue_records import LineRecords, Sheet
from app.core.errors import EngineDown
from app.core.ports import EngineStatus
from app.core.words import Completion, Usage, WordsDelta, WordsEnd, WordsEvent, WordsStart
from app.modules.dialogue.judging import kept_proposals
from app.modules.dialogue.messages import Explained
from app.modules.dialogue.turn import Take, Turn
from app.world.entities import Player
from app.world.gate.speech import clean_input
from app.world.scene import Scene

_WORD = re.compile(r"\w+")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """All that is behind one line.

    `offers` is when the NPC had offered each act before, in game seconds; `proposals` are the ids of what it offered.
    """

    explained: Explained
    scene: Scene
    takes: tuple[Take, ...]
    offers: dict[str, float] = {}
    proposals: tuple[str, ...] = ()
    release: str = ""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


class Recorder:
    """Hands records on to where they are kept, and finds them again; keeps nothing where there is no such place."""

    def __init__(self, records: LineRecords | None) -> None:
        self._records = records

    def keep(self, turn: Turn, explained: Explained) -> None:
        """Keep what is behind a line that is over; never waits. One of a person who has left meanwhile is not kept."""
        if self._records is None:
            return
        world, players = turn.world, turn.world.state.players
        ids = persons_of(turn)
        if any(id not in players and id not in world.state.npcs for id in ids):
            return
        kept = kept_proposals(turn)
        proposed = {proposal.action for proposal in kept}
        record = Record(
            explained=explained,
            scene=msgspec.structs.replace(turn.scene, turned_down=_turned_down(turn)),
            takes=tuple(turn.takes),
            offers={action: at for action, at in turn.offers.items() if action not in proposed},
            proposals=tuple(proposal.id for proposal in kept),
            release=__version__,
        )
        make = partial(_sheet, record, frozenset(id for id in ids if id in players), players)
        self._records.keep(turn.call.tenant, turn.call.world, turn.explain_id, make)

    async def find(self, tenant: str, world: str, id: str) -> Record | None:
        """A line's record; None where there is none. Raises StoreDown."""
        body = await self._records.find(tenant, world, id) if self._records is not None else None
        return _decoder.decode(body) if body is not None else None

    def forget(self, tenant: str, world: str) -> None:
        """Keep nothing of what waits for that world."""
        if self._records is not None:
            self._records.forget(tenant, world)


def _turned_down(turn: Turn) -> tuple[str, ...]:
    trace = turn.completion.trace
    return tuple(trace.turned_down) if trace is not None else ()


def persons_of(turn: Turn) -> set[str]:
    """The ids of everybody who took part in a line, heard it, or stands in what it was written from."""
    scene, state = turn.scene, turn.world.state
    ids = {scene.listener.id, *turn.audience, *turn.dialogue.everyone}
    shown = {one.id for one in (*scene.people, *scene.present)} | {known.subject_id for known in scene.known}
    if scene.person is not None:
        shown.add(scene.person.id)
    for memory in (*turn.recalled, *turn.pinned):
        shown.update((memory.speaker, memory.told_by, *memory.participants, *memory.known_by))
    return ids | {id for id in shown if id in state.players}


def named_in(text: str, players: Mapping[str, Player]) -> set[str]:
    """The players whose name could stand in a text: those all of whose words do, whatever the case."""
    words = set(_WORD.findall(text.casefold()))
    found: set[str] = set()
    for player in list(players.values()):  # made at once, for the loop may change them meanwhile
        name = _WORD.findall(clean_input(player.name).casefold())
        if (name and words.issuperset(name)) or player.id.casefold() in words:
            found.add(player.id)
    return found


def _sheet(record: Record, persons: frozenset[str], players: Mapping[str, Player]) -> Sheet:
    body = _encoder.encode(record)
    return Sheet(persons | named_in(body.decode("utf-8", "ignore"), players), body)


class Recorded:
    """A Words engine that says what was written then, whole or up to where it broke off."""

    name = "recorded"

    def __init__(self, take: Take) -> None:
        self._take = take

    def status(self) -> EngineStatus:
        return EngineStatus(name=self.name, kind="recorded", state="ready")

    async def close(self) -> None:
        return None

    async def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]:
        """One delta; raises EngineDown where the engine had not finished."""
        yield WordsStart(engine=self._take.engine, model=self._take.model)
        if self._take.text:
            yield WordsDelta(text=self._take.text)
        if not self._take.ended:
            raise EngineDown("it had broken off here")
        yield WordsEnd(reason="stop", usage=Usage())
