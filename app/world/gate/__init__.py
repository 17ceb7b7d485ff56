"""The truth gate: what an NPC may say and offer. Nothing that a player types or a model writes becomes so by itself."""
