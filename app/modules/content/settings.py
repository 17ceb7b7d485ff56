"""Every limit of the content module, with its unit last."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Defaults suit a request that a person waits for."""

    deadline_ms: int = 5_000
    """Time for a request that names none."""

    items_max: int = 200
    """Items of one request."""

    subjects_max: int = 20
    """Entities that one request founds lore about."""

    facts_max: int = 400
    """Facts of one request, those included that hold already."""

    barks_max: int = 400
    """Lines of one request."""

    persona_bytes_max: int = 5_000
    """Bytes of barks that are kept in one persona; modules.world.persona_bytes_max bounds the whole of it."""

    present_year_min: int = 200
    """The least year that is founded as the present, where the world has none."""

    present_year_max: int = 1_200
    """The greatest."""

    words_ms: int = 4_000
    """Time for a model to word one text, within the request's own."""

    output_tokens_max: int = 400
    """Tokens that a model may write for one text."""
