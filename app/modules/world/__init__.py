"""What a game server tells: entities, facts, events, positions, and its verdict on proposals."""
