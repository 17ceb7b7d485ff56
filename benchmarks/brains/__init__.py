"""The parts of the behavior benchmark."""
