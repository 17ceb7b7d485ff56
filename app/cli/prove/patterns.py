"""Every regular expression of the server that sees input, and how long it takes for the worst of it (CWE-1333).

It imports the packages that serve, takes what patterns their modules hold, and attacks each with long repetitions of
what its own text names.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import app

LENGTH = 2_000
"""The longest text that any field takes."""
SERVING = ("app.core", "app.edge", "app.control", "app.modules", "app.world", "app.engines.authored")
PIECES = (
    "a", " ", "\t", "\n", "1", "_", "-", ".", "!", "'", '"', "*", "(", "[", "<", "#", "{", "\\", "/", ":", "|",
    "\x1b[", "\x1b[0;", "a ", "a-", "a.", "a'", ".a", "- ", "' ", ". ", "! ", "!\"", "is ", "is the ", "I have ",
    "http://", "www.", "**a", "[a](", "((", "not ", "at the ", "1.1", "%", "%2", "\u00e9", "\u2019s ", "system",
    "{\"id\":",
)  # fmt: skip
ENDS = ("", "\0", "!", "x", ")", "]")


@dataclass(frozen=True, slots=True)
class Found:
    """A pattern, where it stands, and whether it is only ever tried at the beginning of a text."""

    where: str
    pattern: re.Pattern[Any]
    anchored: bool


def patterns() -> Iterator[Found]:
    """Each of them, also those inside lists and pairs."""
    for found in pkgutil.walk_packages(app.__path__, "app."):
        if found.name.startswith(SERVING) and not found.ispkg:
            module = importlib.import_module(found.name)
            source = inspect.getsource(module)
            for name, value in vars(module).items():
                for one in _within(value):
                    yield Found(f"{found.name}.{name}", one, _anchored(source, name))


def _anchored(source: str, name: str) -> bool:
    used = set(re.findall(rf"\b{re.escape(name)}\.(\w+)\(", source))
    return bool(used) and used <= {"match", "fullmatch"}


def _within(value: object) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _within(inner)


def slowest_s(found: Found) -> float:
    """The longest that one pass over a hostile text takes, in seconds of the processor; the best of two tries."""
    return max(min(_pass_s(found, text), _pass_s(found, text)) for text in _attacks())


def _attacks() -> Iterator[str]:
    for piece in PIECES:
        for end in ENDS:
            yield (piece * LENGTH)[: LENGTH - 1] + end


def _pass_s(found: Found, text: str) -> float:
    subject: Any = text.encode() if isinstance(found.pattern.pattern, bytes) else text
    started_s = time.process_time()
    if found.anchored:
        found.pattern.match(subject)
    else:
        for _ in found.pattern.finditer(subject):
            pass
    return time.process_time() - started_s
