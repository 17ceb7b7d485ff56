"""A world's state and rules: pure, in RAM, without clock, chance, network or database."""
