"""Audits: a whole database of quests, each proved in the world that those before it leave, and all held together."""
