"""What some of a world may know and others may not: the words of private facts, found again in any sentence.

It knows facts and who shares them. It does not know memories: those that may not be told never reach a scene.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from app.world.entities import Fact, Npc, Player
from app.world.gate.acts import may_tell
from app.world.gate.disguises import Letters, letters_of, runs_of, squeeze, step_runs_of
from app.world.state import World

SECRET_LETTERS = 24
"""A run of so many letters of a private fact gives it away..."""
SECRET_LETTERS_MIN = 12
"""...a shorter fact as a whole, from so many letters on; what is shorter still is known by its claim alone."""


class Secrets:
    """The runs of letters of every private fact; brought up to the world's state by what has changed since."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Fact, ...]] = {}
        self._runs: dict[str, set[str]] = {}
        self._of: dict[str, set[str]] = {}
        self._lengths: dict[int, int] = {}
        self._seq = -1

    def refresh(self, world: World, named: Callable[[str], bool]) -> None:
        """Take up the facts that have changed; nothing where the state is the one that was seen last.

        `named` tells whether a text is the name of an entity, which is no secret by itself.
        """
        state = world.state
        if state.seq == self._seq:
            return
        self._seq = state.seq
        for key in [key for key, seen in self._seen.items() if state.facts.get(key) is not seen]:
            self._forget(key)
        for key, versions in state.facts.items():
            if key not in self._seen and any(fact.known_by for fact in versions):
                self._learn(key, versions, named)

    def found(self, forms: Letters, world: World, npc: Npc, other: Npc | Player) -> str:
        """The key of a private fact that a text gives away to someone who may not know it; empty for none."""
        if not self._runs:
            return ""
        for length in self._lengths:
            for form in (forms.letters, forms.leet, forms.steps):
                for at in range(len(form) - length + 1):
                    for key in self._runs.get(form[at : at + length], ()):
                        if not _shared(world, npc, other, key):
                            return key
        return ""

    def _learn(self, key: str, versions: tuple[Fact, ...], named: Callable[[str], bool]) -> None:
        self._seen[key] = versions
        runs: set[str] = set()
        for fact in versions:
            if fact.known_by and isinstance(fact.value, str) and not named(fact.value):
                for length, run in _runs(fact.value):
                    self._lengths[length] = self._lengths.get(length, 0) + (run not in runs)
                    runs.add(run)
        for run in runs:
            self._runs.setdefault(run, set()).add(key)
        self._of[key] = runs

    def _forget(self, key: str) -> None:
        self._seen.pop(key)
        for run in self._of.pop(key, ()):
            holders = self._runs[run]
            holders.discard(key)
            if not holders:
                del self._runs[run]
            self._lengths[len(run)] -= 1
            if not self._lengths[len(run)]:
                del self._lengths[len(run)]


class SecretsView:
    """The secrets that one speaker keeps from one listener."""

    def __init__(self, secrets: Secrets, world: World, npc: Npc, other: Npc | Player) -> None:
        self._secrets, self._world, self._npc, self._other = secrets, world, npc, other

    def echoes(self, forms: Letters) -> bool:
        """Whether a text gives one of them away."""
        return bool(self._secrets.found(forms, self._world, self._npc, self._other))

    def found(self, text: str) -> str:
        """The key of the one that a text gives away, empty for none."""
        return self._secrets.found(letters_of(squeeze(text)), self._world, self._npc, self._other)


def _runs(value: str) -> Iterator[tuple[int, str]]:
    if len(squeeze(value)) < SECRET_LETTERS_MIN:
        return
    yield from runs_of(value, SECRET_LETTERS)
    yield from step_runs_of(value, SECRET_LETTERS)


def _shared(world: World, npc: Npc, other: Npc | Player, key: str) -> bool:
    """Whether the fact, in each version that was private, may be told."""
    versions = world.state.facts.get(key, ())
    return all(may_tell(world, npc, other, fact) for fact in versions if fact.known_by)
