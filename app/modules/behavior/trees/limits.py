"""The limits of authored trees, each with its unit, and how a refusal names its place.

It knows no format and no node.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from app.core.errors import Invalid

CYCLES_MAX = 16
"""Times that a node which repeats at once runs its child within one tick; then it is RUNNING until the next."""
NESTED_CYCLES_MAX = 256
"""The same for loops within loops, multiplied."""
COUNT_MAX = 65_535
"""Cycles or attempts that a node can count."""
SECONDS_MAX = 1_000_000.0
"""Seconds, or ticks, that a node can count."""


class TreeLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How large a tree may be; each is checked before anything of that size is allocated."""

    source_bytes_max: Annotated[int, msgspec.Meta(ge=1)] = 262_144
    """Bytes of a file."""
    nodes_max: Annotated[int, msgspec.Meta(ge=1, le=4_096)] = 512
    """Nodes of a tree with its subtrees in place."""
    depth_max: Annotated[int, msgspec.Meta(ge=1, le=64)] = 32
    """Nodes from the root to a leaf."""
    keys_max: Annotated[int, msgspec.Meta(ge=0)] = 64
    """Keys of a tree's blackboard, four bytes each per NPC."""
    expression_chars_max: Annotated[int, msgspec.Meta(ge=1)] = 500
    """Characters of an expression or a script."""


def wrong(place: str, what: str, hint: str = "") -> Invalid:
    """The refusal of a tree: where, what is there, and the mend."""
    return Invalid(f"the tree is wrong at {place}: {what}", hint=hint)
