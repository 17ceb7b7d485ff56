"""Rows become quests and a world, as the column map says; what cannot be read is a fault of its quest, with its row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.cli.quests.columns import ColumnMap, EntityMap, Filler, Join, LinkMap, StepMap
from app.cli.quests.source import Source, entry_of, world_of
from app.cli.quests.tables import Line, Tables
from app.core.errors import Invalid, nearest
from app.modules.quests.report import Found

TRUE = frozenset({"1", "true", "t", "yes", "y"})
FALSE = frozenset({"0", "false", "f", "no", "n"})


class Reading:
    """One pass over the tables; joined rows are found by their keys."""

    def __init__(self, tables: Tables, map: ColumnMap) -> None:
        self._tables = tables
        self._map = map
        self._indices: dict[tuple[str, str], dict[str, Line]] = {}
        self._found: list[Found] = []

    def source(self, name: str) -> Source:
        """The quests and the world that the tables tell of."""
        order: list[tuple[dict[str, Any], str, dict[str, str]]] = []
        for filler, line in self._rows(self._map.quests.table, self._map.quests.join):
            body = self._quest(filler)
            steps: dict[str, str] = {}
            for rule in self._map.steps:
                if not rule.table:
                    for number in range(1, rule.times + 1):
                        self._step(rule, filler, number, body, steps, line.where)
            order.append((body, line.where, steps))
        places = {body["id"]: (body, steps) for body, _, steps in reversed(order)}
        self._linked(places)
        for rule in self._map.steps:
            if rule.table:
                self._stepped(rule, places)
        entries = tuple(
            entry_of(number, _pruned(body), where, steps) for number, (body, where, steps) in enumerate(order)
        )
        entities = [entity for rule in self._map.entities for entity in self._entities(rule)]
        self._ways(entities)
        return Source(
            name=name, entries=entries, state=world_of(entities), start=self._map.start, found=tuple(self._found)
        )

    def _rows(self, table: str, joins: tuple[Join, ...]) -> Iterator[tuple[Filler, Line]]:
        for line in self._tables[table]:
            joined = {join.table: self._index(join).get(line.values.get(join.on) or "") for join in joins}
            yield Filler(line, joined, self._map.none), line

    def _index(self, join: Join) -> Mapping[str, Line]:
        key = join.table, join.key
        if key not in self._indices:
            index: dict[str, Line] = {}
            for line in self._tables[join.table]:
                index.setdefault(line.values.get(join.key) or "", line)
            self._indices[key] = index
        return self._indices[key]

    def _quest(self, filler: Filler) -> dict[str, Any]:
        rule = self._map.quests
        body: dict[str, Any] = {name: filler.fill(cell) for name, cell in rule.fields.items()}
        body |= {"id": filler.fill(rule.id), "title": filler.fill(rule.title), "giver": filler.fill(rule.giver)}
        reward = {
            "experience": filler.fill(rule.experience),
            "coins": filler.fill(rule.coins),
            "items": [item for cell in rule.rewards if (item := filler.fill(cell))],
        }
        required = [id for cell in rule.requires if (id := filler.fill(cell))]
        return {**body, "requires": required, "reward": reward, "failures": [], "steps": [], "branches": {}}

    def _step(
        self, rule: StepMap, filler: Filler, number: int, body: dict[str, Any], steps: dict[str, str], where: str
    ) -> None:
        """Add a step to the quest; columns that name no entity make none."""
        fields = {name: filler.fill(cell, number) for name, cell in rule.fields.items()}
        named = any(fields.get(name) for name in ("target", "item", "location", "topic", "kind"))
        action = filler.fill(rule.action, number)
        if not action or not named:
            return
        id = fields.pop("id", "") or f"s{len(steps) + 1}"
        step = {"id": id, "action": rule.actions.get(action, action), **fields}
        branch = filler.fill(rule.branch, number)
        if branch:
            body["branches"].setdefault(branch, {"id": branch, "steps": []})["steps"].append(_pruned(step))
        else:
            body["steps"].append(_pruned(step))
        steps.setdefault(id, where)

    def _stepped(self, rule: StepMap, places: Mapping[str, tuple[dict[str, Any], dict[str, str]]]) -> None:
        rows = list(self._rows(rule.table, rule.join))
        if rule.order:
            rows.sort(key=lambda row: _number(row[1], rule.order))
        for filler, line in rows:
            quest = filler.fill(rule.quest)
            if quest not in places:
                self._stray(line.where, quest, "a step", places)
                continue
            body, steps = places[quest]
            self._step(rule, filler, len(steps) + 1, body, steps, line.where)

    def _linked(self, places: Mapping[str, tuple[dict[str, Any], dict[str, str]]]) -> None:
        """Givers, prerequisites and rewards that have tables of their own; of several givers the first counts."""
        for what, rules in (
            ("a giver", self._map.givers), ("a prerequisite", self._map.requires), ("a reward", self._map.rewards),
            ("a way to lose", self._map.failures),
        ):  # fmt: skip
            for where, quest, value in self._links(rules):
                if quest not in places:
                    self._stray(where, quest, what, places)
                    continue
                body = places[quest][0]
                if what == "a giver":
                    body["giver"] = body["giver"] or value
                elif what == "a prerequisite":
                    body["requires"].append(value)
                elif what == "a reward":
                    body["reward"]["items"].append(value)
                else:
                    body["failures"].append({"entity": value})

    def _stray(self, where: str, quest: str, what: str, known: Mapping[str, object]) -> None:
        near = {quest: nearest(quest, known)}
        reason = f"there is {what} for {quest!r}, which is no quest"
        self._found.append(
            Found(
                check="V1", fault="unknown", weight="fault", quests=(quest,), reason=reason, nearest=near, where=where
            )
        )

    def _links(self, rules: tuple[LinkMap, ...]) -> Iterator[tuple[str, str, str]]:
        for rule in rules:
            for filler, line in self._rows(rule.table, rule.join):
                quest, value = filler.fill(rule.quest), filler.fill(rule.value)
                if quest and value:
                    yield line.where, quest, value

    def _entities(self, rule: EntityMap) -> Iterator[tuple[dict[str, Any], str]]:
        seen: dict[str, int] = {}
        for filler, line in self._rows(rule.table, rule.join):
            body: dict[str, Any] = {name: filler.fill(cell) for name, cell in rule.fields.items()}
            id = filler.fill(rule.id)
            seen[id] = seen.get(id, 0) + 1
            copied = rule.copies and seen[id] > 1
            body |= {"type": rule.type, "id": f"{id}~{seen[id]}" if copied else id}
            body["tags"] = [rule.words.get(tag, tag) for cell in rule.tags if (tag := filler.fill(cell))]
            body["attributes"] = {
                name: _value(value) for name, cell in rule.attributes.items() if (value := filler.fill(cell))
            }
            for name in ("open", "alive"):
                if name in rule.fields:
                    body[name] = _truth(line, rule.fields[name], body[name])
            yield _pruned(body), line.where

    def _ways(self, entities: list[tuple[dict[str, Any], str]]) -> None:
        places = {body["id"]: body for body, _ in entities if body["type"] == "location" and "id" in body}
        for rule in self._map.ways:
            for filler, line in self._rows(rule.table, rule.join):
                start, end = filler.fill(rule.start), filler.fill(rule.end)
                for one, other in ((start, end), (end, start))[: 2 if rule.both else 1]:
                    if one not in places:
                        raise Invalid(f"{line.where} leads from {one!r}, which is no location", hint="see [[entities]]")
                    ways = places[one].setdefault("connects", [])
                    if other not in ways:
                        ways.append(other)


def _number(line: Line, column: str) -> float:
    try:
        return float(line.values[column] or 0)
    except (KeyError, ValueError) as error:
        raise Invalid(f"{line.where} has no number in {column!r}", hint="name a numeric column as `order`") from error


def _truth(line: Line, cell: str, value: str) -> bool:
    """A flag; nothing counts as false, as 0 does."""
    word = value.lower()
    if word in TRUE or word in FALSE or not word:
        return word in TRUE
    raise Invalid(f"{line.where} has {value!r} where {cell!r} should be a flag", hint="write 1 or 0")


def _value(text: str) -> str | float | bool:
    try:
        return float(text)
    except ValueError:
        return text


def _pruned(body: dict[str, Any]) -> dict[str, Any]:
    """The body without what is empty, and with branches as a list."""
    kept = {name: value for name, value in body.items() if value not in ("", [], {})}
    if isinstance(branches := kept.get("branches"), dict):
        kept["branches"] = list(branches.values())
    if isinstance(reward := kept.get("reward"), dict):
        kept["reward"] = {name: value for name, value in reward.items() if value}
        if not kept["reward"]:
            del kept["reward"]
    return kept
