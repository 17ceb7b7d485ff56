"""The audit chain: whatever somebody without the key does to it is found, and called by its name."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from app.core.chain import NOTHING, Checkpoint, Entry, Keys, Verdict, Verifier, hash_of, sign

KEYS = Keys.of(b"k" * 32)
STRANGER = Keys.of(b"s" * 32)
names = st.text(max_size=8)


def chained(contents: list[tuple[str, str]], keys: Keys = KEYS) -> list[Entry]:
    entries, before = [], NOTHING
    for row, (actor, action) in enumerate(contents):
        entry = Entry(
            tenant="t", seq=row + 1, id=f"id{row}", wall_ms=row, actor=actor, action=action, target="x", details=b"{}"
        )
        before = hash_of(keys.chain, before, entry)
        entries.append(msgspec.structs.replace(entry, hash=before))
    return entries


def verdict(entries: list[Entry], *, head_seq: int, marks: tuple[Checkpoint, ...] = ()) -> Verdict:
    verifier = Verifier(KEYS, "t", [mark for mark in marks if mark.kind == "checkpoint"],
                        base=next((mark for mark in marks if mark.kind == "base"), None))  # fmt: skip
    for entry in entries:
        verifier.feed(entry)
    return verifier.finish(head_seq=head_seq)


def renumbered(entries: list[Entry]) -> list[Entry]:
    return [msgspec.structs.replace(entry, seq=row + 1) for row, entry in enumerate(entries)]


def kind_of(found: Verdict) -> str:
    assert found.fault is not None
    return found.fault.kind


chains = st.lists(st.tuples(names, names), min_size=2, max_size=12).map(chained)


def at(data: st.DataObject, entries: list[Entry]) -> int:
    return data.draw(st.integers(0, len(entries) - 1))


@given(chains)
def test_a_chain_that_nobody_touched_holds(entries: list[Entry]) -> None:
    found = verdict(entries, head_seq=len(entries))
    assert found.fault is None
    assert (found.entries, found.first_seq, found.last_seq) == (len(entries), 1, len(entries))


@given(chains, st.data())
def test_a_changed_entry_is_found_where_it_is(entries: list[Entry], data: st.DataObject) -> None:
    row = at(data, entries)
    field = data.draw(st.sampled_from(("actor", "action", "target", "details", "wall_ms", "id", "hash", "tenant")))
    value = {"details": b'{"a":1}', "wall_ms": 99, "hash": b"h" * 32}.get(field, "somebody else")
    touched = [*entries]
    touched[row] = msgspec.structs.replace(entries[row], **{field: value})
    found = verdict(touched, head_seq=len(entries))
    assert found.fault is not None
    assert (found.fault.seq, found.fault.kind) == (row + 1, "changed")


@given(chains, st.data())
def test_a_missing_entry_is_found_also_where_the_rest_moved_up(entries: list[Entry], data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(entries) - 2))
    rest = [*entries[:row], *entries[row + 1 :]]
    assert kind_of(verdict(rest, head_seq=len(entries))) == "missing"
    moved = verdict(renumbered(rest), head_seq=len(entries))
    assert kind_of(moved) == "missing"
    assert moved.fault is not None
    assert moved.fault.seq == row + 1
    assert verdict(renumbered(rest), head_seq=len(rest)).fault is not None


@given(chains, st.data())
def test_an_inserted_entry_is_found(entries: list[Entry], data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(entries)))
    copied = data.draw(st.booleans())
    alien = chained([("a", "b")], STRANGER)[0] if not copied else msgspec.structs.replace(entries[0], id="new")
    touched = renumbered([*entries[:row], alien, *entries[row:]])
    found = verdict(touched, head_seq=len(entries))
    assert found.fault is not None
    assert (found.fault.seq, found.fault.kind) == (row + 1, "inserted")


@given(st.lists(st.tuples(names, names), min_size=3, max_size=12, unique=True).map(chained), st.data())
def test_two_entries_that_changed_places_are_found(entries: list[Entry], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(entries) - 2))
    second = data.draw(st.integers(first + 1, len(entries) - 1))
    touched = [*entries]
    touched[first], touched[second] = touched[second], touched[first]
    found = verdict(renumbered(touched), head_seq=len(entries))
    assert found.fault is not None
    assert (found.fault.seq, found.fault.kind) == (first + 1, "reordered")
    kept = [msgspec.structs.replace(entry, hash=entries[row].hash) for row, entry in enumerate(renumbered(touched))]
    assert kind_of(verdict(kept, head_seq=len(entries))) == "reordered"


@given(chains, st.data())
def test_a_tail_that_was_cut_is_found_by_the_head_or_by_an_exported_checkpoint(
    entries: list[Entry], data: st.DataObject
) -> None:
    left = data.draw(st.integers(0, len(entries) - 1))
    last = entries[-1]
    assert kind_of(verdict(entries[:left], head_seq=len(entries))) == "cut"
    mark = sign(KEYS.checkpoint, Checkpoint(tenant="t", seq=last.seq, kind="checkpoint", wall_ms=1, hash=last.hash))
    assert kind_of(verdict(entries[:left], head_seq=left, marks=(mark,))) == "cut"


@given(chains)
def test_a_chain_written_anew_by_who_has_its_key_differs_from_an_exported_checkpoint(entries: list[Entry]) -> None:
    last = entries[-1]
    mark = sign(KEYS.checkpoint, Checkpoint(tenant="t", seq=last.seq, kind="checkpoint", wall_ms=1, hash=last.hash))
    anew = chained([("x", "y")] * len(entries))
    assert kind_of(verdict(anew, head_seq=len(anew), marks=(mark,))) == "changed"
    assert verdict(entries, head_seq=len(entries), marks=(mark,)).checkpoints == 1


@given(chains, st.data())
def test_a_beginning_that_was_cut_holds_only_from_a_signed_base(entries: list[Entry], data: st.DataObject) -> None:
    gone = data.draw(st.integers(1, len(entries) - 1))
    rest, mark = entries[gone:], entries[gone - 1]
    base = Checkpoint(tenant="t", seq=mark.seq, kind="base", wall_ms=1, hash=mark.hash)
    assert verdict(rest, head_seq=len(entries), marks=(sign(KEYS.checkpoint, base),)).fault is None
    assert kind_of(verdict(rest, head_seq=len(entries))) == "missing"
    assert kind_of(verdict(rest, head_seq=len(entries), marks=(sign(STRANGER.checkpoint, base),))) == "checkpoint"
    as_base = msgspec.structs.replace(
        sign(KEYS.checkpoint, msgspec.structs.replace(base, kind="checkpoint")), kind="base"
    )
    assert kind_of(verdict(rest, head_seq=len(entries), marks=(as_base,))) == "checkpoint"
