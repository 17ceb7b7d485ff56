"""Secrets at rest as the control plane hands them over."""

from __future__ import annotations


class NoVault:
    """Seals nothing."""

    def seal(self, tenant: str, table: str, column: str, key: str, value: bytes) -> bytes:
        """The value as it is."""
        return value

    def open(self, tenant: str, table: str, column: str, key: str, sealed: bytes) -> bytes:
        """The value as it was."""
        return sealed
