"""Plays stories in tests: compiled from a text or a fixture, over a world of a few facts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.modules.dialogue.stories import ink, machine, shelf, yarn
from app.modules.dialogue.stories.limits import Limits
from app.modules.dialogue.stories.model import Beat, Story, Value
from app.modules.dialogue.stories.view import Table

FIXTURES = Path(__file__).parent / "fixtures"
LIMITS = Limits(lines_max=200)
Facts = dict[tuple[str, str], Value]


def from_ink(text: str) -> Story:
    return ink.compile(text, "story", limits=LIMITS)


def from_yarn(body: str, *more: str) -> Story:
    """A story whose node `Start` has this body; `more` are whole nodes."""
    nodes = [f"title: Start\n---\n{body}\n===", *more]
    return yarn.compile("\n".join(nodes), "story", limits=LIMITS)


def fixture(name: str) -> Story:
    return shelf.compile_file(FIXTURES / name, LIMITS)


class Player:
    """One who plays a story."""

    def __init__(self, story: Story, facts: Facts | None = None, *, seed: int = 0, limits: Limits = LIMITS) -> None:
        self.story, self.view, self.limits = story, Table(facts or {}), limits
        self.beat: Beat = machine.step(story, machine.begin(story, seed=seed), self.view, limits)

    @property
    def lines(self) -> list[str]:
        return [f"{line.speaker}: {line.text}" if line.speaker else line.text for line in self.beat.lines]

    @property
    def choices(self) -> list[str]:
        return [choice.text for choice in self.beat.run.choices]

    def pick(self, text: str) -> Player:
        """Take the choice of that text."""
        self.beat = machine.choose(self.story, self.beat.run, self.choices.index(text), self.view, self.limits)
        assert self.beat.faults == ()
        return self

    def walk(self, picks: Sequence[int]) -> list[tuple[list[tuple[str, list[str]]], list[str]]]:
        """(lines with tags, choices) of each beat along the picks, each taken modulo what is open."""
        beats = []
        for pick in (*picks, None):
            assert self.beat.faults == ()
            lines = zip(self.lines, (list(line.tags) for line in self.beat.lines), strict=True)
            beats.append((list(lines), self.choices))
            if pick is None or not self.choices:
                break
            number = pick % len(self.choices)
            self.beat = machine.choose(self.story, self.beat.run, number, self.view, self.limits)
        return beats
