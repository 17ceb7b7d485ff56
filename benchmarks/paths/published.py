"""The published maps as kernels read them; nothing here measures."""

from __future__ import annotations

import numpy as np
import report
from numpy.typing import NDArray

from app.modules.pathfinding import formats
from app.modules.pathfinding.formats.agents import ground
from app.modules.pathfinding.settings import Settings
from app.modules.pathfinding.surfaces import AgentClass, Surface


def bordered(name: str) -> NDArray[np.uint8]:
    """The passable cells of a map, (rows + 2, columns + 2), with a blocked border."""
    content = formats.read((report.DATA / "maps" / f"{name}.map").read_bytes(), "movingai", Settings())
    if not isinstance(content, Surface):
        raise TypeError(f"{name} is no grid")
    walked = ground(content, AgentClass())
    return walked.free.reshape(-1, walked.stride)
