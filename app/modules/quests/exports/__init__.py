"""Quests as files of other tools, and back."""
