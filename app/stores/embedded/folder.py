"""The lock on an SQLite file's folder: one server at a time keeps its worlds in memory.

The operating system holds it for as long as the process lives, so a killed server leaves none behind.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

from app.core.errors import Conflict


class FolderLock:
    """Held from `take` to `release`; the file says which process has it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Raises Conflict while another process has it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+")
        try:
            _lock(file)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise Conflict(
                f"{str(self._path.parent)!r} is served by {holder}",
                hint="stop that server first, or give this one a --data folder of its own",
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
        self._file = file

    async def release(self) -> None:
        """Let the next server have it; safe to call twice."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _lock(file: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
