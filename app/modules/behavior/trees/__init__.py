"""Authored behavior trees: written once, compiled to flat arrays, ticked for all NPCs at once."""
