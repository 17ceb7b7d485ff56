"""`manage.py models import`: looks into a GGUF, says whether it fits, puts it in the data folder, and how to use it.

It reads the file's header with Innkeeper's own reader, so llama.cpp need not be installed, and loads nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import click
import msgspec

from app.cli.offline import chosen_profile, progress
from app.cli.options import profile_options
from app.core.engines import Engine, Llama
from app.core.errors import Conflict, EngineDown, Invalid, Unavailable
from app.engines import plan
from app.engines.llama.header import Header, read
from app.engines.llama.scaffold import scaffold_of

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
CHUNK_BYTES = 1 << 22
CONTEXT_TOKENS_MIN = 1_024
"""A shorter context holds no dialogue."""
GIB = 1 << 30


@click.command(name="import")
@profile_options
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the server's data; the file goes to models/.")
@click.option("--as", "name", default="", metavar="NAME", help="What the file is called there; its own name if not.")
@click.option("--engine", default="llama", show_default=True, help="The profile's engine table that is to run it.")
@click.option("--link", is_flag=True, help="Link to the file where it lies instead of copying it.")
@click.option("--write", type=click.Path(path_type=Path), metavar="PROFILE.toml", help="Write the lines to this file.")
@click.argument("path", type=click.Path(path_type=Path), metavar="MODEL.gguf")
def import_(
    mode: str,
    file: Path | None,
    assignments: tuple[str, ...],
    data: Path | None,
    name: str,
    engine: str,
    link: bool,
    write: Path | None,
    path: Path,
) -> None:
    """Take the GGUF file MODEL.gguf into the data folder, and show the profile's lines that use it."""
    profile = chosen_profile(mode, file, assignments, data)
    name = _require_name(name or path.stem)
    found = _require_whole(path)
    spec = profile.engines.get(engine) or Llama(file="")
    if not isinstance(spec, Llama):
        raise Invalid(f"engine {engine!r} is no llama engine", hint="name another with --engine")
    spec = msgspec.structs.replace(spec, file=str(path.resolve()), context_tokens_max=_context(spec, found))
    _print(path, found)
    _require_room(engine, found, spec, profile.engines)
    target = Path(profile.server.data_folder) / "models" / f"{name}.gguf"
    digest = _place(path, target, found.size_bytes, link=link)
    click.echo(f"{'linked' if link else 'copied'} to {target}, sha256 {digest}")
    values: dict[str, str | int] = {"file": _near(target), "context_tokens_max": spec.context_tokens_max}
    if engine not in profile.engines:
        values = {"kind": "llama", **values}
    _tell(engine, values, write)
    if engine not in profile.engines:
        click.echo(f"and name {engine!r} in engines.words.providers")


def _require_name(name: str) -> str:
    plain = name.removesuffix(".gguf")
    if not NAME.fullmatch(plain):
        raise Invalid(f"{name!r} is no name for a model", hint="use letters, digits, '.', '_' and '-' with --as")
    return plain


def _require_whole(path: Path) -> Header:
    """The header; raises Invalid for what is no GGUF, is cut short, or is one part of several."""
    try:
        found = read(path)
    except EngineDown as error:
        raise Invalid(error.message, hint="name a .gguf file, as llama.cpp's converter writes it") from error
    if not found.tensors:
        raise Invalid(f"{path.name!r} holds no weights", hint="name the file of the model, not of its vocabulary")
    if found.parts > 1:
        raise Invalid(
            f"{path.name!r} is one of {found.parts} parts", hint="join them with llama.cpp's llama-gguf-split --merge"
        )
    if found.size_bytes < found.whole_bytes:
        raise Invalid(
            f"{path.name!r} is cut short: it has {found.size_bytes} of {found.whole_bytes} bytes",
            hint="download it again",
        )
    return found


def _context(spec: Llama, found: Header) -> int:
    return min(spec.context_tokens_max, found.context_tokens or spec.context_tokens_max)


def _print(path: Path, found: Header) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(path.name), show_header=False)
    family = scaffold_of(found.template).family
    rows = {
        "name": found.name or "-",
        "architecture": found.architecture or "-",
        "parameters": _counted(found.parameters),
        "quantization": found.quantization or "-",
        "context": f"{found.context_tokens} tokens" if found.context_tokens else "-",
        "size": f"{found.size_bytes / GIB:.2f} GiB" if found.size_bytes >= GIB // 4 else f"{found.size_bytes} bytes",
        "chat template": family if found.template else "none: plain roles",
        "licence": found.license or "not told",
    }
    for what, value in rows.items():  # the file is anyone's: what it says is shown as text, and not at length
        table.add_row(what, escape(" ".join(value.split())[:80]))
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _counted(parameters: int) -> str:
    for size, word in ((10**9, "billion"), (10**6, "million")):
        if parameters >= size:
            return f"{parameters / size:.1f} {word}"
    return str(parameters)


def _require_room(name: str, found: Header, spec: Llama, engines: Mapping[str, Engine]) -> None:
    """Say what it takes of each memory; raises Invalid, with what would fit, where it takes too much."""
    from app.engines.onnx import gpu

    card = gpu.look() if spec.gpu_layers_max else None
    if spec.gpu_layers_max and card is None:
        click.echo("no GPU is here: what the profile puts on one was not weighed")
    if card is not None:
        on_card = plan.plan({**engines, name: spec}, card_bytes=card.memory_bytes, folder=Path.cwd())
        _say(f"of {card.name}", on_card)
        if not on_card.fits:
            raise Invalid(
                f"it does not fit {card.name} with the profile's networks: {_gib(on_card.total_bytes)} GiB",
                hint=f"--set engines.{name}.gpu_layers_max={on_card.layers}",
            )
    held = plan.plan_ram(name, found, spec)
    _say("of this machine's memory", held)
    if not held.fits:
        raise Invalid(
            f"it does not fit this machine: {_gib(held.total_bytes)} of {_gib(held.card_bytes)} GiB",
            hint=_mend(name, found, spec, held),
        )


def _say(what: str, held: plan.Plan) -> None:
    shares = ", ".join(f"{part.what} {_gib(part.bytes)}" for part in held.parts if part.bytes)
    click.echo(f"takes {_gib(held.total_bytes)} of {_gib(held.card_bytes)} GiB {what}: {shares}")


def _mend(name: str, found: Header, spec: Llama, held: plan.Plan) -> str:
    """The longest context that fits, or that none does."""
    room = int(held.card_bytes * (1.0 - plan.SPARE_SHARE)) - sum(
        part.bytes for part in held.parts if not part.what.startswith("cache")
    )
    a_token = spec.contexts_max * found.cache_values_a_token * plan.CACHE_BYTES_A_VALUE
    tokens = room // max(1, a_token) // 256 * 256
    if tokens >= CONTEXT_TOKENS_MIN:
        return f"--set engines.{name}.context_tokens_max={tokens}"
    return "choose a smaller quantization or a smaller model"


def _gib(size: int) -> str:
    return f"{size / GIB:.2f}"


def _place(path: Path, target: Path, size: int, *, link: bool) -> str:
    """Copy or link the file; returns its SHA-256. A copy that fails leaves nothing behind."""
    if target.exists() or target.is_symlink():
        raise Conflict(f"{str(target)!r} exists", hint="choose another name with --as, or remove it")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if link:
        digest = _copied(path, Path(os.devnull), size)
        target.symlink_to(path.resolve())
        return digest
    free = shutil.disk_usage(target.parent).free
    if free < size:
        raise Unavailable(f"the disk of {str(target.parent)!r} has {free} bytes free, not {size}", hint="use --link")
    part = target.with_name(f".{target.name}.part")
    try:
        digest = _copied(path, part, size)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    return digest


def _copied(path: Path, target: Path, size: int) -> str:
    """Copy byte by byte with a bar; returns the SHA-256 of what was written."""
    digest, copied = hashlib.sha256(), 0
    try:
        with path.open("rb") as source, target.open("wb") as sink, progress(path.name, size) as advance:
            while chunk := source.read(CHUNK_BYTES):
                digest.update(chunk)
                sink.write(chunk)
                copied += len(chunk)
                advance(len(chunk))
            sink.flush()
            if target != Path(os.devnull):
                os.fsync(sink.fileno())
    except OSError as error:
        raise Unavailable(f"cannot copy {path.name!r}: {error.strerror}", hint="see the disk, or use --link") from error
    if copied != size:
        raise Invalid(f"{path.name!r} changed while it was read", hint="wait until it is written, and try again")
    return digest.hexdigest()


def _tell(engine: str, values: Mapping[str, str | int], write: Path | None) -> None:
    if write is None:
        click.echo("\n".join(("", f"[engines.{engine}]", *_lines(values), "")))
        return
    before = write.read_text(encoding="utf-8") if write.exists() else ""
    write.write_text(with_values(before, f"engines.{engine}", values), encoding="utf-8")
    click.echo(f"wrote engines.{engine} to {write}")


def _lines(values: Mapping[str, str | int]) -> list[str]:
    return [f"{key} = {msgspec.json.encode(value).decode()}" for key, value in values.items()]


def with_values(text: str, table: str, values: Mapping[str, str | int]) -> str:
    """A profile's text with those values in that table, all else as it stands; raises Invalid where it cannot be."""
    lines = text.splitlines()
    heading = re.compile(rf"\s*\[\s*{re.escape(table)}\s*\]\s*(#.*)?")
    at = next((row for row, line in enumerate(lines) if heading.fullmatch(line)), None)
    if at is None:
        lines += [*([""] if lines else []), f"[{table}]"]
        at = len(lines) - 1
    end = next((row for row in range(at + 1, len(lines)) if lines[row].lstrip().startswith("[")), len(lines))
    kept = [line for line in lines[at + 1 : end] if line.partition("=")[0].strip() not in values]
    written = "\n".join([*lines[: at + 1], *_lines(values), *kept, *lines[end:]]) + "\n"
    if not _holds(written, table, values):
        raise Invalid("the profile's file is laid out in another way", hint="write the lines into it by hand")
    return written


def _holds(text: str, table: str, values: Mapping[str, str | int]) -> bool:
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    for name in table.split("."):
        found = found.get(name, {})
    return all(found.get(key) == value for key, value in values.items())


def _near(path: Path) -> str:
    """The path from here, where it lies below; else the whole of it."""
    whole = path.absolute()
    here = Path.cwd()
    return str(whole.relative_to(here)) if whole.is_relative_to(here) else str(whole)
