"""Lore comes to mind when its keys are said, to whom it may, within its bounds, and as it is now."""

from __future__ import annotations

from app.core.messages import Event
from app.world import lore
from app.world.entities import Fact, Npc, Player
from app.world.events import EntityUpserted, FactAsserted
from app.world.reducers import apply
from app.world.state import World


def tell(world: World, subject: str, *, known_by: tuple[str, ...] = (), **values: str | float | bool) -> None:
    for predicate, value in values.items():
        put(world, FactAsserted(fact=Fact(subject=subject, predicate=predicate, value=value, known_by=known_by)))


def put(world: World, change: FactAsserted | EntityUpserted) -> None:
    seq = world.state.seq + 1
    apply(world.state, Event(seq=seq, id=f"e{seq}", wall_ms=0, game_s=float(seq), change=change))


def inn() -> tuple[World, Npc]:
    world = World("t", f"w{id(object())}")
    npc = Npc(id="mara", faction="guild")
    put(world, EntityUpserted(entity=npc))
    return world, npc


def found(world: World, npc: Npc, *texts: str, most: int = 8, characters_max: int = 1_000) -> list[str]:
    return [known.subject_id for known in lore.lore_for(world, npc, texts, most=most, characters_max=characters_max)]


def test_an_entry_comes_when_a_key_is_said_as_a_word() -> None:
    world, npc = inn()
    tell(world, "lore:wyrm", lore="It sleeps under the hill.", keys="dragon, Red Wyrm")
    assert found(world, npc, "Have you seen the DRAGON?") == ["lore:wyrm"]
    assert found(world, npc, "The red wyrm, they say.") == ["lore:wyrm"]
    assert found(world, npc, "A dragonfly on the red worm.") == []
    (known,) = lore.lore_for(world, npc, ["dragon"], most=1, characters_max=100)
    assert (known.predicate, known.value, known.subject) == ("lore", "It sleeps under the hill.", "dragon")


def test_further_keys_must_be_said_as_their_logic_wants() -> None:
    world, npc = inn()
    for logic in lore.LOGICS:
        tell(world, f"lore:{logic}", lore=logic, keys="keep", keys_too="fire, old well", keys_logic=logic)
    assert found(world, npc, "the keep") == ["lore:none", "lore:not_all"]
    assert found(world, npc, "the keep", "is on fire") == ["lore:any", "lore:not_all"]
    assert found(world, npc, "keep the fire by the old well") == ["lore:all", "lore:any"]


def test_what_an_npc_may_not_know_or_tell_does_not_come() -> None:
    world, npc = inn()
    player = Player(id="p1")
    put(world, EntityUpserted(entity=player))
    tell(world, "lore:secret", lore="The baron is a wolf.", keys="baron", known_by=("guild",))
    tell(world, "lore:other", lore="The baron is dead.", keys="baron", known_by=("tom",))
    assert found(world, npc, "the baron") == ["lore:secret"]
    assert lore.lore_for(world, npc, ["the baron"], most=8, characters_max=99, listener=player) == ()


def test_constant_entries_come_first_and_then_by_order_within_the_bounds() -> None:
    world, npc = inn()
    tell(world, "lore:a", lore="a" * 40, keys="keep", order=1.0)
    tell(world, "lore:b", lore="b" * 60, keys="keep", order=9.0)
    tell(world, "lore:c", lore="c" * 10, constant=True)
    assert found(world, npc, "keep") == ["lore:c", "lore:b", "lore:a"]
    assert found(world, npc, "keep", most=2) == ["lore:c", "lore:b"]
    assert found(world, npc, "keep", characters_max=55) == ["lore:c", "lore:a"]
    assert found(world, npc) == ["lore:c"]


def test_lore_that_is_new_changed_or_gone_is_seen_at_once() -> None:
    world, npc = inn()
    assert found(world, npc, "dragon") == []
    tell(world, "lore:wyrm", lore="It sleeps.", keys="dragon")
    assert found(world, npc, "dragon") == ["lore:wyrm"]
    tell(world, "lore:wyrm", keys="serpent")
    assert (found(world, npc, "dragon"), found(world, npc, "serpent")) == ([], ["lore:wyrm"])
    tell(world, "lore:wyrm", lore="It woke.")
    assert lore.lore_for(world, npc, ["serpent"], most=1, characters_max=99)[0].value == "It woke."
    tell(world, "tom", mood="sad")
    del world.state.facts["lore:wyrm\x1flore"]
    assert found(world, npc, "serpent") == []


def test_a_fast_book_finds_what_a_plain_search_finds() -> None:
    world, npc = inn()
    for number in range(60):
        tell(world, f"lore:{number}", lore=f"text {number}", keys=f"key{number % 7} gate{number % 3}, tower{number}")
    for text in ("key3 gate1 and tower9", "Key6 gate2", "tower12 tower13, key0", "nothing here"):
        words = " ".join(lore.words_of(text))
        wanted = {
            f"lore:{number}"
            for number in range(60)
            if f" key{number % 7} gate{number % 3} " in f" {words} " or f" tower{number} " in f" {words} "
        }
        assert set(found(world, npc, text, most=99, characters_max=9_999)) == wanted


def test_keys_of_scripts_without_spaces_are_found_within_a_sentence() -> None:
    world, npc = inn()
    tell(world, "lore:ryu", lore="The dragon.", keys="竜王")
    assert found(world, npc, "昔、竜王がいた。") == ["lore:ryu"]
    assert found(world, npc, "竜の王") == []
