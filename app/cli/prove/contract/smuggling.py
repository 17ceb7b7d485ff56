"""Requests that two servers might cut differently, with the answers that they must get (ASVS 5.0, V4.2.1).

Each ends with a second request inside the first. One answer too many means that it was served.
"""

from __future__ import annotations

from dataclasses import dataclass

HIDDEN = b"GET /health/ready HTTP/1.1\r\nHost: a\r\n\r\n"
PLAIN = b"POST /v1/auth/enter HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
LAST = PLAIN + b"Connection: close\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    """Bytes for one connection, and the statuses of all answers in order; anything else is a defect."""

    name: str
    data: bytes
    statuses: tuple[int, ...]


def _refused(name: str, data: bytes) -> Request:
    return Request(name, data, (400,))


def _chunked(coding: bytes) -> bytes:
    return PLAIN + coding + b"\r\n\r\n0\r\n\r\n" + HIDDEN


def _length(line: bytes) -> bytes:
    return PLAIN + line + b"\r\n\r\n" + HIDDEN


def _get(target: bytes, rest: bytes = b"Host: a\r\n\r\n", *, method: bytes = b"GET") -> bytes:
    return method + b" " + target + b" HTTP/1.1\r\n" + rest


_CL = b"Content-Length: %d\r\n" % len(HIDDEN)
_TE = b"Transfer-Encoding: chunked\r\n"

BODIES = (
    _refused("CL.TE", PLAIN + _CL + _TE + b"\r\n0\r\n\r\n" + HIDDEN),
    _refused("TE.CL", PLAIN + _TE + b"Content-Length: 4\r\n\r\n" + b"5c\r\n" + HIDDEN + b"0\r\n\r\n"),
    _refused("two lengths that differ", PLAIN + b"Content-Length: 0\r\n" + _CL + b"\r\n" + HIDDEN),
    _refused("two lengths that agree", PLAIN + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" + HIDDEN),
    _refused("a list of lengths", _length(b"Content-Length: 0, %d" % len(HIDDEN))),
    _refused("a length with a plus", _length(b"Content-Length: +0")),
    _refused("a length with a minus", _length(b"Content-Length: -0")),
    _refused("a length in hexadecimal", _length(b"Content-Length: 0x0")),
    _refused("a length with an inner space", _length(b"Content-Length: 0 0")),
    _refused("a length with an underscore", _length(b"Content-Length: 0_0")),
    _refused("an empty length", _length(b"Content-Length:")),
    _refused("a length over 64 bits", _length(b"Content-Length: 18446744073709551616")),
    _refused("a space before the colon", _length(b"Content-Length : 0")),
    _refused("a tab before the colon", _chunked(b"Transfer-Encoding\t: chunked")),
    _refused("TE with an x", _chunked(b"Transfer-Encoding: xchunked")),
    _refused("TE in quotes", _chunked(b'Transfer-Encoding: "chunked"')),
    _refused("TE identity", _chunked(b"Transfer-Encoding: identity")),
    _refused("TE gzip, chunked", _chunked(b"Transfer-Encoding: gzip, chunked")),
    _refused("TE chunked, identity", _chunked(b"Transfer-Encoding: chunked, identity")),
    _refused("TE chunked twice", _chunked(b"Transfer-Encoding: chunked, chunked")),
    _refused("TE twice", _chunked(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity")),
    _refused("TE with a comma", _chunked(b"Transfer-Encoding: ,chunked")),
    _refused("TE with a vertical tab", _chunked(b"Transfer-Encoding: \x0bchunked")),
    _refused("TE after a line fold", _chunked(b"Transfer-Encoding:\r\n chunked")),
    _refused("TE in HTTP/1.0", _chunked(b"Transfer-Encoding: chunked").replace(b"HTTP/1.1", b"HTTP/1.0", 1)),
    _refused("a folded header", _length(b"X-Fold: a\r\n b")),
    _refused("bare LF after a header", _length(b"X-Bare: a\nContent-Length: 0")),
    _refused("bare LF for all", PLAIN.replace(b"\r\n", b"\n") + b"Content-Length: 0\n\n" + HIDDEN),
    _refused("bare CR in a header", _length(b"X-Bare: a\rContent-Length: 0")),
    _refused("NUL in a value", _length(b"X-Nul: a\x00b")),
    _refused("NUL in a name", _length(b"X-N\x00ul: a")),
    _refused("a header without a colon", _length(b"Nonsense")),
    _refused("an empty name", _length(b": a")),
    _refused("a space in front of the first header", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n" + HIDDEN),
    _refused("a chunk size with a sign", PLAIN + _TE + b"\r\n+0\r\n\r\n" + HIDDEN),
    _refused("a chunk size in 0x", PLAIN + _TE + b"\r\n0x0\r\n\r\n" + HIDDEN),
    _refused("a chunk size over 64 bits", PLAIN + _TE + b"\r\nffffffffffffffff1\r\n\r\n" + HIDDEN),
    _refused("a chunk that ends late", PLAIN + _TE + b"\r\n2\r\n{}ab\r\n0\r\n\r\n" + HIDDEN),
    _refused("a chunk size with a bare LF", PLAIN + _TE + b"\r\n2\n{}\r\n0\r\n\r\n" + HIDDEN),
)

TARGETS = (
    _refused("absolute form", _get(b"http://b/health/live")),
    _refused("absolute form with a fragment", _get(b"http://x/#@attacker/health/live")),
    _refused("authority form", _get(b"a:80", method=b"CONNECT")),
    _refused("CONNECT with a path", _get(b"/health/live", method=b"CONNECT")),
    Request("TRACE", _get(b"/health/live", method=b"TRACE"), (405,)),
    _refused("asterisk form", _get(b"*", method=b"OPTIONS")),
    _refused("no slash", _get(b"health/live")),
    Request("two slashes", _get(b"//health/live"), (404,)),
    Request("two slashes within", _get(b"/health//live"), (404,)),
    Request("a dot", _get(b"/health/./live"), (404,)),
    Request("two dots", _get(b"/console/../health/live"), (404,)),
    Request("two dots encoded", _get(b"/console/%2e%2e/health/live"), (404,)),
    Request("two dots half encoded", _get(b"/console/.%2E/health/live"), (404,)),
    Request("a slash encoded", _get(b"/health%2flive"), (404,)),
    Request("a slash encoded after dots", _get(b"/console/..%2fapi.js"), (404,)),
    Request("a backslash", _get(b"/console\\app.js"), (404,)),
    Request("a backslash encoded", _get(b"/console/..%5capp.js"), (404,)),
    Request("NUL encoded", _get(b"/console/app.js%00.html"), (404,)),
    Request("a line end encoded", _get(b"/health/live%0d%0aHost:%20b"), (404,)),
    _refused("half an escape", _get(b"/health/live%2")),
    _refused("no escape", _get(b"/health/li%zzve")),
    _refused("no UTF-8", _get(b"/console/%ff%fe")),
    _refused("an overlong slash", _get(b"/health%c0%aflive")),
    _refused("a byte over 127", _get(b"/console/\xe9")),
    _refused("two Hosts", _get(b"/health/live", b"Host: a\r\nHost: b\r\n\r\n")),
    _refused("no Host", _get(b"/health/live", b"\r\n")),
    _refused("HTTP/0.9", b"GET /health/live\r\n\r\n"),
    _refused("HTTP/2 without TLS", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    _refused("HTTP/9.9", b"GET /health/live HTTP/9.9\r\nHost: a\r\n\r\n"),
    _refused("a space in the target", _get(b"/health/ live")),
    _refused("a method in lower case", _get(b"/health/live", method=b"get")),
    Request("dots and a semicolon", _get(b"/console/..;/health/live"), (404,)),
    Request("a path parameter", _get(b"/health/live;x=1"), (404,)),
    Request("an escape that says the same", _get(b"/health/%6cive"), (200,)),
    Request("escaped twice", _get(b"/console/%252e%252e"), (404,)),
    Request("another Host", _get(b"/health/live", b"Host: evil.example/#@\r\n\r\n"), (400,)),
    Request("a Host that is a path", _get(b"/v1/worlds", b"Host: a/health/live?\r\n\r\n"), (400,)),
    Request("forwarded as another", _get(b"/v1/worlds", b"Host: a\r\nX-Original-URL: /health/live\r\n\r\n"), (401,)),
    Request("a rewritten method", _get(b"/v1/worlds", b"Host: a\r\nX-HTTP-Method-Override: PUT\r\n\r\n"), (401,)),
)

READ = (
    Request("two in a row", _get(b"/health/live") + _get(b"/health/live"), (200, 200)),
    Request("a length", LAST + b"Content-Length: 2\r\n\r\n{}", (400,)),
    Request("leading zeros", LAST + b"Content-Length: 0002\r\n\r\n{}", (400,)),
    Request("chunked", LAST + _TE + b"\r\n2\r\n{}\r\n0\r\n\r\n", (400,)),
    Request("Chunked", LAST + b"transfer-encoding:  Chunked \r\n\r\n2\r\n{}\r\n0\r\n\r\n", (400,)),
    Request("a chunk extension", LAST + _TE + b"\r\n2;a=b\r\n{}\r\n0\r\n\r\n", (400,)),
    Request("a trailer", LAST + _TE + b"\r\n2\r\n{}\r\n0\r\nX-Trailer: Content-Length: 0\r\n\r\n", (400,)),
    Request("a body that a GET did not need", _get(b"/health/live", b"Host: a\r\nContent-Length: 2\r\n\r\n{}"), (200,)),
    Request("a second request after the last", LAST + b"Content-Length: 2\r\n\r\n{}" + HIDDEN, (400,)),
    Request("an empty line in front", b"\r\n" + _get(b"/health/live"), (200,)),
)

HEADS = (
    Request("a head of 1 MiB in one header", _get(b"/health/live", b"Host: a\r\nX-Big: " + b"a" * (1 << 20)), (413,)),
    Request("50,000 headers", _get(b"/health/live", b"Host: a\r\n" + b"X-Many: 1\r\n" * 50_000 + b"\r\n"), (413,)),
    Request("a target of 1 MiB", _get(b"/" + b"a" * (1 << 20)), (413,)),
    Request("a name of 100 KiB", _get(b"/health/live", b"Host: a\r\n" + b"a" * 102_400 + b": 1\r\n\r\n"), (413,)),
)

ALL = (*BODIES, *TARGETS, *READ, *HEADS)
