"""HTTP: every message as one POST, and the resources that are not messages."""
