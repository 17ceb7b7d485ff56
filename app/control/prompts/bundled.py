"""The prompts that ship with the modules: `app/modules/*/prompts/*.toml`, and how a file of one is read.

They are the contract of the code that renders them, and the fallback when the registry has none or no database
answers. It renders nothing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any

import msgspec

from app.core.errors import Invalid, nearest
from app.core.prompts import Prompt, PromptSection, Variable

FOLDER = "prompts"


def load_bundled() -> dict[str, Prompt]:
    """Every bundled prompt by its name."""
    found: dict[str, Prompt] = {}
    for module in sorted(resources.files("app.modules").iterdir(), key=lambda entry: entry.name):
        folder = module / FOLDER
        if folder.is_dir():
            for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
                if file.name.endswith(".toml"):
                    prompt = read_prompt(file.read_text(encoding="utf-8"), file.name)
                    found[prompt.name] = prompt
    return found


def load_sets() -> dict[str, str]:
    """The text of each bundled eval set, by the name of its prompt: `prompts/evals/*.toml`."""
    found: dict[str, str] = {}
    for module in resources.files("app.modules").iterdir():
        folder = module / FOLDER / "evals"
        if folder.is_dir():
            for file in folder.iterdir():
                text = file.read_text(encoding="utf-8")
                found[str(tomllib.loads(text)["prompt"])] = text
    return found


def read_prompt(text: str, source: str) -> Prompt:
    """The prompt that a TOML file holds; raises Invalid, naming the file, for what no prompt has."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"{source} is no TOML: {error}", hint="see docs/how-to/prompts.md") from error
    return convert_prompt(tree, source)


def convert_prompt(tree: Mapping[str, Any], source: str) -> Prompt:
    """As `read_prompt`, of what was decoded already."""
    for name, kind, parts in (
        ("", Prompt, [tree]),
        ("sections.*.", PromptSection, _tables(tree.get("sections"))),
        ("variables.*.", Variable, _tables(tree.get("variables"))),
    ):
        for part in parts:
            for key in part:
                if key not in kind.__struct_fields__:
                    raise Invalid(f"{source}: {name}{key} is unknown", hint=nearest(str(key), kind.__struct_fields__))
    try:
        return msgspec.convert(tree, Prompt)
    except msgspec.ValidationError as error:
        raise Invalid(f"{source}: {error}", hint="see docs/how-to/prompts.md") from error


def _tables(found: Any) -> list[Mapping[str, Any]]:
    return [each for each in found.values() if isinstance(each, dict)] if isinstance(found, dict) else []
