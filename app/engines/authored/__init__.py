"""Words without a model or a network: authored lines, chosen and filled from the scene."""

from app.engines.authored.engine import Authored, open_authored

__all__ = ["Authored", "open_authored"]
