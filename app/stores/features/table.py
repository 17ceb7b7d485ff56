"""The table of one world's feature vectors in RAM: a projection of its event log.

Folding the same events gives the same bytes, and an event that was folded already changes nothing. It
knows events and the view; it does not know where events come from or where rows go.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.errors import Conflict, Invalid
from app.core.messages import Change, Event
from app.stores.features.view import View
from app.world.entities import Npc, Player
from app.world.events import EntityRemoved, EntityUpserted, Happened, QuestRecorded, RelationChanged

FIRST_ROWS = 64


class Deed(NamedTuple):
    """An event as features see it: `by` did something of these `keys` to `to`."""

    keys: tuple[str, ...]
    by: str
    to: str
    amount: float


class Touched(NamedTuple):
    """A row that an event changed."""

    kind: str
    row: int
    id: str


class Rows:
    """The entities of one kind. A row is given at the first upsert and never again, as the world gives NPC handles.

    Arrays grow in steps: `slots` (rows, slots) float32; `at_s` (rows,) float64, the world's clock when the
    entity was last seen, NaN while it is gone; `seq` (rows,) int64, the event that changed it last.
    """

    def __init__(self, width: int) -> None:
        self.ids: dict[str, int] = {}
        self.present: set[str] = set()
        self.slots: NDArray[np.float32] = np.zeros((FIRST_ROWS, width), np.float32)
        self.at_s: NDArray[np.float64] = np.full(FIRST_ROWS, np.nan)
        self.seq: NDArray[np.int64] = np.zeros(FIRST_ROWS, np.int64)

    def add(self, id: str) -> int:
        """The row of `id`, new or not."""
        self.present.add(id)
        row = self.ids.setdefault(id, len(self.ids))
        if row == len(self.slots):
            self.slots = np.concatenate([self.slots, np.zeros_like(self.slots)])
            self.at_s = np.concatenate([self.at_s, np.full(len(self.at_s), np.nan)])
            self.seq = np.concatenate([self.seq, np.zeros_like(self.seq)])
        return row

    def forget(self, id: str) -> int:
        """Empty the row of an entity that is gone."""
        self.present.discard(id)
        row = self.ids[id]
        self.slots[row] = 0.0
        self.at_s[row] = np.nan
        return row

    def refill(self, kept: _Rows) -> None:
        """Take over dumped rows."""
        for id in kept.ids:
            self.add(id)
        count = len(kept.ids)
        self.present = set(kept.present)
        self.slots[:count] = np.frombuffer(kept.slots, "<f4").reshape(count, self.slots.shape[1])  # (rows, slots)
        self.at_s[:count] = np.frombuffer(kept.at_s, "<f8")
        self.seq[:count] = np.frombuffer(kept.seq, "<i8")


class Table:
    """Every vector of one world."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.seq = 0
        """The newest event that is folded in."""
        self.clock_s = 0.0
        """The world's clock after it: the largest game_s so far, so it never falls while seq rises."""
        self.kinds: dict[str, Rows] = {kind: Rows(len(view.slot_names)) for kind in view.kinds}

    def fold(self, event: Event) -> list[Touched]:
        """Take one event in and tell what it changed; one that is folded already changes nothing.

        Raises Conflict when events between are missing.
        """
        if event.seq <= self.seq:
            return []
        if event.seq != self.seq + 1:
            raise Conflict(f"event {event.seq} came after {self.seq}", hint="fold the events between from the log")
        self.seq = event.seq
        self.clock_s = max(self.clock_s, event.game_s)
        match event.change:
            case EntityUpserted(entity=Npc() | Player() as entity):
                return self._arrived(entity)
            case EntityRemoved(entity_kind=kind, id=id):
                return self._left(kind, id)
        deed = deed_of(event.change)
        return self._done(deed) if deed is not None else []

    def rows(self, kind: str, ids: Iterable[str]) -> NDArray[np.int64]:
        """The row of each id, -1 for one that is not there."""
        known = self.kinds[kind].ids
        return np.fromiter((known.get(id, -1) for id in ids), np.int64)

    def gather(self, kind: str, rows: NDArray[np.integer], now_s: float) -> NDArray[np.float32]:
        """Features (n, features) float32 of `rows` (n,) at `now_s`; NaN where a row is none or its entity is gone.

        A row of NPCs is the world's handle, as in binary frames.
        """
        held = self.kinds[kind]
        inside = (rows >= 0) & (rows < len(held.ids))
        safe = np.where(inside, rows, 0)
        return self.view.finish(held.slots[safe], np.where(inside, held.at_s[safe], np.nan), now_s)

    def pack(self, touched: Touched) -> bytes:
        """The entity's packed value, in the view's `record` layout."""
        held, row = self.kinds[touched.kind], touched.row
        record = np.zeros((), self.view.record)
        record["fingerprint"], record["seq"] = self.view.fingerprint, held.seq[row]
        record["at_s"], record["slots"] = held.at_s[row], held.slots[row]
        return record.tobytes()

    def dump(self) -> bytes:
        """The whole table; the same events always give the same bytes."""
        kinds = {
            kind: _Rows(
                ids=tuple(held.ids),
                present=tuple(id for id in held.ids if id in held.present),
                slots=held.slots[: len(held.ids)].tobytes(),
                at_s=held.at_s[: len(held.ids)].tobytes(),
                seq=held.seq[: len(held.ids)].tobytes(),
            )
            for kind, held in self.kinds.items()
        }
        return _encoder.encode(
            _Dump(fingerprint=self.view.fingerprint, seq=self.seq, clock_s=self.clock_s, kinds=kinds)
        )

    @classmethod
    def load(cls, view: View, dumped: bytes) -> Table:
        """The table that was dumped; raises Invalid when it is of another view or damaged."""
        try:
            dump = _decoder.decode(dumped)
        except msgspec.MsgspecError as error:
            raise Invalid(
                f"a dump of features cannot be read: {error}", hint="delete it; the log has it all"
            ) from error
        if dump.fingerprint != view.fingerprint:
            raise Invalid(f"a dump is not of this version of {view.name!r}", hint="delete it; the log has it all")
        table = cls(view)
        table.seq, table.clock_s = dump.seq, dump.clock_s
        for kind, kept in dump.kinds.items():
            table.kinds[kind].refill(kept)
        return table

    def _arrived(self, entity: Npc | Player) -> list[Touched]:
        kind = "npc" if isinstance(entity, Npc) else "player"
        if kind not in self.kinds:
            return []
        row = self.kinds[kind].add(entity.id)
        self._see(kind, row)
        return [Touched(kind, row, entity.id)]

    def _left(self, kind: str, id: str) -> list[Touched]:
        if kind not in self.kinds or id not in self.kinds[kind].present:
            return []
        row = self.kinds[kind].forget(id)
        self.kinds[kind].seq[row] = self.seq
        return [Touched(kind, row, id)]

    def _done(self, deed: Deed) -> list[Touched]:
        touched: list[Touched] = []
        for role, id in (("by", deed.by), ("to", deed.to)):
            kind = self._kind_of(id)
            if not kind or (role == "to" and id == deed.by and touched):
                continue
            row = self.kinds[kind].ids[id]
            self._see(kind, row)
            touched.append(Touched(kind, row, id))
        for found in touched:
            self._add(found, deed)
        return touched

    def _kind_of(self, id: str) -> str:
        return next((kind for kind, held in self.kinds.items() if id in held.present), "")

    def _see(self, kind: str, row: int) -> None:
        """Set the row's time to the world's clock and empty the panes that the clock has passed since."""
        held, panes = self.kinds[kind], self.view.panes
        before_s = float(held.at_s[row])
        held.at_s[row], held.seq[row] = self.clock_s, self.seq
        if math.isnan(before_s):
            return
        for window in self.view.windows:
            old, new = math.floor(before_s / window.pane_s), math.floor(self.clock_s / window.pane_s)
            if old == new:
                continue
            passed = [pane % panes for pane in range(max(old, new - panes) + 1, new + 1)]
            stop = window.first + len(window.columns) * panes
            held.slots[row, window.first : stop].reshape(-1, panes)[:, passed] = 0.0

    def _add(self, touched: Touched, deed: Deed) -> None:
        slots = self.kinds[touched.kind].slots[touched.row]
        for key in deed.keys:
            for route in self.view.routes.get(key, ()):
                if touched.id != (deed.by if route.role == "by" else deed.to):
                    continue
                slot = route.slot
                if route.window >= 0:
                    slot += math.floor(self.clock_s / self.view.windows[route.window].pane_s) % self.view.panes
                slots[slot] += np.float32(1.0 if route.counts else deed.amount)


def deed_of(change: Change) -> Deed | None:
    """What features see of a change, or None."""
    match change:
        case Happened():
            return Deed(("happened", change.verb), change.actor, change.target, change.quantity)
        case RelationChanged():
            return Deed(("relation",), change.npc, change.other, change.delta)
        case QuestRecorded():
            parties = _parties.decode(change.body)
            return Deed((f"quest.{change.state}",), parties.player, parties.giver, 1.0)
    return None


class _Parties(msgspec.Struct):
    """The two fields of a recorded quest that features need; the quests module owns the rest."""

    player: str = ""
    giver: str = ""


class _Rows(msgspec.Struct):
    ids: Sequence[str]
    present: Sequence[str]
    slots: bytes
    at_s: bytes
    seq: bytes


class _Dump(msgspec.Struct):
    fingerprint: int
    seq: int
    clock_s: float
    kinds: dict[str, _Rows]


_parties: msgspec.msgpack.Decoder[_Parties] = msgspec.msgpack.Decoder(_Parties)
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[_Dump] = msgspec.msgpack.Decoder(_Dump)
