"""What one NPC remembers, in RAM: who may be told first, then how well it fits."""

from app.modules.memory.index.mind import Mind
from app.modules.memory.index.settings import Ranking
from app.modules.memory.index.vectors import Words

__all__ = ["Mind", "Ranking", "Words"]
