"""The audit trail as the control plane sees it."""

from __future__ import annotations


class NoAudit:
    """Keeps nothing."""

    def note(self, tenant: str, actor: str, action: str, target: str, **details: str | int | bool) -> None:
        """Forget it."""
