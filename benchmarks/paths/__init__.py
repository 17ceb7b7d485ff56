"""The figures of each part of pathfinding; benchmarks/pathfinding.py takes them."""
