"""What the resources of prompts take and answer, typed once for code and document. It knows no store."""

from __future__ import annotations

from typing import Annotated

import msgspec

from app.control.prompts.desk import Summary
from app.core.messages import Message
from app.core.prompts import Eval, Finding, Label, Prompt, Targets, Version


class PromptList(msgspec.Struct, frozen=True, kw_only=True):
    """Every prompt, with where its labels point."""

    prompts: tuple[Summary, ...]


class PromptVersions(msgspec.Struct, frozen=True, kw_only=True):
    """The versions that the tenant has put, newest first."""

    versions: tuple[Version, ...]


class PromptVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version whole."""

    version: str
    content: Prompt


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be mended, errors first."""

    findings: tuple[Finding, ...]


class PromptLabels(msgspec.Struct, frozen=True, kw_only=True):
    """The labels of one prompt."""

    labels: tuple[Label, ...]


class Pointing(Message, frozen=True, kw_only=True):
    """Where a label is to point; `force` is the reason for going without a passing eval."""

    targets: Targets
    force: Annotated[str, msgspec.Meta(max_length=200)] = ""


class GoingBack(Message, frozen=True, kw_only=True):
    """The change that is undone; without one, whichever is the last."""

    change: Annotated[int, msgspec.Meta(ge=1, le=2**62)] | None = None


class PromptEvals(msgspec.Struct, frozen=True, kw_only=True):
    """The runs for a prompt, newest first; `current_set` is the set that `production` is held to, if there is one."""

    current_set: str
    evals: tuple[Eval, ...]
