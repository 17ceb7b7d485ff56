"""The field network that ships is what its script writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.engines import catalog

MODELS = Path(__file__).resolve().parents[2] / "models"

pytestmark = pytest.mark.needs_torch  # for onnx, which comes with it


def test_the_shipped_field_network_is_what_the_script_writes(tmp_path: Path) -> None:
    from app.learning import fields

    entry = catalog.load(MODELS / "catalog.toml").entry("field")
    assert fields.write(tmp_path / entry.file) == entry.sha256
