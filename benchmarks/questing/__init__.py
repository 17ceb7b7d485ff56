"""What the benchmark of quests is made of: worlds by size, damaged worlds, another planner, and walks of the greedy."""
