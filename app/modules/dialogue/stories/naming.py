"""What names in an ink story mean: knots, stitches, labels, variables, functions. A name that means nothing is refused.

It turns drafts of nodes into nodes. It does not know the text that they came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from app.core.errors import nearest
from app.modules.dialogue.stories import expressions
from app.modules.dialogue.stories.functions import COUNTING, FUNCTIONS, Function
from app.modules.dialogue.stories.ink_files import Flow, Parts
from app.modules.dialogue.stories.limits import Limits
from app.modules.dialogue.stories.model import (
    Act,
    Binary,
    Call,
    Constant,
    Divert,
    Expr,
    Node,
    Offer,
    Set,
    Step,
    Target,
    Unary,
    Value,
    Variable,
    Visits,
    Wait,
)
from app.modules.dialogue.stories.source import Line, wrong
from app.modules.dialogue.stories.values import Fault, binary, negated, truth
from app.world.gate.acts import ACTIONS

if TYPE_CHECKING:
    from app.modules.dialogue.stories.ink import Draft


def resolved(parts: Parts, drafts: Mapping[str, Draft]) -> dict[str, Node]:
    """The nodes of a story; raises Invalid naming the line and the nearest name that exists."""
    for name, (line, arguments) in parts.externals.items():
        known: Mapping[str, object] = {**FUNCTIONS["ink"], **ACTIONS}
        if name not in known:
            raise wrong(line, name, "is no function of this server", nearest(name, known))
        least = FUNCTIONS["ink"][name].least if name in FUNCTIONS["ink"] else len(ACTIONS[name].parameters)
        if arguments != least:
            raise wrong(line, name, f"takes {least} arguments, not {arguments}", "declare it with so many")
    namer = _Namer(parts, drafts)
    return {name: namer.node(draft) for name, draft in drafts.items()}


def initial(parts: Parts, drafts: Mapping[str, Draft]) -> dict[str, Value]:
    """The variables of a story with their first values; raises Invalid for one that is not known beforehand."""
    namer = _Namer(parts, drafts)
    return {name: namer.constant(line, text, frozenset((name,))) for name, (line, text) in parts.globals.items()}


class _Namer:
    def __init__(self, parts: Parts, drafts: Mapping[str, Draft]) -> None:
        self._parts, self._drafts = parts, drafts
        self._flow = Flow("")
        self._line = Line("", 0, "")
        self._number = 0

    def node(self, draft: Draft) -> Node:
        self._flow, self._line, self._number = draft.flow, draft.line, draft.line.number
        if draft.flow.function:
            self._only_plain(draft.steps)
        return Node(
            name=draft.name,
            steps=tuple(self._step(step) for step in draft.steps),
            parameters=draft.flow.parameters if draft.name == draft.flow.name else (),
            within=tuple(dict.fromkeys((draft.flow.knot, draft.flow.name))),
            kind=draft.kind,  # type: ignore[arg-type]  # one of its words
            line=draft.line.number,
        )

    def _only_plain(self, steps: Iterable[Step]) -> None:
        for step in steps:
            if isinstance(step, Offer | Divert | Wait | Act):
                what = "leads elsewhere or acts, which a function cannot"
                raise wrong(self._line, self._flow.name, what, "make it a knot and go there by a tunnel")

    def _step(self, step: Any) -> Any:
        """The step with every expression and every step within it resolved."""
        if isinstance(step, Set) and not step.temporary and step.name not in {*self._flow.temps, *self._parts.globals}:
            names = {*self._flow.temps, *self._parts.globals}
            raise wrong(
                self._line, step.name, "is no variable", nearest(step.name, names) if names else "declare a VAR"
            )
        self._number = getattr(step, "line", 0) or self._number
        if isinstance(step, Divert):
            self._arity(step)
        changed = {}
        for name in step.__struct_fields__:
            before = getattr(step, name)
            after = self._field(before)
            if after is not before:
                changed[name] = after
        return msgspec.structs.replace(step, **changed) if changed else step

    def _field(self, value: Any) -> Any:
        if isinstance(value, Constant | Variable | Unary | Binary | Call):
            return self._expr(value)
        if isinstance(value, tuple) and value and not isinstance(value[0], int):
            return tuple(self._field(each) for each in value)
        return self._step(value) if isinstance(value, msgspec.Struct) else value

    def _arity(self, step: Divert) -> None:
        to = step.to
        if isinstance(to, Constant) and isinstance(to.value, Target) and not self._is_variable(to.value.node):
            name = self._node_of(to.value.node)
            flow = self._parts.flows.get(name)
            wanted = len(flow.parameters) if flow is not None else 0
            if wanted != len(step.arguments):
                what = f"takes {wanted} values, not {len(step.arguments)}"
                raise wrong(self._at(step.line), to.value.node, what, "give it as many")
            if flow is not None and flow.function:
                raise wrong(self._at(step.line), name, "is a function", "call it by ~ name() or in braces")

    def _at(self, line: int) -> Line:
        return self._line._replace(number=line or self._number or self._line.number)

    def _is_variable(self, name: str) -> bool:
        return name in self._flow.temps or name in self._parts.globals

    def _expr(self, of: Expr) -> Expr:
        match of:
            case Constant(value=Target(node=name)) if self._is_variable(name):
                return Variable(name)
            case Constant(value=Target(node=name)):
                return Constant(Target(self._node_of(name)))
            case Variable(name=name, line=line):
                return self._named(name, line)
            case Unary(op=op, of=inner):
                return Unary(op, self._expr(inner))
            case Binary(op=op, left=left, right=right):
                return Binary(op, self._expr(left), self._expr(right))
            case Call():
                return self._call(of)
            case _:
                return of

    def _named(self, name: str, at: int) -> Expr:
        if self._is_variable(name):
            return Variable(name)
        if name in self._parts.consts:
            line, text = self._parts.consts[name]
            return Constant(self.constant(line, text, frozenset((name,))))
        found = self._find(name)
        if found is None:
            names = {*self._flow.temps, *self._parts.globals, *self._parts.consts, *self._drafts}
            raise wrong(self._at(at), name, "is neither a variable nor a knot", nearest(name, names))
        return Visits(found)

    def _call(self, call: Call) -> Expr:
        arguments = tuple(self._expr(argument) for argument in call.arguments)
        flow = self._parts.flows.get(call.name)
        rule: Function | None = FUNCTIONS["ink"].get(call.name)
        line = self._at(call.line)
        if flow is not None and flow.function:
            least = most = len(flow.parameters)
        elif call.name in COUNTING["ink"]:
            least = most = 0 if call.name in ("TURNS", "CHOICE_COUNT") else 1
        elif rule is not None:
            least, most = rule.least, rule.most
        elif call.name in ACTIONS:
            raise wrong(line, call.name, "is an act and has no value", "put it on a line of its own behind ~")
        else:
            functions = [each.name for each in self._parts.flows.values() if each.function]
            names = {*functions, *FUNCTIONS["ink"], *COUNTING["ink"]}
            raise wrong(line, call.name, "is no function", nearest(call.name, names))
        if not least <= len(arguments) <= most:
            raise wrong(line, call.name, f"takes {least} values, not {len(arguments)}", "give it as many")
        return Call(call.name, arguments, call.line)

    def _node_of(self, name: str) -> str:
        found = self._find(name)
        if found is None:
            raise wrong(self._at(0), name, "is no knot, stitch or label", nearest(name, self._drafts))
        return found

    def _find(self, name: str) -> str | None:
        """The node that a name means where the flow stands: the nearest one first."""
        flow = self._flow
        for full in (f"{flow.name}.{name}", f"{flow.knot}.{name}", name):
            if full in self._drafts:
                return full
        deep = [known for known in self._drafts if known.startswith(f"{flow.knot}.") and known.endswith(f".{name}")]
        deep = deep or [known for known in self._drafts if "." in name and _within(known, name)]
        return deep[0] if len(deep) == 1 else None

    def constant(self, line: Line, text: str, within: frozenset[str]) -> Value:
        """The value of an expression of literals and constants."""
        if len(within) > Limits().nesting_max:
            raise wrong(line, text, "is a constant of too many constants", "write its value")
        of = expressions.parse(text, expressions.INK, line.place, line.number, Limits().nesting_max)
        try:
            return self._constant(of, line, within)
        except Fault as fault:
            raise wrong(line, text, f"has no value: {fault}", "write a number, a text, true or false") from fault

    def _constant(self, of: Expr, line: Line, within: frozenset[str]) -> Value:
        match of:
            case Constant(value=Target(node=name)):
                self._line = line
                return Target(self._node_of(name))
            case Constant(value=value):
                return value
            case Variable(name=name) if name in self._parts.consts and name not in within:
                return self.constant(*self._parts.consts[name], within | {name})
            case Unary(op="-", of=inner):
                return negated(self._constant(inner, line, within))
            case Unary(of=inner):
                return not truth(self._constant(inner, line, within))
            case Binary(op=op, left=left, right=right) if op not in ("and", "or"):
                first, second = self._constant(left, line, within), self._constant(right, line, within)
                return binary(op, first, second, "ink", Limits().text_chars)
            case _:
                raise wrong(line, line.text.strip(), "is not known beforehand", "use numbers, texts and constants")


def _within(known: str, name: str) -> bool:
    """Whether `knot.label` names a label that stands in a stitch of the knot."""
    first, *rest = name.split(".")
    return known.startswith(f"{first}.") and known.endswith(f".{'.'.join(rest)}")
