"""Ten minutes in a tavern, played through a real server in this process on its authored rung: lines and figures.

`evening()` plays it; `python -m evening` in `benchmarks/` writes the transcript into the documentation. The clock is
simulated and chance is seeded, so the same code gives the same evening.
"""

from evening.play import Evening, Line, evening

__all__ = ["Evening", "Line", "evening"]
