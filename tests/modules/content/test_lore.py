"""Lore states nothing that canon denies, and no sentence says what its facts do not hold."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.modules.content.lore.canon import Canon, contradictions
from app.modules.content.lore.citing import Checker
from app.modules.content.lore.founding import Founder
from app.modules.content.lore.tables import load_tables
from app.modules.content.lore.telling import Told, told
from app.world.entities import AnyEntity, Fact
from app.world.state import World
from tests.modules.content.valley import valley

TABLES = load_tables()
SUBJECTS = ("inn", "square", "vault", "carters", "watch", "monks", "mira", "tom", "anna", "crown")
YEARS = (200, 1_200)


def founder_of(world: World, seed: int, tag: str = "en") -> Founder:
    return Founder(world, TABLES, TABLES.language(tag), seed, years=YEARS)


def entities(world: World, *ids: str) -> list[AnyEntity]:
    found = [world.entity(id) for id in ids]
    return [each for each in found if each is not None]


def sentences(world: World, canon: Canon, tag: str, seed: int) -> list[tuple[Told, Checker]]:
    rows: list[tuple[Told, Checker]] = []
    for entity in entities(world, *SUBJECTS):
        facts = canon.about(entity.id)
        checker = Checker(world, TABLES.language(tag), {held.key: held for held in facts})
        rows += [(each, checker) for each in told(world, TABLES.language(tag), tag, entity, facts, seed)]
    return rows


@given(seed=st.integers(0, 2**63 - 1))
def test_what_is_founded_contradicts_neither_canon_nor_itself(seed: int) -> None:
    world = valley(
        Fact(subject="inn", predicate="burned_year", value=300.0), Fact(subject="world", predicate="year", value=420.0)
    )
    founded = founder_of(world, seed).found(entities(world, *SUBJECTS), ())
    facts = [held.fact for held in founded]
    assert contradictions(world, TABLES, facts) == []
    assert len({(fact.subject, fact.predicate) for fact in facts}) == len(facts)
    by = {(fact.subject, fact.predicate): fact.value for fact in facts}
    assert ("square", "founded_year") not in by, "canon says it was built long ago"
    assert ("inn", "burned_year") not in by
    assert int(by["inn", "founded_year"]) < 300
    assert all(value <= 420 for value in by.values() if isinstance(value, float))
    assert by["watch", "ruler"] == "Anna", "the dead do not rule"
    assert by["carters", "feud_over"] == by["watch", "feud_over"], "a feud is about one thing"
    feud = by.get(("carters", "feud_year"), by.get(("watch", "feud_year")))
    for side in ("carters", "watch"):
        assert feud is None or float(by[side, "founded_year"]) < float(feud)
        assert by.get((side, "feud_year"), feud) == feud


@pytest.mark.parametrize("tag", ["en", "de"])
@given(seed=st.integers(0, 2**63 - 1))
def test_every_sentence_tells_its_facts_and_passes_the_checker(tag: str, seed: int) -> None:
    world = valley()
    founder = founder_of(world, seed, tag)
    founder.found(entities(world, *SUBJECTS), ())
    rows = sentences(world, founder.canon, tag, seed)
    assert rows
    for each, checker in rows:
        assert checker.fault(each.text, each.cites) == "", each.text
        assert "{" not in each.text
        assert each.text[0].isupper() or each.text[0] in "“„"
        assert each.text[-1] in ".!?”“"
    cited = [key for each, _ in rows for key in each.cites]
    assert len(cited) == len(set(cited)), "a fact is told once"


@given(seed=st.integers(0, 2**32))
def test_a_sentence_with_another_name_or_number_never_passes(seed: int) -> None:
    world = valley()
    founder = founder_of(world, seed)
    founder.found(entities(world, *SUBJECTS), ())
    for each, checker in sentences(world, founder.canon, "en", seed):
        assert checker.fault(each.text, ()) == "it cites no fact"
        assert "no fact" in checker.fault(each.text, ("inn nothing",))
        assert checker.fault(f"{each.text[:-1]}, says Gorbag.", each.cites)
        assert checker.fault(f"{each.text[:-1]} for 77 days.", each.cites)
        assert checker.fault(f"{each.text[:-1]} with Robin.", each.cites)
        if year := re.search(r"\d{3,4}", each.text):
            assert checker.fault(each.text.replace(year.group(), "9999"), each.cites)


def test_secrets_stay_with_those_who_keep_them_and_never_share_a_sentence() -> None:
    world = valley()
    founder = founder_of(world, 7)
    founder.found(entities(world, *SUBJECTS), ("monks",))
    circles = {held.fact.predicate: held.fact.known_by for id in SUBJECTS for held in founder.canon.about(id)}
    assert circles["fear"] in {("mira",), ("tom",), ("anna",)}
    assert circles["hidden"] in {("mira",), ("anna", "tom")}
    assert circles["founder"] == ("monks",)
    for each, _ in sentences(world, founder.canon, "en", 7):
        held = [founder.canon.get(*key.rsplit(" ", 1)) for key in each.cites]
        assert len({one.fact.known_by for one in held if one}) == 1
    assert "vault hidden" not in {held.key for held in founder.canon.about("vault")}, "nobody works there"


def test_the_same_seed_founds_the_same_and_all_seeds_agree_on_the_present_year() -> None:
    one = founder_of(valley(), 4).found(entities(valley(), *SUBJECTS), ())
    assert one == founder_of(valley(), 4).found(entities(valley(), *SUBJECTS), ())
    other = founder_of(valley(), 5).found(entities(valley(), *SUBJECTS), ())
    assert one != other
    assert one[0] == other[0]
    assert one[0].key == "world year"


@pytest.mark.parametrize(
    ("fact", "reason"),
    [
        (Fact(subject="inn", predicate="builder", value="Bob"), "already"),
        (Fact(subject="inn", predicate="burned_year", value=100.0), "too early"),
        (Fact(subject="inn", predicate="burned_year", value=999.0), "after the present year"),
        (Fact(subject="inn", predicate="motto", value="Hm."), "is said of faction"),
        (Fact(subject="watch", predicate="ruler", value="Olaf"), "nobody who lives"),
        (Fact(subject="watch", predicate="ruler", value="Mira"), "does not belong"),
        (Fact(subject="inn", predicate="rebuilt_year", value="soon"), "is no year"),
    ],
)
def test_a_fact_that_cannot_be_so_is_named(fact: Fact, reason: str) -> None:
    world = valley(
        Fact(subject="world", predicate="year", value=500.0),
        Fact(subject="inn", predicate="founded_year", value=300.0),
        Fact(subject="inn", predicate="founder", value="Ada Wick"),
    )
    ((named, why),) = contradictions(world, TABLES, [fact])
    assert named == fact
    assert reason in why
    assert contradictions(world, TABLES, [Fact(subject="world", predicate="weather", value="fog")]) == []


def test_no_verb_agrees_with_a_name_that_may_be_one_or_many() -> None:
    for of in ("location", "faction"):
        for sentence in TABLES.language("en").sentences[of]:
            assert not re.search(r"(^|[;,.] |that |when |where |what |and )\{subject\} \w+s\b", sentence.text), (
                sentence.text
            )
        for sentence in TABLES.language("de").sentences[of]:
            assert not re.search(r"^\{(subject|name)\}", sentence.text), sentence.text
