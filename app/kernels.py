"""How kernels are compiled: typed arrays in and out, without the interpreter lock, kept on disk.

Importing this file imports numba (over half a second), so only worker threads import kernels.
Numba's own cache notices changes of the file that a kernel stands in, but not of those that it calls:
here every kernel carries the stamp of all sources of its house.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache

F = TypeVar("F", bound=Callable[..., object])


class House:
    """The kernels of some sources: `patterns` of files below `folder`."""

    def __init__(self, folder: Path, patterns: Sequence[str]) -> None:
        self._folder, self._patterns = folder, tuple(patterns)

    @cached_property
    def stamp(self) -> bytes:
        """A digest of all sources, or of the one binary that they were built into."""
        frozen = getattr(sys, "frozen", False)
        sources = sorted(path for pattern in self._patterns for path in self._folder.glob(pattern))
        files = [Path(sys.executable)] if frozen else sources
        digest = hashlib.sha256()
        for path in files:
            digest.update(f"{path.stat().st_mtime_ns} {path.stat().st_size}".encode() if frozen else path.read_bytes())
        return digest.digest()

    def compiled(self, function: F) -> F:
        """The function as a kernel, for the types of each call: no GIL, kept on disk, C rules for division."""
        return self._kept(_njit()(function), function)

    def inlined(self, function: F) -> F:
        """A part of kernels, put in the place of each call, which would count references to its arrays."""
        return self._kept(_njit(forceinline=True)(function), function)

    def bare_part(self, function: F) -> F:
        """A part of bare kernels, put in the place of each call."""
        return self._kept(_njit(forceinline=True, _nrt=False)(function), function)

    def bare(self, *arguments: Any) -> Callable[[F], F]:
        """A kernel of one signature that allocates nothing, so that nobody counts references to its arrays.

        Counting costs more than a short part does: an interpreter calls one for each instruction.
        """
        return self._of_one_signature(arguments, _nrt=False)

    def typed(self, *arguments: Any) -> Callable[[F], F]:
        """A kernel of one signature: another layout is a TypeError, never a compilation inside a request."""
        return self._of_one_signature(arguments)

    def _of_one_signature(self, arguments: tuple[Any, ...], **options: Any) -> Callable[[F], F]:
        def compile_now(function: F) -> F:
            dispatcher = _njit(**options)(function)
            self._kept(dispatcher, function)
            dispatcher.compile(arguments)
            dispatcher.disable_compile()
            return cast(F, dispatcher)

        return compile_now

    def _kept(self, dispatcher: Any, function: F) -> F:
        dispatcher._cache = self._cache(function)  # as numba does
        return cast(F, dispatcher)

    @cached_property
    def _cache(self) -> Any:
        house = self

        def stamped(locator: type[object]) -> type[object]:
            return type(locator.__name__, (locator,), {"get_source_stamp": lambda self: house.stamp})

        class Files(CompileResultCacheImpl):
            _locator_classes = [stamped(locator) for locator in CompileResultCacheImpl._locator_classes]

        return type("StampedCache", (FunctionCache,), {"_impl_class": Files})


def _njit(**options: Any) -> Any:
    return numba.njit(nogil=True, error_model="numpy", **options)


def is_kept(kernel: Any) -> bool:
    """Whether the disk has machine code of a kernel, made of the present sources."""
    return bool(kernel._cache._cache_file._load_index())  # numba has no question for this
