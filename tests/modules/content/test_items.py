"""Items stay inside their budget, none makes another needless, and what is unique stays so."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.modules.content.items.judging import judge
from app.modules.content.items.making import Made, Order, made_items, no_better
from app.modules.content.items.naming import with_article
from app.modules.content.items.tables import agree, load_tables
from app.world.entities import Item

TABLES = load_tables()
KINDS = sorted(id for id, kind in TABLES.kinds.items() if kind.main)
ARTICLES = {"m": "der", "f": "die", "n": "das"}


def as_item(made: Made, id: str) -> Item:
    return Item(
        id=id,
        name=made.names["en"],
        item_kind=made.kind,
        value=made.value,
        tags=("unique",) if made.unique else (),
        attributes={
            "level": float(made.level), "rarity": made.rarity, "affixes": ",".join(made.affixes),
            **{name: float(units) for name, units in made.stats.items()},
        },
    )  # fmt: skip


@given(
    level=st.integers(1, 300),
    seed=st.integers(0, 2**63 - 1),
    kinds=st.lists(st.sampled_from(KINDS), max_size=3),
    rarity=st.sampled_from(["", *TABLES.rarities]),
)
def test_power_lies_inside_the_budget_and_the_judge_agrees(
    level: int, seed: int, kinds: list[str], rarity: str
) -> None:
    made = made_items(TABLES, Order(level=level, count=12, kinds=tuple(kinds), rarity=rarity), seed, set())
    for each in made:
        paid = sum(TABLES.stats[name] * units for name, units in each.stats.items())
        band = TABLES.band(level, each.rarity)
        assert band.least <= paid <= band.most
        assert all(units > 0 for units in each.stats.values())
        assert len(each.affixes) <= TABLES.rarities[each.rarity].affixes
    assert judge(TABLES, [as_item(each, str(n)) for n, each in enumerate(made)], {}, {}) == []


@given(level=st.integers(1, 200), seed=st.integers(0, 2**32), rarity=st.sampled_from(list(TABLES.rarities)))
def test_no_item_of_a_batch_is_another_s_worse_twin(level: int, seed: int, rarity: str) -> None:
    made = made_items(TABLES, Order(level=level, count=40, kinds=("sword", "ring"), rarity=rarity), seed, set())
    assert made
    for one in made:
        for two in made:
            if one is not two and one.kind == two.kind:
                assert not no_better(one, two)
                assert one.affixes != two.affixes


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_in_every_rarity_that_it_may(kind: str) -> None:
    for rarity in TABLES.ranks(kind):
        for level in (1, 2, 7, 60, 1_000):
            assert made_items(TABLES, Order(level=level, count=1, kinds=(kind,), rarity=rarity), 5, set()), (
                rarity,
                level,
            )


def test_budgets_grow_with_the_level_and_never_touch_across_rarities() -> None:
    for level in range(1, 1_000):
        bands = [TABLES.band(level, rarity) for rarity in TABLES.rarities]
        assert all(one.most < two.least for one, two in pairwise(bands))
        for rarity, band in zip(TABLES.rarities, bands, strict=True):
            above = TABLES.band(level + 1, rarity)
            assert above.least >= band.least
            assert above.most > band.most or level < 2


@pytest.mark.parametrize("kind", KINDS)
def test_more_power_is_never_cheaper(kind: str) -> None:
    values = [TABLES.value(kind, power) for power in range(0, 2_000)]
    assert values == sorted(values)
    assert values[0] < values[-1]


def test_what_is_unique_has_a_name_that_nothing_else_has() -> None:
    first = made_items(TABLES, Order(level=9, count=60, rarity="legendary"), 1, set())
    names = {name for made in first for name in made.names.values()}
    again = made_items(TABLES, Order(level=9, count=60, rarity="legendary"), 1, names)
    assert len(first) == 60
    assert len({made.names["en"] for made in first}) == 60
    assert not names & {name for made in again for name in made.names.values()}


def test_a_key_opens_a_place_that_was_named_and_no_other_item_opens_any() -> None:
    made = made_items(TABLES, Order(level=1, count=30, opens=(("vault", "the old vault"),)), 1, set())
    assert [each.opens for each in made if each.opens] == ["vault"]
    assert made[0].names == {"en": "key to the old vault", "de": "Schlüssel zu „the old vault“"}
    assert {each.kind for each in made[1:]} <= set(KINDS)


def test_german_names_are_compounds_that_keep_the_noun_s_gender() -> None:
    for made in made_items(TABLES, Order(level=20, count=150), 3, set()):
        if made.unique:
            continue
        noun, gender = TABLES.kinds[made.kind].de
        head = made.names["de"].split(" ")[0]
        assert head.casefold().endswith(noun.casefold())
        assert head[0].isupper()
        assert head[1:] == head[1:].lower()
        assert with_article(made.names["de"], gender, "de", definite=True).startswith(f"{ARTICLES[gender]} {head}")
        article = with_article(made.names["en"], gender, "en", definite=False).split(" ")[0]
        assert article == ("an" if made.names["en"][0] in "aeiou" else "a")


def test_affixes_that_exclude_one_another_never_meet() -> None:
    for made in made_items(TABLES, Order(level=30, count=200, rarity="epic"), 8, set()):
        assert agree(TABLES.prefixes[made.prefix], TABLES.suffixes[made.suffix])


def test_the_judge_names_each_fault_of_a_hand_made_item() -> None:
    sword = as_item(made_items(TABLES, Order(level=5, count=1, kinds=("sword",), rarity="rare"), 1, set())[0], "s")
    attributes = sword.attributes
    planted = {
        "budget": {**attributes, "damage": 400.0},
        "affix": {**attributes, "affixes": "honey,wolf"},
        "rarity": {**attributes, "rarity": "mythic"},
        "opens": {**attributes, "opens": "nowhere"},
    }
    for rule, changed in planted.items():
        found = judge(TABLES, [msgspec.structs.replace(sword, attributes=changed)], {}, {})
        assert rule in {one.rule for one in found if one.level == "error"}
    cheap = judge(TABLES, [msgspec.structs.replace(sword, value=1.0)], {}, {})
    assert [(one.level, one.rule) for one in cheap] == [("warning", "value")]
    twin = Item(id="t", name="Dawnbite", item_kind="sword", tags=("unique",), attributes={"level": 1.0})
    other = msgspec.structs.replace(twin, id="u")
    assert {one.rule for one in judge(TABLES, [twin], {"u": other}, {})} >= {"unique"}
