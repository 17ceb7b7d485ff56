"""What the pages on authored brains say works as written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from app.modules.behavior.goals.brain import compile_goals
from app.modules.behavior.trees import nodes
from app.modules.behavior.trees.formats import compile_tree
from app.modules.behavior.trees.plan import label_of
from tests.modules.behavior.stage import LAYOUT

DOCS = Path(__file__).resolve().parents[4] / "docs"
PAGES = {name: (DOCS / "how-to" / name).read_text() for name in ("behavior-trees.md", "goals.md")}
BLOCKS = [
    (name, kind, body)
    for name, page in PAGES.items()
    for kind, body in re.findall(r"```(\w+ \w+)\n(.*?)```", page, re.DOTALL)
]


@pytest.mark.parametrize(("name", "kind", "body"), BLOCKS, ids=[f"{name} {kind}" for name, kind, _ in BLOCKS])
def test_an_example_of_the_docs_works(name: str, kind: str, body: str) -> None:
    data = body.encode()
    match kind:
        case "toml tree":
            assert compile_tree(data, LAYOUT, format="toml").plan.count > 3
        case "xml btcpp":
            assert compile_tree(data, LAYOUT, format="btcpp").plan.count > 3
        case "json beehave":
            assert compile_tree(data, LAYOUT, format="beehave").plan.count > 3
        case "toml goals":
            night = LAYOUT.encode([{"hunger": 0.8, "is_night": 1}])[0]
            goals = compile_goals(data, LAYOUT, format="toml")
            state = goals.state(night, [], 0, 0)
            assert [cost for _, cost in goals.plan(0, state)] == [8, 5, 2]
        case _:
            found: dict[str, Any] = {}
            exec(compile(body, name, "exec"), found)  # noqa: S102  # a page of ours
            if "picture" in found:
                assert (DOCS / "images" / "guard-tree.svg").read_bytes() == found["picture"]


def test_every_kind_of_node_is_in_the_docs() -> None:
    every = [kind for kind in vars(nodes).values() if isinstance(kind, type) and issubclass(kind, nodes.Named)]
    kinds = [kind for kind in every if kind.__struct_config__.tag and kind.__name__ not in ("Named", "Composite")]
    page = PAGES["behavior-trees.md"]
    names = {str(kind.__struct_config__.tag) for kind in kinds} - {"Named", "Composite", "Decorator", "Timed"}
    assert label_of(nodes.Wait(ticks=1)) in names
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []
