"""What the leaves of an imported tree mean: names of another engine's code -> expressions and intents.

Shared by the importers; it does not know their files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

import msgspec

from app.core.errors import Invalid, nearest
from app.modules.behavior.schema import Schema
from app.modules.behavior.trees import nodes
from app.modules.behavior.trees.expressions import as_number
from app.modules.behavior.trees.limits import wrong
from app.modules.behavior.trees.nodes import Key, Label, Node, Text

_PORT = re.compile(r"\{(\w+)\}")
_SCRIPT = re.compile(r"(@?[A-Za-z_]\w*)\s*(:=|\+=|-=|=)\s*(.+)", re.DOTALL)


class Meaning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An action: the fields of nodes.Action, as text in which `{port}` stands for an attribute of the leaf."""

    intent: Label
    target: Label = "nearest"
    must_aim: bool = False
    until: Text | None = None
    seconds: float | Text | None = None
    ticks: int | Text | None = None


class Meanings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file beside an imported tree; all its parts may be left out."""

    conditions: Annotated[dict[Label, Text], msgspec.Meta(max_length=512)] = {}
    """Name of a condition -> expression."""
    actions: Annotated[dict[Label, Meaning], msgspec.Meta(max_length=512)] = {}
    """Name of an action -> intent."""
    blackboard: Annotated[dict[Key, float], msgspec.Meta(max_length=256)] = {}
    """Keys that the tree reads and the game writes, with their first values."""


def read_meanings(data: bytes) -> Meanings:
    """A file of meanings in TOML; raises Invalid."""
    try:
        return msgspec.toml.decode(data, type=Meanings)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Invalid(f"the meanings cannot be read: {error}", hint="see docs/how-to/behavior-trees.md") from error


def leaf(name: str, label: str, ports: Mapping[str, str], meanings: Meanings, schema: Schema, place: str) -> Node:
    """The leaf that another engine calls `name`: as the meanings say, else the intent of that name.

    `ports` are its attributes. Raises Invalid with the nearest known name.
    """
    if name in meanings.conditions:
        return nodes.Condition(name=label or name, when=_filled(meanings.conditions[name], ports))
    meaning = meanings.actions.get(name)
    if meaning is None:
        intent = snake(name)
        if intent not in schema.intent_index:
            known = (*meanings.conditions, *meanings.actions, *schema.intent_names)
            raise wrong(place, f"the unknown leaf {name!r}", f"{nearest(name, known)} or give it a meaning")
        own = {key: ports[key] for key in ("target", "until", "seconds", "ticks") if key in ports}
        own |= {"seconds": str(number(ports["msec"], place) / 1_000.0)} if "msec" in ports else {}
        meaning = msgspec.convert({"intent": intent, **own}, Meaning)
    return nodes.Action(
        name=label or name, intent=meaning.intent, target=_filled(meaning.target, ports), must_aim=meaning.must_aim,
        until=_filled(meaning.until, ports) if meaning.until else None,
        seconds=number(_filled(str(meaning.seconds), ports), place) if meaning.seconds is not None else None,
        ticks=int(number(_filled(str(meaning.ticks), ports), place)) if meaning.ticks is not None else None,
    )  # fmt: skip


def number(text: str, place: str) -> float:
    """A number; raises Invalid for anything else."""
    found = as_number(text)
    if found is None:
        raise wrong(place, f"{text!r} in place of a number", "times and counts are fixed when a tree is read")
    return found


def snake(name: str) -> str:
    """The name with words divided by underscores."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").replace(" ", "_").lower()


def script(text: str, label: str, place: str) -> Node:
    """Assignments such as `alarm := 1; seen += 1` as nodes; raises Invalid for anything more."""
    found: list[Node] = []
    for statement in filter(None, (part.strip() for part in text.split(";"))):
        match = _SCRIPT.fullmatch(statement)
        if match is None:
            raise wrong(place, f"the script {statement!r}", "write assignments: key := 1, key += 1, key -= 1")
        key, op, value = match[1], match[2], literal(match[3].strip())
        if op in ("+=", "-="):
            if isinstance(value, str) and op == "-=":
                raise wrong(place, f"the script {statement!r}", "numbers alone can be taken away")
            found.append(nodes.Add(name=label, key=key, by=-value if op == "-=" else value))  # type: ignore[operator]  # checked: a number
        else:
            found.append(nodes.Set(name=label, key=key, to=value))
    if not found:
        raise wrong(place, f"the empty script {text!r}", "write assignments such as key := 1")
    return found[0] if len(found) == 1 else nodes.Sequence(name=label, memory=False, children=tuple(found))


def literal(text: str) -> float | str:
    """A number, true or false as a number, else the text: a name, or a word in quotes."""
    if text in ("true", "false"):
        return float(text == "true")
    found = as_number(text)
    return text if found is None else found


def _filled(text: str, ports: Mapping[str, str]) -> str:
    """The text with the attributes of the leaf in it."""
    return _PORT.sub(lambda found: ports.get(found[1], found[0]), text)
