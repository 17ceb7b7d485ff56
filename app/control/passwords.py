"""Passwords: which are good enough, and whether one is that of a hash (argon2id, RFC 9106).

Length is all that is asked, besides not being one of the first that an attacker tries (NIST SP 800-63B-4, 3.1.1.2). A
hash takes a tenth of a second and 64 MiB, so few run at once, in threads, and few wait. It knows no account.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from app.core.errors import Invalid, Overloaded
from app.core.sign_in import SignIn

T = TypeVar("T")
PASSES = 3
LANES = 4
"""With 64 MiB the second recommendation of RFC 9106, section 4."""
KNOWN = Path(__file__).with_name("known_passwords.txt")
PRODUCT = "innkeeper"
OWN_CHARS_MIN = 4
"""What is left of a password that holds the login or the product's name must be longer than this."""


def normal(password: str) -> str:
    """The password in the one form in which it is hashed: NFKC (NIST SP 800-63B-4, 3.1.1.2).

    Raises Invalid for a text that is no Unicode: half of a surrogate pair.
    """
    try:
        password.encode()
    except UnicodeEncodeError as error:
        raise Invalid("the password is no Unicode text", hint="type it as characters") from error
    return unicodedata.normalize("NFKC", password)


def require_good(password: str, *, login: str, with_factor: bool, settings: SignIn) -> str:
    """The password in its normal form; raises Invalid for one that is too short, too long or well known."""
    text = normal(password)
    chars_min = settings.password_chars_min if with_factor else settings.password_alone_chars_min
    if len(text) < chars_min:
        raise Invalid(
            f"the password has {len(text)} characters", hint=f"give at least {chars_min}; a few words are easiest"
        )
    if len(text) > settings.password_chars_max:
        raise Invalid(f"the password has {len(text)} characters", hint=f"give at most {settings.password_chars_max}")
    if _is_known(text, login):
        raise Invalid("that password is among the first that are tried", hint="choose one that nobody else has")
    return text


def _is_known(text: str, login: str) -> bool:
    """Whether it is a well-known password, one character again and again, a run, or little more than a name of here."""
    plain = text.casefold().strip()
    if plain in known_passwords() or len(set(plain)) < 3 or _is_run(plain):
        return True
    names = {PRODUCT, login.casefold(), login.casefold().partition("@")[0]}
    return any(len(name) >= 3 and name in plain and len(plain) - len(name) <= OWN_CHARS_MIN for name in names)


def _is_run(plain: str) -> bool:
    """Whether each character is the next of the one before, or the one before it."""
    steps = {ord(after) - ord(before) for before, after in pairwise(plain)}
    return steps in ({1}, {-1})


@cache
def known_passwords() -> frozenset[str]:
    """The shipped list, of passwords that are long enough to be asked about."""
    return frozenset(KNOWN.read_text("utf-8").split())


class Passwords:
    """Hashes and verifies in a few threads of its own; raises Overloaded when too many wait."""

    def __init__(self, settings: SignIn) -> None:
        self._settings = settings
        self._threads: ThreadPoolExecutor | None = None
        self._busy = 0
        self._hasher: Any = None
        self._decoy = ""

    async def hash(self, password: str) -> str:
        """What is kept of a password in its normal form."""
        return await self._run(lambda: str(self._argon2().hash(password)))

    async def verify(self, kept: str, password: str) -> bool:
        """Whether `kept` is the hash of the password; an empty one, of nobody, takes as long to say no."""
        return await self._run(lambda: self._verify(kept, password))

    def needs_rehash(self, kept: str) -> bool:
        """Whether the hash was made with other costs than the profile's."""
        return bool(self._argon2().check_needs_rehash(kept))

    async def close(self) -> None:
        """Wait for what runs."""
        if self._threads is not None:
            await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._busy >= self._settings.hash_threads_max + self._settings.hash_queue_max:
            raise Overloaded("too many people sign in at once", hint="try again in a moment", retry_after_s=1.0)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._settings.hash_threads_max, "innkeeper-passwords")
        self._busy += 1
        done = asyncio.get_running_loop().run_in_executor(self._threads, work)
        done.add_done_callback(self._settle)
        return await asyncio.shield(done)

    def _settle(self, _done: object) -> None:
        # Here and not after the await: a caller who is gone leaves the thread as busy as before.
        self._busy -= 1

    def _verify(self, kept: str, password: str) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError

        hasher = self._argon2()
        self._decoy = self._decoy or hasher.hash(PRODUCT)
        try:
            hasher.verify(kept or self._decoy, password)
        except (VerificationError, InvalidHashError):
            return False
        return bool(kept)

    def _argon2(self) -> Any:
        if self._hasher is None:
            from argon2 import PasswordHasher

            self._hasher = PasswordHasher(
                time_cost=PASSES, memory_cost=self._settings.hash_memory_bytes // 1_024, parallelism=LANES
            )
        return self._hasher
