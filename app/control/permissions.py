"""Roles: which scopes a person or a key of that role holds, and the rule that nobody gives what they do not have.

It knows neither routes nor messages; the map of those is app/edge/permissions.py.
"""

from __future__ import annotations

from enum import StrEnum

from app.core.errors import Forbidden
from app.core.module import Scope


class Role(StrEnum):
    """What a person or a key is for, from most to least."""

    OWNER = "owner"
    OPERATOR = "operator"
    DESIGNER = "designer"
    GAME_SERVER = "game_server"
    VIEWER = "viewer"


TENANT_SCOPES = ~Scope.ADMIN
"""All that can be held within a tenant; ADMIN tells of all tenants and is given on the host alone."""

SCOPES: dict[Role, Scope] = {
    Role.OWNER: TENANT_SCOPES,
    Role.OPERATOR: TENANT_SCOPES & ~Scope.OPERATORS,
    Role.DESIGNER: Scope.READ | Scope.PLAY | Scope.WRITE,
    Role.GAME_SERVER: Scope.READ | Scope.PLAY | Scope.WRITE,
    Role.VIEWER: Scope.READ,
}


def require_grantable(granter: Scope, given: Scope) -> None:
    """Raise Forbidden when `given` holds a scope that `granter` lacks."""
    lacking = given & ~granter
    if lacking:
        raise Forbidden(f"you cannot give {names(lacking)}, which you lack", hint="give scopes that you have")


def names(scopes: Scope) -> str:
    """The scopes by name, such as `READ, PLAY`."""
    return ", ".join(scope.name or "" for scope in Scope if scope in scopes)
