"""Figures of path finding by part; each file has one `measure`."""
