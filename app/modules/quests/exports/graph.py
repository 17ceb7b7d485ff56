"""A quest as a graph: what is drawn, and where it stands. It knows no SVG.

Nodes stand in layers from left to right (Sugiyama, Tagawa and Toda 1981): a step's layer is the longest way to it, the
common way is the middle row and each branch has a row of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from app.modules.quests.draft import Draft, DraftStep
from app.modules.quests.exports.records import shown
from app.modules.quests.quest import Certificate, Quest, Step

Kind = Literal["start", "goal", "way", "fork", "end"]
MAIN = "main"


@dataclass(frozen=True, slots=True)
class Node:
    """One box: `column` and `row` count from 0; rows may lie between."""

    key: str
    kind: Kind
    column: int
    row: float
    head: str
    text: str
    done: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """From one node to another; `text` is what a branch is called."""

    start: str
    end: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """All that a picture shows: the graph, and what is known about the quest."""

    title: str
    about: str
    facts: tuple[tuple[str, str], ...]
    """Name and value: giver, level, scope, reward …"""
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    roles: tuple[tuple[str, str], ...]
    failures: tuple[tuple[str, str, str], ...]
    """What is lost, through whom, and what the giver says."""
    certificate: Certificate | None
    verdict: str

    @property
    def columns(self) -> int:
        return 1 + max(node.column for node in self.nodes)

    @property
    def rows(self) -> float:
        return 1 + max(node.row for node in self.nodes)


@dataclass(frozen=True, slots=True)
class _Row:
    """Steps in a row: (id, kind, head, text, done)."""

    id: str
    text: str
    boxes: tuple[tuple[str, Kind, str, str, bool], ...]


def of_quest(quest: Quest) -> Graph:
    """The graph of a quest with its certificate."""
    ways = [_Row(quest.branch or MAIN, "", tuple(_box(step) for step in quest.steps))]
    for branch in quest.branches:
        if branch.id != ways[0].id:
            ways.append(_Row(branch.id, shown(branch.text) or branch.id, tuple(_box(step) for step in branch.steps)))
    common = 0
    while all(common < len(way.boxes) - 1 and _alike(way.boxes[common], ways[0].boxes[common]) for way in ways):
        common += 1
    head = ways[0].boxes[: common if len(ways) > 1 else len(ways[0].boxes)]
    rest = [_Row(way.id, way.text, way.boxes[common:]) for way in ways] if len(ways) > 1 else []
    nodes, edges = _placed(head, rest, quest.giver)
    reward = quest.reward
    certificate = quest.certificate
    facts = [("giver", quest.giver), ("level", str(quest.level)), ("state", quest.state), ("scope", quest.scope)]
    facts += [("motive", quest.motive)] if quest.motive else []
    facts.append(("reward", _reward(reward.experience, reward.coins, reward.items)))
    return Graph(
        title=shown(quest.title) or quest.id,
        about=shown(quest.description),
        facts=tuple(facts),
        nodes=nodes,
        edges=edges,
        roles=tuple(quest.roles.items()),
        failures=tuple((_fact(one.fact), one.cause, shown(one.text)) for one in certificate.failures),
        certificate=certificate,
        verdict="verified with assumptions" if certificate.assumptions else "verified",
    )


def of_draft(draft: Draft) -> Graph:
    """The graph of a hand-written quest, of which nothing is proved yet."""
    ways = [
        _Row(branch.id, shown(branch.text) or branch.id, tuple(_drafted(step) for step in branch.steps))
        for branch in draft.branches
    ]
    nodes, edges = _placed(tuple(_drafted(step) for step in draft.steps), ways, draft.giver)
    facts = [("giver", draft.giver), ("level", str(draft.level)), ("scope", draft.scope)]
    if draft.reward is not None:
        facts.append(("reward", _reward(draft.reward.experience, draft.reward.coins, draft.reward.items)))
    return Graph(
        title=shown(draft.title) or draft.id,
        about=shown(draft.description),
        facts=tuple(facts),
        nodes=nodes,
        edges=edges,
        roles=(),
        failures=tuple((one.entity, "author", shown(one.text)) for one in draft.failures),
        certificate=None,
        verdict="not proved yet",
    )


def _reward(experience: int, coins: int, items: Sequence[str]) -> str:
    return ", ".join((f"{experience} XP", f"{coins} coins", *items))


def _fact(fact: Sequence[str]) -> str:
    return f"{fact[0]}({', '.join(fact[1:])})" if fact else ""


def _box(step: Step) -> tuple[str, Kind, str, str, bool]:
    return step.id, "goal" if step.goal else "way", step.action, shown(step.text), step.done


def _drafted(step: DraftStep) -> tuple[str, Kind, str, str, bool]:
    things = (step.item, step.target, step.location, step.topic, step.kind)
    text = shown(step.text) or " ".join(shown(thing) for thing in things if thing)
    count = f"{step.action} ×{step.count}" if step.count > 1 else step.action
    return step.id, "way" if step.optional else "goal", count, text, False


def _alike(one: tuple[str, Kind, str, str, bool], other: tuple[str, Kind, str, str, bool]) -> bool:
    return one[2:4] == other[2:4]


def _placed(
    head: Sequence[tuple[str, Kind, str, str, bool]], ways: Sequence[_Row], giver: str
) -> tuple[tuple[Node, ...], tuple[Edge, ...]]:
    """Layers and rows, and what leads where."""
    middle = (len(ways) - 1) / 2 if ways else 0.0
    nodes = [Node("start", "start", 0, middle, "", giver)]
    edges: list[Edge] = []
    last = "start"
    for number, box in enumerate(head, 1):
        nodes.append(_node(f"c{number}", box, number, middle))
        edges.append(Edge(last, nodes[-1].key))
        last = nodes[-1].key
    column = len(head) + 1
    if ways:
        nodes.append(Node("fork", "fork", column, middle, "", ""))
        edges.append(Edge(last, "fork"))
        longest = max(len(way.boxes) for way in ways)
        ends = []
        for row, way in enumerate(ways):
            before, text = "fork", way.text
            for number, box in enumerate(way.boxes, 1):
                nodes.append(_node(f"b{row}.{number}", box, column + number, float(row)))
                edges.append(Edge(before, nodes[-1].key, text))
                before, text = nodes[-1].key, ""
            ends.append((before, text))
        nodes.append(Node("end", "end", column + longest + 1, middle, "", ""))
        edges.extend(Edge(before, "end", text) for before, text in ends)
    else:
        nodes.append(Node("end", "end", column, middle, "", ""))
        edges.append(Edge(last, "end"))
    return tuple(nodes), tuple(edges)


def _node(key: str, box: tuple[str, Kind, str, str, bool], column: int, row: float) -> Node:
    _, kind, head, text, done = box
    return Node(key, kind, column, row, head, text, done)


def lines_of(text: str, chars: int, most: int) -> Iterator[str]:
    """A text broken between words into lines of at most `chars`; what does not fit into `most` ends in an ellipsis."""
    words, line, given = text.split(), "", 0
    while words:
        word = words.pop(0)
        if len(word) > chars:
            words.insert(0, word[chars:])
            word = word[:chars]
        if line and len(line) + 1 + len(word) > chars:
            given += 1
            if given == most:
                yield line[: chars - 1].rstrip() + "…"
                return
            yield line
            line = ""
        line = f"{line} {word}".strip()
    if line:
        yield line
