"""The proof that a row's answer does not depend on its batch holds for what ships and fails for what depends on it."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from app.build import ROOT
from app.cli.models import models
from app.core.errors import Broken, NotFound
from app.engines import catalog
from app.engines.compiler import invariance, listing

MODELS = ROOT / "models"
LISTED = catalog.load(MODELS / "catalog.toml")
POLICY = LISTED.entry("behavior-open-world")


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A catalog of copies that a test may spoil."""
    for path in MODELS.iterdir():
        if path.suffix in (".onnx", ".toml"):
            shutil.copyfile(path, tmp_path / path.name)
    return tmp_path / "catalog.toml"


def faults(path: Path, id: str) -> dict[str, str]:
    listed = catalog.load(path)
    found = invariance.examine(listed.entry(id), path.parent, listed)
    return {finding.check: finding.fault for finding in found if finding.fault}


@pytest.mark.parametrize("entry", LISTED.models, ids=lambda entry: entry.id)
def test_every_model_that_ships_passes_every_check(entry: catalog.Entry) -> None:
    found = invariance.examine(entry, MODELS, LISTED)
    assert [finding for finding in found if finding.fault] == []
    assert "invariance" in {finding.check for finding in found}


@pytest.mark.needs_torch
def test_a_network_that_looks_at_its_neighbors_is_found_out() -> None:
    import onnx
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("ReduceMean", ["obs"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["obs", "mean"], ["logits"]),
    ]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 8]) for name in ("obs", "logits")]
    body = helper.make_graph(nodes, "nosy", ports[:1], ports[1:])
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    assert "changes with the batch" in invariance.variance(model.SerializeToString())


def test_rows_are_found_where_a_converter_names_them_differently_in_and_out() -> None:
    data = (MODELS / POLICY.file).read_bytes()
    assert data.count(b"rows") == 2
    renamed = data.replace(b"rows", b"many", 1)
    assert invariance.variance(renamed) == ""
    assert invariance.variance(renamed, obs=np.random.default_rng(1).random((2_000, 64), np.float32)) == ""


def test_a_changed_file_and_a_changed_entry_are_told_apart(shelf: Path) -> None:
    path = shelf.parent / POLICY.file
    path.write_bytes(path.read_bytes() + b"\0")
    assert "sha256" in faults(shelf, POLICY.id)["file"]
    shutil.copyfile(MODELS / POLICY.file, path)
    wide = msgspec.structs.replace(POLICY.inputs[0], shape=(-1, 65))
    listing.put(msgspec.structs.replace(POLICY, inputs=(wide,), fingerprint="0123456789abcdef"), shelf)
    assert set(faults(shelf, POLICY.id)) == {"shapes", "fingerprint"}


def test_a_compiled_network_is_stale_once_its_source_has_changed(shelf: Path) -> None:
    made = msgspec.structs.replace(
        POLICY, id="small", provenance={"source": POLICY.id, "source_sha256": POLICY.sha256}, command="manage.py again"
    )
    listing.put(made, shelf)
    assert faults(shelf, "small") == {}
    listing.put(msgspec.structs.replace(made, provenance={"source": POLICY.id, "source_sha256": "0" * 64}), shelf)
    assert "manage.py again" in faults(shelf, "small")["source"]


def test_an_entry_takes_the_place_of_its_id_and_leaves_the_rest_as_it_was(shelf: Path) -> None:
    before = shelf.read_text()
    listing.put(POLICY, shelf)
    assert catalog.load(shelf) == catalog.load(MODELS / "catalog.toml")
    awkward = msgspec.structs.replace(POLICY, id="odd", command='say "no" \\ ± é', scorecard={}, roles=())
    listing.put(awkward, shelf)
    listing.put(awkward, shelf)
    after = catalog.load(shelf)
    assert after.entry("odd") == awkward
    assert len(after.models) == len(LISTED.models) + 1
    assert shelf.read_text().startswith(before.split("[[models]]")[0])
    assert not list(shelf.parent.glob("*.tmp"))


def test_check_names_the_model_and_the_fault_and_fails(shelf: Path) -> None:
    runner = CliRunner()
    whole = runner.invoke(models, ["check", POLICY.id, "danger", "--catalog", str(shelf)])
    assert whole.exit_code == 0, whole.output
    assert "danger" in whole.output
    (shelf.parent / "danger.onnx").unlink()
    spoiled = runner.invoke(models, ["check", "--catalog", str(shelf)])
    assert isinstance(spoiled.exception, Broken)
    assert "No such file" in spoiled.output
    assert isinstance(runner.invoke(models, ["check", "dangr"]).exception, NotFound)


def test_list_shows_every_model_with_its_size_and_shapes(shelf: Path) -> None:
    (shelf.parent / "danger.onnx").unlink()
    shown = CliRunner().invoke(models, ["list", "--catalog", str(shelf)]).output
    assert all(entry.id in shown for entry in LISTED.models)
    assert "obs n×64" in shown
    assert "missing" in shown
