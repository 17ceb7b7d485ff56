"""Innkeeper: one process that gives a game's NPCs a mind."""

__version__ = "0.1.0"
