"""How this module's kernels are compiled: under one stamp of all of them, see app.kernels."""

from __future__ import annotations

from pathlib import Path

from app.kernels import House

SOURCES = (
    "kernels.py", "nudge_kernels.py", "candidate_kernels.py", "candidates.py", "logic.py", "curves.py", "schedules.py",
    "trees/*.py", "goals/*.py",
)  # fmt: skip
HOUSE = House(Path(__file__).resolve().parent, SOURCES)
