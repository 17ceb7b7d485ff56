"""A policy file as a brain of the village: played as the server plays it, its other roles left to the rules.

It runs ONNX Runtime on one thread a call; it knows the layout of logits and the roles in the file's metadata.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.core.errors import EngineDown, Invalid
from app.learning.envs import choices
from app.learning.envs.environment import Brain
from app.learning.envs.village import F32, FEATURES, I8, INTENTS, ROLES, SLOTS

ROLE_COLUMN = 8
"""Where the flags of the roles begin in a row."""
PART_ROWS = 1_024


def load(path: Path, fingerprint: str) -> tuple[Brain, tuple[str, ...]]:
    """The policy in an ONNX file and the roles that it leads when served.

    Raises Invalid when the file is no policy or was trained for another schema than `fingerprint`'s, EngineDown
    without ONNX Runtime.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise EngineDown("the package 'onnxruntime' is not installed", hint="uv sync --extra cpu") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except OSError as error:
        raise Invalid(f"{path.name!r}: {error.strerror}", hint="name a policy.onnx") from error
    except (ValueError, RuntimeError) as error:
        raise Invalid(f"{path.name!r} is no network: {error}", hint="name a policy.onnx") from error
    shapes = [each.shape[1:] for each in (*session.get_inputs(), *session.get_outputs())]
    if shapes != [[FEATURES], [len(INTENTS) + SLOTS]]:
        raise Invalid(f"{path.name!r} has shapes {shapes!r}", hint="name a policy of the village")
    kept = session.get_modelmeta().custom_metadata_map
    if kept.get("fingerprint", fingerprint) != fingerprint:
        raise Invalid(
            f"{path.name!r} was trained for schema {kept['fingerprint']!r}, this is {fingerprint!r}",
            hint="train it anew",
        )
    roles = tuple(role for role in kept.get("roles", ",".join(ROLES)).split(",") if role)

    def decide(obs: F32, mask: NDArray[np.uint8]) -> tuple[I8, I8]:
        intents, slots = np.empty(len(obs), np.int8), np.empty(len(obs), np.int8)
        for first in range(0, len(obs), PART_ROWS):
            part = slice(first, first + PART_ROWS)
            logits = session.run(None, {"obs": obs[part]})[0]
            choices.best(logits, obs[part], mask[part], intents[part], slots[part])
        return intents, slots

    return decide, roles


def among(policy: Brain, rules: Brain, roles: tuple[str, ...]) -> Brain:
    """The policy for `roles`, the rules for everyone else."""
    columns = [ROLE_COLUMN + ROLES.index(role) for role in roles]

    def decide(obs: F32, mask: NDArray[np.uint8]) -> tuple[I8, I8]:
        (intents, slots), (own_intents, own_slots) = rules(obs, mask), policy(obs, mask)
        led = obs[:, columns].any(axis=1)
        return np.where(led, own_intents, intents), np.where(led, own_slots, slots)

    return decide
