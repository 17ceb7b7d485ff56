"""Barks: short lines by event, mood, relation and fact, made from an authored grammar."""
