"""The shared cache: a small one in the process in front of the server's. It decides nothing about what is cached."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from app.core.errors import Unavailable
from app.stores.embedded.cache import TTL_MS_MAX, EmbeddedCache, check
from app.stores.redis.client import Client
from app.stores.redis.commands import key_name
from app.stores.redis.scripts import CACHE_SET

TAG_BYTES = 8


class RedisCache:
    """Implements app.core.ports.Cache over a server.

    A tag's key holds a random token, a purge writes a new one, and a value is good while the tokens of its
    tags are those that it was set with. A tag's key lives as long as the longest-lived value; one that is gone makes
    its values misses, so that an eviction can never bring back what was purged.
    """

    def __init__(self, client: Client, near: EmbeddedCache, *, local_ms: int, value_bytes_max: int) -> None:
        self._client = client
        self._near = near
        self._local_ms = local_ms
        self._value_bytes_max = value_bytes_max

    async def get(self, tenant: str, key: str) -> bytes | None:
        near = self._near.peek(tenant, key)
        if near is not None:
            return near
        try:
            flat: list[bytes] = await self._client.call("HGETALL", key_name(tenant, "c", key))
            fields = dict(zip(flat[::2], flat[1::2], strict=True))
            tags = [name[1:].decode() for name in fields if name.startswith(b"#")]
            if not await self._current(tenant, fields, tags):
                return None
        except Unavailable:
            return None
        value = fields.get(b"data")
        if value is not None:
            self._near.keep(tenant, key, value, ttl_ms=self._local_ms, tags=tags)
        return value

    async def set(self, tenant: str, key: str, value: bytes, *, ttl_ms: int, tags: Sequence[str] = ()) -> None:
        check(ttl_ms, tags)
        if len(value) > self._value_bytes_max:
            return
        keys = [key_name(tenant, "c", key), *(key_name(tenant, "g", tag) for tag in tags)]
        try:
            await self._client.run(CACHE_SET, keys, [value, ttl_ms, _token(), TTL_MS_MAX, *tags])
        except Unavailable:
            # What could not be shared is not kept near either: no other replica could purge it.
            self._near.drop(tenant, key)
            return
        self._near.keep(tenant, key, value, ttl_ms=min(ttl_ms, self._local_ms), tags=tags)

    async def delete(self, tenant: str, key: str) -> None:
        self._near.drop(tenant, key)
        await self._client.call("DEL", key_name(tenant, "c", key))
        self._near.drop(tenant, key)

    async def purge(self, tenant: str, tag: str) -> None:
        self._near.outdate(tenant, tag)
        await self._client.call("SET", key_name(tenant, "g", tag), _token(), "PX", TTL_MS_MAX)
        self._near.outdate(tenant, tag)

    async def _current(self, tenant: str, fields: dict[bytes, bytes], tags: Sequence[str]) -> bool:
        if not tags:
            return True
        tokens = await self._client.call("MGET", *(key_name(tenant, "g", tag) for tag in tags))
        return all(token == fields[b"#" + tag.encode()] for token, tag in zip(tokens, tags, strict=True))


def _token() -> str:
    return secrets.token_hex(TAG_BYTES)
