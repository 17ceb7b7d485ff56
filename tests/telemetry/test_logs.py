"""The log: what it cannot write, it drops."""

from __future__ import annotations

import io
import sys
from typing import Literal

import pytest

from app.telemetry.logs import open_log


class FullDisk(io.RawIOBase):
    """A file on a disk that has no room left."""

    def writable(self) -> bool:
        return True

    def write(self, _data: object, /) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("format", ["console", "json"])
def test_a_full_disk_under_the_log_fails_nobody(
    monkeypatch: pytest.MonkeyPatch, format: Literal["console", "json"]
) -> None:
    disk = io.TextIOWrapper(io.BufferedWriter(FullDisk()), write_through=True)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", disk)
        log = open_log(level="info", format=format)
        for number in range(2_000):
            log.info("disk.filled", number=number)
    disk.buffer.raw.close()  # type: ignore[attr-defined]  # so that the end of the test does not flush it
    assert log is not None
