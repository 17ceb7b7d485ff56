"""Each rule finds what breaks it, says where and against what, and finds nothing in who is sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import msgspec
import pytest

from app.modules.characters.canon import Canon, Member
from app.modules.characters.library import load_library
from app.modules.characters.messages import Finding, Rule
from app.modules.characters.rules import judge
from app.modules.characters.settings import Settings
from app.world.entities import Fact, Faction, Item, Location, Npc, Player
from app.world.state import World, pair

TRADES = load_library().trades
SOUND = Npc(
    id="mara",
    name="Mara Reed",
    archetype="farmer",
    home="cottage",
    work="farm",
    location="farm",
    attributes={"age": 40.0},
)


def world() -> World:
    """Six places, two factions at odds, a couple, a captain, a dead man and a child."""
    found = World("studio", "vale")
    state = found.state
    for id, near, more in (
        ("square", ("cottage", "farm", "keep", "shut"), {}),
        ("cottage", ("square",), {"attributes": {"beds": 3.0}}),
        ("farm", ("square",), {}),
        ("keep", ("square",), {"attributes": {"faction": "rebels"}}),
        ("shut", ("square",), {"open": False}),
        ("isle", (), {}),
    ):
        options: dict[str, Any] = dict(more)
        state.locations[id] = Location(id=id, name=f"{id.title()} Place", connects=near, **options)
    state.factions["crown"] = Faction(id="crown", relations={"rebels": -0.9})
    state.factions["rebels"] = Faction(id="rebels")
    state.players["hero"] = Player(id="hero", name="Robin")
    state.items["axe"] = Item(id="axe", name="Axe")
    for npc in (
        Npc(id="odo", name="Odo Finch", home="cottage", attributes={"age": 38.0, "gender": "male"}),
        Npc(id="lise", name="Lise Finch", home="cottage", attributes={"age": 36.0, "gender": "female"}),
        Npc(id="cato", name="Cato Vane", archetype="captain", faction="crown", work="farm"),
        Npc(id="rolf", name="Rolf Ash", faction="rebels", work="keep"),
        Npc(id="dead", name="Dunn Marsh", alive=False, attributes={"age": 80.0}),
    ):
        state.npcs[npc.id] = npc
    for fact in (
        *tied("odo", "spouse", "lise"),
        Fact(subject="farm", predicate="well", value="is dry", known_by=("cato",)),
        Fact(subject="odo", predicate="vice", value="dice", known_by=("lise",)),
        Fact(subject="hero", predicate="quest", value="hidden", known_by=("hero", "cato")),
    ):
        state.facts[pair(fact.subject, fact.predicate)] = (fact,)
    return found


def tied(one: str, kind: str, other: str, back: str = "") -> tuple[Fact, Fact]:
    return (
        Fact(subject=one, predicate=kind, value=other),
        Fact(subject=other, predicate=back or kind, value=one),
    )


def found(npc: Npc, *facts: Fact, items: Sequence[Item] = ()) -> list[Finding]:
    canon = Canon.of(world().state, Settings())
    return judge(canon, [Member(npc=npc, facts=facts, items=tuple(items))], TRADES)


def but(**fields: Any) -> Npc:
    return msgspec.structs.replace(SOUND, **fields)


def aged(years: float, **fields: Any) -> Npc:
    return but(attributes={"age": years}, **fields)


def test_who_is_sound_is_found_so() -> None:
    assert found(SOUND) == []
    assert found(SOUND, *tied("mara", "friend", "lise")) == []
    assert found(SOUND, *tied("mara", "rival", "rolf")) == [], "enemies may be rivals"
    assert found(SOUND, *tied("mara", "father", "dead", "child")) == [], "the dead may have children"
    assert found(SOUND, Fact(subject="farm", predicate="well", value="is dry", known_by=("cato", "mara"))) == []


def test_what_the_world_does_not_tell_is_held_against_nobody() -> None:
    assert (
        found(but(attributes={}, home="", work="", location="", faction=""), *tied("mara", "mother", "cato", "child"))
        == []
    )


CASES: list[tuple[Rule, Npc, tuple[Fact, ...], str, str]] = [
    ("id_taken", but(id="axe"), (), "id", "axe"),
    ("name_missing", but(name=" "), (), "name", ""),
    ("name_taken", but(name="Odo Reed"), (), "name", "odo"),
    ("name_taken", but(name="Robin Reed"), (), "name", "hero"),
    ("name_alike", but(name="Lisa Reed"), (), "name", "lise"),
    ("age_range", aged(400.0), (), "attributes.age", ""),
    ("level_range", but(level=0), (), "level", ""),
    ("share_range", but(attributes={"need_wealth": 1.5}), (), "attributes.need_wealth", ""),
    ("faction_missing", but(faction="elves"), (), "faction", ""),
    ("place_missing", but(work="nowhere"), (), "work", ""),
    ("place_closed", but(home="shut"), (), "home", "shut"),
    ("place_unreachable", but(work="isle"), (), "work", "cottage"),
    ("place_hostile", but(faction="crown", work="keep"), (), "work", "rebels"),
    ("child_works", aged(9.0), (), "archetype", ""),
    ("post_taken", but(archetype="captain", faction="crown"), (), "archetype", "cato"),
    ("tie_self", SOUND, (Fact(subject="mara", predicate="friend", value="mara"),), "fact friend", ""),
    ("tie_missing", SOUND, (Fact(subject="mara", predicate="friend", value="nobody"),), "fact friend", ""),
    ("tie_one_sided", SOUND, (Fact(subject="mara", predicate="rival", value="rolf"),), "fact rival", "rolf"),
    ("tie_dead", SOUND, tied("mara", "friend", "dead"), "fact friend", "dead"),
    ("tie_hostile", but(faction="crown"), tied("mara", "friend", "rolf"), "fact friend", "rolf"),
    ("captain_other", SOUND, (Fact(subject="mara", predicate="captain", value="cato"),), "fact captain", "cato"),
    ("spouse_taken", SOUND, (Fact(subject="mara", predicate="spouse", value="odo"),), "fact spouse", "lise"),
    ("spouse_age", aged(16.0), tied("mara", "spouse", "cato"), "attributes.age", ""),
    ("parent_age", SOUND, tied("mara", "mother", "lise", "child"), "fact mother", "lise"),
    ("parent_age", aged(2.0, archetype="child"), tied("mara", "child", "odo", "mother"), "fact child", "odo"),
    (
        "parent_same",
        SOUND,
        (*tied("mara", "mother", "cato", "child"), Fact(subject="mara", predicate="father", value="cato")),
        "fact father",
        "cato",
    ),
    (
        "kin_marriage",
        SOUND,
        (*tied("mara", "father", "dead", "child"), *tied("mara", "spouse", "dead")),
        "fact spouse",
        "dead",
    ),
    ("fact_conflict", SOUND, (Fact(subject="odo", predicate="spouse", value="mara"),), "fact spouse", "lise"),
    (
        "fact_conflict",
        SOUND,
        (Fact(subject="mara", predicate="eyes", value="gray"), Fact(subject="mara", predicate="eyes", value="blue")),
        "fact eyes",
        "gray",
    ),
    (
        "fact_untrue",
        SOUND,
        (Fact(subject="farm", predicate="well", value="is full", known_by=("mara",)),),
        "fact well",
        "is dry",
    ),
    (
        "fact_untrue",
        SOUND,
        (Fact(subject="farm", predicate="ghost", value=True, known_by=("mara",)),),
        "fact ghost",
        "",
    ),
    (
        "fact_unknowable",
        SOUND,
        (Fact(subject="odo", predicate="vice", value="dice", known_by=("lise", "mara")),),
        "fact vice",
        "odo",
    ),
    (
        "fact_unknowable",
        but(work="square"),
        (Fact(subject="hero", predicate="quest", value="hidden", known_by=("hero", "mara")),),
        "fact quest",
        "hero",
    ),
]


@pytest.mark.parametrize(
    ("rule", "npc", "facts", "field", "against"), CASES, ids=[f"{case[0]}-{at}" for at, case in enumerate(CASES)]
)
def test_a_planted_contradiction_is_found_where_it_stands(
    rule: Rule, npc: Npc, facts: tuple[Fact, ...], field: str, against: str
) -> None:
    findings = found(npc, *facts)
    hits = [one for one in findings if one.rule == rule]
    assert hits, findings
    assert hits[0].field == field
    assert hits[0].against == against
    assert hits[0].subject == npc.id
    assert hits[0].text
    assert hits[0].mend


def test_a_home_is_full_when_its_beds_are() -> None:
    canon = Canon.of(world().state, Settings())
    two = [Member(npc=SOUND), Member(npc=but(id="tilda", name="Tilda Reed"))]
    assert [one.rule for one in judge(canon, two[:1], TRADES)] == []
    assert {one.rule for one in judge(canon, two, TRADES)} == {"home_full"}


def test_an_item_s_id_must_be_free() -> None:
    assert [one.rule for one in found(SOUND, items=[Item(id="axe")])] == ["item_taken"]


def test_every_rule_of_the_closed_set_has_a_planted_case() -> None:
    assert {case[0] for case in CASES} | {"home_full", "item_taken"} == set(get_args(Rule))
