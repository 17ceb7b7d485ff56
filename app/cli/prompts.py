"""`manage.py prompts`: a tenant's prompts, straight in the database; a running server renders them in a second.

What needs an engine, `eval`, opens the one of the profile and nothing else of the server.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from app.build.access import DEFAULT_TENANT
from app.build.audit import open_trail
from app.cli.offline import chosen_profile, progress, with_database
from app.cli.options import profile_options
from app.control.prompts.bundled import load_bundled, load_sets, read_prompt, to_toml
from app.control.prompts.desk import Desk
from app.core.clock import SystemClock
from app.core.errors import Invalid, NotFound
from app.core.profile import Profile
from app.core.prompts import Finding, Prompt, shown
from app.stores.database import Database
from app.stores.prompts import DatabasePrompts
from app.telemetry.logs import open_log

ACTOR = "host"
FAILED = 1
T = TypeVar("T")
Chosen = dict[str, Any]
"""The options that choose a profile, a data folder and a tenant."""


@click.group()
def prompts() -> None:
    """List, show, put, check, label, try and roll back prompts."""


def tenant_options(command: click.decorators.FC) -> click.decorators.FC:
    """The profile, `--data` and `--tenant`."""
    for option in (
        click.option("--data", type=click.Path(path_type=Path), help="Folder of the embedded database."),
        click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose prompts."),
    ):
        command = option(command)
    return profile_options(command)


def _profile(chosen: Chosen) -> Profile:
    return chosen_profile(chosen["mode"], chosen["file"], chosen["assignments"], chosen["data"])


def _at_desk(chosen: Chosen, work: Callable[[Desk], Awaitable[T]]) -> T:
    """The result of `work` at the desk; what it did is in the audit trail when this returns."""
    profile, clock = _profile(chosen), SystemClock()

    async def upgraded(database: Database) -> T:
        await database.upgrade()
        trail = await open_trail(database, profile, clock, open_log(level="error", format="console"))
        try:
            store = DatabasePrompts(database)
            return await work(Desk(store, load_bundled(), profile.prompts, clock=clock, audit=trail))
        finally:
            await trail.close()

    return with_database(profile, upgraded)


@prompts.command("list")
@tenant_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
@click.argument("name", default="")
def list_(as_json: bool, name: str, **chosen: Any) -> None:
    """List prompts with their labels, or the versions, labels and eval runs of the prompt NAME."""
    if not name:
        found = _at_desk(chosen, lambda desk: desk.all(chosen["tenant"]))
        if as_json:
            click.echo(msgspec.json.encode(found).decode())
            return
        for each in found:
            pointers = [f"{label.label} -> {_targets(label.targets)}" for label in each.labels]
            click.echo(f"{each.name}  bundled {each.bundled[:12] or '-'}  {'; '.join(pointers)}".rstrip())
        return

    async def work(desk: Desk) -> tuple[Any, ...]:
        tenant = chosen["tenant"]
        return await desk.versions(tenant, name), await desk.labels(tenant, name), await desk.evals(tenant, name)

    versions, labels, evals = _at_desk(chosen, work)
    if as_json:
        click.echo(msgspec.json.encode({"versions": versions, "labels": labels, "evals": evals}).decode())
        return
    for version in versions:
        click.echo(f"version {version.id[:12]}  {version.actor}")
    for label in labels:
        click.echo(f"label {label.label} -> {_targets(label.targets)}  change {label.change}")
    for run in evals:
        told = f"{run.passed} of {run.cases} by {run.engine}"
        click.echo(f"eval {run.version[:12]}  {'passed' if run.ok else 'failed'}, {told}, set {run.set_id[:12]}")


@prompts.command()
@tenant_options
@click.argument("name")
@click.argument("version", default="bundled")
def show(name: str, version: str, **chosen: Any) -> None:
    """Print a version of the prompt NAME: by its id, the beginning of one, a label, or `bundled`."""
    id, prompt = _at_desk(chosen, lambda desk: desk.read(chosen["tenant"], name, version))
    click.echo(f"# {shown(name, id)}")
    click.echo(to_toml(prompt), nl=False)


@prompts.command()
@tenant_options
@click.argument("file_", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def put(file_: Path, **chosen: Any) -> None:
    """Keep the prompt in FILE as a version, and print its id. The same content again is the same version."""
    prompt = read_prompt(file_.read_text(encoding="utf-8"), file_.name)
    done = _at_desk(chosen, lambda desk: desk.put(chosen["tenant"], ACTOR, prompt))
    for finding in done.warnings:
        click.echo(_told(finding, file_), err=True)
    click.echo(done.version)


@prompts.command()
@tenant_options
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def lint(files: tuple[Path, ...], **chosen: Any) -> None:
    """Say what is to be mended in each FILE; exit code 1 where anything keeps a version out."""
    from app.control.prompts.lint import lint as find

    limits, bundled, failed = _profile(chosen).prompts, load_bundled(), False
    for file in files:
        prompt = read_prompt(file.read_text(encoding="utf-8"), file.name)
        findings = find(prompt, limits, contract=bundled.get(prompt.name))
        for finding in findings:
            click.echo(_told(finding, file))
        failed = failed or any(finding.level == "error" for finding in findings)
    sys.exit(FAILED if failed else 0)


@prompts.command()
@tenant_options
@click.argument("name")
@click.argument("old")
@click.argument("new")
def diff(name: str, old: str, new: str, **chosen: Any) -> None:
    """Compare two versions of the prompt NAME, each by its id, a label, or `bundled`."""
    import difflib

    async def work(desk: Desk) -> list[tuple[str, Prompt]]:
        return [await desk.read(chosen["tenant"], name, text) for text in (old, new)]

    (old_id, before), (new_id, after) = _at_desk(chosen, work)
    left, right = to_toml(before).splitlines(), to_toml(after).splitlines()
    for line in difflib.unified_diff(left, right, shown(name, old_id), shown(name, new_id), lineterm=""):
        click.echo(line)


@prompts.command()
@tenant_options
@click.option("--force", default="", metavar="REASON", help="Move production without a passing eval; it is audited.")
@click.argument("name")
@click.argument("label")
@click.argument("targets", nargs=-1, required=True, metavar="VERSION[=WEIGHT]...")
def label(name: str, label: str, targets: tuple[str, ...], force: str, **chosen: Any) -> None:
    """Point LABEL of the prompt NAME to a version, or to several by their weights."""
    weights = dict(_weight(text) for text in targets)
    if len(weights) < len(targets):
        raise Invalid("a version is named twice", hint="name each once")
    moved = _at_desk(chosen, lambda desk: desk.move(chosen["tenant"], ACTOR, name, label, weights, force=force))
    click.echo(f"{name}:{moved.label} -> {_targets(moved.targets)}")


@prompts.command()
@tenant_options
@click.argument("name")
@click.argument("label", default="production")
def rollback(name: str, label: str, **chosen: Any) -> None:
    """Point LABEL of the prompt NAME where it pointed before."""
    moved = _at_desk(chosen, lambda desk: desk.rollback(chosen["tenant"], ACTOR, name, label))
    click.echo(f"{name}:{moved.label} -> {_targets(moved.targets)}")


@prompts.command("eval")
@tenant_options
@click.option("--engine", default="", help="A provider of the profile, or `authored`; all its words when left out.")
@click.option("--set-file", type=click.Path(exists=True, path_type=Path), help="The eval set, if not the bundled one.")
@click.argument("name")
@click.argument("version")
def eval_(name: str, version: str, engine: str, set_file: Path | None, **chosen: Any) -> None:
    """Try a version of the prompt NAME against an eval set, and keep the result; exit code 1 where it fails."""
    from app.build.evals import open_words_alone
    from app.control.prompts.evals import Runner, read_set
    from app.control.prompts.registry import Registry

    assignments = (f"engines.words.providers={engine}",) if engine and engine != "authored" else ()
    chosen["assignments"] = (*chosen["assignments"], *assignments)
    profile, log = _profile(chosen), open_log(level="error", format="console")
    text, source = _set_text(name, set_file)
    set_id, eval_set = read_set(text, source, profile.prompts)
    if eval_set.prompt != name:
        raise Invalid(f"{source} is of {eval_set.prompt!r}, not of {name!r}", hint="name its own prompt")

    async def work(desk: Desk) -> Any:
        tenant, bundled = chosen["tenant"], load_bundled()
        _, prompt = await desk.read(tenant, name, version)
        registry = Registry(bundled, profile.prompts, log)
        async with open_words_alone(profile, log=log, authored=engine == "authored") as words:
            runner = Runner(words, profile.prompts, clock=SystemClock(), tenant=tenant)
            with progress("trying", len(eval_set.cases)) as told:
                run = await runner.run(
                    registry.compile(prompt), eval_set, set_id, contract=bundled.get(name, prompt), told=told
                )
        await desk.note_eval(tenant, ACTOR, run)
        return run

    run = _at_desk(chosen, work)
    for failure in run.failures:
        click.echo(failure)
    verdict = "passed" if run.ok else "failed"
    click.echo(f"{shown(name, run.version)} {verdict}: {run.passed} of {run.cases} by {run.engine}")
    sys.exit(0 if run.ok else FAILED)


def _set_text(name: str, file: Path | None) -> tuple[str, str]:
    if file is not None:
        return file.read_text(encoding="utf-8"), file.name
    bundled = load_sets()
    if name not in bundled:
        raise NotFound(f"no eval set ships for {name!r}", hint="write one and give it with --set-file")
    return bundled[name], f"the bundled set of {name}"


def _weight(text: str) -> tuple[str, int]:
    version, equals, weight = text.partition("=")
    if equals and not weight.isdecimal():
        raise Invalid(f"{text!r} has no whole number as its weight", hint="write VERSION=95")
    return version, int(weight) if equals else 1


def _targets(targets: dict[str, int]) -> str:
    if len(targets) == 1:
        return next(iter(targets))[:12]
    whole = sum(targets.values())
    return ", ".join(f"{id[:12]} {weight / whole:.0%}" for id, weight in sorted(targets.items()))


def _told(finding: Finding, file: Path) -> str:
    """`FILE:LINE:COLUMN: error: …`, with the line counted in the file."""
    line = _line_in_file(file.read_text(encoding="utf-8"), finding)
    place = f"{file}:{line}:{finding.column}" if finding.line else f"{file}:{line}"
    section = f" [{finding.section}]" if finding.section else ""
    return f"{place}: {finding.level}: {finding.rule}{section}: {finding.message}\n    {finding.hint}"


def _line_in_file(text: str, finding: Finding) -> int:
    """Where a section's line stands in its TOML file; 1 where the file is not laid out as usual."""
    lines = text.splitlines()
    head = f"[sections.{finding.section}]"
    start = next((row for row, line in enumerate(lines) if line.strip() == head), None) if finding.section else None
    if start is None:
        return 1
    if not finding.line:
        return start + 1
    for row in range(start, len(lines)):
        if lines[row].startswith("text"):
            opens_alone = lines[row].rstrip().endswith(('"""', "'''"))
            return row + finding.line + (1 if opens_alone else 0)
    return start + 1
