"""Makes people: characters as facts, checked against what is known of the world."""
