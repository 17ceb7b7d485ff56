"""How the C library hands out memory: large arrays come from what was freed before, not as fresh pages each time.

A tick of 16,384 NPCs makes megabytes of arrays. By default glibc maps each anew and gives it back at once, and the
kernel then clears every page: up to a third of such a tick's time. It does nothing where another C library runs.
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""
MAPPED_BYTES_MIN = 32 * 1024 * 1024
"""Arrays below this are taken from the heap."""
KEPT_BYTES_MAX = 64 * 1024 * 1024
"""What is free at the heap's end beyond this goes back to the system."""


def keep_pages() -> bool:
    """Set both for this process; whether the C library took them."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES_MIN) and mallopt(M_TRIM_THRESHOLD, KEPT_BYTES_MAX))
