"""Worlds with names such as games give them, for prose: places, persons and things, in two languages.

Names are put together from parts, so that worlds differ. It draws from seeds and knows nothing of quests.
"""

from __future__ import annotations

import random
from itertools import product

import msgspec

from app.world.state import World

PLACE_HEADS = (
    "Ald", "Birken", "Brom", "Dorn", "Eber", "Eller", "Falken", "Finster", "Glas", "Hagen", "Hasel", "Immen", "Kalten",
    "Krum", "Linden", "Mohr", "Nebel", "Otter", "Raben", "Rotten", "Salz", "Silber", "Tannen", "Ulmen", "Wald",
    "Weiden",
)  # fmt: skip
PLACE_TAILS = (
    "au", "bach", "berg", "born", "bruch", "fels", "furt", "grund", "heim", "hof", "moor", "see", "stein", "tal",
)  # fmt: skip
PERSONS = (
    "Adela", "Alrik", "Anselm", "Arno", "Beata", "Bertram", "Brida", "Cora", "Dankwart", "Dorte", "Edda", "Egbert",
    "Elke", "Emmerich", "Falk", "Frida", "Gerlind", "Gisbert", "Hadwig", "Hanno", "Hedda", "Hartmut", "Ida", "Ilse",
    "Imke", "Isolde", "Jaro", "Jorun", "Kunrad", "Kaya", "Lenz", "Liv", "Ludger", "Malwine", "Marbod", "Merle", "Nele",
    "Norwin", "Oda", "Ortwin", "Petra", "Quirin", "Rainald", "Runa", "Sieglind", "Sunniva", "Thilo", "Tilda", "Udo",
    "Ulla", "Volkmar", "Walburg", "Wigand", "Ximena", "Yrsa", "Zita",
)  # fmt: skip
THINGS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "herb": (
        ("sage", "Salbei", "m"), ("thyme", "Thymian", "m"), ("yarrow", "Schafgarbe", "f"), ("mint", "Minze", "f"),
    ),
    "sword": (
        ("blade", "Klinge", "f"), ("sabre", "Säbel", "m"), ("broadsword", "Breitschwert", "n"),
        ("foil", "Florett", "n"),
    ),
    "ring": (
        ("signet", "Siegelring", "m"), ("brooch", "Brosche", "f"), ("bracelet", "Armband", "n"),
        ("locket", "Medaillon", "n"),
    ),
    "ore": (
        ("copper ore", "Kupfererz", "n"), ("flint", "Feuerstein", "m"), ("tin lump", "Zinnklumpen", "m"),
        ("quartz", "Quarz", "m"),
    ),
    "book": (
        ("almanac", "Almanach", "m"), ("psalter", "Psalter", "m"), ("ledger", "Hauptbuch", "n"),
        ("chronicle", "Chronik", "f"),
    ),
}  # fmt: skip
"""Kind -> (English, German, gender)."""
LOOKS = (
    ("old", "alte"), ("dented", "verbeulte"), ("silver", "silberne"), ("cracked", "rissige"),
    ("gilded", "vergoldete"), ("blue", "blaue"), ("dusty", "staubige"), ("carved", "geschnitzte"),
    ("rare", "seltene"), ("heavy", "schwere"), ("bright", "helle"), ("nameless", "namenlose"),
    ("foreign", "fremde"), ("pale", "bleiche"), ("charred", "verkohlte"), ("sacred", "heilige"),
)  # fmt: skip


def christened(world: World, seed: int) -> World:
    """The world with a name for every place, person and thing; no name is given twice."""
    chance, state = random.Random(seed), world.state
    places = [head + tail for head, tail in product(PLACE_HEADS, PLACE_TAILS)]
    chance.shuffle(places)
    state.locations = {
        id: msgspec.structs.replace(place, name=name)
        for (id, place), name in zip(state.locations.items(), places, strict=False)
    }
    persons = [*PERSONS, *(f"{first} {last}" for first, last in product(PERSONS, places[-40:]))]
    head, tail = persons[: len(PERSONS)], persons[len(PERSONS) :]
    chance.shuffle(head)
    chance.shuffle(tail)
    names = iter([*head, *tail])
    state.npcs = {id: msgspec.structs.replace(npc, name=next(names)) for id, npc in state.npcs.items()}
    state.players = {id: msgspec.structs.replace(player, name=next(names)) for id, player in state.players.items()}
    looks = {kind: list(product(LOOKS, nouns)) for kind, nouns in THINGS.items()}
    for pairs in looks.values():
        chance.shuffle(pairs)
    for id, item in state.items.items():
        (english, german), (noun, substantive, gender) = looks[item.item_kind].pop()
        own = {"name_de": f"{german} {substantive}", "gender": gender}
        state.items[id] = msgspec.structs.replace(item, name=f"{english} {noun}", attributes={**item.attributes, **own})
    return world
