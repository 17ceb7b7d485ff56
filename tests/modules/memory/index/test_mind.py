"""What comes to an NPC's mind."""

from __future__ import annotations

from app.core.memory import Cue, Recollection
from app.modules.memory.index import Mind

DAY_S = 86_400.0


def note(id: str, text: str, **more: object) -> Recollection:
    return Recollection(id=id, seq=0, text=text, source="witnessed", **more)  # type: ignore[arg-type]  # test data


def recalled(mind: Mind, text: str, now_s: float = 0.0, most: int = 5, **cue: object) -> list[str]:
    found = mind.rank(Cue(text=text, **cue), now_s=now_s, day_s=DAY_S, most=most)  # type: ignore[arg-type]  # test data
    return [memory.id for memory in found]


def test_the_memory_that_shares_words_comes_first() -> None:
    mind = Mind()
    mind.add(note("a", "The miller sold me a sack of flour.", thread="1"))
    mind.add(note("b", "Wolves were heard near the old bridge.", thread="2"))
    assert recalled(mind, "Who heard the wolf at the bridge?") == ["b"]


def test_what_a_listener_may_not_know_is_not_recalled() -> None:
    mind = Mind()
    mind.add(note("a", "Bram hides gold under the floor.", known_by=("ann", "npc")))
    assert recalled(mind, "gold under the floor", listener="bob") == []
    assert recalled(mind, "gold under the floor", listener="ann") == ["a"]
    assert recalled(mind, "gold under the floor") == ["a"]


def test_pinned_forgotten_expired_and_current_lines_are_left_out() -> None:
    mind = Mind()
    mind.add(note("pinned", "Gold for Ann.", pinned=True))
    mind.add(note("current", "Gold for Ann.", thread="now"))
    mind.add(note("expired", "Gold for Ann.", until_s=5.0))
    mind.add(note("removed", "Gold for Ann."))
    mind.add(note("kept", "Gold for Ann."))
    mind.remove(["removed", "never there"])
    assert recalled(mind, "gold", now_s=6.0, but_thread="now") == ["kept"]
    assert len(mind) == 4
