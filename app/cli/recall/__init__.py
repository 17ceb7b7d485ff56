"""Judges recall on conversations whose answers are known: reads them, plays them, counts what was found."""
