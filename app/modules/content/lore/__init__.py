"""Lore: facts first, then sentences that each cite the facts they tell."""
