"""What a profile's engines take of a GPU's memory together: networks by their bounds, a GGUF by what its header tells.

It plans and loads nothing; `manage.py doctor` prints it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.core.engines import Engine, Llama, Onnx
from app.core.errors import EngineDown

MIB = 1 << 20
CONTEXT_BYTES = 500 * MIB
"""A process's CUDA context with the kernels of both runtimes."""
UNBOUND_BYTES = 512 * MIB
"""What is counted for a network whose profile sets no bound."""
COMPUTE_BYTES = 400 * MIB
"""llama.cpp's buffers for one context of a model of up to 14 billion parameters."""
SPARE_SHARE = 0.08
"""Left to the desktop and to what fragments."""
CACHE_BYTES_A_VALUE = 2
"""Keys and values are kept as float16."""
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of GGUF's fixed types by their number; 8 is a string, 9 an array."""
WHOLE = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 10: "<Q", 11: "<q"}
KEYS_MAX, STRING_BYTES_MAX, ITEMS_MAX = 65_536, 1 << 24, 1 << 24


@dataclass(frozen=True, slots=True)
class Part:
    """One engine's share."""

    engine: str
    what: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All shares beside the card's memory (0: no card); `layers` of the GGUF's fit, of `layers_all`."""

    parts: tuple[Part, ...]
    card_bytes: int
    layers: int = 0
    layers_all: int = 0

    @property
    def total_bytes(self) -> int:
        return sum(part.bytes for part in self.parts)

    @property
    def fits(self) -> bool:
        """Whether everything that the profile asks for has room; true of no card."""
        return not self.card_bytes or self.total_bytes <= int(self.card_bytes * (1.0 - SPARE_SHARE))


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF's header tells of its size in memory."""

    layers: int
    cache_values_a_token: int
    """Keys and values of all layers."""


def plan(engines: Mapping[str, Engine], *, card_bytes: int, folder: Path) -> Plan:
    """The shares of the networks that ask for a GPU and of the GGUF's layers; raises EngineDown for a broken GGUF.

    `card_bytes` 0 plans without a card. Files are relative to `folder`.
    """
    parts = [
        Part(name, "network", spec.gpu_memory_bytes_max or UNBOUND_BYTES)
        for name, spec in engines.items()
        if isinstance(spec, Onnx) and any(provider != "cpu" for provider in spec.providers)
    ]
    if parts:
        parts.insert(0, Part("", "CUDA context", CONTEXT_BYTES))
    for name, spec in engines.items():
        path = folder / spec.file if isinstance(spec, Llama) and spec.file else None
        if not isinstance(spec, Llama) or not spec.gpu_layers_max or path is None or not path.exists():
            continue
        header, size = read_header(path), path.stat().st_size
        held = min(spec.gpu_layers_max, header.layers)
        cache = spec.context_tokens_max * header.cache_values_a_token * CACHE_BYTES_A_VALUE
        layer = (size + cache) // max(1, header.layers)
        room = int(card_bytes * (1.0 - SPARE_SHARE)) - sum(part.bytes for part in parts) - COMPUTE_BYTES
        parts += [
            Part(name, f"{held} of {header.layers} layers", size * held // max(1, header.layers)),
            Part(name, f"cache of {spec.context_tokens_max} tokens", cache * held // max(1, header.layers)),
            Part(name, "buffers", COMPUTE_BYTES),
        ]
        return Plan(tuple(parts), card_bytes, min(header.layers, max(0, room // max(1, layer))), header.layers)
    return Plan(tuple(parts), card_bytes)


def read_header(path: Path) -> Header:
    """The sizes in a GGUF's header; raises EngineDown when it is none (format: ggml's gguf.md, version 3)."""
    try:
        with path.open("rb") as file:
            magic, _, _, count = struct.unpack("<4sIQQ", file.read(24))
            if magic != b"GGUF" or count > KEYS_MAX:
                raise ValueError(f"it begins with {magic!r}")
            found = dict(_entry(file) for _ in range(count))
    except (OSError, ValueError, struct.error, KeyError) as error:
        raise EngineDown(f"{path.name!r} has no GGUF header: {error}", hint="see the engine's `file`") from error

    def number(key: str, default: int) -> int:
        value = next((value for name, value in found.items() if name.partition(".")[2] == key), default)
        return value if isinstance(value, int) else default

    layers, heads = number("block_count", 1), number("attention.head_count", 1)
    width = number("embedding_length", 0) // max(1, heads)
    kept = number("attention.head_count_kv", heads)
    values = kept * (number("attention.key_length", width) + number("attention.value_length", width))
    return Header(layers, layers * values)


def _entry(file: BinaryIO) -> tuple[str, int | None]:
    """A key and its value where that is a whole number."""
    key = _text(file).decode("utf-8", "replace")
    (kind,) = struct.unpack("<I", file.read(4))
    if kind in WHOLE:
        (value,) = struct.unpack(WHOLE[kind], file.read(SIZES[kind]))
        return key, int(value)
    _skip(file, kind)
    return key, None


def _skip(file: BinaryIO, kind: int) -> None:
    if kind == 8:
        _text(file)
    elif kind == 9:
        inner, items = struct.unpack("<IQ", file.read(12))
        if items > ITEMS_MAX:
            raise ValueError(f"an array of {items!r}")
        if inner in SIZES:
            file.seek(SIZES[inner] * items, 1)
            return
        for _ in range(items):
            _skip(file, inner)
    else:
        file.seek(SIZES[kind], 1)


def _text(file: BinaryIO) -> bytes:
    (size,) = struct.unpack("<Q", file.read(8))
    if size > STRING_BYTES_MAX:
        raise ValueError(f"a text of {size!r} bytes")
    return file.read(size)
