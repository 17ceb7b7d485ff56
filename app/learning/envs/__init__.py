"""Worlds to learn in: vectorized state and the compiled kernels that a game server may share."""
