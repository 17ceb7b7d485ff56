"""Liveness, readiness, metrics and the OpenAPI document: what operators and tools read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from app.control.auth import Authority
from app.edge.limits import Limits
from app.edge.rest.http import NO_STORE, AnyRequest, json, permit
from app.telemetry.metrics import Metrics

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def routes(
    *,
    readiness: Callable[[], dict[str, Any]],
    metrics: Metrics,
    authority: Authority,
    limits: Limits,
    open_metrics: bool,
) -> list[HTTPRouteHandler]:
    """The routes; unless the metrics are open, they need a key with the scope ADMIN."""

    @get("/health/live")
    async def live() -> Response[bytes]:
        return json({"live": True})

    @get("/health/ready")
    async def ready() -> Response[bytes]:
        found = readiness()
        return json(found, status=200 if found["ready"] else 503)

    @get("/metrics")
    async def exposition(request: AnyRequest) -> Response[bytes]:
        if not open_metrics:
            await permit(request, authority, limits)
        # With ten thousand sockets to count this takes over a millisecond, so the loop does not do it.
        metrics.tasks.set(len(await asyncio.to_thread(asyncio.all_tasks, asyncio.get_running_loop())))
        for engine in readiness()["engines"]:
            metrics.engine_degraded.labels(engine.name).set(engine.state == "degraded")
        return Response(metrics.render(), media_type=METRICS_TYPE, headers=NO_STORE)

    return [live, ready, exposition]


def document(written: Callable[[], bytes]) -> HTTPRouteHandler:
    """The route of the OpenAPI document."""

    @get("/openapi.json")
    async def openapi() -> Response[bytes]:
        return Response(written(), media_type="application/json")

    return openapi
