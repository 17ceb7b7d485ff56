"""Authored files: those that ship with the module, and a studio's own beside them.

It knows folders and names; what is in a file is its reader's matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TypeVar

import msgspec

from app.core.errors import Invalid

T = TypeVar("T")


def read_folder(folder: str, content_folder: str, kind: type[T]) -> Mapping[str, T]:
    """Name -> file of what ships and what the studio has, whose files win; raises Invalid naming file and place."""
    paths = [*sorted((Path(str(resources.files("app.modules.behavior"))) / folder).glob("*.toml"))]
    if content_folder:
        paths += sorted((Path(content_folder) / folder).glob("*.toml"))
    found: dict[str, T] = {}
    for path in paths:
        try:
            found[path.stem] = msgspec.toml.decode(path.read_bytes(), type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Invalid(f"{folder}/{path.name}: {error}", hint="see docs/how-to/direct-your-npcs.md") from error
    return found
