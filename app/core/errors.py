"""Every error a caller can meet, as one tree.

Error:
├── Refused              the caller's: the same request will fail again
│   ├── Malformed            400  the frame or body cannot be read
│   ├── Invalid              400  a field has the wrong type, range or value
│   ├── Unauthenticated      401  no credential, or one that does not hold
│   ├── Forbidden            403  the credential lacks the scope
│   │   └── TenantSuspended  403  its tenant may do nothing for now
│   ├── NotFound             404  an id names nothing
│   ├── UnknownOp            404  no message of that name
│   ├── NotAllowed           405  the resource has no such method
│   ├── Conflict             409  the state does not allow it now
│   ├── TooLarge             413  over a size cap
│   ├── Unsupported          415  the body is of a kind that is not read
│   └── RateLimited          429  over a rate or in-flight cap
├── Unavailable          try later, or elsewhere
│   ├── Overloaded           503  a bounded queue is full
│   ├── EngineDown           503  an engine failed or is not there
│   ├── StoreDown            503  a store failed or is not there
│   ├── OverBudget           503  a cap on money or tokens leaves no room
│   ├── NotPermitted         503  the tenant's own settings leave no engine
│   └── DeadlineExceeded     504  the deadline passed first
└── Broken               500  ours

A message says what happened, shows the value, and a hint says the mend.
It does not know HTTP or WebSocket framing: the edge turns errors into replies.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Literal


class Error(Exception):
    """Base of the tree; `code` is stable API, `status` its HTTP number."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.retry_after_s = retry_after_s


class Refused(Error):
    """The request is at fault; sending it again changes nothing."""

    code = "refused"
    status = 400


class Malformed(Refused):
    """The frame or body cannot be read at all."""

    code = "malformed"


class Invalid(Refused):
    """A field has the wrong type, range or value."""

    code = "invalid"


class Unauthenticated(Refused):
    """There is no credential, or it does not hold."""

    code = "unauthenticated"
    status = 401


class Forbidden(Refused):
    """The credential holds but lacks the scope."""

    code = "forbidden"
    status = 403


class TenantSuspended(Forbidden):
    """The credential holds, and its tenant may do nothing for now."""

    code = "tenant_suspended"


class NotFound(Refused):
    """An id names nothing that this caller may see."""

    code = "not_found"
    status = 404


class UnknownOp(Refused):
    """No message has that name."""

    code = "unknown_op"
    status = 404


class NotAllowed(Refused):
    """The resource has no such method; `methods` are those that it has."""

    code = "method_not_allowed"
    status = 405

    def __init__(self, message: str, *, methods: Iterable[str] = (), **options: Any) -> None:
        super().__init__(message, **options)
        self.methods = tuple(methods)


class Conflict(Refused):
    """The present state does not allow it."""

    code = "conflict"
    status = 409


class TooLarge(Refused):
    """A size cap was passed."""

    code = "too_large"
    status = 413


class Unsupported(Refused):
    """The body is of a media type that nobody here reads."""

    code = "unsupported_media"
    status = 415


class RateLimited(Refused):
    """A rate or in-flight cap was passed."""

    code = "rate_limited"
    status = 429


class Unavailable(Error):
    """Not now; the same request may succeed later."""

    code = "unavailable"
    status = 503


class Overloaded(Unavailable):
    """A bounded queue is full."""

    code = "overloaded"


Failure = Literal["", "refused", "unauthorized", "unpaid", "rate_limited", "server", "unreachable", "incomplete"]
"""How an engine failed: it took the request for wrong (400), the key (401, 403) or the account (402, a quota that is
spent), asked for patience (429), fell over (5xx), could not be reached, or ended its answer before the end."""


class EngineDown(Unavailable):
    """An engine failed, is slow or is not there; `failure` is the class of it, empty where nobody knows."""

    code = "engine_down"

    def __init__(
        self, message: str, *, hint: str = "", retry_after_s: float | None = None, failure: Failure = ""
    ) -> None:
        super().__init__(message, hint=hint, retry_after_s=retry_after_s)
        self.failure: Failure = failure


class StoreDown(Unavailable):
    """A store failed, is slow or is not there."""

    code = "store_down"


class OverBudget(Unavailable):
    """A cap on money or tokens leaves no room for a paid call; no engine is at fault."""

    code = "over_budget"


class NotPermitted(Unavailable):
    """The tenant's own settings leave no engine that may answer; none is at fault."""

    code = "not_permitted"


class DeadlineExceeded(Unavailable):
    """The deadline passed before an answer was there."""

    code = "deadline_exceeded"
    status = 504


class Broken(Error):
    """A fault of ours."""

    code = "internal"


def from_code(code: str, message: str, *, hint: str = "", retry_after_s: float | None = None) -> Error:
    """The member of the tree that has the code, as another server sent it, so that callers catch families."""
    kind = next((each for each in tree() if each.code == code), Error)
    return kind(message, hint=hint, retry_after_s=retry_after_s)


def tree(root: type[Error] = Error) -> Iterator[type[Error]]:
    """Every kind of error below `root`."""
    for kind in root.__subclasses__():
        yield kind
        yield from tree(kind)


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the known word closest to `name`, or lists a few."""
    words = sorted(known)
    close = difflib.get_close_matches(name, words, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    if not words:
        return "none exist yet"
    shown = ", ".join(repr(word) for word in words[:8])
    return f"known: {shown}{', …' if len(words) > 8 else ''}"
