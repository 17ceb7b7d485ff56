"""Where a connection comes from: the address of its other end. It trusts no header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def client_address(scope: Mapping[str, Any]) -> str:
    """The peer's address; empty where the transport has none."""
    client = scope.get("client")
    return str(client[0]) if client else ""
