"""Quest databases that are sound by construction, and faults that are planted in them.

Each sound quest brings the entities that it needs, so that no two get in each other's way. Each fault is a quest or two
that are broken in one known way. Nothing here knows how an audit works.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from app.modules.quests.draft import Draft, DraftBranch, DraftFailure, DraftReward, DraftStep
from app.world.entities import AnyEntity, Fact, Faction, Item, Location, Npc, Player
from app.world.state import State, pair

PLACES = 24
SECOND = "The other"
"""The title of a quest whose fault is to come after another; it stays behind it."""


@dataclass(frozen=True, slots=True)
class Plant:
    """A fault: the quest that is broken, what an audit must call it, and others that fall with it."""

    quest: str
    faults: tuple[str, ...]
    falls: tuple[str, ...] = ()


@dataclass
class Base:
    """A world and the quests in it, both growing."""

    chance: random.Random
    entities: dict[str, AnyEntity] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)
    quests: list[Draft] = field(default_factory=list)
    plants: list[Plant] = field(default_factory=list)
    count: int = 0

    def state(self) -> State:
        state = State(game_s=100.0)
        tables = {Npc: state.npcs, Player: state.players, Item: state.items, Location: state.locations,
                  Faction: state.factions}  # fmt: skip
        for entity in self.entities.values():
            tables[type(entity)][entity.id] = entity  # type: ignore[index]  # each type has its table
        for fact in self.facts:
            state.facts[pair(fact.subject, fact.predicate)] = (fact,)
        return state

    def add(self, entity: AnyEntity) -> str:
        self.entities[entity.id] = entity
        return entity.id

    def fresh(self, word: str) -> str:
        self.count += 1
        return f"{word}_{self.count}"

    def place(self) -> str:
        """One of the open places that can be walked to."""
        return f"place_{self.chance.randrange(PLACES)}"

    def person(self, place: str = "", **more: object) -> str:
        fields = {"archetype": "villager", "location": place or self.place(), **more}
        return self.add(Npc(id=self.fresh("npc"), **fields))  # type: ignore[arg-type]  # fields by name

    def foe(self, **more: object) -> str:
        fields = {"archetype": "bandit", "location": self.place(), **more}
        return self.add(Npc(id=self.fresh("foe"), **fields))  # type: ignore[arg-type]  # fields by name

    def item(self, holder: str, **more: object) -> str:
        return self.add(Item(id=self.fresh("item"), holder=holder, **{"item_kind": "thing", **more}))  # type: ignore[arg-type]  # fields

    def locked(self, **more: object) -> str:
        """A closed place beside an open one."""
        near, id = self.place(), self.fresh("tower")
        self.add(Location(id=id, connects=(near,), open=False, **more))  # type: ignore[arg-type]  # fields by name
        beside = self.entities[near]
        assert isinstance(beside, Location)
        self.add(msgspec.structs.replace(beside, connects=(*beside.connects, id)))
        return id

    def quest(self, *steps: DraftStep, effort: float = 2.0, giver: str = "", **more: object) -> Draft:
        """A draft of its own level and a fair reward; steps follow each other."""
        level = self.chance.randint(3, 12)
        fair = effort * 10.0 * 1.08 ** (level - 1) * self.chance.uniform(0.7, 1.4)
        fields: dict[str, object] = {
            "level": level,
            "giver": giver or self.person(),
            "reward": DraftReward(experience=round(fair), coins=round(fair / 5)),
            **more,
        }
        id = self.fresh("quest")
        draft = Draft(id=id, title=f"Errand {id}", steps=steps, **fields)  # type: ignore[arg-type]  # fields by name
        self.quests.append(draft)
        return draft

    def plant(self, draft: Draft, *faults: str, falls: tuple[str, ...] = ()) -> None:
        self.plants.append(Plant(draft.id, faults, falls))


def step(id: str, action: str, *after: str, **fields: object) -> DraftStep:
    return DraftStep(id=id, action=action, after=after, **fields)  # type: ignore[arg-type]  # fields by name


def means(*entities: str) -> tuple[DraftFailure, ...]:
    """The losses that an author has thought of."""
    return tuple(DraftFailure(entity=id) for id in entities)


# Sound quests. Each adds one, or a chain.


def delivery(base: Base) -> None:
    item, to = base.item(base.place()), base.person()
    base.quest(step("a", "give", item=item, target=to), effort=5, failures=means(item, to))


def purchase(base: Base) -> None:
    seller = base.person(archetype="merchant")
    item = base.item(seller, value=10.0, attributes={"respawn_s": 60.0})
    base.quest(step("a", "trade", item=item, target=seller), effort=4, failures=means(item, seller))


def hunt(base: Base) -> None:
    foes = [base.foe(level=base.chance.randint(1, 4)) for _ in range(base.chance.randint(1, 3))]
    base.quest(*(step(f"k{foe}", "kill", target=foe) for foe in foes), effort=8.0 * len(foes), failures=means(*foes))


def culling(base: Base) -> None:
    kind = base.fresh("raider")
    for _ in range(3):
        base.foe(archetype="bandit", level=2, tags=(kind,), attributes={"respawn_s": 300.0})
    foe = base.foe(level=2, attributes={"respawn_s": 300.0})
    base.quest(step("a", "kill", target=foe), effort=7, repeat_s=86_400.0, members_max=3)


def harvest(base: Base) -> None:
    kind, many = base.fresh("herb"), base.chance.randint(1, 3)
    for _ in range(many + 1):
        base.item(base.place(), item_kind=kind, tags=("wild",), attributes={"respawn_s": 120.0})
    base.quest(step("a", "gather", kind=kind, count=many), effort=2.5 * many)


def scouting(base: Base) -> None:
    place, giver = base.place(), base.person()
    base.quest(
        step("a", "explore", location=place),
        step("b", "report", "a", target=giver, topic=f"seen {place}"),
        giver=giver,
        failures=means(giver),
        effort=5,
    )


def rumor(base: Base) -> None:
    knower, about, word = base.person(), base.person(), base.fresh("secret")
    base.facts.append(Fact(subject=about, predicate=word, value=True, known_by=(knower,)))
    base.quest(step("a", "learn", target=knower, topic=f"{about} {word}"), effort=3, failures=means(knower))


def escorting(base: Base) -> None:
    ward = base.person()
    base.quest(step("a", "escort", target=ward, location=base.place()), effort=5, failures=means(ward))


def vault(base: Base) -> None:
    tower, giver = base.locked(), base.person()
    key = base.item(base.place(), attributes={"opens": tower})
    prize = base.item(tower)
    base.quest(
        step("a", "unlock", location=tower),
        step("b", "give", "a", item=prize, target=giver),
        giver=giver,
        effort=9,
        failures=means(key, prize, giver),
    )


def lesson(base: Base) -> None:
    teacher = base.person(attributes={"teaches": "archery, tracking"})
    base.quest(step("a", "train", target=teacher, topic="tracking"), effort=4, failures=means(teacher))


def spoils(base: Base) -> None:
    foe = base.foe(level=3)
    loot = base.item(foe)
    base.quest(step("a", "kill", target=foe), step("b", "loot", "a", item=loot, target=foe), effort=10,
               failures=means(foe, loot))  # fmt: skip


def capturing(base: Base) -> None:
    foe = base.foe(level=2)
    base.quest(step("a", "capture", target=foe), effort=9, failures=means(foe))


def saga(base: Base) -> None:
    """Three quests: a key is fetched, a door opened with it, and what is behind it seen."""
    tower, keeper = base.locked(), base.person()
    key = base.item(base.place(), attributes={"opens": tower})
    first = base.quest(step("a", "take", item=key), effort=2, level=4, failures=means(key), giver=keeper)
    second = base.quest(step("a", "unlock", location=tower), effort=2, level=5, requires=(first.id,), giver=keeper,
                        failures=means(key))  # fmt: skip
    base.quest(step("a", "explore", location=tower), effort=3, level=6, requires=(second.id,), giver=keeper)


def choice(base: Base) -> None:
    """Two ways to the end."""
    foe, friend = base.foe(level=2), base.person()
    base.quest(
        step("a", "explore", location=base.place()),
        branches=(
            DraftBranch(id="steel", steps=(step("b", "kill", target=foe),)),
            DraftBranch(id="words", steps=(step("c", "learn", target=friend, topic=f"news {friend}"),)),
        ),
        effort=7,
        failures=means(foe, friend),
    )


def gift(base: Base) -> None:
    giver = base.person()
    prize = base.item(giver, tags=("bound",))
    base.quest(step("a", "goto", location=base.place()), effort=1.5, giver=giver,
               reward=DraftReward(experience=25, coins=5, items=(prize,)))  # fmt: skip


SOUND: tuple[Callable[[Base], None], ...] = (
    delivery, purchase, hunt, culling, harvest, scouting, rumor, escorting, vault, lesson, spoils, capturing, saga,
    choice, gift,
)  # fmt: skip


# Faults. Each adds the broken quest, and says what it must be called.


def misspelt_item(base: Base) -> None:
    item, to = base.item(base.place()), base.person()
    base.plant(base.quest(step("a", "give", item=item[:-1] + "x", target=to)), "unknown")


def misspelt_place(base: Base) -> None:
    base.plant(base.quest(step("a", "goto", location="palce_3")), "unknown")


def misspelt_giver(base: Base) -> None:
    base.plant(base.quest(step("a", "goto", location=base.place()), giver="nobody_at_all"), "unknown")


def misspelt_requirement(base: Base) -> None:
    base.plant(base.quest(step("a", "goto", location=base.place()), requires=("qeust_1",)), "unknown")


def dead_giver(base: Base) -> None:
    base.plant(base.quest(step("a", "goto", location=base.place()), giver=base.person(alive=False)), "giver")


def homeless_giver(base: Base) -> None:
    base.plant(base.quest(step("a", "goto", location=base.place()), giver=base.person("nowhere")), "giver")


def island_giver(base: Base) -> None:
    island = base.add(Location(id=base.fresh("island")))
    base.plant(base.quest(step("a", "explore", location=island), giver=base.person(island)), "giver")


def walled_giver(base: Base) -> None:
    tower = base.locked()
    base.plant(base.quest(step("a", "explore", location=tower), giver=base.person(tower)), "giver")


def dead_receiver(base: Base) -> None:
    item, to = base.item(base.place()), base.person(alive=False)
    base.plant(base.quest(step("a", "give", item=item, target=to), failures=means(item)), "impossible")


def no_key(base: Base) -> None:
    base.plant(base.quest(step("a", "explore", location=base.locked())), "impossible")


def key_behind_its_door(base: Base) -> None:
    tower = base.locked()
    key = base.item(tower, attributes={"opens": tower})
    base.plant(base.quest(step("a", "unlock", location=tower), failures=means(key)), "impossible")


def no_source(base: Base) -> None:
    to = base.person()
    base.plant(base.quest(step("a", "give", item=base.item(""), target=to)), "impossible")


def circle(base: Base) -> None:
    one = base.quest(step("a", "goto", location=base.place()))
    two = base.quest(step("a", "goto", location=base.place()), requires=(one.id,))
    base.quests[base.quests.index(one)] = msgspec.structs.replace(one, requires=(two.id,))
    base.plant(one, "cycle")
    base.plant(two, "cycle")


def itself(base: Base) -> None:
    one = base.quest(step("a", "goto", location=base.place()))
    base.quests[base.quests.index(one)] = msgspec.structs.replace(one, requires=(one.id,))
    base.plant(one, "cycle")


def given_away_before(base: Base) -> None:
    item, first, second = base.item(base.place(), tags=("unique",)), base.person(), base.person()
    one = base.quest(step("a", "give", item=item, target=first), level=5, failures=means(item, first))
    two = base.quest(step("a", "give", item=item, target=second), level=6, requires=(one.id,), forbid=("steal",),
                     failures=means(item, second))  # fmt: skip
    base.plant(two, "chain")


def giver_slain_before(base: Base) -> None:
    victim = base.foe(level=2)
    one = base.quest(step("a", "kill", target=victim), level=5, failures=means(victim))
    two = base.quest(step("a", "goto", location=base.place()), level=6, giver=victim, requires=(one.id,))
    base.plant(two, "chain")


def falls_with_another(base: Base) -> None:
    one = base.quest(step("a", "explore", location=base.locked()), level=5)
    two = base.quest(step("a", "goto", location=base.place()), level=6, requires=(one.id,))
    base.plant(one, "impossible", falls=(two.id,))


def more_than_there_are(base: Base) -> None:
    kind = base.fresh("root")
    for _ in range(3):
        base.item(base.place(), item_kind=kind, tags=("wild",))
    base.plant(base.quest(step("a", "gather", kind=kind, count=9)), "impossible", "unknown", "types")


def broken_branch(base: Base) -> None:
    foe = base.foe(level=2)
    draft = base.quest(
        step("a", "explore", location=base.place()),
        branches=(
            DraftBranch(id="steel", steps=(step("b", "kill", target=foe),)),
            DraftBranch(id="stealth", steps=(step("c", "explore", location=base.locked()),)),
        ),
        failures=means(foe),
    )
    base.plant(draft, "branch")


def undeclared_lock(base: Base) -> None:
    item, to = base.item(base.place(), tags=("unique",)), base.person()
    base.plant(base.quest(step("a", "give", item=item, target=to), forbid=("steal",)), "soft_lock")


def crowd_for_one_item(base: Base) -> None:
    item, to = base.item(base.place(), tags=("unique",)), base.person()
    draft = base.quest(step("a", "give", item=item, target=to), members_max=4, forbid=("steal",),
                       failures=means(item, to))  # fmt: skip
    base.plant(draft, "party")


def slain_or_escorted(base: Base) -> None:
    soul = base.person()
    base.quest(step("a", "kill", target=soul), failures=means(soul))
    base.plant(base.quest(step("a", "escort", target=soul, location=base.place()), failures=means(soul)), "rivals")


def too_rich(base: Base) -> None:
    draft = base.quest(step("a", "goto", location=base.place()), reward=DraftReward(experience=90_000))
    base.plant(draft, "budget")


def endless_gold(base: Base) -> None:
    reward = DraftReward(experience=15, coins=4)
    base.plant(base.quest(step("a", "goto", location=base.place()), repeat_s=0.0, reward=reward), "loop")


def over_before_it_begins(base: Base) -> None:
    base.plant(base.quest(step("a", "goto", location=base.place()), from_s=900.0, until_s=300.0), "window")


def over_long_ago(base: Base) -> None:
    base.plant(base.quest(step("a", "goto", location=base.place()), until_s=50.0), "window")


def over_before_the_first(base: Base) -> None:
    one = base.quest(step("a", "goto", location=base.place()), level=5, from_s=5_000.0)
    two = base.quest(step("a", "goto", location=base.place()), level=6, until_s=4_000.0, requires=(one.id,))
    base.plant(two, "window")


def unheard_action(base: Base) -> None:
    base.plant(base.quest(step("a", "kil", target=base.foe())), "types")


def wrong_kind_of_thing(base: Base) -> None:
    base.plant(base.quest(step("a", "kill", target=base.item(base.place()))), "unknown", "types")


def leading_oneself(base: Base) -> None:
    base.plant(base.quest(step("a", "escort", target="player", location=base.place())), "unknown", "types")


def no_target(base: Base) -> None:
    base.plant(base.quest(step("a", "kill")), "types")


def forbidden_by_itself(base: Base) -> None:
    base.plant(base.quest(step("a", "kill", target=base.foe()), forbid=("kill",)), "types")


def steps_in_a_circle(base: Base) -> None:
    draft = base.quest(step("a", "goto", "b", location=base.place()), step("b", "explore", "a", location=base.place()))
    base.plant(draft, "unknown")


def too_strong(base: Base) -> None:
    base.plant(base.quest(step("a", "kill", target=base.foe(level=60)), level=3), "impossible")


def promised_twice(base: Base) -> None:
    giver = base.person()
    prize = base.item(giver, tags=("bound", "unique"))
    for _ in range(2):
        last = base.quest(step("a", "goto", location=base.place()), effort=1.5, giver=giver,
                          reward=DraftReward(experience=25, coins=5, items=(prize,)))  # fmt: skip
    base.quests[-1] = msgspec.structs.replace(last, title=SECOND)
    base.plant(last, "promised")


def promised_by_who_lacks_it(base: Base) -> None:
    prize = base.item(base.place())
    reward = DraftReward(experience=25, coins=5, items=(prize,))
    base.plant(base.quest(step("a", "goto", location=base.place()), effort=1.5, reward=reward), "promised")


def same_id(base: Base) -> None:
    one = base.quest(step("a", "goto", location=base.place()))
    base.quests.append(msgspec.structs.replace(one, title=SECOND))
    base.plant(one, "twice")


def ruined_by_a_branch(base: Base) -> None:
    soul = base.person()
    one = base.quest(
        step("a", "explore", location=base.place()),
        level=5,
        branches=(
            DraftBranch(id="words", steps=(step("b", "learn", target=soul, topic=f"news {soul}"),)),
            DraftBranch(id="steel", steps=(step("c", "kill", target=soul),)),
        ),
        failures=means(soul),
    )
    two = base.quest(step("a", "escort", target=soul, location=base.place()), level=6, requires=(one.id,),
                     failures=means(soul))  # fmt: skip
    base.plant(two, "branch", "rivals")


FAULTS: tuple[Callable[[Base], None], ...] = (
    misspelt_item, misspelt_place, misspelt_giver, misspelt_requirement, dead_giver, homeless_giver, island_giver,
    walled_giver, dead_receiver, no_key, key_behind_its_door, no_source, circle, itself, given_away_before,
    giver_slain_before, falls_with_another, more_than_there_are, broken_branch, undeclared_lock, crowd_for_one_item,
    slain_or_escorted, too_rich, endless_gold, over_before_it_begins, over_long_ago, over_before_the_first,
    unheard_action, wrong_kind_of_thing, leading_oneself, no_target, forbidden_by_itself, steps_in_a_circle,
    too_strong, promised_twice, promised_by_who_lacks_it, same_id, ruined_by_a_branch,
)  # fmt: skip


def based(seed: int) -> Base:
    """An empty base: a ring of open places with a few shortcuts, and where newcomers enter."""
    base = Base(random.Random(seed))
    for number in range(PLACES):
        ways = {(number + 1) % PLACES, (number - 1) % PLACES, (number + 7) % PLACES, (number - 7) % PLACES}
        tags = ("start",) if number == 0 else ()
        base.add(Location(id=f"place_{number}", tags=tags, connects=tuple(f"place_{way}" for way in sorted(ways))))
    return base


def sound(seed: int, quests: int) -> Base:
    """A database in which every quest can be completed; shuffled."""
    base = based(seed)
    while len(base.quests) < quests:
        base.chance.choice(SOUND)(base)
    base.chance.shuffle(base.quests)
    return base


def spoiled(seed: int, quests: int) -> Base:
    """The same with every fault planted once; shuffled."""
    base = sound(seed, quests)
    for fault in FAULTS:
        fault(base)
    twins = [draft for draft in base.quests if draft.title == SECOND]
    base.quests = [draft for draft in base.quests if draft.title != SECOND]
    base.chance.shuffle(base.quests)
    base.quests.extend(twins)
    return base
