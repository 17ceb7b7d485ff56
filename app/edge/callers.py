"""Who sends a request over HTTP, and whether it counts as one too many. It knows no header and no route."""

from __future__ import annotations

from collections.abc import Callable

from app.control.auth import Authority, Identity
from app.core.errors import Unauthenticated
from app.edge.limits import Limits


async def recognize(address: str, shown: Callable[[], str], authority: Authority, limits: Limits) -> Identity:
    """Who shows the credential, and counts as one request; raises Unauthenticated or RateLimited.

    `shown` raises Unauthenticated where there is none.
    """
    await limits.arrive(address)
    try:
        credential = shown()
        identity = authority.identify(credential)
    except Unauthenticated as error:
        raise await limits.failed(address, error) from error
    limits.callers.note(credential.encode(), identity.tenant)
    await limits.take(identity)
    return identity
