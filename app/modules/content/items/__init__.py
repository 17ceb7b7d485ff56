"""Items: a kind and affixes, whose power lies inside the budget of their level and rarity."""
