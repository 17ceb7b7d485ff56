"""What is wrong with a prompt before anybody renders it: each finding with its place and its mend.

It reads templates and never runs one that it has not found harmless. It knows no store and no model; tokens are
estimated from the longest values that the prompt declares.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.control.prompts.language import Parsed, Template, parse
from app.core.errors import Error, nearest
from app.core.prompts import NAME, Finding, Prompt, PromptLimits, Rule, Variable

BYTES_PER_TOKEN = 3
"""Of UTF-8; the estimate errs high for every language that the models' tokenizers know."""
OPEN = re.compile(r"<player_speech(?: from=\"[^\"<>]*\")?>\s*$")
CLOSE = re.compile(r"^\s*</player_speech>")


@dataclass(frozen=True, slots=True)
class _Read:
    """A prompt with what its templates say."""

    prompt: Prompt
    parsed: Mapping[str, Parsed]


def lint(prompt: Prompt, limits: PromptLimits, *, contract: Prompt | None = None) -> list[Finding]:
    """Everything to mend, errors first; `contract` is the bundled prompt of that name, which the code renders."""
    oversize = list(_sizes(prompt, limits))
    if oversize:
        return oversize
    read = _Read(prompt, {name: parse(section.text) for name, section in prompt.sections.items()})
    found = [
        *_names(prompt),
        *_syntax(read),
        *_undefined(read, contract),
        *_unused(read, contract),
        *_trusts(prompt, contract),
        *_delimiters(read, contract),
    ]
    if not any(one.level == "error" for one in found):
        found += _tokens(prompt, limits, contract)
    return sorted(found, key=lambda one: one.level)


def variables_of(prompt: Prompt, contract: Prompt | None) -> Mapping[str, Variable]:
    """What the code gives: the contract's variables where there is one, else those that the prompt declares."""
    return contract.variables if contract is not None else prompt.variables


def given(variable: Variable, section: str) -> bool:
    """Whether a section is rendered with the variable."""
    return not variable.sections or section in variable.sections


def _sizes(prompt: Prompt, limits: PromptLimits) -> Iterator[Finding]:
    size = sum(len(section.text.encode("utf-8", "replace")) for section in prompt.sections.values())
    for what, value, most in (
        ("bytes of templates", size, limits.template_bytes_max),
        ("sections", len(prompt.sections), limits.sections_max),
        ("variables", len(prompt.variables), limits.variables_max),
        (
            "characters of one variable",
            max((each.characters_max * each.rows_max for each in prompt.variables.values()), default=0),
            limits.output_bytes_max,
        ),
    ):
        if value > most:
            yield _error("size", "", f"{value} {what}", f"at most {most} are read")


def _names(prompt: Prompt) -> Iterator[Finding]:
    if not NAME.fullmatch(prompt.name):
        yield _error("section", "", f"{prompt.name!r} is no name for a prompt", "name the task, such as dialogue.reply")
    if not prompt.sections:
        yield _error("section", "", "there is no section", "write at least one [sections.NAME]")


def _syntax(read: _Read) -> Iterator[Finding]:
    for name, parsed in read.parsed.items():
        for fault in parsed.faults:
            yield _at(
                read, "syntax", name, fault.line, fault.word, fault.what,
                "a template may insert a variable, use `if` and one `for`, and filter by join, length, lower, trim, "
                "upper",
            )  # fmt: skip


def _undefined(read: _Read, contract: Prompt | None) -> Iterator[Finding]:
    known = variables_of(read.prompt, contract)
    for section, parsed in read.parsed.items():
        inserted = {each.name for each in parsed.inserted}
        for name, line in parsed.names.items():
            if name not in known:
                yield _at(read, "undefined", section, line, name, f"nobody gives {name!r}", nearest(name, known))
            elif not given(known[name], section):
                places = ", ".join(known[name].sections)
                told = f"{name!r} is not given to section {section!r}"
                yield _at(read, "undefined", section, line, name, told, f"use it in {places}")
            elif name in inserted and known[name].rows != (name in parsed.rows):
                wrong = "is a list" if known[name].rows else "is no list"
                mend = "go through it by `for`, or join it" if known[name].rows else "insert it as it is"
                yield _at(read, "undefined", section, line, name, f"{name!r} {wrong}", mend)


def _unused(read: _Read, contract: Prompt | None) -> Iterator[Finding]:
    used = {name for parsed in read.parsed.values() for name in parsed.names}
    for name, variable in variables_of(read.prompt, contract).items():
        if name in used:
            continue
        if variable.required:
            yield _error("unused", "", f"{name!r} must be used", f"write {{{{ {name} }}}} where it belongs")
        else:
            yield Finding(
                level="warning", rule="unused", section="", line=0, column=0,
                message=f"{name!r} is used nowhere", hint="leave it out of [variables], or use it",
            )  # fmt: skip


def _trusts(prompt: Prompt, contract: Prompt | None) -> Iterator[Finding]:
    for name, section in prompt.sections.items():
        asked = contract.sections.get(name) if contract is not None else None
        if not section.trust:
            yield _error("trust", name, f"section {name!r} has no trust", 'write trust = "system" or trust = "fact"')
        elif asked is not None and asked.trust != section.trust:
            yield _error(
                "trust", name, f"section {name!r} is {section.trust!r}", f'the code sends it as trust = "{asked.trust}"'
            )
        elif contract is not None and asked is None:
            yield _error("section", name, f"nobody sends section {name!r}", nearest(name, contract.sections))
    for name in contract.sections if contract is not None else ():
        if name not in prompt.sections:
            yield _error("section", name, f"section {name!r} is missing", f"write [sections.{name}], empty if need be")


def _delimiters(read: _Read, contract: Prompt | None) -> Iterator[Finding]:
    """Each place where what a player typed comes into the text outside of the delimiters."""
    known = variables_of(read.prompt, contract)
    for section, parsed in read.parsed.items():
        seen: Counter[tuple[str, int]] = Counter()
        for place in parsed.inserted:
            name = place.name
            seen[name, place.line] += 1
            if name not in known or known[name].trust != "player":
                continue
            if not OPEN.search(place.before) or not CLOSE.search(place.after):
                yield _at(
                    read, "delimiter", section, place.line, name, f"player text {name!r} stands outside of delimiters",
                    f"write <player_speech>{{{{ {name} }}}}</player_speech>, each time alone between the two",
                    nth=seen[name, place.line],
                )  # fmt: skip


def _tokens(prompt: Prompt, limits: PromptLimits, contract: Prompt | None) -> Iterator[Finding]:
    """The longest rendering against its budget."""
    values = longest(variables_of(prompt, contract))
    most = prompt.input_tokens_max or limits.tokens_max
    total = 0
    for name, section in prompt.sections.items():
        try:
            text = Template(section.text, output_bytes_max=limits.output_bytes_max).render(values)
        except Error as error:
            yield _error("tokens", name, error.message, error.hint)
            return
        tokens = (len(text.encode("utf-8", "replace")) + BYTES_PER_TOKEN - 1) // BYTES_PER_TOKEN
        total += tokens
        if total > most:
            yield _error(
                "tokens", name, f"up to {name!r} it takes {total} tokens, with the longest values",
                f"at most {most}: shorten the text, or characters_max of a variable",
            )  # fmt: skip
            return


def longest(variables: Mapping[str, Variable]) -> dict[str, Any]:
    """The longest value of each variable."""
    return {
        name: ["x" * variable.characters_max] * variable.rows_max if variable.rows else "x" * variable.characters_max
        for name, variable in variables.items()
    }


def _error(rule: Rule, section: str, message: str, hint: str) -> Finding:
    return Finding(level="error", rule=rule, section=section, line=0, column=0, message=message, hint=hint)


def _at(
    read: _Read, rule: Rule, section: str, line: int, word: str, message: str, hint: str, *, nth: int = 0
) -> Finding:
    """A finding at a word of a line: where it stands first, or where it is inserted for the `nth` time."""
    lines = read.prompt.sections[section].text.split("\n")
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    spoken = rf"(?<!\w)({re.escape(word)})(?!\w)"
    pattern = rf"(?:\{{\{{[^}}]*?|\bin\s+){spoken}" if nth else spoken
    found = list(re.finditer(pattern, text))[max(nth - 1, 0) :] if word else []
    return Finding(
        level="error", rule=rule, section=section, line=line, column=found[0].start(1) + 1 if found else 1,
        message=message, hint=hint,
    )  # fmt: skip
