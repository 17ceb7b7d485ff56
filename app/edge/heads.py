"""Which heads of requests are read at all: those that every reader on the way would read alike (RFC 9112).

What one server takes for a path or an end and the next for something else is how requests are smuggled and checks
by URL passed. Nobody needs such heads, so none is interpreted here; it is refused. It knows no route.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from app.core.errors import Malformed, NotFound
from app.core.ids import SEGMENT

ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_SEGMENT = re.compile(SEGMENT.removesuffix("$") + r"\Z")
_HINT = "send one plain path such as /v1/worlds/w1, and one way to tell where the body ends"

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, and values."""


def read(method: str, target: bytes, version: str, headers: Headers) -> str:
    """The decoded path; raises Malformed for a head that another server may read otherwise.

    Only the origin form (RFC 9112, 3.2.1) is read. A path with empty or dotted segments, encoded separators or
    control characters names nothing: NotFound. HTTP/1.1 has one Host. A body's end is told by one Content-Length, or
    by `chunked` in HTTP/1.1.
    """
    named = [name for name, _ in headers]
    if version not in ("1.0", "1.1"):
        raise _malformed(f"HTTP/{version} is not spoken")
    if method == "CONNECT" or (b"upgrade" in named and (method, version) != ("GET", "1.1")):
        raise _malformed(f"{method} of HTTP/{version} is not done here")
    if named.count(b"host") > 1 or (version == "1.1" and b"host" not in named):
        raise _malformed(f"{named.count(b'host')} Host headers")
    _end(named, headers, version)
    return _path(target)


def _end(named: Sequence[bytes], headers: Headers, version: str) -> None:
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if codings and (codings != [b"chunked"] or version != "1.1" or b"content-length" in named):
        raise _malformed(f"Transfer-Encoding is {b', '.join(codings)[:64]!r} in HTTP/{version}")
    lengths = [value for name, value in headers if name == b"content-length"]
    if len(lengths) > 1 or any(not length.isdigit() or len(length) > 15 for length in lengths):
        raise _malformed(f"Content-Length is {b', '.join(lengths)[:64]!r}")


def _path(target: bytes) -> str:
    raw = target.partition(b"?")[0]
    if not raw.startswith(b"/") or not target.isascii() or ESCAPE.search(raw):
        raise _malformed(f"the target {target[:64]!r} is no path")
    try:
        parts = [unquote_to_bytes(part).decode() for part in raw.removesuffix(b"/").split(b"/")[1:]]
    except UnicodeDecodeError as error:
        raise _malformed(f"the path {raw[:64]!r} is no UTF-8") from error
    if not all(_SEGMENT.match(part) for part in parts):
        raise NotFound(f"the path {raw[:64]!r} has an empty, dotted or hidden segment", hint=_HINT)
    return "/" + "/".join(parts)


def _malformed(message: str) -> Malformed:
    return Malformed(message, hint=_HINT)
