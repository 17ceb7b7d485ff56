"""Distance fields as an ONNX graph: many fields over one map, relaxed together until nothing changes.

The graph is written node by node, so the same version of this file gives the same bytes. It knows onnx and
numpy; what a field is for, and the kernels that it must equal, are in app/modules/pathfinding/grids.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
STRIDES = (1, 2, 4, 8)
"""Steps taken at once along a line: a round covers any straight run of up to 15.

More strides cost more than the rounds that they save.
"""
DIRECTIONS = ((1, -1), (1, 1), (-1, 1), (-1, -1), (0, -1), (1, 0), (0, 1), (-1, 0))
"""(x, y). Diagonals first, so that one round covers a diagonal run with a straight one after it."""
FAR = 1e9
"""In steps: no way there. Cells that no goal is reached from keep what they begin with, FAR or more."""
ROUNDS_MAX = 65_536


class _Nodes:
    """Nodes of one graph as they are written, with names that count up."""

    def __init__(self, prefix: str) -> None:
        self.written: list[onnx.NodeProto] = []
        self._prefix = prefix

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Write a node with one output; its name."""
        name = f"{self._prefix}{len(self.written)}"
        self.written.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name


class _Graph:
    """What the nodes share: constants, each written once."""

    def __init__(self) -> None:
        self.constants: dict[str, onnx.TensorProto] = {"far": numpy_helper.from_array(np.array(FAR, np.float32), "far")}

    def integers(self, *values: int) -> str:
        """A constant int64 vector; its name."""
        name = "i" + "_".join(str(value) for value in values)
        self.constants.setdefault(name, numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def number(self, value: float) -> str:
        """A constant float32; its name."""
        name = f"f{value:.9g}"
        self.constants.setdefault(name, numpy_helper.from_array(np.array(value, np.float32), name))
        return name

    def shifted(self, nodes: _Nodes, value: str, x: int, y: int, axes: tuple[int, int]) -> str:
        """The array moved by x columns and y rows, FAR where it was not; `axes` are those of rows and columns.

        Padding comes first: an array smaller than the move keeps its size. No pad is negative, because not
        every provider crops.
        """
        rank = axes[1] + 1
        before, after = [0] * rank, [0] * rank
        for axis, move in zip(axes, (y, x), strict=True):
            before[axis], after[axis] = max(move, 0), max(-move, 0)
        padded = nodes.add("Pad", value, self.integers(*before, *after), "far")
        ends = (-y if y > 0 else 2**31 - 1, -x if x > 0 else 2**31 - 1)
        starts = (max(-y, 0), max(-x, 0))
        return nodes.add("Slice", padded, self.integers(*starts), self.integers(*ends), self.integers(*axes))


def build() -> bytes:
    """The graph as a file.

    Inputs `free` (rows, columns) float32, 1 or 0; `cost` (rows, columns) float32, what a straight step over
    each cell costs; `distance` (fields, rows, columns) float32, what each field begins with: the start cost at goals,
    FAR or more elsewhere. Output `reached`, of the same shape: the distances, by the rules of grids/fields.py.
    Min-plus relaxation in strides of powers of two (pointer doubling), which takes about as many rounds as the
    longest path has turns.
    """
    graph, nodes = _Graph(), _Nodes("n")
    lines = {way: _strides(graph, nodes, *way) for way in DIRECTIONS}
    begin = nodes.add("Min", "distance", "far")
    nodes.written.append(
        helper.make_node("Loop", ["rounds_max", "go", begin], ["settled"], "rounds", body=_round(graph, lines))
    )
    # What was not reached leaves as it came.
    unreached = nodes.add("GreaterOrEqual", "settled", "far")
    nodes.written.append(helper.make_node("Where", [unreached, "distance", "settled"], ["reached"], "reached"))
    constants = [
        *graph.constants.values(),
        numpy_helper.from_array(np.array(ROUNDS_MAX, np.int64), "rounds_max"),
        numpy_helper.from_array(np.array(True), "go"),
    ]
    flat, deep = ["rows", "columns"], ["fields", "rows", "columns"]
    whole = helper.make_graph(
        nodes.written,
        "field",
        [
            helper.make_tensor_value_info("free", TensorProto.FLOAT, flat),
            helper.make_tensor_value_info("cost", TensorProto.FLOAT, flat),
            helper.make_tensor_value_info("distance", TensorProto.FLOAT, deep),
        ],
        [helper.make_tensor_value_info("reached", TensorProto.FLOAT, deep)],
        constants,
    )
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _strides(graph: _Graph, nodes: _Nodes, x: int, y: int) -> list[str]:
    """For each of STRIDES, what arriving at every cell in so many steps of (x, y) costs; FAR where it cannot be."""
    axes = (0, 1)
    half = graph.number(0.5 * math.hypot(x, y))
    wall = nodes.add("Less", "free", half)  # 0 or 1 against a half, or a little more
    ends = nodes.add("Where", wall, "far", nodes.add("Mul", "cost", half))
    step = nodes.add("Add", ends, graph.shifted(nodes, ends, x, y, axes))
    for beside in ((x, 0), (0, y)) if x and y else ():
        blocked = nodes.add("GreaterOrEqual", graph.shifted(nodes, ends, *beside, axes), "far")
        step = nodes.add("Where", blocked, "far", step)
    lines = [nodes.add("Min", step, "far")]
    for stride in STRIDES[:-1]:
        both = nodes.add("Add", lines[-1], graph.shifted(nodes, lines[-1], x * stride, y * stride, axes))
        lines.append(nodes.add("Min", both, "far"))
    return lines


def _round(graph: _Graph, lines: dict[tuple[int, int], list[str]]) -> onnx.GraphProto:
    """The body of the loop: every direction in every stride, then whether that changed anything."""
    nodes = _Nodes("r")
    value = "old"
    for (x, y), costs in lines.items():
        for stride, cost in zip(STRIDES, costs, strict=True):
            there = nodes.add("Add", graph.shifted(nodes, value, x * stride, y * stride, (1, 2)), cost)
            value = nodes.add("Min", value, there)
    change = nodes.add("ReduceMax", nodes.add("Sub", "old", value), keepdims=0)
    again = nodes.add("Greater", change, graph.number(0.0))
    deep = ["fields", "rows", "columns"]
    return helper.make_graph(
        nodes.written,
        "round",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("old", TensorProto.FLOAT, deep),
        ],
        [
            helper.make_tensor_value_info(again, TensorProto.BOOL, []),
            helper.make_tensor_value_info(value, TensorProto.FLOAT, deep),
        ],
    )


def write(path: Path) -> str:
    """Write the graph to a file; its sha256."""
    data = build()
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()
