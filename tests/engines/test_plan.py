"""The plan of a GPU's memory: what profiles ask of a card together, and how much of a GGUF fits beside the networks."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec
import pytest

from app.build import MODULE_SETTINGS
from app.core.engines import Engine, Llama, Onnx
from app.core.profile import layers, load
from app.engines import plan
from app.engines.llama import header

ROOT = Path(__file__).resolve().parents[2]
GIB = 1 << 30


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def write_gguf(
    path: Path,
    *,
    size: int,
    layer_count: int = 32,
    heads: int = 32,
    kept: int = 8,
    width: int = 4_096,
    tensor_elements: int = 0,
) -> None:
    """A header as llama.cpp writes it, and nothing behind it up to `size`; one tensor where it has elements."""
    numbers = {
        "llama.block_count": layer_count,
        "llama.embedding_length": width,
        "llama.attention.head_count": heads,
        "llama.attention.head_count_kv": kept,
    }
    entries = [text("general.architecture") + struct.pack("<I", 8) + text("llama")]
    tokens = b"".join(text(word) for word in ("a", "bc"))
    entries.append(text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + tokens)
    entries.append(text("tokenizer.ggml.scores") + struct.pack("<IIQ", 9, 6, 2) + struct.pack("<2f", 0.0, 1.0))
    entries.append(text("general.quantized") + struct.pack("<I?", 7, True))
    entries += [text(key) + struct.pack("<II", 4, value) for key, value in numbers.items()]
    tensors = [text("t") + struct.pack("<IQIQ", 1, tensor_elements, 0, 0)] if tensor_elements else []
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(entries)) + b"".join((*entries, *tensors))
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size)


def engines(name: str, **llama: object) -> dict[str, Engine]:
    file = ROOT / "profiles" / f"{name}.toml"
    read = load(layers(ROOT / "profiles", mode=3, file=file, environment={}, flags={}), MODULE_SETTINGS)
    found: dict[str, Engine] = dict(read.profile.engines)
    found["llama"] = msgspec.structs.replace(found["llama"], **llama)
    return found


@pytest.mark.parametrize(("name", "card", "model_gib"), [("mode3-rtx3060", 12, 4.9), ("mode3-rtx4090", 24, 12.1)])
def test_each_shipped_profile_fits_its_card_with_the_model_that_it_names(
    name: str, card: int, model_gib: float, tmp_path: Path
) -> None:
    size, layer_count, width = int(model_gib * GIB), 32 if card == 12 else 40, 4_096 if card == 12 else 5_120
    write_gguf(tmp_path / "m.gguf", size=size, layer_count=layer_count, heads=width // 128, width=width)
    found = plan.plan(engines(name, file="m.gguf"), card_bytes=card * GIB, folder=tmp_path)
    assert found.fits
    assert found.layers == found.layers_all == layer_count
    assert {part.engine for part in found.parts} == {"", "policy", "danger", "fields", "llama"}


def test_a_model_too_large_says_how_many_of_its_layers_fit(tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", size=20 * GIB, layer_count=64)
    found = plan.plan(engines("mode3-rtx3060", file="m.gguf"), card_bytes=12 * GIB, folder=tmp_path)
    assert not found.fits
    assert 20 < found.layers < 40
    some = engines("mode3-rtx3060", file="m.gguf", gpu_layers_max=found.layers)
    assert plan.plan(some, card_bytes=12 * GIB, folder=tmp_path).fits


def test_without_a_gpu_in_the_profile_nothing_is_planned(tmp_path: Path) -> None:
    specs = {"policy": Onnx(model="m"), "llama": Llama(file="m.gguf")}
    assert plan.plan(specs, card_bytes=12 * GIB, folder=tmp_path).parts == ()


def test_what_is_not_on_the_card_is_planned_in_the_machines_memory(tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", size=8 * GIB, layer_count=32)
    found = header.read(tmp_path / "m.gguf")
    spec = Llama(file="m.gguf", context_tokens_max=4_096)
    whole = plan.plan_ram("llama", found, spec).total_bytes
    assert whole > 8 * GIB
    assert plan.plan_ram("llama", found, msgspec.structs.replace(spec, contexts_max=3)).total_bytes > whole
    half = plan.plan_ram("llama", found, msgspec.structs.replace(spec, gpu_layers_max=16)).total_bytes
    assert 4 * GIB < half < whole
    assert plan.plan_ram("llama", found, msgspec.structs.replace(spec, gpu_layers_max=1_000)).layers == 0
