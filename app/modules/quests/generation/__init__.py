"""Making quests: motives, strategies, casts, balance."""
