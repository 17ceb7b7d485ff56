"""The parts of the pathfinding benchmark, one for each engine; benchmarks/pathfinding.py runs them all."""
