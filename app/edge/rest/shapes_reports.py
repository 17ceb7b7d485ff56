"""What the resources of reports take and answer, typed once for code and document. It knows no store."""

from __future__ import annotations

from typing import Annotated

import msgspec

from app.core.messages import Message
from app.core.reports import Report, State


class ReportPage(Message, frozen=True, kw_only=True):
    """Reports of that state with an id above `after`, the oldest first."""

    state: State | msgspec.UnsetType = msgspec.UNSET
    after: Annotated[str, msgspec.Meta(max_length=26, pattern=r"^[^\x00]*$")] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class ReportList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of reports; `after` is what to ask with for the next one."""

    reports: tuple[Report, ...]
    after: str


class Settling(Message, frozen=True, kw_only=True):
    """Why a report is closed, for those who come after."""

    note: Annotated[str, msgspec.Meta(min_length=1, max_length=2_000, pattern=r"^[^\x00]*$")]
