"""Whoever is made contradicts nothing, is the same everywhere, and is somebody."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter

import msgspec
import pytest

from app.core.errors import Conflict, Invalid, NotFound
from app.modules.characters import logic
from app.modules.characters.canon import Canon
from app.modules.characters.library import MOTIVES, VOICES, load_library
from app.modules.characters.messages import Plan
from app.modules.characters.plans import Wish
from app.modules.characters.settings import Settings
from app.world.entities import Location, Npc
from app.world.state import World, copied
from tests.modules.characters.checker import faults
from tests.modules.characters.worlds import apply, land

LIBRARY = load_library()
PLANS: tuple[Plan, ...] = ("person", "household", "guard_post", "tavern", "market")
SCHEDULES = Settings().schedules


def put(world: World, wish: Wish) -> logic.Made:
    """Make people and put them into the world."""
    made = logic.generate(LIBRARY, Canon.of(world.state, Settings()), wish)
    apply(world, logic.changes(made.members, SCHEDULES))
    return made


@pytest.mark.parametrize("part", range(4))
def test_a_thousand_people_of_random_worlds_contradict_nothing(part: int) -> None:
    made = refused = 0
    seed = 10_000 * part
    while made < 250:
        seed += 1
        chance = random.Random(seed)
        world = land(seed, places=chance.randint(3, 14), people=chance.randint(2, 12))
        for _ in range(3):
            before = World("studio", "vale", copied(world.state))
            open_places = [id for id, place in world.state.locations.items() if place.open]
            wish = Wish(
                plan=chance.choice(PLANS),
                count=chance.randint(1, 6),
                seed=seed,
                place=chance.choice(["", *open_places]),
                faction=chance.choice(["", "", "crown", "rebels", "guild"]),
                culture=chance.choice(["", "fjord", "harbor"]),
                language=chance.choice(["en", "de"]),
            )
            try:
                members = put(world, wish).members
            except Conflict:
                refused += 1
                continue
            made += len(members)
            assert faults(world, [member.npc.id for member in members], before) == [], (seed, wish)
    assert refused < made, "most wishes are met"


def test_the_checker_sees_what_is_planted() -> None:
    world = village()
    before = World("studio", "vale", copied(world.state))
    made = put(world, Wish(plan="household", count=4, seed=1, place="cottage"))
    ids = [member.npc.id for member in made.members]
    assert faults(world, ids, before) == []
    world.state.locations["cottage"] = msgspec.structs.replace(world.state.locations["cottage"], open=False)
    first = world.state.npcs[ids[0]]
    world.state.npcs[ids[0]] = msgspec.structs.replace(first, attributes={**first.attributes, "age": 17.0})
    del world.state.facts[f"{ids[1]}\x1fspouse"]
    found = " ".join(faults(world, ids, before))
    for word in ("no open place", "marriage", "years older", "not its spouse too"):
        assert word in found


def village() -> World:
    """A small place with work for everybody."""
    world = World("studio", "vale")
    names = {
        "square": "Market Square", "lantern": "the Copper Lantern", "smithy": "the Smithy", "gate": "North Gate",
        "cottage": "Elm Cottage", "row": "Weavers' Row", "library": "the Library", "farm": "Far Farm",
    }  # fmt: skip
    for id, name in names.items():
        near = tuple(names) if id == "square" else ("square",)
        world.state.locations[id] = Location(id=id, name=name, connects=near)
    return world


def test_the_same_seed_and_world_give_the_same_bytes_in_any_process() -> None:
    code = (
        "import msgspec; from tests.modules.characters.test_made import *; w = village(); "
        "made = [put(w, Wish(plan=plan, count=5, seed=3)).members for plan in PLANS]; "
        "import hashlib; print(hashlib.sha256(msgspec.msgpack.encode(made)).hexdigest())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "7", "4242")
    }
    assert len(told) == 1


def test_a_household_is_a_family() -> None:
    world = village()
    made = put(world, Wish(plan="household", count=5, seed=11, place="cottage")).members
    mother, father = made[0].npc, made[1].npc
    assert {member.npc.name.split()[1] for member in made} == {mother.name.split()[1]}
    assert world.fact(mother.id, "spouse").value == father.id  # type: ignore[union-attr]  # it was asserted
    assert world.relation(mother.id, father.id) == world.relation(father.id, mother.id) == 0.7
    children = [member.npc for member in made if world.fact(member.npc.id, "mother") is not None]
    assert children
    assert world.fact(mother.id, "child").value in [child.id for child in children]  # type: ignore[union-attr]  # as above


def test_a_guard_post_has_one_captain_also_when_it_is_filled_again() -> None:
    world = village()
    put(world, Wish(plan="guard_post", count=3, seed=1, place="gate"))
    put(world, Wish(plan="guard_post", count=4, seed=2, place="gate"))
    captains = [npc for npc in world.state.npcs.values() if npc.archetype == "captain"]
    guards = [npc for npc in world.state.npcs.values() if npc.archetype == "guard"]
    assert (len(captains), len(guards)) == (1, 6)
    assert all(world.fact(guard.id, "captain").value == captains[0].id for guard in guards)  # type: ignore[union-attr]  # asserted
    assert {world.state.schedules[guard.id] for guard in guards} == {"day watch", "night watch"}


def test_a_tavern_s_people_work_for_its_keeper() -> None:
    world = village()
    world.state.npcs["bet"] = Npc(id="bet", name="Bet", archetype="innkeeper", work="lantern", home="lantern")
    made = put(world, Wish(plan="tavern", count=2, seed=1, place="lantern")).members
    assert [member.npc.archetype for member in made] == ["cook", "servant"]
    assert all(world.fact(member.npc.id, "employer").value == "bet" for member in made)  # type: ignore[union-attr]  # asserted


def people(count: int) -> list[Npc]:
    found: list[Npc] = []
    for seed in range(count):
        made = logic.generate(LIBRARY, Canon.of(village().state, Settings()), Wish(plan="person", count=1, seed=seed))
        found.append(made.members[0].npc)
    return found


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_traits_drive_needs_voice_and_the_hour_of_rising() -> None:
    everybody = people(300)

    def gap(trait: str, attribute: str) -> float:
        high = [float(npc.attributes[attribute]) for npc in everybody if float(npc.attributes[trait]) > 0.6]
        low = [float(npc.attributes[attribute]) for npc in everybody if float(npc.attributes[trait]) < 0.4]
        return _mean(high) - _mean(low)

    assert gap("openness", "need_knowledge") > 0.1
    assert gap("neuroticism", "need_protection") > 0.1
    assert gap("agreeableness", "need_conquest") < -0.05
    assert gap("conscientiousness", "rises_h") < -0.3
    texts = LIBRARY.texts["en"].voices
    voiced = [(npc, next(name for name in VOICES if npc.persona.voice in texts[name])) for npc in everybody]
    outgoing = {
        voice: _mean([float(npc.attributes["extraversion"]) for npc, name in voiced if name == voice])
        for voice in ("merry", "shy")
    }
    assert outgoing["merry"] > outgoing["shy"] + 0.1
    assert len({name for _, name in voiced}) == len(VOICES)


def test_the_trade_drives_work_and_what_is_known() -> None:
    everybody = people(150)
    smiths = [npc for npc in everybody if npc.archetype == "smith"]
    assert smiths
    assert {npc.work for npc in smiths} == {"smithy"}
    others = [npc for npc in everybody if npc.archetype != "smith"]
    equipment = "need_equipment"
    assert _mean([float(npc.attributes[equipment]) for npc in smiths]) > _mean(
        [float(npc.attributes[equipment]) for npc in others]
    )
    assert all(f"need_{motive}" in npc.attributes for npc in everybody for motive in MOTIVES)


def test_people_of_one_seed_after_another_are_not_the_same_person() -> None:
    world = village()
    for _ in range(4):
        put(world, Wish(plan="market", count=6, seed=5))
    told = [npc.persona.summary for npc in world.state.npcs.values()]
    assert len(set(told)) == len(told) == 24
    sentences = Counter(sentence for text in told for sentence in text.split(". ")[1:])
    assert max(sentences.values()) <= 6


@pytest.mark.parametrize("language", ["en", "de"])
def test_no_text_names_who_is_not_there(language: str) -> None:
    from app.world.gate.names import Names

    for seed in range(40):
        world = land(seed, places=8, people=8)
        try:
            made = put(world, Wish(plan=PLANS[seed % 5], count=4, seed=seed, language=language))
        except Conflict:
            continue
        names = Names.of(world)
        for member in made.members:
            npc = member.npc
            bound = {npc.id, npc.home, npc.work, *(str(fact.value) for fact in member.facts if fact.subject == npc.id)}
            assert {mention.id for mention in names.find(npc.persona.summary)} <= bound
            assert "{" not in f"{npc.persona.summary}{npc.persona.goals}"


def test_a_secret_is_known_by_its_keeper_and_at_most_a_friend() -> None:
    world = village()
    made = put(world, Wish(plan="tavern", count=6, seed=9, place="lantern")).members
    for member in made:
        private = [fact for fact in member.facts if fact.subject == member.npc.id and fact.known_by]
        assert {fact.predicate for fact in private} >= {"craft"}
        assert len(private) == 2
        assert all(fact.known_by[0] == member.npc.id and len(fact.known_by) <= 2 for fact in private)
        assert all(member.npc.name in str(fact.value) or fact.predicate == "craft" for fact in private)


def test_who_lives_where_something_is_known_is_let_into_it() -> None:
    from app.world.entities import Fact
    from app.world.state import pair

    world = village()
    world.state.npcs["bet"] = Npc(id="bet", name="Bet", archetype="innkeeper", work="lantern", home="lantern")
    secret = Fact(subject="lantern", predicate="cellar", value="leads to the river", known_by=("bet",))
    world.state.facts[pair("lantern", "cellar")] = (secret,)
    made = put(world, Wish(plan="tavern", count=2, seed=1, place="lantern")).members
    known = world.fact("lantern", "cellar")
    assert known is not None
    assert known.value == secret.value
    assert known.known_by == ("bet", *(member.npc.id for member in made))


@pytest.mark.parametrize(
    ("wish", "error", "named"),
    [
        (Wish(plan="person", count=1, seed=1, place="nowhere"), NotFound, "nowhere"),
        (Wish(plan="person", count=1, seed=1, archetype="smiht"), Invalid, "smiht"),
        (Wish(plan="tavern", count=1, seed=1, archetype="smith"), Invalid, "tavern"),
        (Wish(plan="person", count=1, seed=1, culture="elf"), Invalid, "elf"),
        (Wish(plan="person", count=1, seed=1, faction="elves"), NotFound, "elves"),
        (Wish(plan="household", count=9, seed=1, place="cottage"), Conflict, "room for 8"),
    ],
)
def test_a_wish_that_cannot_be_met_says_why(wish: Wish, error: type[Exception], named: str) -> None:
    with pytest.raises(error, match=named):
        logic.generate(LIBRARY, Canon.of(village().state, Settings()), wish)
