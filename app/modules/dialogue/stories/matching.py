"""Which open choice a player's own words mean, if any: a number, the text itself, or enough of its words.

Pure. In doubt it is none: then the story stays where it is, and ordinary talk answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.modules.dialogue.intents import Lexicon
from app.modules.dialogue.stories.limits import Limits
from app.world.gate.speech import squeeze

_NUMBER = re.compile(r"\W*(\d{1,3})\W*")
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_NEGATIONS = frozenset({"no", "not", "never", "nothing", "neither", "nor", "without", "cannot", "refuse"})
_MODALS = frozenset({"will", "would", "shall", "should", "can", "could", "may", "might", "must"})
WHOLE_SHARE = 0.9
"""How sure it is that a line means a choice of two words or more, all of which it holds."""


def matched(choices: Sequence[str], heard: str, lexicon: Lexicon, limits: Limits) -> int | None:
    """The number of the choice, from 0, that `heard` means beyond doubt; None where none is."""
    if number := _NUMBER.fullmatch(heard):
        at = int(number[1]) - 1
        return at if 0 <= at < len(choices) else None
    bare = squeeze(heard)
    same = [at for at, choice in enumerate(choices) if bare and squeeze(choice) == bare]
    if same:
        return same[0] if len(same) == 1 else None
    words = _words(heard, lexicon)
    scores = [_likeness(words, _words(choice, lexicon), lexicon) for choice in choices]
    best = max(range(len(scores)), key=lambda at: scores[at], default=-1)
    if best < 0 or scores[best] < limits.match_share:
        return None
    rest = max((score for at, score in enumerate(scores) if at != best), default=0.0)
    return best if scores[best] - rest >= limits.match_lead_share else None


class _Words:
    """What a line says: its words of weight, and whether it denies."""

    def __init__(self, weighty: frozenset[str], negated: bool) -> None:
        self.weighty, self.negated = weighty, negated


def _words(text: str, lexicon: Lexicon) -> _Words:
    every = [word.removesuffix("'s") for word in _WORD.findall(text.casefold().replace("’", "'"))]
    denials = frozenset(word for word in every if word in _NEGATIONS or word.endswith("n't"))
    weighty = frozenset(word for word in every if word not in lexicon.empty and word not in _MODALS) - denials
    return _Words(weighty or frozenset(every), bool(denials))


def _likeness(heard: _Words, choice: _Words, lexicon: Lexicon) -> float:
    """Words in common, of all words of both (Dice, 1945), in [0, 1]; 0 where one denies what the other says."""
    if not heard.weighty or not choice.weighty or heard.negated != choice.negated:
        return 0.0
    common = sum(1 for word in choice.weighty if lexicon.kin(word) & heard.weighty)
    share = 2.0 * common / (len(choice.weighty) + len(heard.weighty))
    return max(share, WHOLE_SHARE) if common == len(choice.weighty) > 1 else min(1.0, share)
