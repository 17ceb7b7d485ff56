"""What is asked of an engine of words about a few situations, and what its answer may mean; and plans by rules.

Pure. Whatever a model writes is a proposal: `read` takes the shape apart, `admit` says whether an NPC may follow it.
It knows no engine, no world and no player.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.errors import EngineDown
from app.modules.behavior import logic
from app.modules.behavior.considerations import Rules
from app.modules.behavior.schema import F32, NONE, U8, Schema

WHY_CHARACTERS_MAX = 80
TARGETS = ("home", "work", "focus")
"""What an intent may be aimed at, beside nothing: the NPC's own places, and whom its squad attacks."""


@dataclass(frozen=True, slots=True)
class Case:
    """One situation to plan for, as the engine is told of it; `label` stands for whoever is in it."""

    label: str
    archetype: str
    traits: tuple[str, ...]
    words: str
    may: tuple[str, ...]
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What someone proposes for a situation."""

    intent: str
    target: str = ""
    why: str = ""


class _Planned(msgspec.Struct, frozen=True):
    npc: str
    intent: str
    target: str = ""
    why: str = ""


class _Answer(msgspec.Struct, frozen=True):
    plans: Annotated[tuple[_Planned, ...], msgspec.Meta(max_length=256)]


_answers = msgspec.json.Decoder(_Answer)


def variables(cases: Sequence[Case], schema: Schema) -> dict[str, str]:
    """What the prompt is rendered from: the intents, which are always the same, and the cases as lines of JSON."""
    lines = [
        msgspec.json.encode(
            {"npc": case.label, "is": case.archetype, "traits": case.traits, "now": case.words, "may": case.may,
             "targets": case.targets}
        ).decode()
        for case in cases
    ]  # fmt: skip
    known = "\n".join(f"{intent.name}: {intent.about}" for intent in schema.intents)
    return {"intents": known, "cases": "\n".join(lines)}


def shape(cases: Sequence[Case], schema: Schema) -> Mapping[str, Any]:
    """The JSON Schema of an answer, as strict as every provider takes it: all keys required, no others."""

    def one_of(words: Sequence[str]) -> dict[str, Any]:
        return {"type": "string", "enum": list(words)}

    fields = {
        "npc": one_of([case.label for case in cases]),
        "intent": one_of(schema.intent_names),
        "target": one_of(("", *TARGETS)),
        "why": {"type": "string"},
    }
    plan = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    return {
        "type": "object",
        "properties": {"plans": {"type": "array", "items": plan}},
        "required": ["plans"],
        "additionalProperties": False,
    }


def read(text: str, cases: Sequence[Case]) -> dict[str, Plan]:
    """Label -> plan, of an answer's text; what names nobody or another's intent is left out.

    Raises EngineDown where the text has not the shape that was asked for.
    """
    try:
        answer = _answers.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise EngineDown("the plans are not the JSON that was asked for", hint="try another model") from error
    asked = {case.label: case for case in cases}
    found: dict[str, Plan] = {}
    for plan in answer.plans:
        case = asked.get(plan.npc)
        if case is None or plan.intent not in case.may or plan.npc in found:
            continue
        why = " ".join("".join(sign if sign.isprintable() else " " for sign in plan.why).split())
        target = plan.target if plan.target in case.targets else ""
        found[plan.npc] = Plan(plan.intent, target, why[:WHY_CHARACTERS_MAX])
    return found


def foresee(
    schema: Schema, rules: Rules, obs: F32, mask: U8, *, days: float, hunger_per_day: float, energy_per_day: float
) -> NDArray[np.int16]:
    """The intent (n,) that the rules want for who they will be in `days`, -1 where the mask allows nothing.

    Needs go on as they do and the clock turns; who is near now, what is done and what is told count for nothing.
    """
    ahead = obs.copy()
    for prefix in ("doing", "told"):
        ahead[:, schema.block(prefix)] = 0.0
    ahead[:, schema.slot_columns] = 0.0
    for name, change in (("hunger", hunger_per_day), ("energy", -energy_per_day)):
        column = schema.columns.get(name)
        if column is not None:
            ahead[:, column] += np.float32(days * change / schema.features[column].high)
    if {"day_sin", "day_cos"} <= schema.columns.keys():
        _turn(schema, ahead, days)
    ahead = np.clip(ahead, schema.low, schema.high)
    chosen = logic.follow_rules(rules, ahead, mask).intents
    return np.where(chosen == NONE, np.int16(-1), chosen.astype(np.int16))


def _turn(schema: Schema, ahead: F32, days: float) -> None:
    """Let the clock go on, in place; night is the half of the dark around midnight."""
    sine, cosine = schema.columns["day_sin"], schema.columns["day_cos"]
    angle = np.arctan2(ahead[:, sine], ahead[:, cosine]) + np.float32(2.0 * np.pi * days)
    known = (ahead[:, sine] != 0.0) | (ahead[:, cosine] != 0.0)
    ahead[known, sine], ahead[known, cosine] = np.sin(angle[known]), np.cos(angle[known])
    if "is_night" in schema.columns:
        ahead[known, schema.columns["is_night"]] = ahead[known, cosine] > 0.5
