"""Attacks on the truth gate: lists of prompts, models that mean harm, a village with secrets, and the oracle."""
