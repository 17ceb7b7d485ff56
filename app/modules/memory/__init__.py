"""What NPCs remember, and who may be told."""
