"""Why an NPC decided as it did: rule, parts of the score, what mattered, who was next, what would have tipped it.

It asks the same brains again about the same row with one thing changed; it knows decisions, not worlds or the wire.
Ablation as in Zeiler and Fergus 2014, over features; the tipping point is a counterfactual of one feature
(Wachter, Mittelstadt and Russell 2017), found on a grid.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Deadline
from app.core.errors import Unavailable
from app.modules.behavior import logic
from app.modules.behavior.messages import Reason, Tipping
from app.modules.behavior.minds import Mind
from app.modules.behavior.recent import Decision
from app.modules.behavior.schema import F32, NONE, Schema
from app.modules.behavior.steering import steered

REFINED = 8
"""Features whose tipping point is searched again, more finely."""
CLOSED = np.float32(-1e9)


@dataclass(frozen=True, slots=True)
class Findings:
    """What there is to say of a decision; see messages.Explained."""

    rule: str = ""
    steps: tuple[str, ...] = ()
    parts: tuple[Reason, ...] = ()
    reasons: tuple[Reason, ...] = ()
    target_reasons: tuple[Reason, ...] = ()
    runner_up: str = ""
    lead: float = 0.0
    tipping: Tipping | None = None


def glance(mind: Mind, decision: Decision) -> Findings:
    """What the kept row says by itself, without asking a brain again: quick enough for the loop."""
    if decision.intent == NONE:
        return Findings()
    if decision.led is not None:
        steps = decision.led.steps(decision.obs, decision.mask, decision.handle)
        return Findings(rule=f"{decision.led.name}, {decision.led.path}", steps=steps)
    found = _placed(mind.schema, decision)
    if decision.rung == "utility":
        return _by_option(mind, decision, found)
    if decision.rung == "policy":
        score, taste = float(decision.scores[decision.intent]), float(decision.taste[decision.intent])
        return replace(found, parts=(_reason("logit", score, score), *_taste(taste)))  # steering is in the logit
    line = mind.brains.reflexes.line(decision.obs, decision.mask) if decision.rung == "reflex" else None
    if line is None:
        return found
    natural = mind.schema.decode(decision.obs)
    held = tuple(_reason(test.feature, natural[test.feature], 1.0) for test in line.when)
    return replace(found, rule=str(line), reasons=held)


async def explain(mind: Mind, decision: Decision, deadline: Deadline, *, rows_max: int) -> Findings:
    """Everything: asks the brain that decided again, some thousand rows; less while that brain is down."""
    found = glance(mind, decision)
    if decision.intent == NONE or decision.led is not None:
        return found
    try:
        ablated = await _ablate(mind, decision, deadline)
        tipping = await _tip(mind, decision, deadline, rows_max)
    except Unavailable:
        return found
    reasons = ablated.intents if decision.rung == "policy" else found.reasons
    return replace(found, reasons=reasons, target_reasons=ablated.targets, tipping=tipping)


def _placed(schema: Schema, decision: Decision) -> Findings:
    """The intent that came next, and by how much it was behind."""
    tasted = _tasted(decision, decision.scores[None])[0]
    others = np.where(np.arange(len(tasted)) == decision.intent, CLOSED, tasted)
    best = int(others.argmax())
    if others[best] <= CLOSED:
        return Findings()
    lead = round(float(tasted[decision.intent] - others[best]), 4)
    return Findings(runner_up=schema.intent_names[best], lead=lead)


def _by_option(mind: Mind, decision: Decision, found: Findings) -> Findings:
    """The option that won with its curves, and the bonuses."""
    rules, row, intent = mind.brains.rules, decision.obs, decision.intent
    natural = mind.schema.decode(row)
    doing, told = (float(row[mind.schema.block(prefix).start + intent]) for prefix in ("doing", "told"))
    steering = float(decision.bonus[intent]) if decision.bonus is not None else 0.0
    bonuses = [
        *([_reason("steering", steering, steering)] if steering else ()),
        *([_reason("held", doing, rules.held * doing)] if doing else ()),
        *([_reason("told", told, rules.told * told)] if told else ()),
        *_taste(float(decision.taste[intent])),
    ]
    option = rules.winner(row, intent)
    if option is None:
        return replace(found, parts=tuple(bonuses))
    authored = rules.options[option]
    height = float(rules.appeal(row[None])[option, 0])
    curves = tuple(_reason(name, natural[name], value) for name, value in rules.curves(row, option))
    parts = (_reason(authored.name, authored.weight, height), *bonuses)
    return replace(found, rule=authored.name, parts=parts, reasons=curves)


def _taste(taste: float) -> tuple[Reason, ...]:
    return (_reason("taste", taste, taste),) if taste else ()


def _reason(name: str, value: float, effect: float) -> Reason:
    return Reason(name=name, value=round(value, 4), effect=round(effect, 4))


def _tasted(decision: Decision, scores: F32) -> F32:
    """Scores as they competed (rows, intents): with taste where there is one, out of reach where not allowed."""
    taste = decision.taste if decision.rung != "reflex" else np.float32(0.0)
    found: F32 = np.where(decision.mask != 0, scores + taste, CLOSED)
    return found


def _steered(decision: Decision, scores: F32, *, sharpness: float) -> F32:
    """Fresh scores (rows, intents) with what steering adds."""
    return scores if decision.bonus is None else steered(scores, decision.bonus[None], sharpness=sharpness)


async def _judge(mind: Mind, decision: Decision, rows: F32, deadline: Deadline) -> tuple[F32, F32]:
    """What the rung that decided says of other rows: (rows, intents) with taste and mask, (rows, slots)."""
    if decision.rung == "policy":
        known = decision.remembered
        remembered = None if known is None else np.repeat(known[None], len(rows), axis=0)
        logits = await mind.brains.logits(rows, deadline, remembered)
        split = len(mind.schema.intents)
        return _tasted(decision, _steered(decision, logits[:, :split], sharpness=1.0)), logits[:, split:]

    def work() -> tuple[F32, F32]:
        mask = np.broadcast_to(decision.mask, (len(rows), len(decision.mask)))
        if decision.rung == "reflex":
            scores = mind.brains.reflexes.score(rows, mask)
        else:
            scores = _steered(decision, mind.brains.rules.score(rows), sharpness=logic.UTILITY_SHARPNESS)
        return _tasted(decision, scores), logic.nearest_slots(mind.schema, rows)

    return await asyncio.to_thread(work)


@dataclass(frozen=True, slots=True)
class _Ablated:
    intents: tuple[Reason, ...]
    targets: tuple[Reason, ...]


async def _ablate(mind: Mind, decision: Decision, deadline: Deadline) -> _Ablated:
    """How much the lead of the intent, and of the target, falls when a feature is set to 0; the strongest first."""
    held = np.flatnonzero(decision.obs)
    rows = np.repeat(decision.obs[None], len(held) + 1, axis=0)
    rows[np.arange(len(held)) + 1, held] = 0.0
    scores, aim = await _judge(mind, decision, rows, deadline)
    others = scores.copy()
    others[:, decision.intent] = CLOSED
    leads = scores[:, decision.intent] - others.max(axis=1)
    if decision.target == NONE:
        return _Ablated(_ranked(mind.schema, decision, held, leads), ())
    aims = _aim_leads(mind.schema, decision, aim)
    kept = ~np.isin(held, mind.schema.slot_columns)  # Without its presence a slot is empty: no matter of taste.
    return _Ablated(
        _ranked(mind.schema, decision, held, leads),
        _ranked(mind.schema, decision, held[kept], aims[np.append(True, kept)]),
    )


def _aim_leads(schema: Schema, decision: Decision, aim: F32) -> F32:
    """How far the target leads the best other slot that the intent could have aimed at; its own score if none."""
    rivals = (schema.aims[decision.intent] != 0) & (decision.obs[schema.slot_columns] > 0.0)
    rivals[decision.target] = False
    best = aim[:, rivals].max(axis=1) if rivals.any() else np.zeros(len(aim), np.float32)
    found: F32 = aim[:, decision.target] - best
    return found


def _ranked(schema: Schema, decision: Decision, held: NDArray[np.intp], leads: F32) -> tuple[Reason, ...]:
    """`leads` of the row as it was, then of the row without each of the features `held`; no effect, no reason."""
    effects = leads[0] - leads[1:]
    natural = schema.decode(decision.obs)
    names = [schema.feature_names[column] for column in held]
    order = [at for at in np.argsort(-np.abs(effects), kind="stable").tolist() if effects[at] != 0.0]
    return tuple(_reason(names[at], natural[names[at]], float(effects[at])) for at in order)


async def _tip(mind: Mind, decision: Decision, deadline: Deadline, rows_max: int) -> Tipping | None:
    """The smallest change of one feature that changes the intent: a grid over each range, then a finer one."""
    schema = mind.schema
    columns = np.setdiff1d(np.arange(len(schema.features)), schema.role_columns)
    steps = max(2, rows_max // len(columns))
    grid = np.linspace(schema.low[columns], schema.high[columns], steps, axis=1, dtype=np.float32)
    found = await _flips(mind, decision, columns, grid, deadline)
    found = sorted(found, key=lambda flip: flip.share)[:REFINED]
    if not found:
        return None
    finer = np.stack([np.linspace(flip.before, flip.value, max(2, rows_max // len(found))) for flip in found])
    columns = np.array([flip.column for flip in found], np.intp)
    again = await _flips(mind, decision, columns, finer.astype(np.float32), deadline)
    best = min([*again, *found], key=lambda flip: flip.share)
    item = schema.features[best.column]
    return Tipping(
        feature=item.name, value=round(item.decode(float(decision.obs[best.column])), 4),
        needed=item.decode(float(best.value)), share=round(best.share, 6), intent=schema.intent_names[best.intent],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Flip:
    column: int
    before: float
    """The value next to `value`, on the side of the present one, that changes nothing."""
    value: float
    share: float
    intent: int


async def _flips(
    mind: Mind, decision: Decision, columns: NDArray[np.intp], grid: F32, deadline: Deadline
) -> list[_Flip]:
    """For each feature the value of its `grid` (columns, steps) nearest to the present one that changes the intent."""
    steps = grid.shape[1]
    rows = np.repeat(decision.obs[None], grid.size, axis=0)
    rows[np.arange(grid.size), np.repeat(columns, steps)] = grid.ravel()
    scores, _ = await _judge(mind, decision, rows, deadline)
    intents = scores.argmax(axis=1).reshape(grid.shape)
    found = []
    for at, column in enumerate(columns.tolist()):
        now, values = decision.obs[column], grid[at]
        away = np.abs(values - now)
        changed = np.flatnonzero(intents[at] != decision.intent)
        if not len(changed):
            continue
        nearest = int(changed[away[changed].argmin()])
        value = values[nearest]
        between = values[(away < away[nearest]) & ((values - now) * (value - now) > 0.0)]
        before = between[np.abs(between - value).argmin()] if len(between) else now
        span = float(mind.schema.high[column] - mind.schema.low[column])
        share = float(away[nearest]) / span
        found.append(_Flip(column, float(before), float(value), share, int(intents[at, nearest])))
    return found
