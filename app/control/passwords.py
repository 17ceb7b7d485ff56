"""Passwords: which ones are taken, and their hashes, made off the event loop and few at a time.

Length is what counts, and a list of what everybody tries; there are no rules of composition and no forced changes
(NIST SP 800-63B-4, 3.1.1.2). Hashes are Argon2id (RFC 9106).
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from app.core.errors import Invalid, Overloaded

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")

LENGTH_MIN = 8
"""A password is never enough by itself here: a second factor comes after it."""
LENGTH_MAX = 256
THREADS = 2
WAITING_MAX = 32
"""A hash takes tens of megabytes and milliseconds, so strangers must not be able to pile them up."""
MEMORY_KIB = 19_456
PASSES, LANES = 2, 1
"""OWASP's floor for Argon2id: 19 MiB, two passes, one lane."""
NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$uk7vOKXMRvi07X7D0hBTQg$LHOG5kDz38PZ043EAmxhhklINA2aahDL8Mr6717AgFY"
"""Checked where there is no such operator, so that it takes as long as a wrong password."""


def normalize(password: str) -> str:
    """The same characters however a keyboard composes them (NFKC)."""
    return unicodedata.normalize("NFKC", password)


def require_good(password: str, *, names: tuple[str, ...]) -> str:
    """The password, normalized; raises Invalid for one that is too short, too long or known to all.

    `names` are what an attacker would try first, such as the login name.
    """
    found = normalize(password)
    if not LENGTH_MIN <= len(found) <= LENGTH_MAX:
        raise Invalid(
            f"the password has {len(found)} characters", hint=f"take {LENGTH_MIN} to {LENGTH_MAX}; a few words do well"
        )
    plain = found.casefold()
    if plain in common() or len(set(plain)) < 4:
        raise Invalid("the password is one that everybody tries", hint="take a few words that do not belong together")
    parts = [name.casefold() for name in (*names, "innkeeper") if len(name) > 3]
    rest = plain
    for part in parts:
        rest = rest.replace(part, "")
    if len(rest) < LENGTH_MIN // 2:
        raise Invalid("the password is little more than a name", hint="take a few words that do not belong together")
    return found


@cache
def common() -> frozenset[str]:
    """What attackers try first."""
    return frozenset((Path(__file__).parent / "common_passwords.txt").read_text("utf-8").split())


class Hasher:
    """Hashes and checks in a pool of threads behind a short queue."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """An Argon2id hash in the PHC string format; raises Overloaded when too many wait."""
        return await self._run(_hash, normalize(password))

    async def matches(self, password: str, hash: str) -> bool:
        """Whether the password belongs to the hash; an empty hash belongs to none, after the same work."""
        matched = await self._run(_matches, normalize(password), hash or NOBODY)
        return matched and hash != ""

    def close(self) -> None:
        """End the threads."""
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    async def _run(self, work: Callable[..., T], *arguments: str) -> T:
        if self._waiting >= WAITING_MAX:
            raise Overloaded("many people sign in at once", hint="try again", retry_after_s=2.0)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, "innkeeper-password")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, work, *arguments)
        finally:
            self._waiting -= 1


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher  # the first person who signs in pays for it

    return PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)


def _hash(password: str) -> str:
    return _hasher().hash(password)


def _matches(password: str, hash: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return _hasher().verify(hash, password)
    except (VerificationError, InvalidHashError):
        return False
