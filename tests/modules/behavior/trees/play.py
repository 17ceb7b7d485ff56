"""One NPC through some ticks, by both tickers at once: what it sees by name, what it wants by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.modules.behavior.schema import NONE
from app.modules.behavior.trees import nodes
from app.modules.behavior.trees.memory import Memory, Outcome
from app.modules.behavior.trees.nodes import Node
from app.modules.behavior.trees.spots import Status
from app.modules.behavior.trees.tree import Tree
from tests.modules.behavior.stage import LAYOUT
from tests.modules.behavior.trees import forest

HANDLE = np.array([0], np.uint32)


@dataclass
class Play:
    """A tree and the memory of one NPC; `tick` also holds the two tickers together."""

    tree: Tree
    memory: Memory
    slow: Tree
    slow_memory: Memory
    number: int = 0
    path: str = ""
    """Of the node that decided last."""
    target: int = NONE
    heard: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, tree: Tree) -> Play:
        slow = Tree(tree.authored, LAYOUT, forest.LIMITS)
        tree.warm()
        return cls(tree, tree.memory(1), slow, slow.memory(1))

    def tick(self, dt_s: float = 1.0, forbid: tuple[str, ...] = (), **features: float) -> tuple[str, str]:
        """Status and intent in words ("" for unsure); features in their units, 0 where left out."""
        obs = LAYOUT.encode([features])
        mask = np.ones((1, len(LAYOUT.intents)), np.uint8)
        mask[0, [LAYOUT.intent_index[name] for name in forbid]] = 0
        found = []
        for tree, memory in ((self.tree, self.memory), (self.slow, self.slow_memory)):
            out = Outcome.of(1)
            tree.tick(obs, mask, HANDLE, memory, 7, self.number, dt_s, out, 0, 1)
            found.append((out.status[0], out.intents[0], out.targets[0], out.leaf[0], memory.snapshot()))
        assert found[0] == found[1]
        self.number += 1
        status, intent, target, leaf, _ = found[0]
        self.path, self.target = self.tree.paths[leaf] if leaf >= 0 else "", int(target)
        return Status(status).name, LAYOUT.intent_names[intent] if intent != NONE else ""

    def key(self, name: str) -> float:
        return self.memory.read(0, name)


def play(node: Node) -> Play:
    return Play.of(forest.make(node))


def sequence(*children: Node, **fields: Any) -> Node:
    return nodes.Sequence(**{"memory": False, **fields}, children=children)


def selector(*children: Node, **fields: Any) -> Node:
    return nodes.Selector(**{"memory": False, **fields}, children=children)


def when(text: str) -> Node:
    return nodes.Condition(when=text)


def do(intent: str, **fields: Any) -> Node:
    return nodes.Action(intent=intent, **fields)


SUCCEED, FAIL = nodes.Always(status="success"), nodes.Always(status="failure")
RUN, SKIP = nodes.Always(status="running"), nodes.Always(status="skipped")
