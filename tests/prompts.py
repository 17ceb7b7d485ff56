"""Prompts for tests: the bundled ones, and limits as the profile ships them."""

from __future__ import annotations

import tomllib

import msgspec

from app.control.prompts.bundled import load_bundled
from app.control.prompts.registry import Registry
from app.core.prompts import PromptLimits
from tests.doubles import SilentLog
from tests.servers import ROOT

LIMITS = msgspec.convert(tomllib.loads((ROOT / "profiles" / "base.toml").read_text())["prompts"], PromptLimits)
BUNDLED = load_bundled()


def registry(log: SilentLog | None = None) -> Registry:
    """A registry that knows no tenant yet."""
    return Registry(BUNDLED, LIMITS, log or SilentLog())
