"""A story's file as text: comments out, lines numbered, what stands in braces in one piece.

It does not know what the lines mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from app.core.errors import Invalid, TooLarge
from app.modules.dialogue.stories.limits import Limits

Include = Callable[[str], str | None]
"""The text of a file in the same folder, or None."""
_COMMENT = re.compile(r"//[^\n]*|/\*.*?(?:\*/|\Z)", re.S)


class Line(NamedTuple):
    """A logical line: more than one of the file where braces are open."""

    file: str
    number: int
    text: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.number}"


def wrong(line: Line, token: str, what: str, hint: str) -> Invalid:
    """What is wrong in a line, and how to mend it."""
    return Invalid(f"{line.place}: {token[:60]!r} {what}", hint=hint)


def checked(text: str, file: str, limits: Limits) -> str:
    """The text with plain line ends and no control characters; raises TooLarge, Invalid."""
    if len(text.encode("utf-8", "replace")) > limits.file_bytes_max:
        raise TooLarge(f"{file} has more than {limits.file_bytes_max} bytes", hint="divide it into several stories")
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    odd = next((sign for sign in plain if not sign.isprintable() and sign not in "\n\t\u00a0"), None)
    if odd is not None:
        number = plain[: plain.index(odd)].count("\n") + 1
        raise Invalid(f"{file}:{number}: the sign {odd!r} cannot be printed", hint="take it out")
    return plain


def without_comments(text: str) -> str:
    """The text with comments out and every line where it was."""
    return _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), text)


def logical(text: str, file: str, first: int = 1) -> list[Line]:
    """The lines of a text; those in open braces are one. Raises Invalid for a brace that is not closed."""
    found: list[Line] = []
    held: list[str] = []
    start, depth = first, 0
    for number, line in enumerate(text.split("\n"), first):
        start = start if held else number
        held.append(line)
        depth += _opened(line)
        if depth < 0:
            raise wrong(Line(file, number, line), "}", "closes no brace", "write \\} for the sign itself")
        if depth == 0:
            found.append(Line(file, start, "\n".join(held)))
            held = []
    if held:
        raise wrong(Line(file, start, ""), "{", "is not closed", "add the brace }, or write \\{ for the sign itself")
    return found


def _opened(line: str) -> int:
    bare = re.sub(r"\\.", "", line)
    return bare.count("{") - bare.count("}")


def closing(text: str, at: int) -> int:
    """Where the brace that opens at `at` is closed; -1 where it is not."""
    depth, here = 0, at
    while here < len(text):
        sign = text[here]
        if sign == "\\":
            here += 1
        elif sign == "{":
            depth += 1
        elif sign == "}":
            depth -= 1
            if depth == 0:
                return here
        here += 1
    return -1


def find(text: str, wanted: Sequence[str], *, start: int = 0) -> tuple[int, str]:
    """(place, which) of the first of `wanted` outside of braces, brackets, quotes and escapes; (-1, "") if none."""
    here, depth, quoted = start, 0, False
    while here < len(text):
        sign = text[here]
        if sign == "\\":
            here += 2
            continue
        if depth == 0 and not quoted:
            for which in wanted:
                if text.startswith(which, here):
                    return here, which
        if sign == '"' and depth:
            quoted = not quoted
        elif not quoted:
            depth += (sign in "{(") - (sign in "})" and depth > 0)
        here += 1
    return -1, ""


def split(text: str, by: str) -> list[str]:
    """The parts of a text between `by`, where that stands outside of braces."""
    parts, start, depth, here = [], 0, 0, 0
    while here < len(text):
        sign = text[here]
        if sign == "\\":
            here += 2
            continue
        depth += (sign == "{") - (sign == "}")
        if depth == 0 and text.startswith(by, here):
            parts.append(text[start:here])
            here += len(by)
            start = here
            continue
        here += 1
    return [*parts, text[start:]]
