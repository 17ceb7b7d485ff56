"""The lines in the process beside a slow twin that keeps everything and counts nothing."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from app.engines.responses.lines import Line, packed, unpacked
from app.engines.responses.near import Near
from tests.doubles import ManualClock

TENANTS = st.sampled_from(["studio", "rival"])
KEYS = st.sampled_from(["k1", "k2", "k3", "k4"])
LIVES = st.floats(1, 9)
TAGS = st.sampled_from(["npc:a", "npc:b", "player:p1", "player:p2"])


def line(text: str, tags: tuple[str, ...]) -> Line:
    return Line(
        id=text, engine="writer", model="m", writers=("writer",), reason="stop", pieces=(text,), tags=tags, written_ms=0
    )


class Shelves(RuleBasedStateMachine):
    """Puts, purges, erasures, time and looks in any order; lines that were begun before are put later."""

    @initialize(entries_max=st.integers(1, 6), purges_max=st.integers(1, 4))
    def open(self, entries_max: int, purges_max: int) -> None:
        self.clock = ManualClock()
        self.near = Near(clock=self.clock, entries_max=entries_max, bytes_max=8_000, purges_max=purges_max)
        self.entries_max = entries_max
        self.begun: list[tuple[int, int]] = []
        self.step = 0
        self.purges: list[tuple[int, str, str]] = []
        self.kept: dict[tuple[str, str], dict[str, tuple[Line, float, int]]] = {}

    @rule()
    def begin(self) -> None:
        """A stream begins now and may end much later."""
        self.begun.append((self.near.mark(), self.step))

    @rule(
        tenant=TENANTS, key=KEYS, text=st.sampled_from("abc"), tags=st.lists(TAGS, max_size=2), life_s=st.floats(1, 9)
    )
    def end(self, tenant: str, key: str, text: str, tags: list[str], life_s: float) -> None:
        mark, step = self.begun.pop() if self.begun else (self.near.mark(), self.step)
        made = line(text, tuple(dict.fromkeys(tags)))
        if self.near.put((tenant, key), made, until_s=self.clock.now_s + life_s, mark=mark):
            self.kept.setdefault((tenant, key), {})[text] = (made, self.clock.now_s + life_s, step)
        elif text in self.kept.get((tenant, key), {}):
            known, until_s, since = self.kept[tenant, key][text]
            self.kept[tenant, key][text] = (known, max(until_s, self.clock.now_s + life_s), since)

    @rule(tenant=TENANTS, tag=TAGS)
    def purge(self, tenant: str, tag: str) -> None:
        self.step += 1
        self.purges.append((self.step, tenant, tag))
        self.near.purge(tenant, tag)

    @rule(tenant=TENANTS, tag=st.sampled_from(["player:p1", "player:p2"]))
    def forget(self, tenant: str, tag: str) -> None:
        self.purge(tenant, tag)
        self.near.erase(tenant, tag)
        held = [each.line for key, shelf in self.near._shelves.items() if key[0] == tenant for each in shelf.held]
        assert all(tag not in each.tags for each in held), "it is out of memory, not only out of reach"

    @rule(seconds=st.floats(0.1, 5))
    def wait(self, seconds: float) -> None:
        self.clock.now_s += seconds

    @rule(tenant=TENANTS, key=KEYS)
    def look(self, tenant: str, key: str) -> None:
        """What is found is good: not over, and no tag of it purged since it was begun."""
        shelf = self.near.shelf((tenant, key))
        for held in shelf.held if shelf is not None else ():
            made, until_s, since = self.kept[tenant, key][held.line.id]
            assert made == held.line
            assert until_s > self.clock.now_s
            assert not [at for at, owner, tag in self.purges if at > since and owner == tenant and tag in made.tags]

    @invariant()
    def bounds_hold(self) -> None:
        held = [each for shelf in self.near._shelves.values() for each in shelf.held]
        assert len(self.near) <= self.entries_max
        assert self.near.size_bytes == sum(each.size_bytes for each in held) <= 8_000
        assert self.near.lines_of() == len(held)
        persons = {(key[0], tag, key[1]) for key, shelf in self.near._shelves.items() for each in shelf.held
                   for tag in each.line.tags if tag.startswith("player:")}  # fmt: skip
        known = {(tenant, tag, key) for (tenant, tag), keys in self.near._persons.items() for key in keys}
        assert persons == known


Shelves.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestShelves = Shelves.TestCase


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff\xff", b"null", b"\x81\xa2id\xa1a"])
def test_bytes_that_are_no_line_are_none(data: bytes) -> None:
    assert unpacked(data) is None


def test_a_line_comes_back_from_its_bytes() -> None:
    made = line("hello", ("npc:a",))
    data = packed(made)
    assert data is not None
    assert unpacked(data) == made
    assert packed(line("\ud800", ())) is None
