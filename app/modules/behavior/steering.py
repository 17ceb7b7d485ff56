"""The author's steering wheel: rules that make an intent dearer, or take it away, whichever brain decides.

It knows rules, rows and masks. A bonus is in utilities; for scores on another scale it is multiplied so that the
odds of the intent change alike. Pure numpy; `nudge_kernels.py` does the same at speed, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, nearest
from app.modules.behavior.content import read_folder
from app.modules.behavior.curves import HALF, Curves, lay_out
from app.modules.behavior.logic import UTILITY_SHARPNESS
from app.modules.behavior.rule import SteeringRule
from app.modules.behavior.schema import F32, U8, Schema

RULE_BYTES_MAX = 16_384
_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(SteeringRule)


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A steering file as written."""

    schema: str
    steering: tuple[SteeringRule, ...]


@dataclass(frozen=True, slots=True)
class Effect:
    """What one rule does to one NPC: the bonus that it adds, or that it vetoes."""

    name: str
    intent: str
    bonus: float
    veto: bool


@dataclass(frozen=True, slots=True)
class Steering:
    """R rules over one schema, laid out."""

    schema: Schema
    rules: tuple[SteeringRule, ...]
    curves: Curves
    heads: NDArray[np.intp]
    """(R, 4): the intent, its first curve, the end of its curves, 1 for a veto"""
    bonuses: F32
    """(R,)"""
    roles: F32
    """(R, roles): 1 where the rule is for that role; a rule for everyone has none"""
    unfit: tuple[str, ...] = field(default=())
    """Names of rules that do not fit the schema and are left out."""

    def lay(self, obs: F32, mask: U8, bonus: F32, laid: U8, first: int, last: int) -> None:
        """Add to `bonus` (n, intents) and write the mask without vetoed intents into `laid` for some rows."""
        rows = slice(first, last)
        vetoed = np.zeros((last - first, mask.shape[1]), np.uint8)
        for (intent, _, _, veto), amount, product in zip(
            self.heads, self.bonuses, self._products(obs[rows]), strict=True
        ):
            if veto:
                vetoed[:, intent] |= product > HALF
            else:
                bonus[rows, intent] += product * amount
        left = np.where(vetoed != 0, np.uint8(0), mask[rows])
        laid[rows] = np.where(left.max(axis=1, keepdims=True) != 0, left, mask[rows])

    def effects(self, row: F32) -> tuple[Effect, ...]:
        """What each rule does to one row (features,); rules without effect are left out."""
        found = []
        for rule, product in zip(self.rules, self._products(row[None])[:, 0].tolist(), strict=True):
            if rule.veto and product > HALF:
                found.append(Effect(rule.name, rule.intent, 0.0, True))
            elif not rule.veto and product * rule.bonus != 0.0:
                found.append(Effect(rule.name, rule.intent, product * rule.bonus, False))
        return tuple(found)

    def _products(self, obs: F32) -> F32:
        """(R, n) how far each rule holds; factors are multiplied in their order, so that the bits are certain."""
        heights = self.curves.heights(obs)
        found = np.ones((len(self.rules), len(obs)), np.float32)
        for index, (_, first, last, _) in enumerate(self.heads.tolist()):
            for at in range(first, last):
                found[index] *= heights[at]
            if self.rules[index].roles:
                share = np.zeros(len(obs), np.float32)
                for weight, column in zip(self.roles[index], self.schema.role_columns, strict=True):
                    share += weight * obs[:, column]
                found[index] *= share
        return found


def steered(scores: F32, bonus: F32 | None, *, sharpness: float) -> F32:
    """Scores (n, intents) with the bonus in them; `sharpness` is what a softmax multiplies these scores with."""
    return scores if bonus is None else scores + bonus * np.float32(UTILITY_SHARPNESS / sharpness)


def check(rule: SteeringRule, schema: Schema) -> None:
    """Raise Invalid when a rule does not fit the schema, or does nothing."""
    where = f"steering rule {rule.name!r}"
    if rule.intent not in schema.intent_index:
        raise Invalid(f"{where} names intent {rule.intent!r}", hint=nearest(rule.intent, schema.intent_index))
    for role in rule.roles:
        if role not in schema.roles:
            raise Invalid(f"{where} names role {role!r}", hint=nearest(role, schema.roles))
    if rule.veto == (rule.bonus != 0.0):
        raise Invalid(f"{where} has bonus {rule.bonus!r} and veto {rule.veto!r}", hint="give it one of them")
    lay_out(rule.when, schema, where)
    if len(pack(rule)) > RULE_BYTES_MAX:
        raise Invalid(f"{where} is {len(pack(rule))} bytes long, at most {RULE_BYTES_MAX}", hint="use fewer curves")


def fits(rule: SteeringRule, schema: Schema) -> bool:
    """Whether `check` finds nothing wrong."""
    try:
        check(rule, schema)
    except Invalid:
        return False
    return True


def pack(rule: SteeringRule) -> bytes:
    """The rule as it stands in the world's log."""
    return _encoder.encode(rule)


def unpack(body: bytes) -> SteeringRule | None:
    """A rule from the log; None where another version wrote what this one cannot read."""
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError:
        return None


def compile_steering(rules: Sequence[SteeringRule], schema: Schema) -> Steering:
    """Lay rules out as arrays. Of two with one name the later counts; one that does not fit is left out, by name."""
    named = {rule.name: rule for rule in rules}
    fit, unfit = [], []
    for rule in named.values():
        try:
            check(rule, schema)
        except Invalid:
            unfit.append(rule.name)
        else:
            fit.append(rule)
    heads, at = [], 0
    for rule in fit:
        heads.append((schema.intent_index[rule.intent], at, at + len(rule.when), int(rule.veto)))
        at += len(rule.when)
    roles = np.array([[role in rule.roles for role in schema.roles] for rule in fit], np.float32)
    return Steering(
        schema=schema,
        rules=tuple(fit),
        curves=lay_out([curve for rule in fit for curve in rule.when], schema, "steering"),
        heads=np.array(heads, np.intp).reshape(-1, 4),
        bonuses=np.array([rule.bonus for rule in fit], np.float32),
        roles=roles.reshape(len(fit), len(schema.roles)),
        unfit=tuple(unfit),
    )


def load(names: Sequence[str], schema: Schema, content_folder: str) -> tuple[SteeringRule, ...]:
    """The rules of these files for `schema`, in order; raises Invalid naming the file."""
    files = read_folder("steering", content_folder, File)
    found: list[SteeringRule] = []
    for name in names:
        if name not in files:
            raise Invalid(f"there is no steering file {name!r}", hint=nearest(name, files))
        if files[name].schema == schema.name:
            for rule in files[name].steering:
                _check_in(name, rule, schema)
            found += files[name].steering
    return tuple(found)


def _check_in(file: str, rule: SteeringRule, schema: Schema) -> None:
    try:
        check(rule, schema)
    except Invalid as error:
        raise Invalid(f"steering/{file}.toml: {error.message}", hint=error.hint) from error
