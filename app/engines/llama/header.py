"""What a GGUF file tells of itself before any of its weights is read: architecture, sizes, tensors, chat template.

The file is untrusted: every count and length is bounded before it is believed, and nothing is read past the header.
It needs no llama.cpp. Format: ggml's `docs/gguf.md`, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.core.errors import EngineDown

MAGIC = b"GGUF"
VERSIONS = (2, 3)
HEADER_BYTES_MAX = 1 << 26
KEYS_MAX, KEY_BYTES_MAX, STRING_BYTES_MAX = 4_096, 1 << 16, 1 << 24
ITEMS_MAX = 1 << 22
TENSORS_MAX, DIMENSIONS_MAX, NAME_BYTES_MAX, ELEMENTS_MAX = 1 << 16, 4, 256, 1 << 48
ALIGNMENT, ALIGNMENT_MAX = 32, 1 << 16
KEPT_ITEMS_MAX = 1_024
"""Numbers of an array that are kept: one for each layer; longer ones are passed over."""
STRING, ARRAY = 8, 9
FIXED = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<B", 10: "<Q", 11: "<q", 12: "<d"}
"""How a value of each type of a fixed size is read, by the type's number; 7 is a truth value."""
BLOCKS: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip
"""A tensor's type by its number: name, elements in a block, bytes of a block (ggml.h)."""
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4", 39: "NVFP4",
    40: "Q1_0",
}  # fmt: skip
"""What `general.file_type` calls the mixture of types (llama.h)."""

Value = int | float | str | tuple[int, ...] | None
"""A value as far as it is kept: an array only where it is short and of whole numbers."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF tells of itself; 0 and an empty text where it does not say."""

    architecture: str
    name: str
    license: str
    template: str
    quantization: str
    parameters: int
    tensors: int
    context_tokens: int
    """The longest context that it was trained for."""
    layers: int
    cache_values_a_token: int
    """Keys and values of all layers."""
    parts: int
    """Files that the model is split into."""
    size_bytes: int
    whole_bytes: int
    """The size that the tensors need; a smaller file is cut short."""


def read(path: Path) -> Header:
    """The header of a GGUF; raises EngineDown, naming the file, when it has none that can be believed."""
    try:
        with path.open("rb") as file:
            return _read(_Reader(file, path.stat().st_size))
    except OSError as error:
        raise EngineDown(f"{str(path)!r} cannot be read: {error.strerror}", hint="see the engine's `file`") from error
    except ValueError as error:
        raise EngineDown(f"{path.name!r} has no GGUF header: {error}", hint="name a whole .gguf file") from error


class _Reader:
    """Takes bytes in order, none past the file's end or the header's bound; raises ValueError there."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self.size, self.at = file, size, 0

    def take(self, count: int) -> bytes:
        self._pass(count)
        data = self._file.read(count)
        if len(data) != count:
            raise ValueError(f"it ends at byte {self.at - count + len(data)}")
        return data

    def skip(self, count: int) -> None:
        self._pass(count)
        self._file.seek(count, 1)

    def _pass(self, count: int) -> None:
        if self.at + count > self.size:
            raise ValueError(f"it is cut short: {self.size} bytes, and byte {self.at + count} is part of its header")
        self.at += count
        if self.at > HEADER_BYTES_MAX:
            raise ValueError(f"it is longer than {HEADER_BYTES_MAX} bytes")

    def number(self, layout: str) -> int:
        return int(struct.unpack(layout, self.take(struct.calcsize(layout)))[0])

    def bounded(self, layout: str, most: int, what: str) -> int:
        found = self.number(layout)
        if found > most:
            raise ValueError(f"{found} {what}, more than {most}")
        return found

    def text(self, most: int) -> str:
        return self.take(self.bounded("<Q", most, "bytes of text")).decode("utf-8", "replace")


def _read(reader: _Reader) -> Header:
    magic = reader.take(min(len(MAGIC), reader.size))
    if magic != MAGIC:
        raise ValueError(f"it begins with {magic!r}")
    version = reader.number("<I")
    if version not in VERSIONS:
        raise ValueError(f"version {version} is none of {VERSIONS}")
    tensors = reader.bounded("<Q", TENSORS_MAX, "tensors")
    found: dict[str, Value] = {}
    for _ in range(reader.bounded("<Q", KEYS_MAX, "keys")):
        key = reader.text(KEY_BYTES_MAX)
        if key in found:
            raise ValueError(f"the key {key[:64]!r} is there twice")
        found[key] = _value(reader, reader.number("<I"))
    shapes = _tensors(reader, tensors)
    alignment = _whole(found.get("general.alignment"), ALIGNMENT)
    if not 0 < alignment <= ALIGNMENT_MAX:
        raise ValueError(f"an alignment of {alignment} bytes")
    data_at = -(-reader.at // alignment) * alignment
    whole = max((data_at + offset + size for offset, size, _, _ in shapes), default=reader.at)
    parameters = sum(elements for _, _, elements, _ in shapes)
    return _header(found, reader.size, whole, parameters, [(kind, size) for _, size, _, kind in shapes])


def _value(reader: _Reader, kind: int) -> Value:
    if kind == STRING:
        return reader.text(STRING_BYTES_MAX)
    if kind == ARRAY:
        return _array(reader)
    if kind not in FIXED:
        raise ValueError(f"a value of type {kind}")
    layout = FIXED[kind]
    value: int | float = struct.unpack(layout, reader.take(struct.calcsize(layout)))[0]
    return value


def _array(reader: _Reader) -> tuple[int, ...] | None:
    kind = reader.number("<I")
    items = reader.bounded("<Q", ITEMS_MAX, "items")
    if kind == STRING:
        for _ in range(items):
            reader.skip(reader.bounded("<Q", STRING_BYTES_MAX, "bytes of text"))
        return None
    if kind not in FIXED:  # an array of arrays is allowed by the format and used by no model
        raise ValueError(f"an array of type {kind}")
    layout = FIXED[kind]
    if items > KEPT_ITEMS_MAX or layout in ("<f", "<d"):
        reader.skip(items * struct.calcsize(layout))
        return None
    return tuple(reader.number(layout) for _ in range(items))


def _tensors(reader: _Reader, count: int) -> list[tuple[int, int, int, str]]:
    """(offset in the data, bytes, elements, type) of each tensor."""
    found = []
    for _ in range(count):
        name = reader.text(NAME_BYTES_MAX)
        elements = 1
        for _ in range(reader.bounded("<I", DIMENSIONS_MAX, "dimensions")):
            elements *= reader.number("<Q")
            if not 0 < elements <= ELEMENTS_MAX:
                raise ValueError(f"the tensor {name!r} has {elements} elements")
        kind = reader.number("<I")
        if kind not in BLOCKS:
            raise ValueError(f"the tensor {name!r} is of type {kind}, which this release does not know")
        word, block, size = BLOCKS[kind]
        found.append((reader.bounded("<Q", ELEMENTS_MAX, "bytes"), -(-elements // block) * size, elements, word))
    return found


def _header(found: dict[str, Value], size: int, whole: int, parameters: int, kinds: list[tuple[str, int]]) -> Header:
    architecture = _text(found.get("general.architecture"))

    def number(key: str, default: int = 0) -> int:
        return _whole(found.get(f"{architecture}.{key}"), default)

    layers, heads = number("block_count", 1), max(1, number("attention.head_count", 1))
    width = number("embedding_length") // heads
    kept = found.get(f"{architecture}.attention.head_count_kv")
    by_layer = kept if isinstance(kept, tuple) else (_whole(kept, heads),) * min(layers, KEPT_ITEMS_MAX)
    values = number("attention.key_length", width) + number("attention.value_length", width)
    return Header(
        architecture=architecture,
        name=_text(found.get("general.name")),
        license=_text(found.get("general.license")),
        template=_text(found.get("tokenizer.chat_template")),
        quantization=FILE_TYPES.get(_whole(found.get("general.file_type"), -1), "") or _largest(kinds),
        parameters=parameters,
        tensors=len(kinds),
        context_tokens=number("context_length"),
        layers=layers,
        cache_values_a_token=sum(by_layer) * values,
        parts=max(1, _whole(found.get("split.count"), 1)),
        size_bytes=size,
        whole_bytes=whole,
    )


def _largest(kinds: list[tuple[str, int]]) -> str:
    """The type that most bytes are of."""
    sums: dict[str, int] = {}
    for kind, size in kinds:
        sums[kind] = sums.get(kind, 0) + size
    return max(sums, key=lambda kind: sums[kind], default="")


def _whole(value: Value, default: int) -> int:
    if isinstance(value, tuple):  # one for each layer
        return max(value, default=default)
    return value if isinstance(value, int) else default


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""
