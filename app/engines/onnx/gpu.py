"""The graphics card as its driver tells of it, and where engines that were built for it are kept.

It asks NVIDIA's management library by its C interface; without a driver there is no card. It runs nothing on one.
"""

from __future__ import annotations

import ctypes
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

BUCKETS = (1, 8, 32, 128, 512, 1_024)
"""Rows of the runs that a device is prepared for; a request is padded to the next one."""
LIBRARIES = ("libnvidia-ml.so.1", "nvml.dll")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One card: `sm` is its compute capability, such as 89."""

    name: str
    sm: int
    driver: str
    memory_bytes: int


class _Memory(ctypes.Structure):
    """nvmlMemory_t."""

    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


def look(index: int = 0) -> Gpu | None:
    """The card of that number, or None where there is no driver or no such card."""
    for library in LIBRARIES:
        try:
            nvml = ctypes.CDLL(library)
            break
        except OSError:
            continue
    else:
        return None
    if nvml.nvmlInit_v2():
        return None
    try:
        return _ask(nvml, index)
    finally:
        nvml.nvmlShutdown()


def _ask(nvml: ctypes.CDLL, index: int) -> Gpu | None:
    card, name, driver = ctypes.c_void_p(), ctypes.create_string_buffer(96), ctypes.create_string_buffer(80)
    major, minor, memory = ctypes.c_int(), ctypes.c_int(), _Memory()
    failed = (
        nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(card))
        or nvml.nvmlDeviceGetName(card, name, len(name))
        or nvml.nvmlSystemGetDriverVersion(driver, len(driver))
        or nvml.nvmlDeviceGetCudaComputeCapability(card, ctypes.byref(major), ctypes.byref(minor))
        or nvml.nvmlDeviceGetMemoryInfo(card, ctypes.byref(memory))
    )
    if failed:
        return None
    return Gpu(name.value.decode(), 10 * major.value + minor.value, driver.value.decode(), int(memory.total))


def cache_folder(folder: Path, *, sha256: str, provider: str, version: str, gpu: Gpu) -> Path:
    """Where engines of one model for one provider, card and driver lie: another of any is another folder."""
    key = "\n".join((sha256, provider, version, gpu.name, str(gpu.sm), gpu.driver))
    readable = re.sub(r"[^a-z0-9]+", "-", f"{provider}-{version}-sm{gpu.sm}".lower())
    return folder / f"{readable}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def profiles(inputs: dict[str, tuple[int, ...]], buckets: tuple[int, ...]) -> str:
    """TensorRT's shapes of all buckets: `name:rowsxwidth` for each input (its shape without rows) and bucket."""
    shapes = [
        f"{name}:{'x'.join(str(size) for size in (rows, *shape))}" for rows in buckets for name, shape in inputs.items()
    ]
    return ",".join(shapes)
