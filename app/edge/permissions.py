"""The one permission map: what each resource asks of its caller; a message asks for its handler's scope.

The routes, this map and the OpenAPI document are the same set: a test compares them, and a resource that is not
listed here cannot be served.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from app.core.chain import Verdict
from app.core.module import Scope
from app.core.tenants import TenantSettings
from app.edge.rest import shapes

SIGNED_IN = Scope(0)
"""Any credential that holds."""
JSON = "application/json"
MSGPACK = "application/msgpack"
BINARY = "application/octet-stream"
EVENTS = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Resource:
    """One route that is not a message. Without a `scope` anybody may ask.

    `query` and `body` are what the URL and a JSON body hold, `answer` what comes back as JSON: a type, or the
    name of a message that is answered so. A body of mere bytes has the type `bytes`; what comes back otherwise than
    as JSON has its media type in `media`. `statuses` are refusals besides those that follow from the rest, see
    `app/edge/openapi.py`.
    """

    method: str
    path: str
    summary: str
    scope: Scope | None
    query: type[msgspec.Struct] = shapes.Nothing
    body: type[msgspec.Struct] | type[bytes] | None = None
    answer: Any = None
    media: str = JSON
    statuses: tuple[int, ...] = ()
    loopback: bool = False
    """Whether anybody may ask from the machine itself, when the server listens there only."""


_WORLD = "/v1/worlds/{world}"

RESOURCES: tuple[Resource, ...] = (
    Resource(
        "post", "/v1/auth/token", "Exchange a key for an access and a refresh token.", SIGNED_IN,
        answer=shapes.Issued,
    ),
    Resource(
        "post", "/v1/auth/refresh", "Exchange a refresh token, once, for the next pair of tokens.", None,
        body=shapes.Refresh, answer=shapes.Issued, statuses=(401,),
    ),
    Resource(
        "post", "/v1/auth/revoke", "End the sign-in of a token, or every sign-in of a key.", None,
        body=shapes.Revoke, answer=shapes.Done,
    ),
    Resource(
        "post", "/v1/auth/code", "With a key, make a one-time code that opens the console.", SIGNED_IN,
        answer=shapes.Opening, statuses=(409,),
    ),
    Resource(
        "post", "/v1/auth/enter", "Exchange a one-time code for tokens.", None,
        body=shapes.Code, answer=shapes.Issued, statuses=(401,),
    ),
    Resource("get", "/v1/worlds", "List the tenant's worlds.", Scope.READ, answer=shapes.WorldList),
    Resource("get", _WORLD, "Read the size and clock of a world.", Scope.READ, answer=shapes.WorldHere),
    Resource("get", f"{_WORLD}/npcs", "List the NPCs of a world.", Scope.READ, answer=shapes.Roster),
    Resource(
        "get", f"{_WORLD}/npcs/{{npc}}", "Read what every module knows of one NPC.", Scope.READ, answer=shapes.Known
    ),
    Resource("get", f"{_WORLD}/locations", "List the named places of a world.", Scope.READ, answer=shapes.Places),
    Resource(
        "put", f"{_WORLD}/maps/{{map_name}}", "Upload a map; twin of path.upload.", Scope.WRITE,
        query=shapes.MapFormat, body=bytes, answer="path.upload", statuses=(409,),
    ),
    Resource("get", f"{_WORLD}/maps/{{map_name}}", "Read a map as uploaded.", Scope.READ, media=BINARY),
    Resource(
        "get", f"{_WORLD}/poll", "Wait for pushes after `after`, at most `wait` milliseconds.", Scope.READ,
        query=shapes.Polling, answer=shapes.Polled,
    ),
    Resource(
        "get", f"{_WORLD}/live", "Stream positions and pushes as server-sent events.", Scope.READ,
        media=EVENTS,
    ),
    Resource(
        "get", "/v1/usage", "Read what models have cost, in every world or in `world`.", Scope.USAGE,
        query=shapes.InWorld, answer=shapes.UsageTable, statuses=(404,),
    ),
    Resource(
        "get", "/v1/audit", "Read the tenant's audit trail after `after`, `limit` entries.", Scope.AUDIT,
        query=shapes.AuditPage, answer=shapes.AuditTrail,
    ),
    Resource(
        "get", "/v1/audit/verify", "Verify the tenant's audit trail.", Scope.AUDIT, answer=Verdict,
    ),
    Resource(
        "get", "/v1/settings", "Read what the tenant has set for itself.", Scope.SETTINGS, answer=shapes.OwnSettings,
    ),
    Resource(
        "put", "/v1/settings", "Replace what the tenant has set for itself.", Scope.SETTINGS,
        body=TenantSettings, answer=shapes.OwnSettings,
    ),
    Resource("get", "/health/live", "Say that the process runs.", None, answer=shapes.Alive),
    Resource("get", "/health/ready", "Say what is ready, degraded or missing.", None, answer=shapes.Readiness),
    Resource(
        "get", "/metrics", "Read the Prometheus metrics; on loopback anybody may.", Scope.ADMIN,
        media="text/plain", loopback=True,
    ),
    Resource("get", "/openapi.json", "Read this document.", None, answer=dict[str, Any]),
    Resource("get", "/console", "Open the console.", None, media="text/html"),
    Resource("get", "/console/{name}", "Read a file of the console.", None, media="*/*"),
)  # fmt: skip

_resources = {(one.method.upper(), one.path): one for one in RESOURCES}


def resource_of(method: str, path: str) -> Resource:
    """The resource of a template such as `/v1/worlds/{world}`; raises KeyError for one that nobody listed."""
    return _resources[method, path]


def scope_of(method: str, path: str) -> Scope | None:
    """The scope that a resource asks for, by its template; None where anybody may. Raises KeyError as `resource_of`."""
    return resource_of(method, path).scope
