"""The profile's tables of the response cache and of structured output: bounds alone, nothing that computes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from app.core.section import Section

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Semantic(Section, frozen=True, kw_only=True):
    """Answers to what was asked in other words; shown to nobody before it has proved itself."""

    mode: Literal["off", "shadow", "serve"]
    """`shadow` compares and never answers; `serve` answers where the shadow has measured few enough false hits."""
    likeness_min: Share
    """Cosine of two inputs' vectors from which the verifier is asked."""
    answers_likeness_min: Share
    """Cosine from which two answers are taken for the same."""
    false_hits_max: Share
    """Share of false hits above which a tenant's task is not served so."""
    shadow_min: Count
    """Comparisons of a tenant's task before it may be served so."""
    comparisons_max: Count
    """The newest comparisons of a tenant's task that are counted."""
    recheck_share: Share
    """Of what could be served: as much is still written anew, and compared."""
    tasks_max: Count
    """Tasks of tenants that are counted at once."""
    key_rows_max: Count
    """Inputs of one hard key that are remembered."""
    rows_max: Count
    """Inputs that are remembered in all."""


class Responses(Section, frozen=True, kw_only=True):
    """The response cache."""

    ttl_ms: Annotated[int, msgspec.Meta(ge=0, le=86_400_000)]
    """How long a line is kept; 0 keeps none."""
    variants_max: Annotated[int, msgspec.Meta(ge=1, le=16)]
    """Different lines for the same request."""
    entries_max: Count
    """Requests whose lines are in the process."""
    bytes_max: Count
    """Of all lines in the process."""
    line_bytes_max: Count
    """A longer line is not kept."""
    tags_max: Annotated[int, msgspec.Meta(ge=1, le=8)]
    """A line that depends on more is not kept; the shared cache takes 8."""
    look_ms: Count
    """A shared cache that takes longer to answer is a miss."""
    players_max: Count
    """Players of whom it is known what they heard."""
    heard_max: Count
    """Requests of one player of which that is known."""
    flights_max: Count
    """Requests that others may wait for at once."""
    purges_max: Count
    """Purges that wait for the shared cache; with more, this process leaves that cache alone until its next start."""
    semantic: Semantic


class Structured(Section, frozen=True, kw_only=True):
    """Answers that are data, by a JSON Schema."""

    schema_bytes_max: Count
    depth_max: Count
    """Levels of a schema."""
    answer_bytes_max: Count
    pattern_states_max: Count
    """States of a pattern's automaton."""
    steps_max: Count
    """Keywords, members and states that one answer may be held against; 20 for a keyword."""
    validators_max: Count
    """Schemas that stay compiled."""
    repair_ms_min: Count
    """With less time left, an answer that does not fit is not asked for again."""
