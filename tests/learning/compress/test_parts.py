"""What PyTorch saves becomes the same network, rounding is the runtime's, and decisions are the server's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.build import ROOT
from app.core.errors import Invalid
from app.modules.behavior import logic, schema

pytestmark = pytest.mark.needs_torch
LAYOUT = schema.load("open_world")
POLICY = ROOT / "models" / "behavior-open-world.onnx"


def rows(count: int):
    from app.learning.compress.rows import Rows

    generator = np.random.default_rng(count)
    mask = (generator.random((count, 12)) < 0.5).astype(np.uint8)
    mask[:, 9] = 1
    obs = generator.random((count, 64), np.float32)
    obs[:, list(LAYOUT.slot_columns)] *= generator.random((count, 4)) < 0.5  # empty slots
    return Rows(obs, mask)


@pytest.mark.filterwarnings("ignore:No complete tensor found")  # the policy's weights are views of one array
@pytest.mark.parametrize("kind", ["program", "script", "checkpoint"])
def test_what_pytorch_saves_becomes_the_same_network(tmp_path: Path, kind: str) -> None:
    import torch

    from app.engines import catalog
    from app.engines.compiler import graph
    from app.engines.compiler.session import open_session
    from app.learning.compress import sources
    from app.learning.ppo import Policy

    torch.manual_seed(1)
    policy = Policy()
    module = torch.nn.Sequential(
        policy.first, torch.nn.ReLU(), policy.second, torch.nn.ReLU(), policy.heads
    ).eval()  # fmt: skip
    path = tmp_path / ("policy.pt2" if kind == "program" else "policy.pt")
    if kind == "program":
        example, free = (torch.zeros(2, 64),), ({0: torch.export.Dim("rows")},)
        torch.export.save(torch.export.export(module, example, dynamic_shapes=free), path)
    elif kind == "script":
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.save(torch.jit.script(module), path)
    else:
        torch.save({"policy": policy.state_dict(), "fingerprint": "f", "seed": 3}, path)
    source = sources.open_source(
        path, catalog.Catalog(models=()), schema="open_world", fingerprint="f", features=64
    )  # fmt: skip
    assert graph.metadata(source.model)["fingerprint"] == "f"
    assert [port.name for port in graph.ports(source.model)] == ["obs", "logits"]
    assert graph.layers(source.model) is not None
    obs = rows(300).obs
    with torch.no_grad():
        wanted = policy.logits(torch.from_numpy(obs)).numpy()
    assert open_session(graph.write(source.model)).run(obs) == pytest.approx(wanted, abs=1e-4)


def test_a_pickled_module_and_a_fixed_batch_are_refused(tmp_path: Path) -> None:
    import torch

    from app.engines import catalog
    from app.learning.compress import sources

    def opened(path: Path) -> None:
        sources.open_source(path, catalog.Catalog(models=()), schema="open_world", fingerprint="f", features=64)

    module = torch.nn.Linear(64, 16).eval()
    torch.save(module, tmp_path / "whole.pt")
    with pytest.raises(Invalid, match="no checkpoint of plain tensors"):
        opened(tmp_path / "whole.pt")
    torch.export.save(torch.export.export(module, (torch.zeros(2, 64),)), tmp_path / "fixed.pt2")
    with pytest.raises(Invalid) as caught:
        opened(tmp_path / "fixed.pt2")
    assert "dynamic" in caught.value.hint
    (tmp_path / "text.pt").write_text("no")
    with pytest.raises(Invalid, match=r"text\.pt"):
        opened(tmp_path / "text.pt")


def test_decisions_are_those_of_the_server() -> None:
    from app.learning.compress.quality import BEHAVIOR

    seen = rows(2_000)
    logits = np.random.default_rng(5).normal(0.0, 2.0, (2_000, 16)).astype(np.float32)
    intents, slots = BEHAVIOR.decide(logits, seen)
    served = logic.choose(LAYOUT, seen.obs, seen.mask, logits[:, :12], logits[:, 12:], sharpness=1.0, taste=None)
    assert intents.tolist() == served.intents.tolist()
    assert slots.tolist() == served.targets.view(np.int8).tolist()


def test_tuning_rounds_as_the_runtime_does() -> None:
    import torch

    from app.engines.compiler import graph, precision
    from app.engines.compiler.session import open_session
    from app.learning.compress.students import Rounding, Student

    model = graph.read(POLICY.read_bytes(), "policy")
    layers = graph.layers(model)
    assert layers is not None
    plain = graph.chain(layers, model)
    seen = rows(4_096)
    lower = precision.to_int8(plain, seen.obs, precision.Calibration("MinMax"), weight_bits=7, last_fp32=False)
    ranges = precision.ranges_of(lower)
    assert list(ranges) == ["obs", "layer0.out", "layer1.out"]
    student = Student(layers, [Rounding(each.scale, each.zero, 64) for each in ranges.values()])
    with torch.no_grad():
        expected = student(torch.from_numpy(seen.obs)).numpy()
    found = open_session(graph.write(lower)).run(seen.obs)
    exact = open_session(POLICY.read_bytes()).run(seen.obs)
    assert np.abs(found - expected).mean() < 0.1 * np.abs(found - exact).mean()


def test_measures_find_a_network_that_decides_otherwise_or_lives_worse() -> None:
    from app.learning.compress import quality

    seen = rows(1_000)
    logits = np.random.default_rng(5).normal(0.0, 2.0, (1_000, 16)).astype(np.float32)
    assert quality.loss(quality.BEHAVIOR, logits, logits, seen).agreement == 1.0
    broken = logits.copy()
    broken[:250, :12] *= -1.0
    lost = quality.loss(quality.BEHAVIOR, broken, logits, seen)
    assert 0.7 < lost.agreement < 0.85
    assert lost.error_max > 1.0
    generator = np.random.default_rng(1)
    before = {name: generator.normal(0.5, 0.1, 48) for name in quality.MEASURES}
    after = {name: values + generator.normal(0.0, 0.01, 48) for name, values in before.items()}
    after["profit"] -= 0.02
    words = {name: gap.word for name, gap in quality.gaps(after, before).items()}
    assert words == {name: "worse" if name == "profit" else "even" for name in quality.MEASURES}


def test_a_product_without_bias_becomes_a_layer_that_can_be_tuned() -> None:
    from onnx import TensorProto, helper, numpy_helper

    from app.engines.compiler import graph, simplify
    from app.engines.compiler.session import open_session

    generator = np.random.default_rng(2)
    weights = [generator.normal(size=size).astype(np.float32) for size in ((64, 8), (8, 16))]
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Identity", ["b"], ["c"]),
        helper.make_node("MatMul", ["c", "w1"], ["y"]),
    ]
    body = helper.make_graph(
        nodes, "bare", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 16])],
        [numpy_helper.from_array(each, f"w{index}") for index, each in enumerate(weights)],
    )  # fmt: skip
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    plain = simplify.simplified(model.SerializeToString(), "bare")
    assert [node.op_type for node in plain.graph.node] == ["Gemm", "Relu", "Gemm"]
    assert graph.layers(plain) is not None
    obs = generator.random((50, 64), np.float32)
    wanted = np.maximum(obs @ weights[0], 0.0) @ weights[1]
    assert open_session(graph.write(plain)).run(obs) == pytest.approx(wanted, rel=1e-4, abs=1e-4)
