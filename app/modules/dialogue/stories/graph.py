"""What can be seen of a story without playing it: ways between nodes, dead ends, gates, words; and a picture of it.

It looks at every branch as if it could be taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import msgspec

from app.modules.dialogue.stories import saying
from app.modules.dialogue.stories.model import (
    Act,
    Call,
    Constant,
    Divert,
    End,
    Goto,
    Newline,
    Node,
    Offer,
    Pick,
    Return,
    Say,
    Sequence,
    Step,
    Story,
    TagMark,
    Target,
    Unless,
)

BOX = (150, 34)
"""Width and height of a node in the picture, in pixels."""
GAP = (24, 46)
NAME_CHARS = 20


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A node at a glance."""

    name: str
    kind: str
    line: int
    reachable: bool
    dead_end: bool
    choices: int
    gates: int
    acts: int
    words: int
    echoes: bool
    """Whether it begins with the words of the choice that led to it, as ink has it outside of brackets."""
    leads: tuple[str, ...]


def rows(story: Story, entry: str = "") -> list[Row]:
    """Every node, in the order of the file; reachable is what `entry` or the start leads to."""
    ways = {name: leads(story, node) for name, node in story.nodes.items()}
    seen = _reached(ways, entry or story.start)
    echoes = {
        each.node
        for node in story.nodes.values()
        for each in _every(node.steps)
        if isinstance(each, Offer) and each.start and story.syntax == "ink"
    }
    return [
        _row(story, node, ways[name], reachable=name in seen, echoes=name in echoes)
        for name, node in story.nodes.items()
    ]


def leads(story: Story, node: Node) -> tuple[str, ...]:
    """The nodes that a node goes to, offers, calls or names as a value, each once."""
    found = {name for value in _every(node.steps) if (name := _named(value)) in story.nodes and name != node.name}
    return tuple(sorted(found))


def faults(story: Story) -> list[str]:
    """Lines whose tags ask for what cannot be, each with its place."""
    found = []
    for node in story.nodes.values():
        for text, tags in _lines(node.steps):
            found += [f"{story.file}: node {node.name!r}: {fault}" for fault in saying.faults(text, tags)]
    return found


def picture(story: Story, entry: str = "") -> str:
    """The nodes and their ways as SVG, layer by layer from where the story starts."""
    ways = {name: leads(story, node) for name, node in story.nodes.items()}
    depth = _reached(ways, entry or story.start)
    last = max(depth.values(), default=0) + 1
    places: dict[str, tuple[int, int]] = {}
    filled: dict[int, int] = {}
    for name in story.nodes:
        layer = depth.get(name, last)
        places[name] = (filled.get(layer, 0) * (BOX[0] + GAP[0]) + GAP[0], layer * (BOX[1] + GAP[1]) + GAP[1])
        filled[layer] = filled.get(layer, 0) + 1
    width = max(filled.values(), default=1) * (BOX[0] + GAP[0]) + GAP[0]
    height = (max(filled, default=0) + 1) * (BOX[1] + GAP[1]) + GAP[1]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' font-family="sans-serif" font-size="12"><title>{escape(story.name)}</title>'
    ]
    parts += [_way(places[name], places[to]) for name, many in ways.items() for to in many]
    parts += [_box(row, *places[row.name]) for row in rows(story, entry)]
    return "\n".join([*parts, "</svg>\n"])


def _row(story: Story, node: Node, ways: tuple[str, ...], *, reachable: bool, echoes: bool) -> Row:
    every = list(_every(node.steps))
    gates = sum(isinstance(each, Unless | Sequence | Pick) for each in every)
    gates += sum(isinstance(each, Offer) and (each.condition is not None or each.once) for each in every)
    return Row(
        name=node.name,
        kind=node.kind,
        line=node.line,
        reachable=reachable,
        dead_end=story.syntax == "ink" and _runs_out(node),
        choices=sum(isinstance(each, Offer) for each in every),
        gates=gates,
        acts=sum(isinstance(each, Act) for each in every),
        words=sum(len(each.text.split()) for each in every if isinstance(each, Say)),
        echoes=echoes,
        leads=ways,
    )


def _runs_out(node: Node) -> bool:
    """Whether the flow may come to the end of the node with nothing offered and nothing said about it."""
    if node.kind == "function" or any(isinstance(step, Offer) or _threads(step) for step in node.steps):
        return False
    last = next((step for step in reversed(node.steps) if not isinstance(step, Newline | Goto)), None)
    return not (isinstance(last, End | Return) or (isinstance(last, Divert) and last.kind == "go"))


def _threads(step: Step) -> bool:
    return isinstance(step, Divert) and step.kind == "thread"


def _every(value: Any) -> Iterator[Any]:
    """Every step and expression within, in order."""
    if isinstance(value, tuple):
        for each in value:
            yield from _every(each)
    elif isinstance(value, msgspec.Struct):
        yield value
        for name in value.__struct_fields__:
            yield from _every(getattr(value, name))


def _named(value: Any) -> str:
    match value:
        case Offer(node=node):
            return node
        case Constant(value=Target(node=node)):
            return node
        case Call(name=name):
            return name
        case _:
            return ""


def _lines(steps: tuple[Step, ...]) -> Iterator[tuple[str, list[str]]]:
    """(text, tags) of every line as far as it is written out."""
    said = ""
    tag: str | None = None
    tags: list[str] = []
    for step in steps:
        match step:
            case Say(text=text) if tag is None:
                said += text
            case Say(text=text):
                tag = f"{tag}{text}"
            case TagMark(begins=True):
                tag = ""
            case TagMark():
                tags.append(tag or "")
                tag = None
            case Newline():
                yield said.strip(), tags
                said, tags = "", []
            case _:
                pass


def _reached(ways: Mapping[str, tuple[str, ...]], start: str) -> dict[str, int]:
    """Node -> the fewest ways from the start; the nodes that nothing leads to are not there."""
    found, edge, depth = {start: 0}, [start], 0
    while edge:
        depth += 1
        edge = list(dict.fromkeys(to for name in edge for to in ways.get(name, ()) if to not in found))
        found |= dict.fromkeys(edge, depth)
    return found


def _way(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1, x2, y2 = start[0] + BOX[0] // 2, start[1] + BOX[1], end[0] + BOX[0] // 2, end[1]
    bend = max(20, abs(y2 - y1) // 2)
    return f'<path d="M{x1} {y1}C{x1} {y1 + bend} {x2} {y2 - bend} {x2} {y2}" fill="none" stroke="#8a8f98"/>'


def _box(row: Row, x: int, y: int) -> str:
    color = "#f3c1b8" if row.dead_end else "#e6e7ea" if not row.reachable else "#cfe3d4"
    name = row.name if len(row.name) <= NAME_CHARS else "…" + row.name[1 - NAME_CHARS :]
    return (
        f"<g><title>{escape(row.name)}, line {row.line}</title>"
        f'<rect x="{x}" y="{y}" width="{BOX[0]}" height="{BOX[1]}" rx="5" fill="{color}" stroke="#555"/>'
        f'<text x="{x + BOX[0] // 2}" y="{y + 21}" text-anchor="middle">{escape(name)}</text></g>'
    )
