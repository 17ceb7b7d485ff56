"""Crowds: many agents that move at once and get out of each other's way."""
