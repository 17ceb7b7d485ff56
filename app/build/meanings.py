"""Loads the table of what words mean that ships in models/. It knows where it lies; it ranks nothing."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from app.engines import catalog
from app.modules.memory.index import Words
from app.modules.memory.index.vectors import decoded


@lru_cache(maxsize=1)
def words(root: Path) -> Words:
    """The table, read once and shared by all minds; raises EngineDown or Broken when its file is not as listed."""
    folder = root / "models"
    return decoded(catalog.read_verified(catalog.load(folder / "catalog.toml").table("words-en"), folder))
