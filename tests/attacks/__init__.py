"""Attacks on the truth gate, and what ordinary players type: the first get nothing through, the second are answered."""
