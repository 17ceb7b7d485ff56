"""Verdicts and certificates: whether a quest can be completed, and the proof."""
