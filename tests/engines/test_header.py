"""The header of a GGUF: what a real file tells, and that a hostile one is refused at once and in words."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.errors import EngineDown
from app.engines.llama import header
from tests.engines.test_plan import text, write_gguf


def gguf(*entries: bytes, tensors: bytes = b"", count: int = 0, keys: int | None = None) -> bytes:
    begins = struct.pack("<4sIQQ", b"GGUF", 3, count, len(entries) if keys is None else keys)
    return begins + b"".join(entries) + tensors


def array(kind: int, items: int, body: bytes = b"") -> bytes:
    return text("a.b") + struct.pack("<IIQ", 9, kind, items) + body


def tensor(name: str, *dimensions: int, kind: int = 0, offset: int = 0) -> bytes:
    shape = struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
    return text(name) + shape + struct.pack("<IQ", kind, offset)


def test_the_sizes_that_a_plan_needs_are_told(tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", size=1 << 20)
    found = header.read(tmp_path / "m.gguf")
    assert (found.architecture, found.layers, found.size_bytes) == ("llama", 32, 1 << 20)
    assert found.cache_values_a_token == 32 * 8 * 2 * 128


def test_keys_that_differ_by_layer_are_added_up(tmp_path: Path) -> None:
    entries = [
        text("general.architecture") + struct.pack("<I", 8) + text("x"),
        *(text(f"x.{key}") + struct.pack("<II", 4, value) for key, value in (
            ("block_count", 3), ("embedding_length", 64), ("attention.head_count", 4))),
        text("x.attention.head_count_kv") + struct.pack("<IIQ3I", 9, 4, 3, 1, 2, 4),
    ]  # fmt: skip
    (tmp_path / "m.gguf").write_bytes(gguf(*entries))
    assert header.read(tmp_path / "m.gguf").cache_values_a_token == (1 + 2 + 4) * 2 * 16


@pytest.mark.needs_llama
def test_a_written_model_is_told_as_its_writer_meant_it(tmp_path: Path) -> None:
    import gguf as peer

    from tests.engines.tiny_gguf import CHATML, write_tiny

    path = write_tiny(tmp_path / "m.gguf")
    found, theirs = header.read(path), peer.GGUFReader(path)
    assert found.parameters == sum(int(tensor.n_elements) for tensor in theirs.tensors)
    assert found.tensors == len(theirs.tensors)
    assert (found.quantization, found.context_tokens, found.template) == ("F32", 4_096, CHATML)
    assert found.whole_bytes <= found.size_bytes < found.whole_bytes + header.ALIGNMENT
    assert {
        int(kind): (kind.name, *sizes) for kind, sizes in peer.constants.GGML_QUANT_SIZES.items()
    } == header.BLOCKS, "the sizes of blocks are ggml's own"


@pytest.mark.needs_llama
@pytest.mark.parametrize("share", [0.001, 0.01, 0.2, 0.9, 0.999])
def test_a_file_that_ends_early_is_never_taken_for_whole(tmp_path: Path, share: float) -> None:
    from tests.engines.tiny_gguf import write_tiny

    path = write_tiny(tmp_path / "m.gguf")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    try:
        found = header.read(path)
    except EngineDown:
        return
    assert found.size_bytes < found.whole_bytes


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "begins with b''"),
        (b"GGUF", "cut short"),
        (b"nope" + bytes(40), "begins with b'nope'"),
        (struct.pack("<4sIQQ", b"GGUF", 9, 0, 0), "version 9"),
        (struct.pack(">4sIQQ", b"GGUF", 3, 0, 0), "version"),
        (gguf(keys=1 << 40), "keys"),
        (gguf(count=1 << 40), "tensors"),
        (gguf(struct.pack("<Q", 1 << 60)), "bytes of text"),
        (gguf(text("a") + struct.pack("<IQ", 8, 1 << 50)), "bytes of text"),
        (gguf(array(8, 1 << 60)), "items"),
        (gguf(array(0, 1 << 22)), "cut short"),
        (gguf(array(9, 1 << 20)), "an array of type 9"),
        (gguf(array(99, 1)), "an array of type 99"),
        (gguf(text("a") + struct.pack("<I", 77)), "a value of type 77"),
        (gguf(*[text("a") + struct.pack("<II", 4, 1)] * 2), "twice"),
        (gguf(text("general.alignment") + struct.pack("<II", 4, 0)), "alignment"),
        (gguf(tensors=tensor("t", 1, 2, 3, 4, 5), count=1), "dimensions"),
        (gguf(tensors=tensor("t", 1 << 40, 1 << 40), count=1), "elements"),
        (gguf(tensors=tensor("t", 0), count=1), "0 elements"),
        (gguf(tensors=tensor("t", 4, kind=200), count=1), "of type 200"),
        (gguf(tensors=tensor("t", 4, offset=1 << 62), count=1), "bytes"),
    ],
)
def test_a_hostile_header_is_refused_with_the_file_and_the_reason(data: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(data)
    with pytest.raises(EngineDown, match=r"m\.gguf") as caught:
        header.read(tmp_path / "m.gguf")
    assert told in caught.value.message


def test_a_header_longer_than_any_models_is_left_unread(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    with path.open("wb") as file:  # its arrays are holes: the file takes no room
        file.write(gguf(keys=3))
        for row in range(3):
            file.write(text(f"k{row}") + struct.pack("<IIQ", 9, 10, 1 << 22))
            file.seek(8 << 22, 1)
        file.truncate(1 << 40)
    with pytest.raises(EngineDown, match="longer than"):
        header.read(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 400), written=st.binary(min_size=1, max_size=12))
def test_any_bytes_written_over_a_header_end_in_a_header_or_a_refusal(tmp_path: Path, at: int, written: bytes) -> None:
    path = tmp_path / "m.gguf"
    write_gguf(path, size=1_000, tensor_elements=64)
    data = bytearray(path.read_bytes())
    data[at : at + len(written)] = written
    path.write_bytes(data)
    try:
        header.read(path)
    except EngineDown as error:
        assert "m.gguf" in error.message  # noqa: PT017  # either outcome is right; anything else fails the test
