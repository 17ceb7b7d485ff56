"""What names mean in a tree: features of the schema, keys of a blackboard, keys that a subtree knows by other names.

It numbers keys; it does not know nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from app.core.errors import nearest
from app.modules.behavior.schema import Schema
from app.modules.behavior.trees.expressions import Cell, Column, Named, as_number
from app.modules.behavior.trees.limits import wrong


@dataclass(slots=True)
class Board:
    """All keys of a tree and their first values; a key of a private scope carries its path."""

    schema: Schema
    keys_max: int
    keys: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, value: float, place: str) -> int:
        """A new key's number; raises Invalid when its name is a feature's, or there are too many."""
        if name in self.schema.columns:
            raise wrong(place, f"the key {name!r} is a feature of the schema", "give the key another name")
        if len(self.keys) == self.keys_max:
            raise wrong(place, f"more than {self.keys_max} keys, such as {name!r}", "share keys, or raise keys_max")
        self.keys[name] = value
        return len(self.keys) - 1


class Scope:
    """The names of one tree, or of one place where a subtree stands."""

    def __init__(self, board: Board, *, parent: Scope | None = None, path: str = "") -> None:
        self._board, self._path, self._parent = board, path, parent
        self.own: dict[str, int] = {}
        self.remapped: dict[str, Named] = {}
        self.shares = False
        """Whether names that are not found here are looked for in the parent."""

    @property
    def schema(self) -> Schema:
        return self._board.schema

    @classmethod
    def root(cls, board: Board, keys: Mapping[str, float], place: str) -> Scope:
        """The outermost scope, whose keys are all declared."""
        scope = cls(board)
        for name, value in keys.items():
            scope.own[name] = board.add(name, value, place)
        return scope

    def inside(self, path: str, remap: Mapping[str, str], written: Iterable[str], *, shares: bool) -> Scope:
        """The scope of a subtree at `path`, which writes the keys `written`."""
        scope = Scope(self._board, parent=self, path=path)
        scope.shares = shares
        for inner, outer in remap.items():
            scope.remapped[inner] = self._outer(outer, path)
        if not shares:
            for name in written:
                if name not in scope.remapped:
                    scope._create(name)
        return scope

    def _outer(self, name: str, place: str) -> Named:
        """What a remapping names out here: a number, or a key, made here where this scope is private."""
        value = as_number(name)
        if value is not None:
            return value
        found = self.find(name)
        if found is None and self._parent is not None and not self.shares:
            return Cell(self._create(name))
        if found is None:
            raise wrong(place, f"the unknown key {name!r}", nearest(name, self.known()))
        return found

    def _create(self, name: str) -> int:
        if name not in self.own:
            self.own[name] = self._board.add(f"{self._path}.{name}" if self._path else name, 0.0, self._path)
        return self.own[name]

    def find(self, name: str) -> Named | None:
        """See expressions.Names; a leading @ is the outermost scope."""
        if name.startswith("@"):
            return self._outermost().find(name[1:])
        if name in self.remapped:
            return self.remapped[name]
        if name in self.own:
            return Cell(self.own[name])
        if name in self.schema.columns:
            return Column(self.schema.columns[name])
        return self._parent.find(name) if self.shares and self._parent is not None else None

    def known(self) -> Iterator[str]:
        """See expressions.Names."""
        yield from self.own
        yield from self.remapped
        if self.shares and self._parent is not None:
            yield from self._parent.known()
        else:
            yield from self.schema.columns

    def key(self, name: str, place: str) -> int:
        """The number of a key that is written or holds a slot; raises Invalid when it is none."""
        found = self.find(name)
        if isinstance(found, Cell):
            return found.number
        if found is None:
            keys = [each for each in self.known() if each not in self.schema.columns]
            hint = nearest(name, keys) if keys else "declare it under blackboard"
            raise wrong(place, f"the unknown key {name!r}", hint)
        what = f"the feature {name!r}" if isinstance(found, Column) else f"{name!r}, which is the number {found!r} here"
        raise wrong(place, f"{what} in place of a key", "keys of the blackboard alone can be written")

    def _outermost(self) -> Scope:
        scope = self
        while scope._parent is not None:
            scope = scope._parent
        return scope
