"""The profile's section on the doors: the protocols of other programs that are answered here. It names no protocol."""

from __future__ import annotations

from typing import Annotated

import msgspec

from app.core.section import Section

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Doors(Section, frozen=True, kw_only=True):
    """What every door keeps to."""

    task: str
    """What the orchestrator is asked to do where a request names no task of its own."""
    body_bytes_max: Positive
    deadline_ms: Positive
    """How long an answer may take where the client does not say."""
    deadline_ms_max: Positive
    output_tokens: Positive
    """As many tokens are written at most where the client does not say."""
    output_tokens_max: Positive
    turns_max: Positive
    tools_max: Positive
    cache: bool
    """Whether a conversation that was answered before is answered from the response cache."""
    spending_ms: Positive
    """What was spent outside of any world is written down this often; a crash forgets no more than that."""
