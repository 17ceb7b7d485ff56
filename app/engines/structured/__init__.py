"""Answers that are data: held against the JSON Schema that was asked for; one that does not fit is asked for again."""
