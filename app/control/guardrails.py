"""The statement about live-generated content that stores ask for, made from the profile that runs.

It says what is so and promises nothing: which engines may write, what is disclosed, what a rating does, what the gate
checks, what is kept, how to report, and the figures of the last measurements that are there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from app import __version__
from app.core.profile import Profile
from app.engines.orchestration.sovereignty import places_of
from app.world.moderation import DEFAULT_RATING, Moderation, Pack

RESULTS_BYTES_MAX = 1_048_576
RESULTS = ("attacks", "dialogue", "memory", "moderation")
"""Whose newest results, as `benchmarks/results/NAME-DATE.json`, the statement shows."""
GATE = (
    "What a player types is data: it makes no fact, no item, no quest state and no permission.",
    "An act that an NPC offers is checked against the world and becomes real only when the game confirms it.",
    "A statement about the game that its facts do not bear out is mended or cut before it is spoken.",
    "A promise without the act that keeps it is reworded or cut.",
    "The rules of a prompt, secret marks and other players' data are cut on the way out, sentence by sentence.",
    "Links, markup, control characters and invisible signs do not leave an NPC's mouth.",
    "Every sentence is held to the age rating, whoever wrote it.",
)
DISCLOSED = (
    "Each line and each sentence of it says in `ai_generated` whether a model wrote it.",
    "`dialogue.explain` shows what the model saw, what was cut and why, and which engine wrote.",
)
REPORTING = (
    "The game sends `dialogue.report` on a player's behalf, with the id of the line.",
    "The people who run the game read and settle reports at /v1/reports, and settling is audited.",
)


class Writer(msgspec.Struct, frozen=True, kw_only=True):
    """An engine that may write what NPCs say. `where` is its region, `this machine`, or `unknown`."""

    engine: str
    kind: str
    model: str
    where: str


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """The newest results of one measurement, as its file has them."""

    name: str
    file: str
    results: msgspec.Raw


class Guardrails(msgspec.Struct, frozen=True, kw_only=True):
    """The statement. `actions` are what is done about each category under the rating, in `categories` explained."""

    version: str
    mode: int
    live_generated: bool
    """Whether a model may write at all under this profile."""
    ladder: tuple[str, ...]
    writers: tuple[Writer, ...]
    disclosed: tuple[str, ...]
    rating: str
    rating_title: str
    actions: dict[str, Literal["allow", "soften", "refuse", "bar"]]
    categories: dict[str, str]
    gate: tuple[str, ...]
    kept: dict[str, str]
    reporting: tuple[str, ...]
    figures: tuple[Figure, ...] = ()


def rating_of(profile: Profile) -> str:
    """The age rating of a profile."""
    rating = getattr(profile.modules.get("dialogue"), "rating", DEFAULT_RATING)
    return str(rating)


def statement(profile: Profile, kept: Mapping[str, str], *, root: Path) -> Guardrails:
    """The statement of a profile; `kept` says how long each kind of data stays. Raises Invalid for a bad rating."""
    ladder = tuple(profile.ladder.get("dialogue", ()))
    writers = tuple(_writer(profile, name, region) for name, region in places_of(profile).items())
    if "words" not in ladder:
        writers = ()
    pack = Moderation.load(rating_of(profile)).pack
    return Guardrails(
        version=__version__,
        mode=profile.mode,
        live_generated=bool(writers),
        ladder=ladder,
        writers=writers,
        disclosed=DISCLOSED,
        rating=pack.rating,
        rating_title=pack.title,
        actions=dict(pack.actions),
        categories=dict(pack.about),
        gate=GATE,
        kept=dict(kept),
        reporting=REPORTING,
        figures=_figures(root / "benchmarks" / "results"),
    )


def under(found: Guardrails, pack: Pack) -> Guardrails:
    """The statement of a tenant that has chosen a rating of its own."""
    return msgspec.structs.replace(found, rating=pack.rating, rating_title=pack.title, actions=dict(pack.actions))


def to_markdown(found: Guardrails) -> str:
    """The statement as a page that can be sent on."""
    lines = [
        "# Live-generated content: guardrails",
        "",
        f"Innkeeper {found.version}, mode {found.mode}, age rating {found.rating_title}.",
        "",
        "## Who writes",
        "",
    ]
    lines += [f"- {one.engine} ({one.kind}): {one.model or 'a model of its own'}, {one.where}" for one in found.writers]
    lines += ["", "Those that the profile names; one without its key or file writes nothing."] if found.writers else []
    lines += ["No model writes: NPCs speak the author's lines alone."] if not found.live_generated else []
    lines += ["", f"In this order: {', '.join(found.ladder)}. Where none of the first answers, the next one does.", ""]
    for title, texts in (("What is disclosed", found.disclosed), ("What is checked", found.gate)):
        lines += [f"## {title}", "", *(f"- {text}" for text in texts), ""]
    lines += [f"## Age rating: {found.rating_title}", "", "| category | what is done | what it is |", "|---|---|---|"]
    lines += [f"| {name} | {action} | {found.categories[name]} |" for name, action in found.actions.items()]
    lines += ["", "## What is kept", "", "| kind | for how long |", "|---|---|"]
    lines += [f"| {kind} | {text} |" for kind, text in found.kept.items()]
    lines += ["", "## How to report", "", *(f"- {text}" for text in found.reporting), ""]
    if found.figures:
        lines += ["## Measured", ""]
        lines += [*(f"- {figure.name}: benchmarks/results/{figure.file}" for figure in found.figures), ""]
    return "\n".join(lines)


def _writer(profile: Profile, name: str, region: str | None) -> Writer:
    spec = profile.engines.get(name)
    model = getattr(spec, "model", "") or getattr(spec, "deployment", "") or getattr(spec, "file", "")
    where = "on this machine" if region is None else f"in {region}" if region else "in a region that is not stated"
    kind = str(spec.__struct_config__.tag) if spec is not None else ""
    return Writer(engine=name, kind=kind, model=Path(str(model)).name, where=where)


def _figures(folder: Path) -> tuple[Figure, ...]:
    """The newest file of each measurement; what is too large or no JSON is left out."""
    found = []
    for name in RESULTS:
        files = sorted(folder.glob(f"{name}-*.json")) if folder.is_dir() else []
        if files and files[-1].stat().st_size <= RESULTS_BYTES_MAX:
            data = files[-1].read_bytes()
            try:
                msgspec.json.decode(data)
            except msgspec.DecodeError:
                continue
            found.append(Figure(name=name, file=files[-1].name, results=msgspec.Raw(data)))
    return tuple(found)
