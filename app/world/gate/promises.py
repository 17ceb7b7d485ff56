"""Which acts a spoken sentence says are done or about to be done, so that saying and doing agree.

Pure, by patterns of English; sentences in other languages carry no promise here, only proposals bind.
"""

from __future__ import annotations

import re

NEVER = "never"
"""Stands for what no talk can do: finish a quest, pay a reward, hand out levels or rights."""


def promised(sentence: str) -> tuple[str, ...]:
    """The actions of the gate that `sentence` claims or promises, with NEVER for what none of them does."""
    return tuple(action for action, pattern in _PROMISES if pattern.search(sentence))


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_MANNER = r"(?:now |gladly |surely |happily |just |hereby |also )*"
_WILL = rf"\bI(?:['’]ll|['’]m going to| will| shall| am going to)\s+{_MANNER}"
_DO = rf"\b(?:I(?:['’]ll|['’]m going to| will| shall| am going to)?|let me|we)\s+{_MANNER}"
_HAVE = rf"\bI(?:['’]ve| have)\s+{_MANNER}"
_YOUR_QUEST = r"\b(?:quest|task|mission|errand|bounty)\b"
_DONE = r"(?:complete|completed|finished|done|fulfilled|accomplished)"

_PROMISES: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "give_item",
        _any(
            rf"{_DO}(?:give|hand|grant|gift|lend|offer) (?:you|it|this|these|over)\b",
            rf"{_HAVE}(?:given|handed|granted|lent)\b",
            r"\btake (?:this|it|these|my|the)\b",
            r"\b(?:is|are) (?:now )?(?:all )?yours\b",
            r"\bhere(?:['’]s| is| are|,) (?:your|the|my|a|an|some|\d+) ",
        ),
    ),
    (
        NEVER,
        _any(
            r"\byou(?:['’]ve| have)? (?:now )?(?:receive|gain|earn|obtain)(?:d|ed)?\b",
            r"\byou now (?:have|own|hold)\b",
            rf"{_YOUR_QUEST}.{{0,40}}\b{_DONE}\b",
            rf"\b{_DONE}\b.{{0,30}}{_YOUR_QUEST}",
            r"\breward\b.{0,30}\b(?:granted|paid|is yours)\b",
            r"\b(?:here is|here['’]s|take) your (?:reward|pay|gold|prize)\b",
            r"\blevel(?:ed|led)? up\b|\bgod ?mode\b|\badmin(?:istrator)?\b",
        ),
    ),
    (
        "open_door",
        _any(
            rf"{_DO}(?:open|unlock|unbar) (?:the|it|this|my|your)\b",
            rf"{_HAVE}(?:opened|unlocked)\b",
            r"\b(?:door|gate|chest|vault) (?:is|stands) (?:now )?(?:open|unlocked)\b",
        ),
    ),
    ("follow", _any(rf"{_WILL}(?:follow|come with|go with|join|accompany)\b", r"\bI (?:follow|join) you\b")),
    (
        "attack",
        _any(rf"{_WILL}(?:kill|attack|slay|strike|murder)\b", r"\bI (?:attack|kill|strike) (?:him|her|them|you)\b"),
    ),
    ("flee", _any(rf"{_WILL}(?:flee|run away)\b")),
)
