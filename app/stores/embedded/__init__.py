"""The in-process twins of the shared stores: the embedded default, and what a replica falls back to."""
