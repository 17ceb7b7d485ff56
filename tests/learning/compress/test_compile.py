"""A network through the whole compiler: what holds is written; what lost too much is not, and says by how much."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from app.build import ROOT
from app.cli.models import models
from app.core.errors import Invalid, NotFound, Refused
from app.engines import catalog
from app.modules.behavior import considerations, schema
from app.modules.behavior.logic import rule_brain

pytestmark = pytest.mark.needs_torch
POLICY = ROOT / "models" / "behavior-open-world.onnx"
QUICK = ("--rows", "6000", "--villages", "3", "--village-steps", "8", "--tune-steps", "30", "--fit-steps", "60")


def compiled(out: Path, *words: str, source: Path = POLICY) -> Result:
    return CliRunner().invoke(models, ["compile", str(source), "--out", str(out), *QUICK, *words])


def report(out: Path) -> dict[str, dict[str, object]]:
    """Output name -> what the report says of it."""
    tree = msgspec.json.decode((out / "report.json").read_bytes())
    return {output["name"]: output for output in tree["outputs"]}


def answers(path: Path, obs: np.ndarray) -> np.ndarray:
    from app.engines.compiler.session import open_session

    return open_session(path.read_bytes()).run(obs)


def seen_in_a_village(count: int) -> np.ndarray:
    from app.engines.compiler.session import open_session
    from app.learning.compress import quality, rows

    brain = quality.BEHAVIOR.brain(open_session(POLICY.read_bytes()))
    return rows.play(brain, count, 77, lambda share: None).obs


def operators(path: Path) -> list[str]:
    import onnx

    return [node.op_type for node in onnx.load(path).graph.node]


def recording(path: Path, *, rows: int, features: int = 64, intents: int = 12) -> Path:
    generator = np.random.default_rng(3)
    obs = generator.random((rows, features), np.float32)
    np.savez(path, obs=obs, mask=np.ones((rows, intents), np.uint8))
    return path


def test_int8_and_fp16_decide_as_fp32_and_are_ready_to_enter_the_catalog(tmp_path: Path) -> None:
    done = compiled(tmp_path, "--to", "fp32", "--to", "fp16", "--to", "int8")
    assert done.exit_code == 0, done.output
    listed = catalog.load(tmp_path / "catalog.toml")
    assert [entry.id for entry in listed.models] == [f"behavior-open-world-{kind}" for kind in ("fp32", "fp16", "int8")]
    obs = seen_in_a_village(2_048)
    wanted = answers(POLICY, obs)
    for entry, error in zip(listed.models, (1e-3, 0.05, np.inf), strict=True):
        catalog.read_verified(entry, tmp_path)
        assert entry.inputs[0].type == "float32"
        found = answers(tmp_path / entry.file, obs)
        assert np.abs(found - wanted).max() < error, "of scores; INT8 keeps their order alone"
        assert (found.argmax(axis=1) == wanted.argmax(axis=1)).mean() > 0.95
        assert entry.provenance["source"] == "behavior-open-world"
        assert "--to" in entry.command
    kinds = operators(tmp_path / "behavior-open-world-int8.onnx")
    assert "QuantizeLinear" in kinds
    assert kinds[-1] == "Gemm"
    found = report(tmp_path)
    assert all(output["variance"] == "" and output["scorecard"] for output in found.values())
    assert found["int8"]["bytes"] < 0.4 * found["fp32"]["bytes"]
    assert (tmp_path / "quality.png").read_bytes().startswith(b"\x89PNG")
    assert "same bits" in done.output


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    found = []
    for name in ("first", "second"):
        assert compiled(tmp_path / name, "--villages", "0").exit_code == 0
        found.append(report(tmp_path / name)["int8"]["sha256"])
    assert found[0] == found[1]


def test_weights_of_7_bits_stay_within_64_steps_and_the_last_layer_may_stay_fp32(tmp_path: Path) -> None:
    import onnx
    from onnx import numpy_helper

    most = {}
    for bits in ("7", "8"):
        assert compiled(tmp_path / bits, "--villages", "0", "--weight-bits", bits).exit_code == 0
        model = onnx.load(tmp_path / bits / "behavior-open-world-int8.onnx")
        arrays = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
        most[bits] = max(
            int(np.abs(each.astype(int)).max()) for each in arrays if each.dtype == np.int8 and each.ndim == 2
        )
    assert most == {"7": 64, "8": 127}
    assert compiled(tmp_path / "last", "--villages", "0", "--last-fp32").exit_code == 0
    last = onnx.load(tmp_path / "last" / "behavior-open-world-int8.onnx")
    floats = [numpy_helper.to_array(tensor) for tensor in last.graph.initializer if tensor.data_type == 1]
    assert any(each.shape == (16, 128) for each in floats)


def test_what_agrees_too_little_is_not_written_and_the_message_says_by_how_much(tmp_path: Path) -> None:
    done = compiled(tmp_path, "--distill", "2", "--to", "fp32", "--fit-steps", "1")
    assert isinstance(done.exception, Refused)
    assert "behavior-open-world-2-fp32: agreement 0." in done.exception.message
    assert "points under the bound of 0.97" in done.exception.message
    assert not list(tmp_path.glob("*.onnx"))
    assert (tmp_path / "catalog.toml").read_bytes() == b""
    assert report(tmp_path)["2-fp32"]["refused"]
    kept = ("--distill", "2", "--to", "fp32", "--agreement-min", "0", "--villages", "0")
    assert compiled(tmp_path, *kept).exit_code == 0
    assert (tmp_path / "behavior-open-world-2-fp32.onnx").exists()


def test_a_pruned_network_is_smaller_and_learns_back_what_cutting_cost(tmp_path: Path) -> None:
    done = compiled(tmp_path, "--prune", "0.5", "--to", "fp32", "--fit-steps", "300", "--agreement-min", "0.5")
    assert done.exit_code == 0, done.output
    assert report(tmp_path)["pruned50-fp32"]["layers"] == [64, 64, 64, 16]
    steps = msgspec.json.decode((tmp_path / "report.json").read_bytes())["steps"]
    lost = {step["step"]: step["agreement"] for step in steps}
    assert lost["taught again"] > lost["cut"] + 0.05


def test_dynamic_int8_is_refused_with_the_reason_whether_asked_for_or_found(tmp_path: Path) -> None:
    import onnx
    from onnxruntime.quantization import quantize_dynamic

    asked = compiled(tmp_path, "--to", "int8-dynamic")
    assert isinstance(asked.exception, Invalid)
    assert "neighbors" in asked.exception.message
    quantize_dynamic(onnx.load(POLICY), tmp_path / "dynamic.onnx")
    found = compiled(tmp_path, source=tmp_path / "dynamic.onnx")
    assert isinstance(found.exception, Invalid)
    assert "depends on its batch" in found.exception.message


def test_recorded_rows_calibrate_any_network_of_one_matrix_and_bad_ones_are_named(tmp_path: Path) -> None:
    danger = ROOT / "models" / "danger.onnx"
    assert "--observations" in compiled(tmp_path, source=danger).exception.hint
    folder = tmp_path / "recorded"
    folder.mkdir()
    for index in range(3):
        recording(folder / f"{index}.npz", rows=2_000, features=173, intents=2)
    done = compiled(tmp_path, "--observations", str(folder), "--agreement-min", "0.8", source=danger)
    assert done.exit_code == 0, done.output
    assert report(tmp_path)["int8"]["scorecard"] == {}
    narrow = compiled(tmp_path, "--observations", str(recording(tmp_path / "n.npz", rows=3_000)), source=danger)
    assert "(3000, 64)" in narrow.exception.message
    few = compiled(tmp_path, "--observations", str(recording(tmp_path / "f.npz", rows=10)))
    assert "10 sound rows" in few.exception.message
    (tmp_path / "no.npz").write_bytes(b"no zip")
    assert isinstance(compiled(tmp_path, "--observations", str(tmp_path / "no.npz")).exception, Invalid)


@pytest.mark.parametrize(
    ("words", "what"),
    [(("--distill", "64,x"), "64,x"), (("--distill", "0"), "'0'"), (("--villages", "1"), "no interval")],
)
def test_a_plan_that_makes_no_sense_is_refused_before_any_work(
    tmp_path: Path, words: tuple[str, str], what: str
) -> None:
    done = compiled(tmp_path / "out", *words)
    assert isinstance(done.exception, Invalid)
    assert what in done.exception.message
    assert not (tmp_path / "out").exists()


def test_what_is_no_network_is_named(tmp_path: Path) -> None:
    assert isinstance(compiled(tmp_path, source=tmp_path / "none.onnx").exception, NotFound)
    (tmp_path / "text.onnx").write_bytes(b"not a graph at all")
    assert "text.onnx" in compiled(tmp_path, source=tmp_path / "text.onnx").exception.message
    field = compiled(tmp_path, source=ROOT / "models" / "field.onnx")
    assert "distance" in field.exception.message


class Killed(BaseException):
    """What ends a run at once, as a kill does."""


@pytest.mark.parametrize("moment", ["playing for observations", "calibrating int8", "tuning int8", "scorecard of int8"])
def test_a_run_that_ends_midway_leaves_what_was_there(tmp_path: Path, moment: str) -> None:
    from app.learning.compress import pipeline, sources

    layout = schema.load("open_world")
    listed = catalog.load(ROOT / "models" / "catalog.toml")
    source = sources.open_source(
        POLICY, listed, schema=layout.name, fingerprint=layout.fingerprint, features=len(layout.features)
    )
    before = tmp_path / f"{source.id}-int8.onnx"
    before.write_bytes(b"of an earlier run")

    def tell(words: str, share: float) -> None:
        if words == moment and share > 0.0:
            raise Killed

    with pytest.raises(Killed):
        pipeline.compile_network(
            source, pipeline.Plan(rows=6_000, tune_steps=40, villages=2, village_steps=8),
            rules=rule_brain(considerations.load(layout.name, layout)), fingerprint=layout.fingerprint,
            observations=None, out=tmp_path, command="", tell=tell,
        )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == [before.name]
    assert before.read_bytes() == b"of an earlier run"


def test_install_puts_the_network_and_its_entry_beside_the_others(tmp_path: Path) -> None:
    shelf = tmp_path / "catalog.toml"
    shelf.write_bytes((ROOT / "models" / "catalog.toml").read_bytes())
    words = ("--villages", "0", "--install", "--catalog", str(shelf))
    assert compiled(tmp_path / "out", *words).exit_code == 0
    entry = catalog.load(shelf).entry("behavior-open-world-int8")
    assert catalog.read_verified(entry, tmp_path)
    assert "--install" not in entry.command
    assert str(tmp_path) not in entry.command
