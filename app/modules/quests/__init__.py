"""Quests that come with a proof: generated or hand-written, verified, and followed by game events alone."""
