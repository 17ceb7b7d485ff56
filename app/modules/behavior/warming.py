"""Every kernel of the module, loaded from disk or compiled: for tests and benchmarks, which want nothing on the way.

A server warms what it needs itself, in a thread behind the open port.
"""

from __future__ import annotations

from importlib import import_module

from app.modules.behavior import schema
from app.modules.behavior.programs import Programs
from app.modules.behavior.trees.limits import TreeLimits

KERNELS = ("kernels", "candidate_kernels", "nudge_kernels")
"""Files whose kernels have one type each and are compiled when they are imported."""


def warm_all() -> None:
    """Load them all: half a minute on a machine's first time, a second after."""
    for name in KERNELS:
        import_module(f"app.modules.behavior.{name}")
    programs = Programs(schema.load("open_world"), "", TreeLimits())
    for name in ("tree:guard", "goals:villager"):
        programs.compile(name).warm()
