"""Tags and text of one line, as ink and Yarn write them: signs that mean something get a backslash.

It knows lines, not files. Which signs mean something is the language's affair.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.modules.quests.exports.records import Tags, coded, plain


def escaped(text: str, signs: str) -> str:
    """The text with a backslash before each of `signs`, before itself, and before brackets that are not closed."""
    marked = signs if _closed(text) else f"{signs}("
    return re.sub(rf"[\\{re.escape(marked)}]", lambda found: "\\" + found[0], text)


def _closed(text: str) -> bool:
    """Whether each bracket ( is closed, for readers who look for tags only behind it."""
    depth = 0
    for sign in text:
        depth += (sign == "(") - (sign == ")" and depth > 0)
    return depth == 0 and ("(" not in text or '"' not in text)


def unescaped(text: str) -> str:
    """The text without the backslashes that make the next sign plain."""
    return re.sub(r"\\(.)", r"\1", text)


def tag_texts(tags: Tags) -> Iterator[str]:
    """Each tag as `name: value,value`, coded."""
    for name, values in tags:
        yield f"{name}: {','.join(map(coded, values))}".rstrip()


def parted(line: str) -> tuple[str, Tags]:
    """The text of a line as it is shown, and the tags behind it; a comment at its end is dropped."""
    pieces = _pieces(line)
    tags = []
    for piece in pieces[1:]:
        name, _, value = piece.strip().partition(":")
        tags.append((name.strip(), tuple(plain(each) for each in value.strip().split(","))))
    return unescaped(pieces[0].strip()), tuple(tags)


def _pieces(line: str) -> list[str]:
    """What stands between signs # without a backslash, up to a comment."""
    found, at, start = [], 0, 0
    while at < len(line):
        if line[at] == "\\":
            at += 2
            continue
        if line.startswith("//", at):
            line = line[:at]
            break
        if line[at] == "#":
            found.append(line[start:at])
            start = at + 1
        at += 1
    return [*found, line[start:]]


def line_id(*parts: str) -> str:
    """The stable id of a text, in tables that know no spaces: the parts, coded, with dots between them."""
    return ".".join(coded(part).replace(" ", "%20").replace(".", "%2E") for part in parts)
