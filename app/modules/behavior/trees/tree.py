"""An authored tree, compiled: what the behavior module holds of it.

It ties plan, memory and tickers together; formats are read by the importers.
"""

from __future__ import annotations

import hashlib
from functools import cached_property

import msgspec

from app.modules.behavior.schema import F32, U8, Schema
from app.modules.behavior.trees import spots, twin
from app.modules.behavior.trees.expressions import tick_seed
from app.modules.behavior.trees.limits import TreeLimits
from app.modules.behavior.trees.memory import U32, Memory, Moments, Outcome
from app.modules.behavior.trees.nodes import Authored
from app.modules.behavior.trees.plan import make_plan
from app.modules.behavior.trees.program import lay_out
from app.modules.behavior.trees.ticker import Ticker
from app.modules.behavior.trees.twin import Visit


class Slow:
    """The twin as a ticker: about 20 us a row."""

    name = "python"
    loop_rows_max = 16

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def tick(
        self, obs: F32, mask: U8, handles: U32, memory: Memory, seed: int, number: int, dt_s: float, out: Outcome,
        first: int, last: int,
    ) -> None:  # fmt: skip
        """See Tree.tick."""
        plan, schema = self._tree.plan, self._tree.schema
        twin.tick(plan, schema, obs, mask, handles, memory, seed, number, dt_s, out, first, last)


class Tree:
    """One file's tree for one schema."""

    def __init__(self, authored: Authored, schema: Schema, limits: TreeLimits) -> None:
        self.authored, self.schema = authored, schema
        self.plan = make_plan(authored, schema, limits)
        self.ticker: Ticker = Slow(self)

    @cached_property
    def digest(self) -> bytes:
        """32 bytes that differ where the trees or the schema's layout do."""
        parts = (msgspec.json.encode(self.authored, order="deterministic"), self.schema.fingerprint.encode())
        return hashlib.sha256(b"\0".join(parts)).digest()

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """The path of each node by its number, as Outcome.leaf counts."""
        return tuple(spot.path for spot in spots.walk(self.plan.root))

    def warm(self) -> None:
        """Load the kernel, or compile it, and lay the tree out; for a worker thread."""
        from app.modules.behavior.trees import kernels

        self.ticker = kernels.Fast(lay_out(self.plan, self.schema), self.schema)

    def memory(self, capacity: int) -> Memory:
        """Fresh memory for that many NPCs."""
        plan = self.plan
        return Memory(capacity, bits=plan.bits, floats=plan.floats, keys=plan.keys, digest=self.digest)

    def tick(
        self, obs: F32, mask: U8, handles: U32, memory: Memory, seed: int, number: int, dt_s: float, out: Outcome,
        first: int, last: int,
    ) -> None:  # fmt: skip
        """Tick rows `first` to `last` and write their part of `out` and of the memory, so that threads may share.

        `obs` (n, features) float32 and `mask` (n, intents) uint8, C-contiguous; `handles` (n,) uint32, each once; one
        beyond the memory's capacity is answered as a newcomer and not remembered. `seed` below 2**64 and the tick's
        `number` settle all chance; `dt_s` is the game time since the last tick of these NPCs.
        """
        self.ticker.tick(obs, mask, handles, memory, seed, number, dt_s, out, first, last)

    def explain(
        self, obs: F32, mask: U8, handle: int, before: Moments, seed: int, number: int, dt_s: float
    ) -> list[Visit]:
        """What one NPC's tick visited, in order, with each node's answer.

        `obs` (features,), `mask` (intents,) and `before` (one row) are what the tick had.
        """
        ticked = tick_seed(seed, number)
        row = twin.Row.of(self.plan, self.schema, obs, mask, before, 0, handle=handle, ticked=ticked, dt_s=dt_s)
        twin.tick_row(row)
        return row.visits
