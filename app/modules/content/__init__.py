"""Makes things for a world: items within a power budget, lore out of facts, and barks."""
