"""Vectors as packed values, one an entity, on a server that every replica reads: one MGET for a thousand NPCs.

It knows keys and the record's layout; which server answers is the `Values` port's affair.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.core.ports import Values
from app.stores.features.view import View

KEYS_MAX = 10_000
"""Entities in one read."""


class PackedFeatures:
    """Implements app.core.ports.Features over packed values."""

    def __init__(self, view: View, values: Values) -> None:
        self._view = view
        self._values = values
        blank = np.zeros((), view.record)
        blank["at_s"] = np.nan
        self._blank = blank.tobytes()

    @property
    def names(self) -> tuple[str, ...]:
        return self._view.names

    async def read(
        self, tenant: str, world: str, kind: str, ids: Sequence[str], *, now_s: float
    ) -> NDArray[np.float32]:
        require_ids(self._view, kind, ids)
        head = key_head(self._view, world, kind)
        found = await self._values.get_many(tenant, [head + id for id in ids])
        size = self._view.record.itemsize
        whole = b"".join(value if value is not None and len(value) == size else self._blank for value in found)
        records = np.frombuffer(whole, self._view.record)  # (ids,) of the view's record
        ours = records["fingerprint"] == self._view.fingerprint
        return self._view.finish(records["slots"], np.where(ours, records["at_s"], np.nan), now_s)


class RamValues:
    """Packed values in this process; the twin of a shared server. The oldest go when there are too many."""

    def __init__(self, *, entries_max: int) -> None:
        self._entries_max = entries_max
        self._values: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    async def get_many(self, tenant: str, keys: Sequence[str]) -> Sequence[bytes | None]:
        return [self._values.get((tenant, key)) for key in keys]

    async def set_many(self, tenant: str, values: Mapping[str, bytes]) -> None:
        for key, value in values.items():
            self._values[tenant, key] = value
            self._values.move_to_end((tenant, key))
        while len(self._values) > self._entries_max:
            self._values.popitem(last=False)


def key_head(view: View, world: str, kind: str) -> str:
    """What comes before an entity's id; the world's length keeps two worlds apart whatever their ids hold."""
    return f"features:{view.name}:{view.fingerprint:016x}:{len(world)}:{world}:{kind}:"


def require_ids(view: View, kind: str, ids: Sequence[str]) -> None:
    """Raise Invalid for a kind without vectors or too many ids."""
    if kind not in view.kinds:
        raise Invalid(f"{kind!r} has no vectors in {view.name!r}", hint=f"kinds: {', '.join(view.kinds)}")
    if len(ids) > KEYS_MAX:
        raise Invalid(f"{len(ids)} ids in one read", hint=f"read at most {KEYS_MAX} at once")
