"""How kernels are compiled: typed arrays in and out, without the interpreter lock, kept on disk.

Importing this file imports numba (over half a second), so only worker threads import kernels.
Numba's own cache notices changes of the file that a kernel stands in, but not of those that it calls:
here every kernel carries the stamp of all of them.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar, cast

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache

FOLDERS = ("grids", "meshes", "crowds")
"""Where kernels stand."""

F = TypeVar("F", bound=Callable[..., object])


@lru_cache(maxsize=1)
def stamp() -> bytes:
    """A digest of all kernels' sources, or of the one binary that they were built into."""
    here = Path(__file__).resolve().parent
    frozen = getattr(sys, "frozen", False)
    sources = sorted(path for name in FOLDERS for path in (here / name).glob("*.py"))
    files = [Path(sys.executable)] if frozen else sources
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.stat().st_mtime_ns} {path.stat().st_size}".encode() if frozen else path.read_bytes())
    return digest.digest()


def _stamped(locator: type[object]) -> type[object]:
    return cast(type[object], type(locator.__name__, (locator,), {"get_source_stamp": lambda self: stamp()}))


class _Files(CompileResultCacheImpl):
    """Where numba would keep a kernel, under our stamp."""

    _locator_classes = [_stamped(locator) for locator in CompileResultCacheImpl._locator_classes]


class _Cache(FunctionCache):
    _impl_class = _Files


def compiled(function: F) -> F:
    """The function as a kernel: no GIL, kept on disk, C rules for division."""
    return _kept(numba.njit(nogil=True, error_model="numpy")(function), function)


def inlined(function: F) -> F:
    """A part of kernels, put in the place of each call, which would count references to its arrays."""
    return _kept(numba.njit(nogil=True, error_model="numpy", forceinline=True)(function), function)


def _kept(dispatcher: object, function: F) -> F:
    dispatcher._cache = _Cache(function)  # type: ignore[attr-defined, no-untyped-call]  # as numba does
    return cast(F, dispatcher)


def is_kept(kernel: object) -> bool:
    """Whether the disk has machine code of a kernel, made of the present sources."""
    return bool(kernel._cache._cache_file._load_index())  # type: ignore[attr-defined]  # numba has no question for this
