"""The stories of a studio: every `stories/*.ink` and `stories/*.yarn` of its content folder, compiled once at start.

It knows files; what is in them is the compilers' matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from app.core.errors import Invalid, NotFound, nearest
from app.modules.dialogue.stories import graph, ink, yarn
from app.modules.dialogue.stories.limits import Limits
from app.modules.dialogue.stories.model import Story

FOLDER = "stories"
_INCLUDE = re.compile(r"^\s*INCLUDE\s+(\S.*?)\s*$", re.M)


def load(content_folder: str, limits: Limits) -> Mapping[str, Story]:
    """Name -> story; raises Invalid or TooLarge naming file, line, token and mend. Included files are no stories."""
    if not content_folder:
        return {}
    if not Path(content_folder).is_dir():
        raise NotFound(f"content_folder {content_folder!r} is no folder", hint="name one in [modules.dialogue]")
    paths = [path for path in sorted((Path(content_folder) / FOLDER).glob("*")) if path.suffix in (".ink", ".yarn")]
    included = {name for path in paths if path.suffix == ".ink" for name in includes(read(path, limits))}
    found: dict[str, Story] = {}
    for path in paths:
        if path.name in included:
            continue
        if path.stem in found:
            raise Invalid(f"{path.name}: there is another story {path.stem!r}", hint="rename one of the two files")
        story = found[path.stem] = compile_file(path, limits)
        for fault in graph.faults(story):
            raise Invalid(fault, hint="see docs/how-to/stories.md")
    return found


def compile_file(path: Path, limits: Limits) -> Story:
    """The story of one file, `.ink` or `.yarn`; raises Invalid, TooLarge or NotFound."""
    text = read(path, limits)
    match path.suffix:
        case ".ink":
            return ink.compile(text, path.stem, file=path.name, limits=limits, include=lambda name: beside(path, name))
        case ".yarn":
            return yarn.compile(text, path.stem, file=path.name, limits=limits)
        case _:
            raise Invalid(f"{path.name} is neither .ink nor .yarn", hint="export the source, not compiled JSON")


def includes(text: str) -> list[str]:
    """The files that an ink source includes."""
    return _INCLUDE.findall(text)


def files_of(path: Path, limits: Limits) -> list[Path]:
    """A story's file with all that it includes, one after the other."""
    found = [path]
    for each in found:
        names = includes(read(each, limits)) if each.suffix == ".ink" else []
        found += [path.parent / name for name in dict.fromkeys(names) if path.parent / name not in found]
    return found


def read(path: Path, limits: Limits) -> str:
    """The text of a file, as UTF-8; raises Invalid, NotFound."""
    try:
        with path.open("rb") as file:
            return file.read(limits.file_bytes_max + 1).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(
            f"{path.name} is not UTF-8: {error.reason} at byte {error.start}", hint="save it as UTF-8"
        ) from error
    except OSError as error:
        raise NotFound(f"{path.name} cannot be read: {error.strerror}", hint="name a file") from error


def beside(path: Path, name: str) -> str | None:
    """The text of a file in the same folder, and of none outside of it."""
    other = path.parent / name
    if other.resolve().parent != path.parent.resolve() or not other.is_file():
        return None
    return other.read_text(encoding="utf-8", errors="replace")


def entry(stories: Mapping[str, Story], attached: str) -> tuple[Story, str]:
    """(story, node) that `NAME` or `NAME.NODE` names; raises NotFound."""
    name, _, node = attached.partition(".")
    if name not in stories:
        raise NotFound(f"no story {name!r}", hint=nearest(name, stories))
    story = stories[name]
    if node and node not in story.nodes:
        raise NotFound(f"story {name!r} has no node {node!r}", hint=nearest(node, story.nodes))
    return story, node or story.start
