"""The context compiler: a scene as the parts of a prompt within a budget of tokens, and a list of what was left out.

Kept in the order: rules, persona, the present moment and what was just said; verified state; what is pinned; the last
lines; what is recalled; news; lore. The first four are never cut: a budget that cannot hold them is reported as
`over`, and such a context goes to no model. Sent with what changes least first: what is the same from line to line is
so byte by byte, so that caches of prompts hold it. Pure: no clock, no chance, no await.

Tokens are estimated as one for every three bytes of UTF-8, which errs high for every language that the
cloud models' tokenizers know; an estimate costs less than a microsecond and needs no vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from app.core.prompts import Chosen
from app.core.words import Part
from app.modules.dialogue import rows
from app.modules.dialogue.messages import Cut
from app.world.gate.acts import Proposed
from app.world.scene import Line, Scene

FRAME_TOKENS = 4
"""Role and separators of one message."""
DELIMITERS_TOKENS = 16
"""The delimiters around what somebody typed, without the name between them."""
STATE_SHARE = 0.5
"""Of what rules, persona and the moment leave: the most that verified state may take, so that talk has room too."""
LATE_SHARE = 0.16
"""Of the whole: what comes after the dialogue so far, and so is read anew with every line, may be grown up to this by
what is recalled..."""
LATE_TOKENS_MIN = 96
"""...and always by so much."""
BLOCK_LINES = 16
"""Lines leave the context so many at a time: each leaving changes the beginning."""
TRIES_MAX = 4
BUDGET = "token budget"


@dataclass(frozen=True, slots=True)
class Compiled:
    """A context: `parts` in sending order, `cut` what did not fit, by label.

    `over` is by how many tokens what must not be cut is larger than the budget; 0 where all is well.
    """

    parts: tuple[Part, ...]
    tokens: int
    cut: tuple[Cut, ...]
    canary: str
    over: int = 0


def tokens_of(text: str) -> int:
    """An estimate of the tokens in `text`, high rather than low."""
    return (len(text.encode("utf-8", "replace")) + 2) // 3


def cost_of(part: Part) -> int:
    """An estimate of the tokens of a part as it is sent, with its frame and its delimiters."""
    marks = DELIMITERS_TOKENS + tokens_of(part.speaker) if part.trust == "player" else FRAME_TOKENS
    return tokens_of(part.text) + marks


def compile_context(
    scene: Scene, chosen: Chosen, acts: Iterable[Proposed], *, tokens_max: int, canary: str
) -> Compiled:
    """The context of a line within `tokens_max` estimated tokens."""
    draft = _Draft(scene, chosen, tuple(acts), canary)
    room = tokens_max
    for _ in range(TRIES_MAX):  # a version of a tenant's may use a variable twice
        compiled = draft.within(room)
        if compiled.tokens <= tokens_max:
            return compiled
        room -= compiled.tokens - tokens_max
    compiled = draft.within(0)
    over = max(0, compiled.tokens - tokens_max)
    return Compiled(compiled.parts, compiled.tokens, compiled.cut, canary, over)


def shared_tokens(before: Sequence[Part], after: Sequence[Part]) -> int:
    """The tokens of `after` that a cache holds which has read `before`: of all parts up to the first that differs."""
    shared = 0
    for one, other in zip(before, after, strict=False):
        if one != other:
            break
        shared += cost_of(other)
    return shared


@dataclass(slots=True)
class _Draft:
    """What a context is made of before it is known how much of it fits."""

    scene: Scene
    chosen: Chosen
    acts: tuple[Proposed, ...]
    canary: str
    variables: dict[str, str] = field(init=False)
    rules: Part = field(init=False)
    persona: Part = field(init=False)
    spoken: Part = field(init=False)
    steady: int = field(init=False)
    """Tokens of rules, persona, and the empty world, which are the same from line to line..."""
    fixed: int = field(init=False)
    """...and with the empty present, which is not."""

    def __post_init__(self) -> None:
        self.variables = rows.variables_of(self.scene, self.canary)
        self.rules = self.chosen.part("rules", self.variables)
        self.persona = self.chosen.part("persona", self.variables)
        self.spoken = self._spoken()
        self.steady = sum(map(cost_of, (self.rules, self.persona, self._world({}))))
        self.fixed = self.steady + cost_of(self._now({}))

    def within(self, tokens_max: int) -> Compiled:
        scene, cut, kept = self.scene, list[Cut](), dict[str, list[str]]()
        left = tokens_max - self.fixed - cost_of(self.spoken)
        state = min(left, int((tokens_max - self.steady) * STATE_SHARE))
        unused = _fit_all(rows.state_rows(scene, self.acts), state, kept, cut)
        left = _fit_all(rows.pinned_rows(scene), left - (state - unused), kept, cut)
        lines, left = _fit_lines(scene, left, cut)
        early = self.fixed + sum(map(cost_of, lines)) + sum(_cost(kept[name]) for name in rows.EARLY)
        late = min(left, max(LATE_TOKENS_MIN, int(early * LATE_SHARE) - sum(_cost(kept[name]) for name in rows.LATE)))
        _fit_all(rows.late_rows(scene), late, kept, cut)
        parts = (self.rules, self.persona, self._world(kept), *lines, self._now(kept), self.spoken)
        return Compiled(parts, sum(map(cost_of, parts)), tuple(cut), self.canary)

    def _world(self, kept: Mapping[str, Sequence[str]]) -> Part:
        """What hardly changes while two talk."""
        return self.chosen.part("world", {**self.variables, **_joined(kept)})

    def _now(self, kept: Mapping[str, Sequence[str]]) -> Part:
        """The present moment, with what changes from line to line."""
        values = _joined(kept)
        return self.chosen.part("now", {**self.variables, **values, "acts": values["acts"] or "none"})

    def _spoken(self) -> Part:
        """The newest thing: what was said to the NPC, as data, or the stage direction for a line unasked."""
        scene = self.scene
        if scene.heard:
            return Part(trust="player", text=scene.heard, speaker=scene.listener.name)
        return self.chosen.part("chatter" if scene.listener_is_npc else "speak_first", self.variables)


def _joined(kept: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {label: "\n".join(kept.get(label, ())) for label in rows.LABELS}


def _cost(kept: Iterable[str]) -> int:
    return sum(tokens_of(row) + 1 for row in kept)


def _fit_all(found: Mapping[str, Sequence[str]], left: int, kept: dict[str, list[str]], cut: list[Cut]) -> int:
    """Fill `kept` label by label with the leading rows that `left` tokens hold; what is left of them."""
    for label, all_rows in found.items():
        kept[label] = []
        for at, row in enumerate(all_rows):
            cost = tokens_of(row) + 1
            if cost > left:
                cut.append(Cut(what=f"{len(all_rows) - at} of {label}", reason=BUDGET))
                break
            kept[label].append(row)
            left -= cost
    return left


def _fit_lines(scene: Scene, left: int, cut: list[Cut]) -> tuple[list[Part], int]:
    """The newest lines that `left` tokens hold, oldest first, and what is left then.

    A window that is full begins at whole blocks of the dialogue, so that it begins at the same line for a while.
    """
    parts = [_line(scene, line) for line in scene.lines]
    first, spent = len(parts), 0
    while first and spent + cost_of(parts[first - 1]) <= left:
        first -= 1
        spent += cost_of(parts[first])
    if first or scene.lines_before:
        first = _block(scene.lines_before + first, scene.lines_before + len(parts)) - scene.lines_before
    if first:
        cut.append(Cut(what=f"{first} of lines", reason=BUDGET))
    kept = parts[first:]
    return kept, left - sum(map(cost_of, kept))


def _block(first: int, last: int) -> int:
    """The next beginning of a block from line `first` on, of smaller ones where that costs half of what there is."""
    size = BLOCK_LINES
    while (start := first + -first % size) > first and last - start < (last - first) / 2:
        size //= 2
    return start


def _line(scene: Scene, line: Line) -> Part:
    mine = line.speaker == scene.npc.id  # what other NPCs said is data as well
    return Part(trust="npc" if mine else "player", text=line.text, speaker=line.name)
