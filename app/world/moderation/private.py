"""What reaches a person outside the game, by its shape: mail and street addresses, phone and card numbers.

Pure. Numbers that a game talks about, such as prices and dates, are none of these.
"""

from __future__ import annotations

import re

CARD_DIGITS = range(13, 20)
PHONE_DIGITS = range(10, 16)
SHORT_PHONE_DIGITS_MIN = 7

_MAIL = re.compile(
    r"[\w.+-]{1,64}\s?(?:@|\(at\)|\[at\])\s?[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,8}"
    r"(?:\.|\s?\(dot\)\s?|\s?\[dot\]\s?)[a-z]{2,24}",
    re.IGNORECASE,
)
_MAIL_WORDS = re.compile(
    r" at (?:gmail|hotmail|yahoo|outlook|icloud|gmx|web|proton)(?:mail)?(?: dot |\.)[a-z]", re.IGNORECASE
)
_NUMBER = re.compile(r"(?<![\w.])\+?\(?\d(?:[ ()./-]{0,2}\d){6,18}(?![\w])")
_ASKED = re.compile(
    r"\b(?:call|phone|text|ring me|cell|mobile|whatsapp|tel|telefon|handy|anrufen|ruf|numero|portable|llama|movil"
    r"|number is|nummer ist)\b",
    re.IGNORECASE,
)
_STREET = re.compile(
    r"\b\d{1,5} (?:[a-z]+ ){1,3}(?:st|street|ave|avenue|rd|road|blvd|boulevard|drive|lane),? "
    r"(?:apt|apartment|unit|[a-z]{2} \d{5}|[a-z .]{3,20},? [a-z]{2},? \d{5})",
    re.IGNORECASE,
)


def is_private(text: str) -> bool:
    """Whether a text holds such a thing."""
    if ("@" in text or "(at" in text or "[at" in text) and _MAIL.search(text):
        return True
    if " at " in text and _MAIL_WORDS.search(text):
        return True
    if not any(map(str.isdigit, text)):
        return False
    return any(_is_number(text, found.group()) for found in _NUMBER.finditer(text)) or bool(_STREET.search(text))


def _is_number(text: str, shown: str) -> bool:
    """Whether digits are a phone's or a card's: by their count and how they are written."""
    digits = [int(sign) for sign in shown if sign.isdigit()]
    count = len(digits)
    if count in CARD_DIGITS and not _luhn(digits):
        return True
    led = shown.lstrip("(").startswith(("+", "0")) or "(" in shown
    if count in PHONE_DIGITS and (led or re.fullmatch(r"\d{3}[ .-]\d{3}[ .-]\d{4}", shown.strip())):
        return True
    return count >= SHORT_PHONE_DIGITS_MIN and bool(_ASKED.search(text))


def _luhn(digits: list[int]) -> int:
    """0 for the digits of a card (ISO/IEC 7812-1, annex B)."""
    doubled = (digit * 2 - 9 * (digit > 4) if at % 2 else digit for at, digit in enumerate(reversed(digits)))
    return sum(doubled) % 10
