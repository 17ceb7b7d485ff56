"""Serves the console's files from RAM, under a policy that lets a page load nothing from outside."""

from __future__ import annotations

from pathlib import Path

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from app.core.errors import NotFound, nearest

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def routes() -> list[HTTPRouteHandler]:
    """`/console` and the files below it."""
    folder = Path(__file__).parent / "static"
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in TYPES}

    def serve(name: str) -> Response[bytes]:
        if name not in files:
            raise NotFound(f"no console file {name!r}", hint=nearest(name, files))
        return Response(files[name], media_type=TYPES[Path(name).suffix], headers=HEADERS)

    @get("/console")
    async def index() -> Response[bytes]:
        return serve("index.html")

    @get("/console/{name:str}")
    async def file(name: str) -> Response[bytes]:
        return serve(name)

    return [index, file]
