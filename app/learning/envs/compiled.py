"""How the village's kernels are compiled: under one stamp of all of them, see app.kernels."""

from __future__ import annotations

from pathlib import Path

from app.kernels import House

_HOUSE = House(Path(__file__).resolve().parent, ("*.py",))
compiled, inlined = _HOUSE.compiled, _HOUSE.inlined
