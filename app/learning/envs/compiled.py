"""The one way kernels are compiled: cached on disk, without the interpreter lock, types kept for mypy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile `function` with numba on its first call; the machine code is cached beside the source."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
