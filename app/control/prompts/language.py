"""The language of templates: a small part of Jinja, read under bounds, compiled in a sandbox.

A template may insert a variable, choose by `if`, go through the rows of a list by one `for`, and use five filters.
There is no call, attribute, item, arithmetic, macro, include or nested loop, so a template that compiles ends after a
number of steps that its size and its values bound. It knows no prompt, no trust and no store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, nodes, select_autoescape
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.core.errors import Invalid, TooLarge

DEPTH_MAX = 12
"""Nodes within nodes; a parser of Python's own would give up far later."""
LOOPS_MAX = 16
INSERTS_MAX = 64
"""A template with more of them is rendered piece by piece, so that it stops at its bound."""
SEPARATOR_CHARACTERS_MAX = 16
"""Between joined rows, so that joining makes little more than there was."""
FILTERS = ("join", "length", "lower", "trim", "upper")
ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.If, nodes.For, nodes.Const, nodes.Filter,
    nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not,
)  # fmt: skip
COMPARED = frozenset(("eq", "ne", "lt", "lteq", "gt", "gteq"))
"""Comparisons; `in` would look through what it is given for as long as that is."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a template is not of the language; `line` counts from 1, `word` is what stands there."""

    line: int
    what: str
    word: str = ""


@dataclass(frozen=True, slots=True)
class Inserted:
    """A place where a variable's value comes into the text; `before` and `after` are what stands around it.

    Other values in them are one NUL each. A loop's rows come from everywhere: there, both are empty.
    """

    name: str
    line: int
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a template says: the variables it names with their first lines, its literal texts, and its faults."""

    names: Mapping[str, int] = field(default_factory=dict)
    inserted: tuple[Inserted, ...] = ()
    rows: frozenset[str] = frozenset()
    """The variables that a `for` goes through or `join` puts together."""
    literals: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


class Template:
    """One compiled template."""

    __slots__ = ("_bytes_max", "_form", "_root")

    def __init__(self, text: str, *, output_bytes_max: int) -> None:
        self._form = _form(text)
        self._root = _environment.from_string(text).root_render_func
        self._bytes_max = output_bytes_max

    def render(self, variables: Mapping[str, Any]) -> str:
        """The text, without empty lines; raises Invalid for a variable that is missing, TooLarge past the bound."""
        if self._form is None:
            return tidy(self._run(variables))
        try:
            text = self._form % variables
        except KeyError as error:
            raise Invalid(f"a prompt cannot be rendered: {error} is undefined", hint="give every variable") from error
        if len(text) > self._bytes_max:
            raise self._too_large()
        return tidy(text)

    def _run(self, variables: Mapping[str, Any]) -> str:
        """The text of a template with conditions or loops, in the sandbox; it stops where the bound is passed."""
        pieces: list[str] = []
        left = self._bytes_max
        try:
            for piece in self._root(Context(_environment, variables, None, {})):  # type: ignore[arg-type]  # it reads
                left -= len(piece)
                if left < 0:
                    raise self._too_large()
                pieces.append(piece)
        except (TemplateError, TypeError) as error:
            raise Invalid(f"a prompt cannot be rendered: {error}", hint="give every variable its own type") from error
        return "".join(pieces)

    def _too_large(self) -> TooLarge:
        return TooLarge(f"a prompt is over {self._bytes_max} characters", hint="give it shorter values")


def _form(text: str) -> str | None:
    """The same template as a `%` format, a tenth of the time, where it does nothing but insert; None elsewhere."""
    (*others, output) = _environment.parse(text).body or [nodes.Output([])]
    if others or not isinstance(output, nodes.Output) or len(output.nodes) > 2 * INSERTS_MAX:
        return None
    pieces = []
    for node in output.nodes:
        if isinstance(node, nodes.TemplateData):
            pieces.append(node.data.replace("%", "%%"))
        elif isinstance(node, nodes.Name):
            pieces.append(f"%({node.name})s")
        else:
            return None
    return "".join(pieces)


def tidy(text: str) -> str:
    """The lines that say anything, without the spaces at their ends."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return "\n".join(line for line in lines if line)


def parse(text: str) -> Parsed:
    """Read a template without running any of it."""
    try:
        tree = _environment.parse(text)
    except TemplateSyntaxError as error:
        return Parsed(faults=(Fault(error.lineno, error.message or "cannot be read"),))
    except (RecursionError, ValueError, OverflowError, MemoryError):
        return Parsed(faults=(Fault(1, "nests too deep or holds a number too long"),))
    faults = tuple(_faults(tree))
    if faults:
        return Parsed(faults=faults)
    names: dict[str, int] = {}
    inserted: list[Inserted] = []
    rows: set[str] = set()
    literals: list[str] = []
    for node, _, bound in _walk(tree):
        if isinstance(node, nodes.Name) and node.ctx == "load" and node.name not in bound:
            names[node.name] = min(names.get(node.name, node.lineno), node.lineno)
        elif isinstance(node, nodes.TemplateData):
            literals.append(node.data)
        elif isinstance(node, nodes.Output):
            inserted += _inserted(node, bound)
        elif isinstance(node, nodes.For) and isinstance(node.iter, nodes.Name):
            rows.add(node.iter.name)
            inserted.append(Inserted(node.iter.name, node.lineno))
        elif isinstance(node, nodes.Filter) and node.name == "join" and isinstance(node.node, nodes.Name):
            rows.add(node.node.name)
    return Parsed(names, tuple(inserted), frozenset(rows), tuple(literals))


def _inserted(output: nodes.Output, bound: frozenset[str]) -> Iterator[Inserted]:
    texts = [node.data if isinstance(node, nodes.TemplateData) else "\0" for node in output.nodes]
    for at, node in enumerate(output.nodes):
        for inner, _, _ in _walk(node):
            if isinstance(inner, nodes.Name) and inner.name not in bound:
                yield Inserted(inner.name, inner.lineno, "".join(texts[:at]), "".join(texts[at + 1 :]))


def _faults(tree: nodes.Template) -> Iterator[Fault]:
    loops = 0
    for node, depth, bound in _walk(tree):
        if depth > DEPTH_MAX:
            yield Fault(node.lineno, "nests too deep")
            return
        if not isinstance(node, ALLOWED):
            yield Fault(node.lineno, f"{_called(node)} is not part of the language", str(getattr(node, "name", "")))
        elif isinstance(node, nodes.Filter):
            yield from _of_filter(node)
        elif isinstance(node, nodes.For):
            loops += 1
            if loops > LOOPS_MAX:
                yield Fault(node.lineno, f"more than {LOOPS_MAX} `for` in one template", "for")
                return
            yield from _of_loop(node, bound)
        elif isinstance(node, nodes.Operand) and node.op not in COMPARED:
            yield Fault(node.lineno, f"{node.op!r} is not part of the language", node.op)
        elif isinstance(node, nodes.Const) and not isinstance(node.value, str | int | bool):
            yield Fault(node.lineno, f"{node.value!r} is not part of the language")
        elif isinstance(node, nodes.Name) and node.name.startswith("_"):
            yield Fault(node.lineno, f"{node.name!r} begins with an underscore", node.name)


def _of_filter(node: nodes.Filter) -> Iterator[Fault]:
    if node.name not in FILTERS:
        yield Fault(node.lineno, f"no filter {node.name!r}; there are {', '.join(FILTERS)}", node.name)
    elif node.kwargs or node.dyn_args or node.dyn_kwargs or len(node.args) > (node.name == "join"):
        yield Fault(node.lineno, f"the filter {node.name!r} takes no such argument", node.name)
    elif node.name == "join" and not isinstance(node.node, nodes.Name):
        yield Fault(node.lineno, "what is joined are the rows of one variable", node.name)
    elif any(not _is_separator(argument) for argument in node.args):
        yield Fault(node.lineno, f"rows are joined with a text of {SEPARATOR_CHARACTERS_MAX} signs at most", node.name)


def _is_separator(argument: nodes.Expr) -> bool:
    value = argument.value if isinstance(argument, nodes.Const) else None
    return isinstance(value, str) and len(value) <= SEPARATOR_CHARACTERS_MAX


def _of_loop(node: nodes.For, bound: frozenset[str]) -> Iterator[Fault]:
    if node.recursive or not isinstance(node.target, nodes.Name) or not isinstance(node.iter, nodes.Name):
        yield Fault(node.lineno, "a `for` goes through the rows of one variable", "for")
    if bound:
        yield Fault(node.lineno, "a `for` within a `for`", "for")


def _walk(tree: nodes.Node) -> Iterator[tuple[nodes.Node, int, frozenset[str]]]:
    """Every node in the order of the text, how deep it lies, and the names that loops around it bind."""
    waiting: list[tuple[nodes.Node, int, frozenset[str]]] = [(tree, 0, frozenset())]
    while waiting:
        node, depth, bound = waiting.pop()
        yield node, depth, bound
        if depth > DEPTH_MAX:
            continue
        inner = bound
        if isinstance(node, nodes.For):
            inner = bound | ({node.target.name} if isinstance(node.target, nodes.Name) else {"_"})
        children = list(node.iter_child_nodes())
        for child in reversed(children):
            within = bound if isinstance(node, nodes.For) and child is node.iter else inner
            waiting.append((child, depth + 1, within))


def _called(node: nodes.Node) -> str:
    return {
        "Call": "a call",
        "Getattr": "an attribute",
        "Getitem": "an item",
        "Test": "a test",
        "CondExpr": "an inline `if`",
        "Concat": "'~'",
    }.get(type(node).__name__, type(node).__name__.lower())


def _make() -> ImmutableSandboxedEnvironment:
    plain = select_autoescape((), default_for_string=False)  # a prompt is no HTML
    made = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=plain, cache_size=0)
    made.globals.clear()
    made.tests.clear()
    made.filters = {name: made.filters[name] for name in FILTERS}
    return made


_environment = _make()
