"""Proof that a network's answer for a row does not depend on its batch, and that a catalog's files are as it says.

It needs ONNX Runtime alone. A network passes when every row has the same bits in 11 batch sizes, at several places
in the batch, on one thread and on two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Error
from app.engines import catalog
from app.engines.compiler.session import open_runtime
from app.engines.onnx import gates

SIZES = (1, 2, 3, 7, 16, 65, 128, 333, 512, 777, 1_024)
FREE = 16
"""What a free dimension that is not the rows is set to."""
DYNAMIC = b"DynamicQuantize"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check of one model found; `fault` is empty when it holds."""

    check: str
    fault: str


def variance(data: bytes, *, obs: NDArray[np.float32] | None = None) -> str:
    """How the answers of the network in `data` depend on the batch; empty when they do not.

    `obs` (at least 1,024 rows) are given to the first input, random numbers in [0, 1) where it is left out.
    """
    if DYNAMIC in data:
        return "its scales are computed from the batch (dynamic INT8)"
    one, two = open_runtime(data, threads=1), open_runtime(data, threads=2)
    rows_max = SIZES[-1]
    inputs, batched = _inputs(one, rows_max)
    if obs is not None:
        name = one.get_inputs()[0].name
        inputs[name] = obs[:rows_max].astype(inputs[name].dtype)
    whole = one.run(None, inputs)
    for session, threads in ((one, 1), (two, 2)):
        for size in SIZES:
            for first in {0, (rows_max - size) // 2, rows_max - size}:
                part = {name: each[first : first + size] if name in batched else each for name, each in inputs.items()}
                found = session.run(None, part)
                if any(a.tobytes() != b[first : first + size].tobytes() for a, b in zip(found, whole, strict=True)):
                    return f"rows {first} to {first + size - 1} differ in a batch of {size} on {threads} threads"
    return ""


def _inputs(session: Any, rows: int) -> tuple[dict[str, NDArray[Any]], set[str]]:
    """Random inputs, and the names of those whose first dimension is the rows.

    That is the outputs' first dimension by name; where a converter named it otherwise, any free first dimension.
    """
    firsts = {put.name: put.shape[0] for put in session.get_inputs() if put.shape and not isinstance(put.shape[0], int)}
    named = {name for name, size in firsts.items() if size and size == session.get_outputs()[0].shape[0]}
    batched = named or set(firsts)
    generator = np.random.Generator(np.random.PCG64(1))
    kinds: Mapping[str, type[np.generic]] = {"tensor(uint8)": np.uint8, "tensor(int64)": np.int64}
    inputs: dict[str, NDArray[Any]] = {}
    for put in session.get_inputs():
        shape = [size if isinstance(size, int) else FREE for size in put.shape]
        shape[:1] = [rows] if put.name in batched else shape[:1]
        values = generator.uniform(0.0, 1.0, shape)  # A negative cost of a way would never settle.
        half = np.float16 if put.type == "tensor(float16)" else np.float32
        inputs[put.name] = values.astype(kinds.get(put.type, half))
    return inputs, batched


def examine(entry: catalog.Entry, folder: Path, listed: catalog.Catalog) -> list[Finding]:
    """Check one catalog entry's file: hash, shapes, fingerprint, what it was made from, invariance."""
    try:
        data = catalog.read_verified(entry, folder)
        session = open_runtime(data)
    except Error as error:
        return [Finding("file", error.message)]
    words = session.get_modelmeta().custom_metadata_map
    fingerprint = words.get("fingerprint", "")
    wrong = "" if fingerprint == entry.fingerprint else f"the file says {fingerprint!r}, not {entry.fingerprint!r}"
    return [
        Finding("file", ""),
        Finding("shapes", _shapes(entry, session)),
        Finding("fingerprint", wrong),
        Finding("source", _source(entry, listed)),
        Finding("invariance", variance(data)),
        Finding("probe", _probe(entry, data)),
    ]


def _probe(entry: catalog.Entry, data: bytes) -> str:
    """Without a probe a server cannot tell that a machine computes the network wrongly."""
    found = gates.probe_of(data, frozenset(put.name for put in entry.inputs if put.shared))
    if not entry.probe:
        return f"none is stored; add probe = {list(found)!r}"
    far = max(abs(one - other) / (1.0 + abs(other)) for one, other in zip(found, entry.probe, strict=True))
    return "" if far <= entry.probe_tolerance else f"the file answers {found!r}, the catalog says {entry.probe!r}"


def _shapes(entry: catalog.Entry, session: Any) -> str:
    for declared, found in ((entry.inputs, session.get_inputs()), (entry.outputs, session.get_outputs())):
        real = [(put.name, tuple(size if isinstance(size, int) else -1 for size in put.shape)) for put in found]
        said = [(put.name, put.shape) for put in declared]
        if real != said:
            return f"the file has {real!r}, the catalog says {said!r}"
    return ""


def _source(entry: catalog.Entry, listed: catalog.Catalog) -> str:
    """A compiled network is stale once the one that it was made from has changed."""
    made_from = entry.provenance.get("source", "")
    sha256 = entry.provenance.get("source_sha256", "")
    present = next((each for each in listed.models if each.id == made_from), None)
    if present is None or present.sha256 == sha256:
        return ""
    return f"made from {made_from!r} of {sha256[:12]}…, which is now {present.sha256[:12]}…: {entry.command}"
