"""The one permission map: what each resource asks of its caller; a message asks for its handler's scope.

The routes, this map and the OpenAPI document are the same set: a test compares them, and a resource that is not
listed here cannot be served.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.core.module import Scope

SIGNED_IN = Scope(0)
"""Any credential that holds."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One route that is not a message. Without a `scope` anybody may ask."""

    method: str
    path: str
    summary: str
    scope: Scope | None


_SUBJECT = "/v1/privacy/subjects/{subject}"

RESOURCES: tuple[Resource, ...] = (
    Resource("post", "/v1/auth/token", "Exchange a key, or a token that still holds, for a fresh token.", SIGNED_IN),
    Resource("post", "/v1/auth/code", "Make a one-time code that opens the console.", SIGNED_IN),
    Resource("post", "/v1/auth/enter", "Exchange a one-time code for a token.", None),
    Resource("get", "/v1/worlds", "List the tenant's worlds.", Scope.READ),
    Resource("get", "/v1/worlds/{world}", "Read the size and clock of a world.", Scope.READ),
    Resource("get", "/v1/worlds/{world}/npcs", "List the NPCs of a world.", Scope.READ),
    Resource("get", "/v1/worlds/{world}/npcs/{npc}", "Read what every module knows of one NPC.", Scope.READ),
    Resource("get", "/v1/worlds/{world}/locations", "List the named places of a world.", Scope.READ),
    Resource("put", "/v1/worlds/{world}/maps/{map_name}", "Upload a map; twin of path.upload.", Scope.WRITE),
    Resource("get", "/v1/worlds/{world}/maps/{map_name}", "Read a map as uploaded.", Scope.READ),
    Resource(
        "get", "/v1/worlds/{world}/poll", "Wait for pushes after `after`, at most `wait` milliseconds.", Scope.READ
    ),
    Resource("get", "/v1/worlds/{world}/live", "Stream positions and pushes as server-sent events.", Scope.READ),
    Resource("get", "/v1/usage", "Read what models have cost, in every world or in `world`.", Scope.USAGE),
    Resource("get", f"{_SUBJECT}/report", "Count what is held of a person, and for how long.", Scope.PRIVACY),
    Resource("get", f"{_SUBJECT}/export", "Read everything that is held of a person.", Scope.PRIVACY),
    Resource("post", f"{_SUBJECT}/erase", "Forget a person; the files follow at once.", Scope.PRIVACY),
    Resource("post", f"{_SUBJECT}/anonymize", "Forget a person and keep the numbers.", Scope.PRIVACY),
    Resource("post", f"{_SUBJECT}/restrict", "Hold what is known of a person without using it.", Scope.PRIVACY),
    Resource("post", f"{_SUBJECT}/unrestrict", "Use what is known of a person again.", Scope.PRIVACY),
    Resource("get", "/v1/privacy/erasures/{alias}", "Read how far an erasure is.", Scope.PRIVACY),
    Resource("get", "/health/live", "Say that the process runs.", None),
    Resource("get", "/health/ready", "Say what is ready, degraded or missing.", None),
    Resource("get", "/metrics", "Read the Prometheus metrics; on loopback anybody may.", Scope.ADMIN),
    Resource("get", "/openapi.json", "Read this document.", None),
    Resource("get", "/console", "Open the console.", None),
    Resource("get", "/console/{name}", "Read a file of the console.", None),
)

_scopes = {(one.method.upper(), one.path): one.scope for one in RESOURCES}


def scope_of(method: str, path: str) -> Scope | None:
    """The scope that a resource asks for, by its template such as `/v1/worlds/{world}`; None where anybody may.

    Raises KeyError for a resource that nobody listed.
    """
    return _scopes[method, path]
