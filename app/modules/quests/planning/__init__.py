"""Classical planning over a world: vocabulary, facts, grounding, search."""
