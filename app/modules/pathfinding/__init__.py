"""Pathfinding: maps in, ways through them out, in batches and under a deadline."""
