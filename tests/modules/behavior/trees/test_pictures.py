"""Pictures of trees: every node is in them, colored by what it answered, and text cannot break out."""

from __future__ import annotations

import numpy as np

from app.modules.behavior.trees import nodes
from app.modules.behavior.trees.formats import shipped
from app.modules.behavior.trees.markup import Element, read_xml
from app.modules.behavior.trees.pictures import draw_tree
from tests.modules.behavior.stage import LAYOUT
from tests.modules.behavior.trees import forest


def elements(data: bytes) -> list[Element]:
    """All elements of a picture, which must be sound XML."""
    found, waiting = [], [read_xml(data, bytes_max=100_000)]
    while waiting:
        found.append(waiting.pop())
        waiting.extend(found[-1].children)
    return found


def test_a_picture_shows_each_node_with_its_status() -> None:
    tree = shipped("guard.toml", LAYOUT)
    obs, mask = LAYOUT.encode([{"energy": 1.0, "slot0_distance": 500.0}])[0], np.ones(12, np.uint8)
    told = tree.explain(obs, mask, 0, tree.memory(1).take(np.zeros(1, np.uint32)), 1, 1, 0.1)
    drawn = draw_tree(tree, told, title="a guard")
    shown = [element.attributes["class"] for element in elements(drawn) if element.tag == "g"]
    assert len(shown) == tree.plan.count
    assert (shown.count("running"), shown.count("failure")) == (3, 6)
    assert all(
        path.rpartition("/")[2].replace("<", "&lt;").replace(">", "&gt;") in drawn.decode() for path in tree.paths
    )


def test_names_are_escaped_and_equal_trees_give_equal_bytes() -> None:
    tree = forest.make(nodes.Wait(name="<script>&\"'", ticks=1))
    drawn = draw_tree(tree, title="</svg>")
    assert b"<script>" not in drawn
    assert elements(drawn)[0].tag == "svg"
    assert draw_tree(tree, title="</svg>") == drawn
