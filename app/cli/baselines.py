"""The brains that a policy is measured against, by name, in the learner's terms.

It joins the behavior module with the learner, which know nothing of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from app.modules.behavior import considerations, schema_files
from app.modules.behavior.logic import UTILITY_SHARPNESS, Choice, Taste
from app.modules.behavior.programs import Programs
from app.modules.behavior.reflexes import Reflexes
from app.modules.behavior.schema import F32, NONE, U8, Schema
from app.modules.behavior.trees.limits import TreeLimits
from app.modules.behavior.trees.memory import Memory, Outcome

Decide = Callable[[F32, U8], tuple[NDArray[np.int8], NDArray[np.int8]]]
SCHEMA = "open_world"
STEP_S = 0.5
"""Between two decisions in the village."""


def utility(rules: considerations.Rules) -> Decide:
    """The utility brain, compiled: what `logic.rule_brain` decides, ten times as fast."""
    from app.modules.behavior.kernels import Fast

    fast, seen = Fast(rules.schema, rules), rules.schema
    table, anyone = np.zeros((1, len(seen.intents)), np.float32), np.empty(0, np.intp)

    def decide(obs: F32, mask: U8) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        rows = len(obs)
        scores = np.empty((rows, len(seen.intents)), np.float32)
        choice = Choice.over(scores, np.empty((rows, seen.slots), np.float32))
        taste = Taste(table, 0, np.zeros(rows, np.uint32))
        fast.weigh(obs, choice, 0, rows)
        fast.choose(obs, mask, taste, anyone, UTILITY_SHARPNESS, choice, np.empty(rows, np.uint8), 0, rows)
        return choice.intents.view(np.int8), choice.targets.view(np.int8)

    return decide


def reflex(seen: Schema) -> Decide:
    """What an NPC does when nothing else answers."""
    reflexes = Reflexes(seen)

    def decide(obs: F32, mask: U8) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        choice = reflexes.follow(obs, mask)
        return choice.intents.view(np.int8), choice.targets.view(np.int8)

    return decide


def rules() -> tuple[Schema, Decide]:
    """The shipped schema and its utility brain, the one to beat."""
    seen = schema_files.load(SCHEMA)
    return seen, utility(considerations.load(SCHEMA, seen))


def others(seen: Schema) -> Mapping[str, Callable[[], Decide]]:
    """Further brains to stand beside; each is called for a fresh one, since a brain may remember."""
    return {"reflex": lambda: reflex(seen), "authored": lambda: authored(seen)}


LEADS = {"guard": "tree:guard", "merchant": "tree:shopkeeper", "villager": "goals:villager"}
"""The authored brains that ship, by role; whoever they are unsure of follows the rules."""


def authored(seen: Schema) -> Decide:
    """Trees and goals, with memory by row: rows must be the same NPCs every time, half a second apart."""
    programs = Programs(seen, "", TreeLimits())
    led = [(seen.roles.index(role), programs.compile(name)) for role, name in LEADS.items()]
    for _, program in led:
        program.warm()
    memories: list[Memory] = []
    usual, number = utility(considerations.load(SCHEMA, seen)), 0

    def decide(obs: F32, mask: U8) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        nonlocal number
        number += 1
        memories.extend(program.memory(len(obs)) for _, program in led[len(memories) :])
        intents, slots = usual(obs, mask)
        for (role, program), memory in zip(led, memories, strict=True):
            rows = np.flatnonzero(obs[:, seen.role_columns[role]] != 0.0)
            out, handles = Outcome.of(len(rows)), rows.astype(np.uint32)
            part = np.ascontiguousarray(obs[rows]), np.ascontiguousarray(mask[rows])
            program.tick(*part, handles, memory, 1, number, STEP_S, out, 0, len(rows))
            sure = out.intents != NONE
            intents[rows[sure]], slots[rows[sure]] = out.intents[sure], out.targets[sure].view(np.int8)
        return intents, slots

    return decide
