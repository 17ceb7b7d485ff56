"""What a recurrent policy remembers of each NPC: one row of numbers by handle, on the server, bounded.

A tick gathers rows and scatters them back. It moves with an NPC, is saved and restored, and forgets; it knows no
network.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.modules.behavior.schema import F32

Handles = NDArray[np.uint32]


class _Saved(msgspec.Struct, frozen=True, kw_only=True):
    """A world's memory as bytes: `npcs` by row, and the rows (npcs, width) float32."""

    width: int
    npcs: tuple[str, ...]
    rows: bytes


class Memory:
    """One world's: row h belongs to the NPC of handle h. An NPC without a row remembers zeros."""

    def __init__(self, *, npcs_max: int) -> None:
        self.known = self._npcs_max = npcs_max
        """Handles below this name an NPC."""
        self._rows = np.zeros((0, 0), np.float32)

    def recall(self, handles: Handles, width: int) -> F32:
        """(n, width): what is remembered of each; zeros of who is new, unknown, or remembered by another network."""
        if self._rows.shape[1] != width:
            self._rows = np.zeros((0, width), np.float32)
        known = handles < len(self._rows)
        if known.all() and len(self._rows):
            return self._rows[handles]
        found = np.zeros((len(handles), width), np.float32)
        found[known] = self._rows[handles[known]]
        return found

    def keep(self, handles: Handles, rows: F32) -> None:
        """Remember `rows` (n, width): of an NPC that stands there twice the last, of strangers none."""
        within = handles < min(self.known, self._npcs_max)
        if not within.all():
            handles, rows = handles[within], rows[within]
        if not len(handles):
            return
        if self._rows.shape[1] != rows.shape[1]:
            self._rows = np.zeros((0, rows.shape[1]), np.float32)
        if (top := int(handles.max())) >= len(self._rows):
            grown = np.zeros((min(self._npcs_max, max(top + 1, 2 * len(self._rows))), rows.shape[1]), np.float32)
            grown[: len(self._rows)] = self._rows
            self._rows = grown
        self._rows[handles] = rows

    def forget(self, handle: int) -> None:
        """Begin anew with one NPC."""
        if handle < len(self._rows):
            self._rows[handle] = 0.0

    def snapshot(self, handles: Mapping[str, int]) -> bytes:
        """Everything remembered, by NPC id: `handles` says which row is whose."""
        held = [(npc, handle) for npc, handle in handles.items() if handle < len(self._rows)]
        held = [(npc, handle) for npc, handle in held if self._rows[handle].any()]
        rows = self._rows[[handle for _, handle in held]]
        saved = _Saved(width=self._rows.shape[1], npcs=tuple(npc for npc, _ in held), rows=rows.tobytes())
        return msgspec.msgpack.encode(saved)

    def restore(self, data: bytes, handles: Mapping[str, int]) -> None:
        """Take in a snapshot; raises Invalid and changes nothing when it is none.

        NPCs that `handles` does not know are left out. A snapshot of one NPC moves it to another world's memory.
        """
        try:
            saved = msgspec.msgpack.decode(data, type=_Saved)
            rows = np.frombuffer(saved.rows, "<f4").reshape(len(saved.npcs), saved.width)
        except (msgspec.DecodeError, ValueError) as error:
            raise Invalid(f"a memory of {len(data)!r} bytes: {error}", hint="leave it out: NPCs begin anew") from error
        here = [at for at, npc in enumerate(saved.npcs) if npc in handles]
        self.keep(np.array([handles[saved.npcs[at]] for at in here], np.uint32), rows[here].astype(np.float32))


class Memories:
    """The memories of the last `worlds_max` worlds that were asked for."""

    def __init__(self, *, worlds_max: int, npcs_max: int) -> None:
        self._worlds_max, self._npcs_max = worlds_max, npcs_max
        self._held: OrderedDict[tuple[str, str], Memory] = OrderedDict()

    def of(self, tenant: str, world: str, known: int) -> Memory:
        """The memory of a world of `known` handles, made where it is new."""
        memory = self._held.get((tenant, world))
        if memory is None:
            memory = self._held[(tenant, world)] = Memory(npcs_max=self._npcs_max)
        memory.known = known
        self._held.move_to_end((tenant, world))
        while len(self._held) > self._worlds_max:
            self._held.popitem(last=False)
        return memory

    def clear(self, tenant: str, world: str) -> None:
        """Begin anew with a whole world."""
        self._held.pop((tenant, world), None)

    def forget(self, tenant: str, world: str, handle: int) -> None:
        """Begin anew with one NPC."""
        if (memory := self._held.get((tenant, world))) is not None:
            memory.forget(handle)
