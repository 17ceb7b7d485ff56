"""The numbers that go with a decision, such as how fast to move: authored blends of the schema, for all NPCs at once.

Pure numpy, computed only when a client asks. It knows intents and observations, not who decided.
"""

from __future__ import annotations

import numpy as np

from app.modules.behavior.schema import F32, U8, Curve, Schema


class Parameters:
    """The parameters of a schema; `names` are the columns of what `of` gives."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self.names = tuple(item.name for item in schema.parameters)

    def of(self, obs: F32, intents: U8) -> F32:
        """(n, parameters) float32 in each parameter's unit: `obs` (n, features), `intents` (n,), NONE gets defaults."""
        out = np.empty((len(obs), len(self.names)), np.float32)
        out[:] = [item.default for item in self._schema.parameters]
        for column, item in enumerate(self._schema.parameters):
            for blend in item.blends:
                rows = np.flatnonzero(intents == self._schema.intent_index[blend.intent])
                if not len(rows):
                    continue
                share = np.ones(len(rows), np.float32)
                for curve in blend.when:
                    share *= self._height(obs[rows, self._schema.columns[curve.feature]], curve)
                out[rows, column] = np.float32(blend.start) + np.float32(blend.end - blend.start) * share
        return out

    def _height(self, values: F32, curve: Curve) -> F32:
        """The curve over encoded values (n,), in [0, 1]."""
        feature = self._schema.features[self._schema.columns[curve.feature]]
        start, end = feature.encode(curve.start), feature.encode(curve.end)
        heights: F32 = np.clip((values - np.float32(start)) * np.float32(1.0 / (end - start)), 0.0, 1.0)
        return heights if curve.power == 1.0 else heights ** np.float32(curve.power)
