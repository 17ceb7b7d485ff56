"""The cases as data: attacks by family, and ordinary lines with true answers."""

from __future__ import annotations

import tomllib
from pathlib import Path

from app.cli.attacks.prompts import Prompt, read_prompts
from app.world.gate.speech import clean_input

FOLDER = Path(__file__).parent
FAMILIES = ("forged", "narrated", "repeated", "roles", "languages", "encodings", "unicode", "persuasion")


def attacks() -> list[Prompt]:
    """Every attack of our own."""
    return [prompt for family in FAMILIES for prompt in read_prompts(FOLDER / "cases" / f"{family}.toml")]


def benign() -> tuple[list[Prompt], dict[str, str]]:
    """Ordinary lines, and the answer to each as the model will see it typed."""
    prompts: list[Prompt] = []
    answers: dict[str, str] = {}
    for family, group in tomllib.loads((FOLDER / "benign.toml").read_text(encoding="utf-8")).items():
        for at, line in enumerate(group["lines"]):
            prompts.append(Prompt(family, (line,)))
            answers[clean_input(line)] = group["answers"][at % len(group["answers"])]
    return prompts, answers
