"""Figures of the path engines, a file for each part; benchmarks/pathfinding.py takes them all."""
