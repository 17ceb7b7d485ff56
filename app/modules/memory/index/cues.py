"""What a text is like and what a cue asks for, beyond its words: a time, a number, a day, the one who speaks.

English alone is read so; a text in another language has none of these marks and loses nothing by it. It ranks nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIMES = frozenset(
    (
        "yesterday", "yestereve", "ago", "last", "next", "today", "tonight", "tomorrow", "week", "weeks", "weekend",
        "fortnight", "month", "months", "year", "years", "since", "morning", "spring", "summer", "autumn", "winter",
        *_DAYS, *(month for month in _MONTHS if month not in ("may", "march")),
    )
)  # fmt: skip
_SMALL = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12,
}  # fmt: skip
_NUMBERS = frozenset((*_SMALL, "dozen", "hundred", "thousand", "once", "twice", "several", "few"))
_OWN = frozenset(("i", "my", "mine", "me", "we", "our", "ours", "us", "myself"))
_YEAR = re.compile(r"(19|20)\d\d")
_WHEN = re.compile(r"\b(when|what (time|day|date|month|year)|which (day|month|year|week)|how long ago)\b")
_HOW_MANY = re.compile(r"\bhow (many|much|old|long|often)\b")
_AGO = re.compile(rf"\b(\d+|a|an|few|{'|'.join(_SMALL)}) (day|week|month)s? ago\b")
_NEAR = {"today": (0.0, 1.0), "yesterday": (1.0, 2.0), "last week": (7.0, 14.0), "this week": (0.0, 7.0),
         "last month": (30.0, 60.0), "recently": (0.0, 7.0)}  # fmt: skip
_COUNTS = _SMALL | {"a": 1, "an": 1, "few": 3}
_UNIT_DAYS = {"day": 1.0, "week": 7.0, "month": 30.0}
_MONTH = "(?P<month>" + "|".join(f"{month[:3]}(?:{month[3:]})?" if month[3:] else month for month in _MONTHS) + ")"
_DATE = re.compile(
    r"\b(?P<in>(?:in|last|this|since|during|by|until|early|late|mid) )?"
    rf"(?:(?P<d1>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? )?{_MONTH}\b"
    r"(?: (?P<d2>\d{1,2})(?:st|nd|rd|th)?\b(?!\d))?,?(?: (?P<year>(?:19|20)\d\d))?"
)


class Marks(NamedTuple):
    """What a text has: a time, a number, the speaker's own affairs, a question mark at its end."""

    time: bool
    number: bool
    own: bool
    asks: bool


class Span(NamedTuple):
    """Game seconds from which and up to which."""

    from_s: float
    to_s: float


def marks(text: str, tokens: Sequence[str]) -> Marks:
    """What a memory's text has; `tokens` are its words."""
    own = any(token in _OWN for token in tokens)
    time = number = False
    for token in tokens:
        if token in _TIMES or _YEAR.fullmatch(token):
            time = True
        elif token in _NUMBERS or token.isdigit():
            number = True
    return Marks(time, number, own, text.rstrip(" \"'”’").endswith("?"))


def asks(text: str, tokens: Sequence[str]) -> Marks:
    """What a cue looks for in a memory; `own` means that it speaks of the one who asks."""
    low = text.lower()
    own = any(token in _OWN for token in tokens)
    return Marks(_WHEN.search(low) is not None, _HOW_MANY.search(low) is not None, own, False)


def spans(text: str, *, now_s: float, day_s: float, calendar_start: str) -> list[Span]:
    """The days that a cue names, by date where the world has a calendar, or from now back."""
    low = text.lower()
    today_s = now_s - now_s % day_s
    found = [
        Span(today_s - (far - 1.0) * day_s, today_s - (near - 1.0) * day_s)
        for phrase, (near, far) in _NEAR.items()
        if re.search(rf"\b{phrase}\b", low)
    ]
    for number, unit in _AGO.findall(low):
        days = _UNIT_DAYS[unit] * (int(number) if number.isdigit() else _COUNTS[number])
        found.append(Span(today_s - days * day_s, today_s - (days - _UNIT_DAYS[unit]) * day_s))
    if calendar_start:
        found += _dated(low, datetime.fromisoformat(calendar_start), now_s, day_s)
    return found


def _dated(low: str, start: datetime, now_s: float, day_s: float) -> list[Span]:
    found = []
    for match in _DATE.finditer(low):
        day = match["d1"] or match["d2"]
        month = next(at for at, name in enumerate(_MONTHS, 1) if name.startswith(match["month"][:3]))
        if not (day or match["year"] or match["in"]):
            continue  # months are names and other words as well: April, May, march
        year = int(match["year"]) if match["year"] else _year(start, month, now_s / day_s)
        try:
            first = datetime(year, month, int(day or 1))
        except ValueError:
            continue
        last = first + timedelta(days=1) if day else datetime(year + month // 12, month % 12 + 1, 1)
        found.append(Span((first - start).days * day_s, (last - start).days * day_s))
    return found


def _year(start: datetime, month: int, days: float) -> int:
    """The year in which that month began last."""
    now = start + timedelta(days=days)
    return now.year if month <= now.month else now.year - 1
