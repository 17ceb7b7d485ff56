"""The prompts that ship with the modules: `app/modules/*/prompts/*.toml`, and how a file of one is read and written.

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


def to_toml(prompt: Prompt) -> str:
    """A file that is read as the same prompt."""
    lines = [f"name = {_quoted(prompt.name)}"]
    lines += [f"model = {_quoted(prompt.model)}"] if prompt.model else []
    for key in ("output_tokens_max", "input_tokens_max"):
        lines += [f"{key} = {getattr(prompt, key)}"] if getattr(prompt, key) else []
    sampling = _unusual(prompt.sampling)
    lines += ["", "[sampling]", *(f"{key} = {_quoted(value)}" for key, value in sampling.items())] if sampling else []
    lines += ["", "[variables]"] if prompt.variables else []
    for name, variable in prompt.variables.items():
        inner = ", ".join(f"{key} = {_quoted(value)}" for key, value in _unusual(variable).items())
        lines.append(f"{name} = {{ {inner} }}" if inner else f"{name} = {{}}")
    for name, section in prompt.sections.items():
        lines += ["", f"[sections.{name}]", f"trust = {_quoted(section.trust)}", f"text = {_block(section.text)}"]
    return "\n".join(lines) + "\n"


def _unusual(part: msgspec.Struct) -> dict[str, Any]:
    """The fields that are not as they are when nobody says anything."""
    usual: dict[str, Any] = msgspec.to_builtins(type(part)())
    return {key: value for key, value in msgspec.to_builtins(part).items() if value != usual[key]}


def _block(text: str) -> str:
    plain = all(sign.isprintable() or sign in "\n\t" for sign in text)
    if "\n" not in text or not plain:
        return _quoted(text)
    escaped = text.replace("\\", "\\\\").replace('"""', '""\\"')
    return f'"""\n{escaped}"""'


def _quoted(value: Any) -> str:
    """A value in TOML; its basic strings are JSON's, but for DEL."""
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
