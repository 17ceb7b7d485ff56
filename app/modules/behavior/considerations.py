"""The utility brain: options scored by response curves, for all NPCs at once.

It knows curves and products (Mark and Dill, "Improving AI Decision Modeling Through Utility Theory", 2010);
what the options are is authored in `utility/*.toml`. Pure numpy, no chance, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, NotFound, nearest
from app.modules.behavior import schema_files
from app.modules.behavior.schema import F32, Schema
from app.modules.behavior.schema import Curve as Curve


class Option(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reason for one intent; `roles` empty means every role."""

    name: str
    intent: str
    weight: float
    roles: tuple[str, ...] = ()
    when: tuple[Curve, ...] = ()


class Authored(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file as written."""

    schema: str
    held: float
    told: float
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """Options compiled to arrays: O options sorted by intent, C considerations sorted by option."""

    schema: Schema
    options: tuple[Option, ...]
    held: float
    told: float
    columns: NDArray[np.intp]
    """(C,) the feature column of each consideration."""
    start: F32
    """(C, 1) where its curve is 0, encoded."""
    slope: F32
    """(C, 1) one over the curve's width."""
    bent: NDArray[np.intp]
    """Considerations whose power is not 1."""
    power: F32
    """(bent, 1) their powers."""
    first: NDArray[np.intp]
    """(O,) each option's first consideration."""
    weights: F32
    """(O, 1) the option's weight."""
    allowed: F32
    """(roles, O) 1 where the role may take the option, else 0."""
    heads: NDArray[np.intp]
    """First option of each intent that has one."""
    intents: NDArray[np.intp]
    """The intents that have options, ascending."""

    def appeal(self, obs: F32) -> F32:
        """Score of every option: (n, features) -> (O, n) float32."""
        values = np.take(obs.T, self.columns, axis=0)  # (C, n)
        values -= self.start
        values *= self.slope
        np.clip(values, 0.0, 1.0, out=values)
        if len(self.bent):
            values[self.bent] **= self.power
        product = np.multiply.reduceat(values, self.first, axis=0)  # (O, n)
        product *= self._shares(obs)
        return product

    def _shares(self, obs: F32) -> F32:
        """What each option weighs for each row (O, n); roles are added in order, so that the bits are certain."""
        shares = np.zeros((len(self.options), len(obs)), np.float32)
        for allowed, column in zip(self.allowed, self.schema.role_columns, strict=True):
            shares += allowed[:, None] * obs[:, column]
        shares *= self.weights
        return shares

    def score(self, obs: F32) -> F32:
        """Score of every intent: (n, features) -> (n, intents) float32, best option of each."""
        appeal = self.appeal(obs)
        scores = np.zeros((len(obs), len(self.schema.intents)), np.float32)
        scores[:, self.intents] = np.maximum.reduceat(appeal, self.heads, axis=0).T
        scores += self.held * obs[:, self.schema.block("doing")]
        scores += self.told * obs[:, self.schema.block("told")]
        return scores

    def winner(self, row: F32, intent: int) -> int | None:
        """The best option of `intent` for one row (features,), or None when it has none that applies."""
        appeal = self.appeal(row[None])[:, 0]
        mine = [index for index, option in enumerate(self.options) if option.intent == self.schema.intents[intent].name]
        best = max(mine, key=lambda index: float(appeal[index]), default=None)
        return best if best is not None and appeal[best] > 0.0 else None

    def curves(self, row: F32, option: int) -> list[tuple[str, float]]:
        """(feature, curve height) of each consideration of one option, none where it has none."""
        if not self.options[option].when:
            return []
        last = self.first[option + 1] if option + 1 < len(self.first) else len(self.columns)
        found = []
        powers = dict(zip(self.bent.tolist(), self.power[:, 0].tolist(), strict=True))
        for at in range(int(self.first[option]), int(last)):
            value = float(row[self.columns[at]])
            height = min(1.0, max(0.0, (value - float(self.start[at, 0])) * float(self.slope[at, 0])))
            found.append((self.schema.feature_names[self.columns[at]], height ** powers.get(at, 1.0)))
        return found


def compile_rules(authored: Authored, schema: Schema) -> Rules:
    """Check the options against the schema and lay them out as arrays; raises Invalid."""
    for option in authored.options:
        _check(option, schema)
    options = tuple(sorted(authored.options, key=lambda option: schema.intent_index[option.intent]))
    # An option without considerations gets one that always holds, so that every product has a factor.
    curves: list[Curve | None] = []
    first: list[int] = []
    for option in options:
        first.append(len(curves))
        curves.extend(option.when or (None,))
    columns, start, end, power = (
        np.array(values) for values in zip(*(_encoded(curve, schema) for curve in curves), strict=True)
    )
    bent = np.flatnonzero(power != 1.0)
    allowed = np.zeros((len(schema.roles), len(options)), np.float32)
    for index, option in enumerate(options):
        for role in option.roles or schema.roles:
            allowed[schema.roles.index(role), index] = 1.0
    numbers = np.array([schema.intent_index[option.intent] for option in options])
    intents, heads = np.unique(numbers, return_index=True)
    return Rules(
        schema=schema,
        options=options,
        held=authored.held,
        told=authored.told,
        columns=columns.astype(np.intp),
        start=start[:, None].astype(np.float32),
        slope=(1.0 / (end - start))[:, None].astype(np.float32),
        bent=bent,
        power=power[bent, None].astype(np.float32),
        first=np.array(first, np.intp),
        weights=np.array([[option.weight] for option in options], np.float32).reshape(-1, 1),
        allowed=allowed,
        heads=heads.astype(np.intp),
        intents=intents.astype(np.intp),
    )


def _encoded(curve: Curve | None, schema: Schema) -> tuple[int, float, float, float]:
    """A curve's column, where it is 0 and 1 in matrix values, and its power; of none, a curve that always holds."""
    if curve is None:
        low = float(schema.low[0])
        return 0, low - 2.0, low - 1.0, 1.0
    column = schema.columns[curve.feature]
    encode = schema.features[column].encode
    return column, encode(curve.start), encode(curve.end), curve.power


def _check(option: Option, schema: Schema) -> None:
    where = f"option {option.name!r}"
    if option.intent not in schema.intent_index:
        raise Invalid(f"{where} names intent {option.intent!r}", hint=nearest(option.intent, schema.intent_index))
    for role in option.roles:
        if role not in schema.roles:
            raise Invalid(f"{where} names role {role!r}", hint=nearest(role, schema.roles))
    for curve in option.when:
        feature = schema.features[schema.column(curve.feature)]
        if feature.encode(curve.start) == feature.encode(curve.end):
            raise Invalid(f"{where} has a curve of {curve.feature!r} without width", hint="let from and to differ")


def load(name: str, schema: Schema, content: Path | None = None) -> Rules:
    """The rules of that name, a studio's own before the shipped ones, compiled; raises NotFound, Invalid."""
    shipped = resources.files("app.modules.behavior") / "utility"
    folders = [shipped] if content is None else [content / "utility", shipped]
    for path in (folder / f"{name}.toml" for folder in folders):
        if path.is_file():
            return _read(path.read_bytes(), f"utility/{name}.toml", schema)
    raise NotFound(f"no rules {name!r}", hint=f"write utility/{name}.toml")


def none(schema: Schema) -> Rules:
    """What stands for rules where there are none: nothing appeals."""
    nothing = Option(name="nothing", intent=schema.intent_names[0], weight=0.0)
    return compile_rules(Authored(schema=schema.name, held=0.0, told=0.0, options=(nothing,)), schema)


def _read(data: bytes, file: str, schema: Schema) -> Rules:
    authored = schema_files.decode(data, Authored, file, {*Authored.__struct_fields__, *Option.__struct_fields__})
    if authored.schema != schema.name:
        raise Invalid(f"{file} is for schema {authored.schema!r}", hint=f"write schema = {schema.name!r}")
    if not authored.options:
        raise Invalid(f"{file} has no option", hint="write one, or remove the file")
    try:
        return compile_rules(authored, schema)
    except Invalid as error:
        raise Invalid(f"{file}: {error.message}", hint=error.hint) from error
