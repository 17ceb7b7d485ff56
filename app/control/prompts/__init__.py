"""Prompts: their language, their lint, the registry that renders them, and the desk where versions are promoted."""
