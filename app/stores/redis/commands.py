"""The commands that we send, all of them documented by DragonflyDB as supported; and how keys are named."""

from __future__ import annotations

from urllib.parse import quote

ALLOWED = frozenset(
    (
        "AUTH", "PING", "EVALSHA", "EVAL", "TIME", "GET", "MGET", "SET", "DEL", "PTTL", "PEXPIRE", "HDEL", "HGET",
        "HGETALL", "HSET", "XADD", "XACK", "XAUTOCLAIM", "XDEL", "XGROUP", "XINFO", "XLEN", "XPENDING", "XRANGE",
        "XREADGROUP", "XREVRANGE", "XTRIM",
    )
)  # fmt: skip
"""Whoever runs the server gives our user exactly these; a test watches that nothing else is sent."""


def key_name(tenant: str, kind: str, name: str) -> str:
    """The key of one thing of a tenant: `t:{tenant}:kind:name`.

    The tenant is a hash tag, so that all keys of one script lie in one slot; it is quoted, so that no
    tenant's name can end the tag and reach into another's.
    """
    return f"t:{{{quote(tenant, safe='')}}}:{kind}:{name}"
