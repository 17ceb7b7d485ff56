"""What a server asks of the C library."""

from __future__ import annotations

import platform
import subprocess
import sys

from tests.servers import ROOT

PROGRAM = """
import resource
import numpy
from app.cli.allocator import keep_pages
print(keep_pages())
numpy.empty(1 << 21, numpy.uint8)[:] = 1
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    numpy.empty(1 << 21, numpy.uint8)[:] = 1
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_arrays_of_the_size_of_a_tick_are_not_cleared_anew_each_time() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, cwd=ROOT)
    taken, faults = run.stdout.split()
    if platform.libc_ver()[0] == "glibc":
        assert taken == "True"
        assert int(faults) < 50 * (1 << 21) // 4_096 // 10
    else:
        assert taken == "False"
