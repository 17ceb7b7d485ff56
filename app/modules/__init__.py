"""The capabilities, one folder each, all of one shape; modules meet through `messages.py` and the core ports only."""
