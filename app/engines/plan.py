"""What a profile's engines take of a memory together: networks by their bounds, a GGUF by what its header tells.

It plans and loads nothing; `manage.py doctor` and `manage.py models import` print it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.core.engines import Engine, Llama, Onnx
from app.engines.llama.header import Header, read

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
CONTROL_GROUP = Path("/sys/fs/cgroup/memory.max")
"""Where Linux says what a container may take of the machine's memory."""


@dataclass(frozen=True, slots=True)
class Part:
    """One engine's share."""

    engine: str
    what: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All shares beside the memory (0: no card, or unknown); `layers` of the GGUF's fit, of `layers_all`."""

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
        header = read(path)
        held = min(spec.gpu_layers_max, header.layers)
        layer = (header.size_bytes + _cache(header, spec)) // max(1, header.layers)
        buffers = COMPUTE_BYTES * spec.contexts_max
        room = int(card_bytes * (1.0 - SPARE_SHARE)) - sum(part.bytes for part in parts) - buffers
        parts += _shares(name, header, spec, held)
        return Plan(tuple(parts), card_bytes, min(header.layers, max(0, room // max(1, layer))), header.layers)
    return Plan(tuple(parts), card_bytes)


def plan_ram(name: str, header: Header, spec: Llama) -> Plan:
    """The shares of what a GGUF takes of the machine's own memory: the layers that are not on a GPU."""
    held = header.layers - min(spec.gpu_layers_max, header.layers)
    return Plan(tuple(_shares(name, header, spec, held)), machine_bytes(), held, header.layers)


def machine_bytes() -> int:
    """The memory of this machine, or of the container that this process is in; 0 where nobody says."""
    known = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    try:
        limit = CONTROL_GROUP.read_text(encoding="ascii").strip()
    except OSError:
        return known
    return min(known, int(limit)) if limit.isdigit() else known


def _shares(name: str, header: Header, spec: Llama, layers: int) -> list[Part]:
    whole = max(1, header.layers)
    tokens = f"{spec.contexts_max} × {spec.context_tokens_max}" if spec.contexts_max > 1 else spec.context_tokens_max
    return [
        Part(name, f"{layers} of {header.layers} layers", header.size_bytes * layers // whole),
        Part(name, f"cache of {tokens} tokens", _cache(header, spec) * layers // whole),
        Part(name, "buffers", COMPUTE_BYTES * spec.contexts_max),
    ]


def _cache(header: Header, spec: Llama) -> int:
    """Bytes of the keys and values of every context."""
    return spec.contexts_max * spec.context_tokens_max * header.cache_values_a_token * CACHE_BYTES_A_VALUE
