"""The port to prompts: what a version holds, where labels point, and what rendering gives back.

A version never changes: its id is the hash of its content. A label points to versions, each with a weight. It knows
no template language, no store and no module.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol

import msgspec

from app.core.errors import Invalid
from app.core.section import Section
from app.core.words import Part, Sampling

PRODUCTION = "production"
"""The label that is rendered when none is named; a prompt that nobody labeled is the bundled one."""
VERSION_SHOWN_CHARACTERS = 16
"""So many characters of a version's id tell it from every other in a line, a log and a cache key."""
NAME = re.compile(r"[a-z][a-z0-9_]{0,30}(\.[a-z][a-z0-9_]{0,30}){1,3}")
LABEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
WEIGHT_MAX = 10_000

Word = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Units = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Targets = Annotated[
    dict[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], Annotated[int, msgspec.Meta(ge=1, le=WEIGHT_MAX)]],
    msgspec.Meta(min_length=1, max_length=8),
]
"""Version -> weight. One version is a plain pointer, several are a split."""


class PromptLimits(Section, frozen=True, kw_only=True):
    """How large prompts may be that a tenant brings, and how many of them are kept."""

    template_bytes_max: Annotated[int, msgspec.Meta(ge=1, le=65_536)]
    """Of all sections of one version together."""
    sections_max: int
    variables_max: int
    output_bytes_max: int
    """Of one rendered section; a longer one is not sent."""
    tokens_max: int
    """Estimated tokens of the longest rendering, where a prompt names no bound of its own."""
    versions_max: int
    """Versions of one prompt that a tenant may keep."""
    compiled_max: int
    """Versions of all tenants that are kept compiled; past it the one that was not used longest is compiled again."""
    eval_cases_max: int
    eval_case_ms: int
    """Time for the answer to one case of an eval set."""


class Variable(Section, frozen=True, kw_only=True):
    """What the code gives a template, or may be given: `player` text stands between delimiters alone."""

    trust: Literal["author", "fact", "player"] = "author"
    rows: bool = False
    """Whether it is a list that a template may go through."""
    characters_max: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 200
    """Of the longest value, for estimates; of each row, where it is a list."""
    rows_max: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 1
    required: bool = False
    """Whether every version must use it."""
    sections: tuple[Word, ...] = ()
    """The sections that it is given to; empty is all."""


class PromptSection(Section, frozen=True, kw_only=True):
    """One template, with the trust that its text deserves; without one it is refused."""

    trust: Literal["system", "fact", ""] = ""
    text: str


class Prompt(Section, frozen=True, kw_only=True):
    """The content of a version, as a file or a request holds it; `sections` keep their order."""

    name: str
    sections: dict[Word, PromptSection]
    variables: dict[Word, Variable] = {}
    model: Annotated[str, msgspec.Meta(max_length=128)] = ""
    """The variant of the task, and so the model, that writes; empty leaves it to the router."""
    sampling: Sampling = Sampling()
    output_tokens_max: Units = 0
    """Tokens that may be written; 0 leaves it to the caller, whose own bound is never passed."""
    input_tokens_max: Units = 0
    """Tokens that the longest rendering may have, as lint estimates them; 0 is the profile's `prompts.tokens_max`."""


Rule = Literal["syntax", "undefined", "unused", "delimiter", "tokens", "trust", "section", "size"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to mend. `line` and `column` count from 1 within the section's text; 0 is the section as a whole."""

    level: Literal["error", "warning"]
    rule: Rule
    section: str
    line: int
    column: int
    message: str
    hint: str


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A version as it is kept."""

    id: str
    prompt: str
    created_ms: int
    actor: str


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """Where a label points, since when, and where it pointed before, newest first."""

    prompt: str
    label: str
    targets: dict[str, int]
    change: int = 0
    changed_ms: int = 0
    before: tuple[dict[str, int], ...] = ()


class Eval(msgspec.Struct, frozen=True, kw_only=True):
    """A run of an eval set against one version; `failures` say which case and which check."""

    id: str
    prompt: str
    version: str
    set_id: str
    wall_ms: int
    engine: str
    cases: int
    passed: int
    ok: bool
    failures: tuple[str, ...] = ()


class Chosen(Protocol):
    """The version that one unit of one tenant gets, ready to render."""

    @property
    def version(self) -> str:
        """`name@` and the beginning of the id; of the bundled one as well."""
        ...

    @property
    def label(self) -> str:
        """How it was found: the label, or `bundled`."""
        ...

    @property
    def prompt(self) -> Prompt: ...

    def part(self, section: str, variables: Mapping[str, Any]) -> Part:
        """One section. What a variable brings in is never rendered again; raises Invalid, TooLarge."""
        ...

    def literals(self, *sections: str) -> tuple[str, ...]:
        """The texts between the variables, in order: what stands in the prompt alone."""
        ...


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """A whole prompt: its parts in order, and what was versioned with the text."""

    parts: tuple[Part, ...]
    version: str
    label: str
    model: str
    sampling: Sampling
    output_tokens_max: int


class Prompts(Protocol):
    """Prompts by name, as this process knows them now; never waits for a store."""

    def choose(self, tenant: str, name: str, *, unit: str = "", label: str = "") -> Chosen:
        """The version for `unit`, which keeps it for as long as the label stands; raises NotFound, never guesses.

        Without a label it is the one that the unit's variant of the task names, where the tenant has set it, or
        production.
        """
        ...

    def render(
        self, tenant: str, name: str, variables: Mapping[str, Any], *, unit: str = "", label: str = ""
    ) -> Rendered:
        """Every section of it; raises NotFound, Invalid, TooLarge."""
        ...


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force for a tenant: its labels, and the content of every version that one of them points to."""

    tenant: str
    change: int
    """Grows with every change."""
    labels: tuple[Label, ...]
    versions: dict[str, bytes]


class PromptStore(Protocol):
    """Where versions, labels and runs are kept, by tenant. Every method raises StoreDown."""

    async def versions(self, tenant: str, prompt: str) -> Sequence[Version]:
        """Newest first."""
        ...

    async def body(self, tenant: str, prompt: str, version: str) -> bytes | None:
        """The canonical content, None where there is none."""
        ...

    async def put_version(self, tenant: str, version: Version, body: bytes, *, versions_max: int) -> bool:
        """Keep a version; False when it is there already. Raises TooLarge when the prompt has too many."""
        ...

    async def labels(self, tenant: str) -> Sequence[Label]: ...

    async def put_label(self, tenant: str, label: Label) -> Label:
        """Move a label, in force here at once; what it pointed to goes to `before`."""
        ...

    async def rollback(
        self, tenant: str, prompt: str, label: str, changed_ms: int, *, change: int | None = None
    ) -> Label | None:
        """Point a label where it pointed before; None when it pointed nowhere, or is not at that change any more."""
        ...

    async def evals(self, tenant: str, prompt: str) -> Sequence[Eval]:
        """Newest first."""
        ...

    async def add_eval(self, tenant: str, run: Eval) -> None: ...


def canonical(prompt: Prompt) -> bytes:
    """The content as bytes that are the same for the same content; the order of sections is part of it."""
    tree = msgspec.to_builtins(prompt)
    tree["sections"] = [[name, section] for name, section in tree["sections"].items()]
    return msgspec.json.encode(tree, order="deterministic")


def from_canonical(body: bytes) -> Prompt:
    """The prompt of `canonical`; raises Invalid for content of a release that knows more, or of none."""
    try:
        tree = msgspec.json.decode(body)
        tree["sections"] = dict(tree["sections"])
        return msgspec.convert(tree, Prompt)
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise Invalid(f"the content of a version cannot be read: {error}", hint="put it again") from error


def version_of(prompt: Prompt) -> str:
    """The id of the version with this content: its SHA-256 in hexadecimal."""
    return hashlib.sha256(canonical(prompt)).hexdigest()


def shown(name: str, version: str) -> str:
    """A version in one word, `dialogue.reply@1a2b…`."""
    return f"{name}@{version[:VERSION_SHOWN_CHARACTERS]}"


def require_name(name: str) -> str:
    """The name; raises Invalid for one that a prompt may not have."""
    if not NAME.fullmatch(name):
        raise Invalid(f"{name!r} is no name for a prompt", hint="name the task, such as 'dialogue.reply'")
    return name


def require_label(label: str) -> str:
    """The label; raises Invalid for one that may not be."""
    if not LABEL.fullmatch(label):
        raise Invalid(f"{label!r} is no label", hint="use 1 to 63 of a-z, 0-9, '.', '_' and '-'")
    return label
