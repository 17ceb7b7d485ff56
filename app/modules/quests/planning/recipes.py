"""Things that can be made: an item with a `recipe` that nobody holds does not exist yet, and crafting brings it about.

An item's attributes say how: `recipe` (ids or kinds of what is put in, parted by commas; it is used up), `tool` (an id
or a kind that must be had and stays), `made_at` (the place; without one, anywhere). The game tells of what was used up
with events of its own. It knows items and facts, nothing of players or quests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

from app.modules.quests.planning.domain import Fact, Pattern, Schema
from app.world.entities import Item, Location, Value


def words_of(value: Value | None) -> tuple[str, ...]:
    """The words of an attribute, parted by commas."""
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """How `item` is made: for each thing put in, and for the tool if any, the items that will do."""

    item: str
    parts: tuple[tuple[str, ...], ...]
    tools: tuple[str, ...] | None
    place: str

    @property
    def slots(self) -> tuple[tuple[str, ...], ...]:
        return (*self.parts, *((self.tools,) if self.tools is not None else ()))

    @property
    def shape(self) -> tuple[int, bool]:
        """Recipes of one shape are one action."""
        return len(self.parts), self.tools is not None

    def slot(self, number: int) -> str:
        """What facts call its part of that number; another shape's parts are called otherwise."""
        return _slot(number, *self.shape)

    def seeds(self) -> Iterator[str]:
        """What a plan for the item may need."""
        for slot in self.slots:
            yield from slot
        if self.place:
            yield self.place


def _slot(number: int, parts: int, tool: bool) -> str:
    return f"{number + 1} of {parts}{' by tool' * tool}"


def recipes_of(items: Mapping[str, Item], locations: Mapping[str, Location]) -> dict[str, Recipe]:
    """The recipe of each item that does not exist yet, by its id."""
    wanted = [item for item in items.values() if not item.holder and words_of(item.attributes.get("recipe"))]
    if not wanted:
        return {}
    kinds: dict[str, list[str]] = {}
    for item in items.values():
        kinds.setdefault(item.item_kind, []).append(item.id)

    def fitting(word: str) -> tuple[str, ...]:
        return (word,) if word in items else tuple(kinds.get(word, ()))

    found: dict[str, Recipe] = {}
    for item in wanted:
        parts = tuple(fitting(word) for word in words_of(item.attributes["recipe"]))
        tool, place = item.attributes.get("tool"), item.attributes.get("made_at")
        found[item.id] = Recipe(
            item=item.id,
            parts=tuple(tuple(id for id in part if id != item.id) for part in parts),
            tools=fitting(tool) if isinstance(tool, str) and tool else None,
            place=place if isinstance(place, str) and place in locations else "",
        )
    return found


def recipe_facts(recipes: Sequence[Recipe], places: Iterable[str]) -> Iterator[Fact]:
    """What is still to be made, where, and of what."""
    everywhere = tuple(places) if recipes else ()
    for recipe in recipes:
        yield "unmade", recipe.item
        for place in (recipe.place,) if recipe.place else everywhere:
            yield "made_at", recipe.item, place
        for number, slot in enumerate(recipe.slots):
            yield from (("part", recipe.item, recipe.slot(number), id) for id in slot)
        for one, other in combinations(recipe.slots, 2):
            yield from (("differ", *two) for two in product(one, other) if two[0] != two[1])


def crafting(schemas: Sequence[Schema], recipes: Sequence[Recipe]) -> tuple[Schema, ...]:
    """The schemas with `craft` once for each shape of recipe; without any, nothing can be made."""
    if all(schema.name != "craft" for schema in schemas):
        return tuple(schemas)
    shapes = sorted({recipe.shape for recipe in recipes})
    made: list[Schema] = []
    for schema in schemas:
        if schema.name == "craft":
            made.extend(_shaped(schema, parts, tool) for parts, tool in shapes)
        else:
            made.append(schema)
    return tuple(made)


def _shaped(schema: Schema, parts: int, tool: bool) -> Schema:
    """`craft` with a parameter for each thing put in, and one for the tool; all of them differ."""
    first = len(schema.params)
    slots = range(first, first + parts + tool)
    item = schema.params.index("item")
    needs: list[Pattern] = []
    for number, slot in enumerate(slots):
        needs += [("part", item, _slot(number, parts, tool), slot), ("has", slot)]
        needs += [("differ", other, slot) for other in slots[:number]]
    return replace(
        schema,
        params=(*schema.params, *(f"part{number}" for number in range(parts)), *(("tool",) if tool else ())),
        pre=(*schema.pre, *needs),
        delete=(*schema.delete, *(("has", slot) for slot in slots[:parts])),
    )
