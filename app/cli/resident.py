"""Lets go of memory that only the start needed: the compiler's machine code, once every kernel is loaded.

LLVM maps some 50 MB of code to load the kernels and never runs it again. The pages are clean and
belong to the file, so dropping them loses nothing: a later use reads them back. Elsewhere than on Linux
this does nothing.
"""

from __future__ import annotations

import ctypes
import re
import sys
from pathlib import Path

MADV_DONTNEED = 4
_CODE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) r-xp .*libllvmlite\.so$", re.MULTILINE)
"""A line of /proc/self/maps for executable, read-only pages of the compiler's library (proc(5))."""


def release_compiler() -> None:
    """Drop the compiler's code pages from this process's resident memory (madvise(2))."""
    if sys.platform != "linux":
        return
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for found in _CODE.finditer(Path("/proc/self/maps").read_text()):
        first, last = (int(address, 16) for address in found.groups())
        madvise(first, last - first, MADV_DONTNEED)
