"""Every bound of authored dialogue graphs, with its unit and default."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read from the profile's `[modules.dialogue.stories]`."""

    file_bytes_max: int = 1_048_576
    """Size of one file of a story, with the files that it includes."""
    nodes_max: int = 5_000
    """Nodes of one story: knots, stitches, choices and gathers each are one."""
    nesting_max: int = 24
    """Blocks, braces or brackets within each other."""
    steps_max: int = 4_000
    """Steps of one turn; a loop that talks to itself ends there."""
    frames_max: int = 48
    """Tunnels and functions entered and not left."""
    choices_max: int = 16
    """Choices open at once; further ones are not offered."""
    lines_max: int = 24
    """Lines of one turn; what comes after them is not said."""
    text_chars: int = 8_000
    """Characters of one turn, choices included, and of any text that an expression makes."""
    run_bytes_max: int = 65_536
    """Size of the state of one run as it is kept; a story that grows past it begins again."""
    match_share: float = 0.6
    """Share of the words in common from which a player's own words count as a choice..."""
    match_lead_share: float = 0.15
    """...when the next best choice is so far behind."""
