"""What some of a world may know and others may not: the words of private facts, found again in any sentence.

It knows facts and who shares them. It does not know memories: those that may not be told never reach a scene.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from app.world.entities import Fact, Npc, Player
from app.world.gate.acts import may_tell
from app.world.gate.disguises import Letters, letters_of, runs_of, squeeze, step_runs_of
from app.world.state import World

RUNS = (24, 16, 12)
"""A run of so many letters of a private fact gives it away: the longest that its text has room for.

What is shorter than the shortest is anybody's word, and known by its claim alone.
"""
_Runs = dict[int, dict[str, set[str]]]


class Secrets:
    """The runs of letters of every private fact; brought up to the world's state by what has changed since."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Fact, ...]] = {}
        self._letters: _Runs = {}
        self._steps: _Runs = {}
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
        for length, runs in self._letters.items():
            for form in (forms.letters, forms.leet) if forms.leet != forms.letters else (forms.letters,):
                if key := _hit(runs, form, length, world, npc, other):
                    return key
        for length, runs in self._steps.items():
            if key := _hit(runs, forms.steps, length, world, npc, other):
                return key
        return ""

    def _learn(self, key: str, versions: tuple[Fact, ...], named: Callable[[str], bool]) -> None:
        self._seen[key] = versions
        for table, length, run in _runs(versions, named, self._letters, self._steps):
            table.setdefault(length, {}).setdefault(run, set()).add(key)

    def _forget(self, key: str) -> None:
        for table, length, run in _runs(self._seen.pop(key), lambda _: False, self._letters, self._steps):
            runs = table.get(length, {})
            holders = runs.get(run, set())
            holders.discard(key)
            if not holders:
                runs.pop(run, None)


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


def _hit(runs: dict[str, set[str]], form: str, length: int, world: World, npc: Npc, other: Npc | Player) -> str:
    """The key of a fact that a text holds a run of, and that the listener may not know."""
    shingles = [form[at : at + length] for at in range(len(form) - length + 1)]
    if runs.keys().isdisjoint(shingles):
        return ""
    keys = (key for run in shingles for key in runs.get(run, ()))
    return next((key for key in keys if not _shared(world, npc, other, key)), "")


def _runs(
    versions: tuple[Fact, ...], named: Callable[[str], bool], letters: _Runs, steps: _Runs
) -> Iterator[tuple[_Runs, int, str]]:
    """(table, length, run) of every run that gives a private version of a fact away."""
    for fact in versions:
        if not fact.known_by or not isinstance(fact.value, str) or named(fact.value):
            continue
        room = len(squeeze(fact.value))
        length = next((run for run in RUNS if run <= room), 0)
        if length:
            yield from ((letters, size, run) for size, run in runs_of(fact.value, length))
            yield from ((steps, size, run) for size, run in step_runs_of(fact.value, length))


def _shared(world: World, npc: Npc, other: Npc | Player, key: str) -> bool:
    """Whether the fact, in each version that was private, may be told."""
    versions = world.state.facts.get(key, ())
    return all(may_tell(world, npc, other, fact) for fact in versions if fact.known_by)
