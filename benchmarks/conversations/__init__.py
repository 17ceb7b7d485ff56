"""Long conversations with known evidence, made from a seed, in the shape of the LoCoMo set (Maharana et al. 2024)."""
