"""Who is made together: the seats of a household, a guard post, a tavern, a market, and who sits where.

A seat is a person without a name or nature yet. Places are those of the canon; what does not fit is drawn again by
logic.py, so that this file proposes and rules.py judges.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from app.core.errors import Conflict
from app.modules.characters.canon import CHILDREN, Canon
from app.modules.characters.dice import Dice
from app.modules.characters.library import CHILD, Library, Trade
from app.modules.characters.messages import Plan
from app.modules.characters.nature import NIGHT
from app.modules.characters.rules import ADULT, company
from app.world.entities import Location, Npc

DWELLINGS = (
    "house", "home", "cottage", "farm", "hut", "inn", "tavern", "manor", "hall", "barracks", "mill", "lodge", "row",
    "lane",
    "haus", "hof", "hütte", "kate", "gasse", "mühle",
)  # fmt: skip
WASTES = (
    "cave", "ruin", "crypt", "grave", "graveyard", "bridge", "well", "road", "river", "lake", "wood", "forest", "swamp",
    "mine",
    "square", "market", "gate", "höhle", "ruine", "gruft", "brücke", "brunnen", "straße", "fluss", "see", "wald",
    "moor",
    "platz", "markt", "tor",
)  # fmt: skip
"""Words of places where nobody lives while there is another."""
KEEPER = "innkeeper"
TAVERN = ("cook", "servant", "bard", "veteran", "servant", "peddler")
MARKET = ("merchant", "merchant", "baker", "peddler", "farmer", "smith")
COMMON = ("villager", "villager", "farmer", "servant", "groom", "hunter", "fisher", "merchant")
GUESTS = frozenset({"bard", "veteran", "peddler"})
"""Those who have no employer where they sit."""


@dataclass(slots=True)
class Seat:
    """Somebody to be. `ties` lead to other seats, `known` to people of the world, each by what they are to this one."""

    archetype: str
    gender: str
    age: int
    home: str = ""
    work: str = ""
    faction: str = ""
    schedule: str = ""
    family: int = 0
    """Seats with the same number share a family name."""
    ties: dict[str, int] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for."""

    plan: Plan
    count: int
    seed: int
    place: str = ""
    faction: str = ""
    archetype: str = ""
    culture: str = ""
    language: str = "en"
    level: int = 0


@dataclass(slots=True)
class Table:
    """Where seats are drawn: the canon, and how many of those drawn already live in each place."""

    canon: Canon
    library: Library
    wish: Wish
    dice: Dice
    lodged: dict[str, int] = field(default_factory=dict)
    kept: bool = False
    """Whether there is a keeper of a house among those drawn."""

    def room(self, place: str) -> int:
        return self.canon.room(place) - self.lodged.get(place, 0)

    def lodge(self, place: str) -> str:
        self.lodged[place] = self.lodged.get(place, 0) + 1
        return place


def seats(canon: Canon, library: Library, wish: Wish, dice: Dice) -> list[Seat]:
    """The seats of a plan, homes and ties in place; raises Conflict where no place of the world has room."""
    table = Table(canon, library, wish, dice)
    drawn = _PLANS[wish.plan](table)
    for number, seat in enumerate(drawn):
        _enlist(canon, seat)
        _acquaint(table, drawn, seat, dice.of("known", number))
    return drawn


def _people(table: Table) -> list[Seat]:
    """Single people, each of a trade for which there is work."""
    found = []
    for number in range(table.wish.count):
        dice = table.dice.of("person", number)
        archetype = table.wish.archetype or _trade_near(table, dice)
        faction = table.wish.faction or (table.canon.owner(table.wish.place) if table.wish.place else "")
        work = _workplace(table, archetype, faction, dice)
        home = table.lodge(table.wish.place or _home(table, faction, work, dice))
        seat = _seat(table, archetype, dice, family=number)
        seat.home, seat.faction = home, faction
        seat.work = work if work in table.canon.reach(home) else _work_from(table, archetype, home, faction, dice)
        found.append(seat)
    return found


def _household(table: Table) -> list[Seat]:
    """One, two who are married, their children, and with five or more perhaps a grandparent."""
    wish, canon, dice = table.wish, table.canon, table.dice
    home = wish.place or _home(table, wish.faction, "", dice, wish.count)
    faction = wish.faction or canon.owner(home)
    elder = 1 if wish.count >= 5 and dice.unit("elder") < 0.6 else 0
    young = max(0, wish.count - 2 - elder)
    first = dice.between(24 + 2 * young, 46, "mother") if young else dice.between(20, 60, "one")
    adults = [
        _adult(table, home, faction, first, "female" if young or dice.unit("who") < 0.5 else "male", dice.of("a"))
    ]
    if wish.count > 1:
        other = "male" if adults[0].gender == "female" else "female"
        age = max(20, first + dice.between(-3, 6, "gap"))
        adults.append(_adult(table, home, faction, age, other, dice.of("b")))
        adults[0].ties["spouse"], adults[1].ties["spouse"] = 1, 0
    found = adults + _children(table, home, faction, first, young)
    if elder:
        side = dice.below(2, "side")
        gender = "female" if dice.unit("grandparent") < 0.5 else "male"
        grand = _adult(table, home, faction, found[side].age + dice.between(19, 30, "years"), gender, dice.of("g"))
        grand.archetype, grand.work = "villager", ""
        grand.ties["child"] = side
        found[side].ties["mother" if gender == "female" else "father"] = len(found)
        found.append(grand)
    return found


def _children(table: Table, home: str, faction: str, mother: int, young: int) -> list[Seat]:
    """The children of the first two seats, eldest first."""
    dice, found = table.dice, []
    ages = sorted((int(age) for age in dice.shuffled(map(str, range(5, mother - 17)), "ages")[:young]), reverse=True)
    for number, age in enumerate(ages):
        own = dice.of("child", number)
        gender = "female" if own.unit("gender") < 0.5 else "male"
        if age < ADULT:
            child = Seat(archetype=CHILD, gender=gender, age=age, home=home, faction=faction, schedule="villager")
        else:
            child = _adult(table, home, faction, age, gender, own)
        child.ties |= {"mother": 0, "father": 1}
        found.append(child)
    return found


def _bear(drawn: Sequence[Seat]) -> None:
    """Give every parent among the seats the ties to its children, eldest first."""
    for number, seat in enumerate(drawn):
        for kind in ("mother", "father"):
            if kind in seat.ties:
                parent = drawn[seat.ties[kind]]
                if number not in [parent.ties.get(word) for word in CHILDREN]:
                    free = next(word for word in CHILDREN if word not in parent.ties)
                    parent.ties[free] = number


def _adult(table: Table, home: str, faction: str, age: int, gender: str, dice: Dice) -> Seat:
    archetype = _trade_near(table, dice, home)
    low, high = table.library.trades[archetype].age
    if not low <= age <= high:
        archetype = "villager"
    seat = Seat(archetype=archetype, gender=gender, age=age, home=home, faction=faction)
    seat.work = _work_from(table, archetype, home, faction, dice)
    seat.schedule = table.library.trades[archetype].schedule
    return seat


def _guard_post(table: Table) -> list[Seat]:
    """A captain, where there is none yet, and guards by day and by night."""
    wish, canon, dice = table.wish, table.canon, table.dice
    place = wish.place or _workplace(table, "guard", wish.faction, dice) or _home(table, wish.faction, "", dice)
    faction = wish.faction or canon.owner(place) or _faction_at(canon, place, "guard")
    chief = next((npc for npc in canon.npcs.values() if _leads(npc, "captain", faction, place)), None)
    found: list[Seat] = []
    for number in range(wish.count):
        own = dice.of("guard", number)
        leads = number == 0 and chief is None and wish.count > 1
        seat = _seat(table, "captain" if leads else "guard", own, family=number)
        seat.work, seat.faction = place, faction
        seat.home = table.lodge(
            place
            if table.room(place) > 0 and canon.named_for(place, ("barracks", "keep", "guard"))
            else _home(table, faction, place, own)
        )
        if not leads:
            seat.schedule = NIGHT if number % 2 == 0 else "day watch"
            if chief is not None:
                seat.known["captain"] = chief.id
            elif wish.count > 1:
                seat.ties["captain"] = 0
        found.append(seat)
    _befriend(found, 1, 2)
    return found


def _tavern(table: Table) -> list[Seat]:
    """A keeper, where there is none yet, the people of the house, and a regular or two."""
    wish, canon, dice = table.wish, table.canon, table.dice
    place = wish.place or _workplace(table, KEEPER, wish.faction, dice) or _home(table, wish.faction, "", dice)
    faction = wish.faction or canon.owner(place)
    keeper = next((npc for npc in canon.npcs.values() if _leads(npc, KEEPER, "", place)), None)
    order = [*TAVERN] if keeper is not None else [KEEPER, *TAVERN]
    found: list[Seat] = []
    for number in range(wish.count):
        own = dice.of("tavern", number)
        archetype = order[number] if number < len(order) else TAVERN[number % len(TAVERN)]
        seat = _seat(table, archetype, own, family=number)
        seat.work, seat.faction = place, faction
        in_house = archetype not in GUESTS and table.room(place) > 0
        seat.home = table.lodge(place if in_house else _home(table, faction, place, own))
        if archetype not in GUESTS and archetype != KEEPER:
            if keeper is not None:
                seat.known["employer"] = keeper.id
            else:
                seat.ties["employer"] = 0
        found.append(seat)
    _befriend(found, 2, 3)
    return found


def _market(table: Table) -> list[Seat]:
    """Traders, of whom the first two of a trade are rivals."""
    wish, canon, dice = table.wish, table.canon, table.dice
    place = wish.place or _workplace(table, "merchant", wish.faction, dice) or _home(table, wish.faction, "", dice)
    faction = wish.faction or canon.owner(place)
    found = []
    for number in range(wish.count):
        own = dice.of("market", number)
        seat = _seat(table, MARKET[number % len(MARKET)], own, family=number)
        seat.work, seat.faction = place, faction
        seat.home = table.lodge(_home(table, faction, place, own))
        found.append(seat)
    if wish.count > 1:
        found[0].ties["rival"], found[1].ties["rival"] = 1, 0
    _befriend(found, 2, 3)
    return found


_PLANS: Mapping[Plan, Callable[[Table], list[Seat]]] = MappingProxyType(
    {
        "person": _people,
        "household": lambda table: _bound(_household(table)),
        "guard_post": _guard_post,
        "tavern": _tavern,
        "market": _market,
    }
)


def _bound(drawn: list[Seat]) -> list[Seat]:
    _bear(drawn)
    return drawn


def _befriend(found: Sequence[Seat], one: int, other: int) -> None:
    if len(found) > other:
        found[one].ties["friend"], found[other].ties["friend"] = other, one


def _leads(npc: Npc, archetype: str, faction: str, place: str) -> bool:
    return npc.alive and npc.archetype == archetype and (npc.faction == faction if faction else npc.work == place)


def _faction_at(canon: Canon, place: str, archetype: str) -> str:
    there = (canon.npcs[id] for id in canon.workers.get(place, ()))
    return next((npc.faction for npc in there if npc.archetype == archetype and npc.faction in canon.factions), "")


def _seat(table: Table, archetype: str, dice: Dice, *, family: int) -> Seat:
    trade = table.library.trades[archetype]
    gender = "female" if dice.unit("gender") < 0.5 else "male"
    return Seat(
        archetype=archetype, gender=gender, age=dice.between(*trade.age, "age"), schedule=trade.schedule, family=family
    )


def _enlist(canon: Canon, seat: Seat) -> None:
    """A guard is of those with whom it stands, and answers to their captain."""
    if seat.archetype != "guard" or not seat.work or "captain" in seat.ties or "captain" in seat.known:
        return
    seat.faction = seat.faction or _faction_at(canon, seat.work, "guard")
    chief = next((npc for npc in canon.npcs.values() if _leads(npc, "captain", seat.faction, seat.work)), None)
    if chief is not None and chief.faction == seat.faction:
        seat.known["captain"] = chief.id


def _acquaint(table: Table, drawn: Sequence[Seat], seat: Seat, dice: Dice) -> None:
    """Perhaps a friend and a rival among those who live or work there already and have none."""
    canon = table.canon
    if seat.archetype == CHILD:
        return
    stand_in = Npc(id="-", faction=seat.faction)
    near = [*canon.residents.get(seat.home, ()), *canon.workers.get(seat.work, ())]
    for kind, chance in (("friend", 0.5), ("rival", 0.3)):
        spoken_for = {id for one in drawn for id in one.known.values()}
        fit = [
            id
            for id in dict.fromkeys(near)
            if id not in spoken_for
            and not canon.tie(id, kind)
            and company(canon, stand_in, canon.npcs[id])
            and (canon.age(id) or ADULT) >= ADULT
            and canon.npcs[id].name
        ]
        if fit and kind not in seat.ties and dice.unit(kind) < chance:
            seat.known[kind] = dice.pick(fit, kind, "who")


def _trade_near(table: Table, dice: Dice, home: str = "") -> str:
    """A trade for which there is a place, likelier a common one; one keeper of a house is enough."""
    canon, trades = table.canon, table.library.trades
    near = canon.reach(home) if home else canon.locations.keys()
    places = [id for id in near if canon.locations[id].open]
    kept = table.kept or any(npc.alive and npc.archetype == KEEPER for npc in canon.npcs.values())
    barred = {CHILD, "captain", *([KEEPER] if kept else ())}
    able = [
        name
        for name, trade in trades.items()
        if name not in barred and any(canon.named_for(place, trade.places) for place in places)
    ]
    options = [*(name for name in COMMON if name == "villager" or name in able), *able]
    drawn = dice.pick(options, "trade")
    table.kept = table.kept or drawn == KEEPER
    return drawn


def _workplace(table: Table, archetype: str, faction: str, dice: Dice) -> str:
    """An open place of that trade that no enemy holds; empty for none."""
    return _drawn(table.canon, table.canon.locations, table.library.trades[archetype], faction, dice)


def _work_from(table: Table, archetype: str, home: str, faction: str, dice: Dice) -> str:
    """A place of that trade within reach of a home; else at home, where the trade needs a place."""
    trade = table.library.trades[archetype]
    found = _drawn(table.canon, sorted(table.canon.reach(home)), trade, faction, dice)
    return found or (home if trade.places else "")


def _drawn(canon: Canon, places: Sequence[str] | Mapping[str, Location], trade: Trade, faction: str, dice: Dice) -> str:
    fit = [id for id in places if _fits(canon, id, faction) and canon.named_for(id, trade.places)]
    return dice.pick(fit, "work") if fit else ""


def _home(table: Table, faction: str, work: str, dice: Dice, people: int = 1) -> str:
    """A place with room from which the work can be reached, a dwelling where there is one; raises Conflict."""
    canon = table.canon
    fit = [
        id
        for id in canon.locations
        if table.room(id) >= people and _fits(canon, id, faction) and (not work or work in canon.reach(id))
    ]
    if not fit:
        where = f" from which {canon.name(work)!r} can be reached" if work else ""
        raise Conflict(
            f"no open place{where} has room for {people}", hint="open one, connect it, or give it more `beds`"
        )

    def homely(id: str) -> int:
        waste = 0 if canon.named_for(id, DWELLINGS) else 4 if canon.named_for(id, WASTES) else 2
        return waste + any(canon.kin(one) or canon.tie(one, "spouse") for one in canon.residents.get(id, ()))

    best = min(homely(id) for id in fit)
    return dice.pick([id for id in fit if homely(id) == best], "home")


def _fits(canon: Canon, id: str, faction: str) -> bool:
    return canon.locations[id].open and not canon.hostile(faction, canon.owner(id))
