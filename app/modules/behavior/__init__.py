"""Behavior: what every NPC does this tick, answered for all of them at once."""
