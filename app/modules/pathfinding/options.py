"""What is asked of a map besides its file; it knows neither the file nor what is made of it."""

from __future__ import annotations

import msgspec

from app.modules.pathfinding.surfaces import AgentClass


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What an uploader asks for besides the map itself; kept with it."""

    agent_classes: dict[str, AgentClass] = {}
