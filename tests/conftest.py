"""Tests that need an extra run where it is installed and are reported as deselected where it is not."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

EXTRAS = {
    "needs_torch": ("torch", "onnx", "matplotlib"),
    "needs_spark": ("pyspark",),
    "needs_llama": ("llama_cpp", "gguf"),
}
"""Marker -> the packages without which its tests are left out."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    absent = {marker for marker, packages in EXTRAS.items() if any(find_spec(package) is None for package in packages)}
    left_out = [item for item in items if any(item.get_closest_marker(marker) for marker in absent)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
