"""What a provider's refusal means: the class of failure by its status and its own code. It keeps none of its text."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Final

import msgspec

from app.core.errors import Failure

FILTERED: Final = frozenset({"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"})
"""Codes of a refusal that speaks of the content: no fault of the engine, and no other engine is asked."""
_UNPAID = frozenset({
    "insufficient_quota", "billing_error", "billing_hard_limit_reached", "billing_not_active", "quota_exceeded",
    "contract_spend_limit_reached", "enforced_spend_limit_reached", "linked_organization_spend_limit_reached",
    "linked_organization_billing_unavailable",
})  # fmt: skip
_BY_STATUS: Mapping[int, Failure] = {401: "unauthorized", 402: "unpaid", 403: "unauthorized", 408: "server",
                                     409: "server", 429: "rate_limited"}  # fmt: skip
_OF_EVENTS: Mapping[str, Failure] = {
    "rate_limit_exceeded": "rate_limited", "rate_limit_error": "rate_limited", "insufficient_quota": "unpaid",
    "billing_error": "unpaid", "authentication_error": "unauthorized", "permission_error": "unauthorized",
}  # fmt: skip


class Inner(msgspec.Struct):
    """Why a filter of Azure refused, by its own code."""

    code: str | None = None


class Details(msgspec.Struct):
    error_code: str | None = None
    type: str | None = None


class Fault(msgspec.Struct):
    """What all vendors call an error; the message is not read, since it may quote a key."""

    code: str | int | None = None
    type: str | None = None
    innererror: Inner | None = None
    details: Details | None = None

    @property
    def codes(self) -> tuple[str, ...]:
        inner = self.innererror.code if self.innererror else None
        detail = (self.details.error_code, self.details.type) if self.details else ()
        return tuple(str(code) for code in (inner, self.code, self.type, *detail) if code)


class _Body(msgspec.Struct):
    error: Fault | None = None


_bodies = msgspec.json.Decoder(_Body)


def failure_of(status: int, body: bytes) -> tuple[Failure, str]:
    """(the class of a refusal, its code where it is one that matters)."""
    codes = _codes(body)
    for code in codes:
        if code in _UNPAID:
            return "unpaid", code
        if code in FILTERED:
            return "refused", code
    if status in _BY_STATUS:
        return _BY_STATUS[status], ""
    return ("refused" if 400 <= status < 500 else "server"), ""


def failure_in_stream(fault: Fault) -> Failure:
    """The class of an error that a stream ended with: incomplete, unless it says who is to blame."""
    return next((_OF_EVENTS[code] for code in fault.codes if code in _OF_EVENTS), "incomplete")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that a provider asks to wait (RFC 9110, 10.2.3: seconds or a date), None where it does not say."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "")
        if not value:
            continue
        try:
            seconds = float(value) * scale
        except ValueError:
            seconds = _until(value)
        if 0.0 <= seconds < float("inf"):
            return seconds
    return None


def is_literal(host: str) -> bool:
    """Whether a host is an address, which is never resolved."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _until(date: str) -> float:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
    except (ValueError, OverflowError):
        return float("inf")


def _codes(body: bytes) -> tuple[str, ...]:
    if not body:
        return ()
    try:
        fault = _bodies.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    return fault.codes if fault else ()
