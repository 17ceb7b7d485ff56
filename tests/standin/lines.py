"""What stand-ins say, and how a model behaves that is told to go on from what another one has said already."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

Say = Callable[[dict[str, Any]], str]
WORDS = "Well met, friend. The road was kind to you, I hope."
EIGHTEEN = "Well met, friend. The road was kind to you, I hope, for the fire is warm here tonight."
"""Eighteen words, so eighteen pieces of a stream."""


def goes_on(line: str) -> Say:
    """A model that does as it is told: from the very next word, or enough where something else was said."""

    def say(body: dict[str, Any]) -> str:
        before = said(body)
        return line[len(before) :] if line.startswith(before) else " Enough."

    return say


def begins_again(line: str) -> Say:
    """A model that says the whole line once more."""
    return lambda _body: line


def tales() -> Say:
    """A model that never says the same twice, and nothing about any game."""
    count = itertools.count(1)
    words = ("amber", "brisk", "cedar", "dusky", "early", "fallow", "gentle", "hollow", "ivory", "jagged", "kindly",
             "lonely", "mellow", "narrow", "olden", "placid", "quiet")  # fmt: skip

    def say(_body: dict[str, Any]) -> str:
        number = next(count)
        first, second, third = (words[number * step // 7 % len(words)] for step in (7, 11, 29))
        told = f"Well, {first} evenings and {second} mornings, what a {third} thing to hear."
        return f"{told} So it goes with tale {number}."

    return say


def overlaps(line: str) -> Say:
    """A model that takes up the last sentence from its start."""

    def say(body: dict[str, Any]) -> str:
        before = said(body)
        if not before or not line.startswith(before):
            return goes_on(line)(body)
        return line[before.rfind(". ") + 2 if ". " in before else 0 :]

    return say


def said(body: dict[str, Any]) -> str:
    """What a request, of any protocol, says was spoken last by the model; empty where nothing was."""
    turns = body.get("messages") or body.get("input")
    if not isinstance(turns, list):
        return ""
    spoken = [_text(turn["content"]) for turn in turns if turn.get("role") == "assistant"]
    return spoken[-1] if spoken else ""


def _text(content: str | list[dict[str, Any]] | None) -> str:
    return content if isinstance(content, str) else "".join(block.get("text", "") for block in content or ())
