"""Real observations to calibrate, tune and measure with: recorded ones, or those of a village that the policy plays.

It knows files of numpy arrays and the village; who plays is given.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, NotFound
from app.learning.envs.environment import Brain, Environment

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

VILLAGES, NPCS, STRIDE = 32, 48, 4
"""Villages that are played, NPCs of each, and steps from one row of an NPC to its next."""
LEARN, CHOOSE = 5 / 8, 6 / 8
"""Rows up to the first are learned from, up to the second chosen by, the rest measure: whole villages apart."""
ROWS_MIN = 2_048
FILES_MAX, FILE_BYTES_MAX = 10_000, 1 << 30


@dataclass(frozen=True, slots=True)
class Rows:
    """Observations and what was allowed."""

    obs: F32
    """(n, features)"""
    mask: U8
    """(n, intents), 1 = allowed"""

    def part(self, first: float, last: float) -> Rows:
        """The rows between two shares of all."""
        rows = slice(int(first * len(self.obs)), int(last * len(self.obs)))
        return Rows(self.obs[rows], self.mask[rows])


def play(brain: Brain, rows: int, seed: int, tell: Callable[[float], None]) -> Rows:
    """At least `rows` observations of the living in villages that `brain` leads, village after village."""
    environment = Environment(VILLAGES, NPCS, seed)
    kept: list[tuple[F32, U8, NDArray[np.bool_]]] = []
    count, step = 0, 0
    while count < rows:
        seen, may = environment.observe()
        obs, mask = seen.copy(), may.copy()
        if step % STRIDE == 0:
            alive = environment.village.alive.reshape(-1) == 1
            kept.append((obs, mask, alive))
            count += int(alive.sum())
            tell(min(1.0, count / rows))
        environment.step(*brain(obs, mask))
        step += 1
    obs, mask, alive = (np.stack(each) for each in zip(*kept, strict=True))  # (moments, villages * NPCS, …)
    order = np.arange(len(kept) * VILLAGES * NPCS).reshape(len(kept), VILLAGES, NPCS).transpose(1, 0, 2).reshape(-1)
    order = order[alive.reshape(-1)[order]]
    return Rows(obs.reshape(-1, obs.shape[-1])[order], mask.reshape(-1, mask.shape[-1])[order])


def load(path: Path, *, features: int, intents: int, rows_max: int) -> Rows:
    """The rows of an .npz file, or of all in a folder in order of name, `rows_max` of them at most, evenly taken.

    Each file holds `obs` (n, features) float32 and may hold `mask` (n, intents) uint8, without which all is allowed.
    Rows that are not finite or allow nothing are left out. Raises NotFound when there is none, Invalid when a file
    cannot be read, has another width, or fewer than ROWS_MIN rows are left.
    """
    files = sorted(path.glob("*.npz")) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise NotFound(
            f"no recording at {str(path)!r}", hint="give an .npz file with obs and mask, or a folder of them"
        )
    if len(files) > FILES_MAX:
        raise Invalid(f"{str(path)!r} holds {len(files):,} files", hint=f"{FILES_MAX:,} are read at most")
    parts = [_read(file, features, intents) for file in files]
    obs, mask = (np.concatenate(each) for each in zip(*parts, strict=True))
    sound = np.flatnonzero(np.isfinite(obs).all(axis=1) & mask.any(axis=1))
    if len(sound) < ROWS_MIN:
        raise Invalid(f"{str(path)!r} holds {len(sound)} sound rows", hint=f"at least {ROWS_MIN:,} are needed")
    taken = sound[np.linspace(0, len(sound) - 1, min(rows_max, len(sound))).astype(np.intp)]
    return Rows(np.ascontiguousarray(obs[taken]), np.ascontiguousarray(mask[taken]))


def _read(file: Path, features: int, intents: int) -> tuple[F32, U8]:
    if file.stat().st_size > FILE_BYTES_MAX:
        raise Invalid(f"{file.name!r} has {file.stat().st_size:,} bytes", hint=f"{FILE_BYTES_MAX:,} are read at most")
    try:
        with np.load(file, allow_pickle=False) as arrays:
            obs = np.asarray(arrays["obs"], np.float32)
            mask = arrays["mask"] if "mask" in arrays else np.ones((len(obs), intents), np.uint8)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise Invalid(
            f"{file.name!r} cannot be read: {error}", hint="save it with numpy.savez(obs=…, mask=…)"
        ) from error
    if obs.shape != (len(obs), features) or mask.shape != (len(obs), intents):
        raise Invalid(
            f"{file.name!r} has obs {obs.shape!r} and mask {mask.shape!r}",
            hint=f"the network takes (n, {features}) and decides among (n, {intents})",
        )
    return obs, (mask != 0).astype(np.uint8)
