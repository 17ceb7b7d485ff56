"""Answers to what was asked in other words: a vector finds them, a verifier refuses them, and a trial measures both."""
