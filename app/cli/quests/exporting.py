"""`manage.py quests export`, `import`, `graph`, `schema`: quests as files of other tools, and back.

With files they need no server; with `--world` they ask a running one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from app.cli.quests.server import Server
    from app.modules.quests.draft import Draft

FORMATS = ("json", "ink", "yarn", "yarn-strings", "twee", "sql", "svg")
SCHEMAS = ("draft", "file", "quest", "certificate")
PAGE = 200
KEY_CHARS = 40
_file = click.Path(path_type=Path, dir_okay=False)


def _of_a_world(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name a world of a running server."""
    options = (
        click.option("--world", default="", help="A world of a running server; needs --key-file."),
        click.option("--url", default="http://127.0.0.1:8717", show_default=True, help="Where the server is."),
        click.option("--key-file", type=_file, help="A file with an API key, such as data/api-key."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=_file)
@click.option("--format", "format", type=click.Choice(FORMATS), default="json", show_default=True)
@click.option("--quest", "ids", multiple=True, metavar="ID", help="Which quests; all when left out.")
@click.option("--columns", type=_file, help="For sql: the column map, a TOML file.")
@click.option("--language", default="en", show_default=True, help="For yarn-strings: what the texts are in.")
@click.option("--out", type=_file, help="Where to; the terminal when left out.")
@_of_a_world
def export(
    files: tuple[Path, ...],
    format: str,
    ids: tuple[str, ...],
    columns: Path | None,
    language: str,
    out: Path | None,
    world: str,
    url: str,
    key_file: Path | None,
) -> None:
    """Write the quests of FILEs, or those of a world, as a file of another tool."""
    from app.modules.quests.exports import formats

    server = _server(world, url, key_file)
    if (server is None) == (not files):
        raise click.UsageError("give FILEs, or --world with --key-file")
    mapped = _read(columns) if columns is not None else ""
    if server is not None and format == "svg":
        text = _pictured(server, ids)
    else:
        found = _of_server(server, ids) if server is not None else _chosen(_of_files(files), ids)
        text = formats.written(found, formats.format_of(format), columns=mapped, language=language)
    _put(text, out)


@click.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_file)
@_of_a_world
def import_(files: tuple[Path, ...], world: str, url: str, key_file: Path | None) -> None:
    """Read quests from JSON, ink or Yarn FILEs, and print them as JSON or keep them in a world.

    All files are read before anything is sent. A quest that is sent again is the same quest. What the world's proof
    thinks of each is told; one that is not verified is kept as a draft.
    """
    from app.modules.quests.exports import files as json_files

    found = _of_files(files)
    server = _server(world, url, key_file)
    if server is None:
        click.echo(json_files.write(found), nl=False)
        return
    for draft in found:
        lean = json_files.lean(draft)
        key = hashlib.sha256(json_files.write((draft,)).encode()).hexdigest()[:KEY_CHARS]
        kept = server.ask("keep", quest=lean, key=f"import:{key}")
        verdict = kept["verdict"]
        reason = f": {verdict['check']} {verdict['reason']}" if verdict["reason"] else ""
        click.echo(f"{kept['quest']}: kept as {kept['state']}, {verdict['verdict']}{reason}")


@click.command()
@click.argument("file", metavar="[FILE]", required=False, type=_file)
@click.option("--quest", "id", default="", metavar="ID", help="Which quest, where there are several.")
@click.option("--out", type=_file, help="Where to; the terminal when left out.")
@_of_a_world
def graph(file: Path | None, id: str, out: Path | None, world: str, url: str, key_file: Path | None) -> None:
    """Draw a quest as SVG: its steps and branches, and of a world's quest its certificate, too."""
    from app.modules.quests.exports import formats

    server = _server(world, url, key_file)
    if (server is None) == (file is None):
        raise click.UsageError("give a FILE, or --world with --key-file")
    ids = (id,) if id else ()
    if server is not None:
        text = _pictured(server, ids)
    else:
        text = formats.written(_chosen(_of_files((file,) if file is not None else ()), ids), "svg")
    _put(text, out)


@click.command()
@click.argument("name", type=click.Choice(SCHEMAS), default="file")
def schema(name: str) -> None:
    """Print the JSON Schema of a file of quests, a draft, a quest as the server tells it, or a certificate."""
    import json

    from app.modules.quests.exports.schema import SCHEMAS as MADE

    click.echo(json.dumps(MADE[name](), indent=2))


def _server(world: str, url: str, key_file: Path | None) -> Server | None:
    from app.cli.quests.server import Server

    if not world:
        return None
    if key_file is None:
        raise click.UsageError("--world needs --key-file, such as data/api-key")
    return Server.at(url, key_file, world)


def _read(path: Path) -> str:
    from app.core.errors import Invalid
    from app.modules.quests.exports.schema import FILE_BYTES_MAX

    try:
        with path.open("rb") as opened:
            data = opened.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise Invalid(f"{str(path)!r} has more than {FILE_BYTES_MAX} bytes", hint="divide it")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise Invalid(f"{str(path)!r} cannot be read: {error.strerror}", hint="check the path") from error
    except UnicodeDecodeError as error:
        raise Invalid(f"{str(path)!r} is no text in UTF-8", hint="save it as UTF-8") from error


def _of_files(files: tuple[Path, ...]) -> tuple[Draft, ...]:
    """The drafts of all files; raises Invalid where two of them share an id."""
    from app.modules.quests.exports import formats
    from app.modules.quests.exports.naming import require_distinct

    found = tuple(draft for path in files for draft in formats.read(_read(path), path.name))
    require_distinct(found)
    return found


def _chosen(found: tuple[Draft, ...], ids: tuple[str, ...]) -> tuple[Draft, ...]:
    from app.core.errors import NotFound, nearest

    known = {draft.id: draft for draft in found}
    for id in ids:
        if id not in known:
            raise NotFound(f"no quest {id!r} in the file", hint=nearest(id, known))
    return tuple(known[id] for id in ids) or found


def _of_server(server: Server, ids: tuple[str, ...]) -> tuple[Draft, ...]:
    """Those quests of a world as drafts, or all of them in the order of their making."""
    from app.modules.quests.exports import formats

    found: list[Draft] = []
    for id in ids or _listed(server):
        exported = server.ask("export", quest=id, format="json")
        found.extend(formats.read(exported["text"], exported["file"]))
    return tuple(found)


def _listed(server: Server) -> list[str]:
    ids: list[str] = []
    after = ""
    while True:
        page = server.ask("list", after=after, limit=PAGE)
        ids.extend(quest["id"] for quest in page["quests"])
        after = page["next"]
        if not after:
            return ids


def _pictured(server: Server, ids: tuple[str, ...]) -> str:
    if len(ids) != 1:
        raise click.UsageError("a picture shows one quest: give --quest ID once")
    text: str = server.ask("export", quest=ids[0], format="svg")["text"]
    return text


def _put(text: str, out: Path | None) -> None:
    from app.core.errors import Invalid

    if out is None:
        click.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise Invalid(f"{str(out)!r} cannot be written: {error.strerror}", hint="choose another file") from error
