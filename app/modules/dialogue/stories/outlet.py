"""What a story has said, piece by piece, and the lines that it makes: newlines, glue, white space and tags.

The rules are those of ink's output stream; Yarn has one piece a line and meets them by nature. It knows no story.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from app.modules.dialogue.stories.model import Spoken, Syntax
from app.modules.dialogue.stories.values import Fault


class Mark(Enum):
    """What is no text."""

    NEWLINE = auto()
    GLUE = auto()
    TAG = auto()
    TAG_END = auto()


SPEAKER_TAG = "speaker:"
"""The tag that says who speaks a line of ink."""
_SPEAKER = re.compile(r"([^\W\d][\w' .-]{0,60}?)\s*(?<!\\):\s+(.*)", re.S)


class Stream:
    """Pieces of text and marks, at most `text_chars` long."""

    def __init__(self, text_chars: int) -> None:
        self.items: list[str | Mark] = []
        self._left = text_chars

    def say(self, text: str) -> None:
        """Add text; one with something to see is what glue waited for. Raises Fault when it is too much."""
        if not text or (not text.strip() and self.items and _blank(self.items[-1])):
            return
        self._left -= len(text)
        if self._left < 0:
            raise Fault("one turn says too much")
        if text.strip() and (glue := self._glue()) is not None:
            del self.items[glue]
        self.items.append(text)

    def newline(self) -> None:
        """End the line, unless glue holds it open, it has ended, or nothing was said."""
        if self._glue() is not None or self._ended() or not any(isinstance(item, str) for item in self.items):
            return
        self.items.append(Mark.NEWLINE)

    def glue(self) -> None:
        """Take back the end of the line before."""
        at = len(self.items)
        while at and (self.items[at - 1] is Mark.NEWLINE or _blank(self.items[at - 1])):
            at -= 1
        first = next((here for here in range(at, len(self.items)) if self.items[here] is Mark.NEWLINE), None)
        if first is not None:
            kept = [item for item in self.items[at:first] if item is not Mark.NEWLINE]
            self.items[at:] = kept
        self.items.append(Mark.GLUE)

    def tag(self, *, begins: bool) -> None:
        self.items.append(Mark.TAG if begins else Mark.TAG_END)

    def tidy(self, start: int) -> None:
        """Take newlines from both ends of what was said since `start`, as a function's text is told."""
        while len(self.items) > start and (self.items[-1] is Mark.NEWLINE or _blank(self.items[-1])):
            self.items.pop()

    def _glue(self) -> int | None:
        """Where glue waits: nothing to see has come since."""
        for at in range(len(self.items) - 1, -1, -1):
            item = self.items[at]
            if item is Mark.GLUE:
                return at
            if isinstance(item, Mark) or not _blank(item):
                return None
        return None

    def _ended(self) -> bool:
        for item in reversed(self.items):
            if item is Mark.NEWLINE:
                return True
            if isinstance(item, Mark) or not _blank(item):
                return False
        return False


def _blank(item: str | Mark) -> bool:
    return isinstance(item, str) and not item.strip()


def lines(stream: Stream, syntax: Syntax, lines_max: int) -> tuple[tuple[Spoken, ...], list[str]]:
    """(the lines of a stream with their tags, what was left out). Tags alone belong to the line that follows."""
    found: list[Spoken] = []
    tags: list[str] = []
    pieces: list[str] = []
    tag: list[str] | None = None
    for item in (*stream.items, Mark.NEWLINE):
        if item is Mark.TAG:
            tag = []
        elif item is Mark.TAG_END:
            tags += [" ".join("".join(tag or ()).split())]
            tag = None
        elif isinstance(item, str):
            (pieces if tag is None else tag).append(item)
        elif item is Mark.NEWLINE:
            text = " ".join("".join(pieces).split())
            if text:
                found.append(_spoken(text, tags, syntax))
                tags = []
            pieces = []
    return tuple(found[:lines_max]), [f"more than {lines_max} lines in one turn"] if len(found) > lines_max else []


def _spoken(text: str, tags: list[str], syntax: Syntax) -> Spoken:
    """Yarn names the speaker before a colon, ink in a tag."""
    if syntax == "yarn":
        named = _SPEAKER.fullmatch(text)
        speaker, text = (named[1], named[2]) if named else ("", text)
        return Spoken(text=text.replace("\\:", ":"), tags=tuple(tags), speaker=speaker)
    speaker = next((tag[len(SPEAKER_TAG) :].strip() for tag in tags if tag.startswith(SPEAKER_TAG)), "")
    return Spoken(text=text, tags=tuple(tag for tag in tags if not tag.startswith(SPEAKER_TAG)), speaker=speaker)
