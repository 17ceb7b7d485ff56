"""Proof that a network's answer for a row does not depend on its batch, and that a catalog's files are as it says.

It needs ONNX Runtime alone; the proof is the one that a server makes when it takes a model in (engines/onnx/gates.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.errors import EngineDown, Error
from app.engines import catalog
from app.engines.compiler.session import open_runtime
from app.engines.onnx import gates, graph, runners


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check of one model found; `fault` is empty when it holds."""

    check: str
    fault: str


def variance(data: bytes, *, obs: NDArray[np.float32] | None = None, shared: frozenset[str] = frozenset()) -> str:
    """How the answers of the network in `data` depend on the batch or on the threads; empty when they do not.

    `obs` (n, features) are given to the first input, the gates' own numbers where it is left out; the inputs `shared`
    have no rows.
    """
    try:
        graph.refuse_dynamic("network", data)
        wholes = []
        for threads in (1, 2):
            session = open_runtime(data, threads=threads)
            puts = session.get_inputs()
            given = {} if obs is None else {puts[0].name: obs}
            subject = gates.Subject("network", runners.Plain("network", session).compute, puts, shared, given)
            gates.prove_invariance(subject, threads=threads)
            wholes.append(subject.compute(subject.rows(max(gates.SIZES))))
    except EngineDown as error:
        return error.message
    one, two = wholes
    return "" if all(one[name].tobytes() == two[name].tobytes() for name in one) else "two threads answer otherwise"


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
        Finding("invariance", variance(data, shared=frozenset(put.name for put in entry.inputs if put.shared))),
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
