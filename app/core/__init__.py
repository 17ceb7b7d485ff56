"""The vocabulary every layer speaks: stdlib, msgspec and numpy types only."""
