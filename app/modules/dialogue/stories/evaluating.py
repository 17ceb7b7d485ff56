"""Values, variables, counts and pieces of text of one turn: every step that does not move between nodes.

What moves the flow is the machine's matter. A function of the story runs here to its end, within the same bounds.
"""

from __future__ import annotations

import random
from collections.abc import Sequence as Ordered

from app.core.ids import stable_hash
from app.modules.dialogue.stories import functions, outlet, values
from app.modules.dialogue.stories.limits import Limits
from app.modules.dialogue.stories.model import (
    Binary,
    Call,
    Constant,
    Do,
    Expr,
    Glue,
    Goto,
    Newline,
    Node,
    Pick,
    Return,
    Run,
    Say,
    Sequence,
    Set,
    Show,
    Step,
    Story,
    TagMark,
    Unary,
    Unless,
    Value,
    Variable,
    Visits,
)
from app.modules.dialogue.stories.outlet import Stream
from app.modules.dialogue.stories.values import Fault

DEPTH_MAX = 200
"""Expressions and functions within each other while one value is worked out."""
Temps = dict[str, Value]


class Evaluator:
    """The state of a run while a turn changes it."""

    def __init__(self, story: Story, limits: Limits, tools: functions.Tools, run: Run) -> None:
        self.story, self.limits = story, limits
        self.variables, self.visits, self.seen = dict(run.variables), dict(run.visits), dict(run.seen)
        self.turn = run.turn
        self.offered = 0
        self.out = Stream(limits.text_chars)
        self._tools = tools
        self._seed = run.seed
        self._functions = functions.FUNCTIONS[story.syntax]
        self._steps_left = limits.steps_max
        self._depth = 0
        self._called = 0

    def spend(self) -> None:
        """One step more; raises Fault when there were too many."""
        self._steps_left -= 1
        if self._steps_left < 0:
            raise Fault(f"one turn takes more than {self.limits.steps_max} steps; is there a loop without a choice?")

    def visit(self, name: str, origin: str) -> None:
        """A node is entered at its start, from another or from nowhere: it counts, and what is left behind does not."""
        node, before = self.story.nodes[name], self.story.nodes.get(origin)
        behind = before.within if before is not None else ()
        for flow in node.within:
            if flow not in behind:
                self.count(flow)
        if node.counts == "entered" and name not in node.within:
            self.count(name)

    def count(self, key: str) -> None:
        self.visits[key] = self.visits.get(key, 0) + 1
        self.seen[key] = self.turn

    def bound(self, node: Node, arguments: Ordered[Expr], temps: Temps, line: int) -> Temps:
        """The parameters of a node with their values."""
        if len(arguments) != len(node.parameters):
            wanted = len(node.parameters)
            raise Fault(f"line {line}: {node.name!r} takes {wanted} values, not {len(arguments)}")
        given = [self.value(argument, temps) for argument in arguments]
        return dict(zip(node.parameters, given, strict=True))

    def plain(self, step: Step, at: int, temps: Temps) -> int:
        """Do a step that stays in its node; the number of the next one."""
        match step:
            case Say(text=text):
                self.out.say(text)
            case Show(of=of):
                self.out.say(values.shown(self.value(of, temps)))
            case Newline():
                self.out.newline()
            case Glue():
                self.out.glue()
            case TagMark(begins=begins):
                self.out.tag(begins=begins)
            case Set(name=name, to=to, temporary=temporary):
                table = temps if temporary or name in temps else self.variables
                table[name] = self.value(to, temps)
            case Do(of=of):
                self.value(of, temps)
            case Unless(condition=condition, at=otherwise):
                return at if values.truth(self.value(condition, temps)) else otherwise
            case Goto(at=to_):
                return to_
            case Sequence():
                return self._sequence(step)
            case Pick():
                return self._pick(step, temps)
            case _:
                raise Fault(f"{type(step).__name__.lower()} does not go into a function or a text")
        return at

    def text(self, steps: Ordered[Step], temps: Temps) -> tuple[str, tuple[str, ...]]:
        """(text, tags) of a block that is shown apart from the lines."""
        outer, self.out = self.out, Stream(self.limits.text_chars)
        try:
            at = 0
            while at < len(steps):
                self.spend()
                at = self.plain(steps[at], at + 1, temps)
            said, _ = outlet.lines(self.out, "ink", self.limits.lines_max)
            tags = [tag for line in said for tag in line.tags]
            return " ".join(line.text for line in said), tuple(tags)
        finally:
            self.out = outer

    def value(self, of: Expr, temps: Temps) -> Value:
        """What an expression comes to; raises Fault."""
        self.spend()
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise Fault("an expression or a function goes too deep into itself")
        try:
            return self._value(of, temps)
        finally:
            self._depth -= 1

    def _value(self, of: Expr, temps: Temps) -> Value:
        match of:
            case Constant(value=value):
                return value
            case Variable(name=name):
                return self._read(name, temps)
            case Visits(node=node):
                return self.visits.get(node, 0)
            case Unary(op="not", of=inner):
                return not values.truth(self.value(inner, temps))
            case Unary(of=inner):
                return values.negated(self.value(inner, temps))
            case Binary(op="and" | "or" as op, left=left, right=right):
                first, second = values.truth(self.value(left, temps)), values.truth(self.value(right, temps))
                return first and second if op == "and" else first or second
            case Binary(op=op, left=left, right=right):
                first_, second_ = self.value(left, temps), self.value(right, temps)
                return values.binary(op, first_, second_, self.story.syntax, self.limits.text_chars)
            case Call():
                return self._call(of, temps)

    def _read(self, name: str, temps: Temps) -> Value:
        if name in temps:
            return temps[name]
        if name in self.story.smart:
            return self.value(self.story.smart[name], {})
        if name in self.variables:
            return self.variables[name]
        raise Fault(f"{name!r} has no value yet")

    def _call(self, call: Call, temps: Temps) -> Value:
        given = tuple(self.value(argument, temps) for argument in call.arguments)
        if call.name in functions.COUNTING[self.story.syntax]:
            return self._counted(call.name, given)
        if call.name in self._functions:
            try:
                found = self._functions[call.name].call(self._tools, given)
            except Fault as fault:
                raise Fault(f"line {call.line}: {call.name}: {fault}") from fault
            return found[: self.limits.text_chars] if isinstance(found, str) else found
        return self._function(self.story.nodes[call.name], given, call.line)

    def _counted(self, name: str, given: tuple[Value, ...]) -> Value:
        match name:
            case "TURNS":
                return self.turn
            case "CHOICE_COUNT":
                return self.offered
            case "TURNS_SINCE":
                node = values.shown(given[0])
                return self.turn - self.seen[node] if node in self.seen else -1
            case "visited":
                return self.visits.get(values.shown(given[0]), 0) > 0
            case _:
                return self.visits.get(values.shown(given[0]), 0)

    def _function(self, node: Node, given: tuple[Value, ...], line: int) -> Value:
        """A function of the story: what it says goes into the line, what it returns is its value."""
        if self._called >= self.limits.frames_max:
            raise Fault(f"line {line}: {node.name!r} calls itself more than {self.limits.frames_max} times")
        self.visit(node.name, "")
        temps: Temps = dict(zip(node.parameters, given, strict=True))
        start, at = len(self.out.items), 0
        self._called += 1
        try:
            while at < len(node.steps):
                self.spend()
                step = node.steps[at]
                if isinstance(step, Return):
                    return self.value(step.of, temps) if step.of is not None else ""
                if isinstance(step, Newline) and not any(isinstance(item, str) for item in self.out.items[start:]):
                    at += 1
                    continue
                at = self.plain(step, at + 1, temps)
            return ""
        finally:
            self._called -= 1
            self.out.tidy(start)

    def _sequence(self, step: Sequence) -> int:
        """The branch whose turn it is."""
        count, many = self.visits.get(step.key, 0), len(step.ats)
        self.visits[step.key] = count + 1
        match step.kind:
            case "cycle":
                return step.ats[count % many]
            case "stopping":
                return step.ats[min(count, many - 1)]
            case "once":
                return step.ats[count] if count < many else step.end
            case "shuffle":
                return self._shuffled(step, step.ats, count)
            case "shuffle once":
                return self._shuffled(step, step.ats, count) if count < many else step.end
            case "shuffle stopping":
                return self._shuffled(step, step.ats[:-1], count) if count < many - 1 else step.ats[-1]

    def _shuffled(self, step: Sequence, ats: tuple[int, ...], count: int) -> int:
        order = list(ats)
        draw = random.Random(stable_hash(self._seed, step.key, count // len(order)))  # noqa: S311  # a repeatable draw
        draw.shuffle(order)
        return order[count % len(order)]

    def _pick(self, step: Pick, temps: Temps) -> int:
        """One of the branches that may be said now: a condition counts before none, then the fewest views."""
        fit = []
        for number, branch in enumerate(step.branches):
            views = self.visits.get(f"{step.key}/{number}", 0)
            if branch.once and views:
                continue
            if branch.condition is None or values.truth(self.value(branch.condition, temps)):
                fit.append((branch.condition is None and not branch.once, views, self._tools.draw(), number))
        if not fit:
            return step.end
        number = min(fit)[-1]
        key = f"{step.key}/{number}"
        self.visits[key] = self.visits.get(key, 0) + 1
        return step.branches[number].at
