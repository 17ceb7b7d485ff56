"""Trees of BehaviorTree.CPP, versions 3 and 4, from their XML to native nodes.

It knows the tags and attributes of their documentation; safe reading is in `markup.py`, what a leaf means in
`meanings.py`. Custom control nodes, post-conditions and includes are refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from app.core.errors import nearest
from app.modules.behavior.schema import Schema
from app.modules.behavior.trees import nodes
from app.modules.behavior.trees.expressions import word_value
from app.modules.behavior.trees.limits import TreeLimits, wrong
from app.modules.behavior.trees.markup import Element, read_xml
from app.modules.behavior.trees.meanings import Meaning, Meanings, leaf, literal, number, script
from app.modules.behavior.trees.nodes import Authored, Node
from app.modules.behavior.trees.plan import children_of

GENERIC = ("Action", "Condition", "Control", "Decorator")
PRECONDITIONS = {"_while": "skipped", "_skipIf": "skipped", "_successIf": "success", "_failureIf": "failure"}
"""Innermost first: BehaviorTree.CPP asks failure, success, skip, while in this order."""
IGNORED = ("ID", "name", "_description", "_uid", "_fullpath", "_autoremap", "__autoremap", "_collapsed")
POSTCONDITIONS = ("_onSuccess", "_onFailure", "_onHalted", "_post")


def read_btcpp(data: bytes, schema: Schema, meanings: Meanings, limits: TreeLimits) -> Authored:
    """The native form of a file; raises Invalid with line, column and the nearest known name."""
    root = read_xml(data, bytes_max=limits.source_bytes_max)
    if root.tag != "root":
        raise wrong(root.place, "the outermost tag", "expected <root>")
    return _Reader(root, schema, meanings).whole()


class _Reader:
    """Turns elements into nodes."""

    def __init__(self, root: Element, schema: Schema, meanings: Meanings) -> None:
        self._root, self._schema = root, schema
        self._version_4 = root.attributes.get("BTCPP_format") == "4"
        self._meanings = _with_models(root, meanings)

    def whole(self) -> Authored:
        trees: dict[str, Node] = {}
        for element in self._root.children:
            if element.tag == "BehaviorTree":
                trees[_id(element)] = self.node(_only(element))
            elif element.tag != "TreeNodesModel":
                raise wrong(element.place, "an unknown tag", "expected <BehaviorTree> or <TreeNodesModel>")
        main = self._root.attributes.get("main_tree_to_execute", next(iter(trees), ""))
        if main not in trees or ("main_tree_to_execute" not in self._root.attributes and len(trees) > 1):
            raise wrong(self._root.place, f"main_tree_to_execute = {main!r}", nearest(main, trees))
        keys = {name: self._meanings.blackboard.get(name, 0.0) for name in _keys(trees, main)}
        return Authored(
            schema=self._schema.name, root=main, trees=trees, blackboard={**self._meanings.blackboard, **keys}
        )

    def node(self, element: Element) -> Node:
        """An element with its preconditions around it."""
        found = self._bare(element)
        for name, otherwise in PRECONDITIONS.items():
            if name in element.attributes:
                when = element.attributes[name]
                if name == "_while":
                    found = nodes.Guard(child=found, when=when, otherwise="skipped", name=f"while {when}"[:128])
                else:
                    label = f"{name[1:]} {when}"[:128]
                    found = nodes.StartIf(child=found, when=f"!({when})", otherwise=otherwise, name=label)  # type: ignore[arg-type]  # msgspec converts the text
        for name in POSTCONDITIONS:
            if name in element.attributes:
                raise wrong(element.place, f"the attribute {name!r}", "write a <Script> after the node instead")
        return found

    def _bare(self, element: Element) -> Node:
        tag = _id(element) if element.tag in GENERIC else element.tag
        if element.tag in ("SubTree", "SubTreePlus"):
            return self._subtree(element)
        if tag in _BUILT_IN:
            make, known = _BUILT_IN[tag]
            _check(element, known)
            return make(self, element, element.attributes)
        if element.children:
            raise wrong(element.place, f"the unknown node {tag!r} with children", nearest(tag, _BUILT_IN))
        ports = {name: value for name, value in element.attributes.items() if name not in IGNORED}
        ports = {name: value for name, value in ports.items() if name not in PRECONDITIONS}
        return leaf(tag, element.attributes.get("name", ""), ports, self._meanings, self._schema, element.place)

    def children(self, element: Element) -> tuple[Node, ...]:
        if not element.children:
            raise wrong(element.place, "no children", "give it one at least")
        return tuple(self.node(child) for child in element.children)

    def child(self, element: Element) -> Node:
        return self.node(_only(element))

    def _subtree(self, element: Element) -> Node:
        remap = {}
        for port, value in element.attributes.items():
            if port in IGNORED or port in PRECONDITIONS or port in POSTCONDITIONS:
                continue
            plain = not self._version_4 and element.tag == "SubTree"
            remap[port] = _remapped(port, value if value.startswith("{") or not plain else f"{{{value}}}")
        shares = {element.attributes.get("_autoremap"), element.attributes.get("__autoremap")} & {"1", "true"}
        label = element.attributes.get("name", "")
        return nodes.SubTree(name=label, tree=_id(element), remap=remap, autoremap=bool(shares))


def _remapped(port: str, value: str) -> str:
    """A key, or a number, for a port of a subtree."""
    if value.strip() in ("{=}", "="):
        return port
    if value.startswith("{") and value.endswith("}"):
        return value[1:-1]
    found = literal(value)
    return str(word_value(found) if isinstance(found, str) else found)


def _with_models(root: Element, meanings: Meanings) -> Meanings:
    """The meanings, and those that the file's own models carry as metadata."""
    conditions, actions = dict(meanings.conditions), dict(meanings.actions)
    for models in (each for each in root.children if each.tag == "TreeNodesModel"):
        for model in models.children:
            for data in (
                each for fields in model.children if fields.tag == "MetadataFields" for each in fields.children
            ):
                if "when" in data.attributes:
                    conditions.setdefault(_id(model), data.attributes["when"])
                elif "intent" in data.attributes:
                    try:
                        actions.setdefault(_id(model), msgspec.convert(data.attributes, Meaning, strict=False))
                    except msgspec.ValidationError as error:
                        raise wrong(data.place, str(error), "the fields of an action") from error
    return Meanings(conditions=conditions, actions=actions, blackboard=meanings.blackboard)


def _keys(trees: Mapping[str, Node], main: str) -> dict[str, None]:
    """The keys of the outermost blackboard: what the main tree, and subtrees that share it, write or hand on."""
    found: dict[str, None] = {}
    waiting, seen = [(main, True)], {(main, True)}
    while waiting:
        name, shares = waiting.pop()
        for node in _walk(trees[name]):
            for key in _written(node):
                if key.startswith("@") or shares:
                    found[key.removeprefix("@")] = None
            if isinstance(node, nodes.SubTree) and node.tree in trees:
                below = (node.tree, shares and node.autoremap)
                waiting.extend([below] * (below not in seen))
                seen.add(below)
    return found


def _written(node: Node) -> Iterator[str]:
    if isinstance(node, nodes.Set | nodes.Add):
        yield node.key
    elif isinstance(node, nodes.SubTree):
        yield from (key for key in node.remap.values() if not _is_number(key))


def _is_number(text: str) -> bool:
    return not isinstance(literal(text), str)


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in children_of(node):
        yield from _walk(child)


def _id(element: Element) -> str:
    found = element.attributes.get("ID", "")
    if not found:
        raise wrong(element.place, "no ID", "give it one")
    return found


def _only(element: Element) -> Element:
    if len(element.children) != 1:
        raise wrong(element.place, f"{len(element.children)} children", "expected exactly one")
    return element.children[0]


def _check(element: Element, known: tuple[str, ...]) -> None:
    """Refuse attributes that nobody reads."""
    for name in element.attributes:
        if name not in (*known, *IGNORED, *PRECONDITIONS, *POSTCONDITIONS):
            raise wrong(element.place, f"the unknown attribute {name!r}", nearest(name, (*known, *PRECONDITIONS)))


Attributes = Mapping[str, str]
Make = Callable[[_Reader, Element, Attributes], Node]


def _whole_number(element: Element, value: str) -> int:
    return int(number(value, element.place))


def _named(attributes: Attributes) -> str:
    return attributes.get("name", "")


def _needed(element: Element, *names: str) -> str:
    """The first of these attributes that is there; raises Invalid when none is."""
    for name in names:
        if name in element.attributes:
            return element.attributes[name]
    raise wrong(element.place, f"no attribute {names[0]!r}", "give it one")


def _ordered(kind: type[nodes.Sequence | nodes.Selector], *, memory: bool) -> Make:
    return lambda reader, element, given: kind(name=_named(given), memory=memory, children=reader.children(element))


def _plain(kind: Callable[..., Node]) -> Make:
    return lambda reader, element, given: kind(name=_named(given), children=reader.children(element))


def _wrapped(kind: Callable[..., Node], **fields: str) -> Make:
    return lambda reader, element, given: kind(name=_named(given), child=reader.child(element), **fields)


def _parallel(reader: _Reader, element: Element, given: Attributes) -> Node:
    successes = next(
        (given[name] for name in ("success_count", "success_threshold", "threshold") if name in given), "-1"
    )
    failures = next((given[name] for name in ("failure_count", "failure_threshold") if name in given), "1")
    return nodes.CountedParallel(
        name=_named(given), children=reader.children(element), successes=_whole_number(element, successes),
        failures=_whole_number(element, failures),
    )  # fmt: skip


def _parallel_all(reader: _Reader, element: Element, given: Attributes) -> Node:
    failures = _whole_number(element, given.get("max_failures", "1"))
    return nodes.FullParallel(name=_named(given), children=reader.children(element), failures=failures)


def _cycles(kind: type[nodes.RepeatAtOnce | nodes.RetryAtOnce], field: str, attribute: str) -> Make:
    def make(reader: _Reader, element: Element, given: Attributes) -> Node:
        count = _whole_number(element, _needed(element, attribute))
        return kind(name=_named(given), child=reader.child(element), **{field: count})

    return make


def _limit(kind: type[nodes.Delay | nodes.Cutoff], attribute: str) -> Make:
    def make(reader: _Reader, element: Element, given: Attributes) -> Node:
        seconds = number(_needed(element, attribute), element.place) / 1_000.0
        child = reader.child(element)
        return kind(name=_named(given), child=child, seconds=seconds) if seconds > 0.0 else child

    return make


def _run_once(reader: _Reader, element: Element, given: Attributes) -> Node:
    then_skip = given.get("then_skip", "true") in ("true", "1")
    return nodes.RunOnce(name=_named(given), child=reader.child(element), then_skip=then_skip)


def _precondition(reader: _Reader, element: Element, given: Attributes) -> Node:
    otherwise = given.get("else", "FAILURE").lower()
    if otherwise not in ("success", "failure", "running", "skipped"):
        raise wrong(
            element.place, f"else = {given['else']!r}", nearest(given["else"], ("SUCCESS", "FAILURE", "SKIPPED"))
        )
    return nodes.StartIf(
        name=_named(given), child=reader.child(element), when=_needed(element, "if"), otherwise=otherwise,  # type: ignore[arg-type]  # as StartIf
    )  # fmt: skip


def _check_equal(reader: _Reader, element: Element, given: Attributes) -> Node:
    left, right = _needed(element, "value_A"), _needed(element, "value_B")
    mismatch = given.get("return_on_mismatch", "FAILURE").lower()
    child = reader.child(element)
    return nodes.Guard(name=_named(given), child=child, when=f"{left} == {right}", otherwise=mismatch)  # type: ignore[arg-type]  # converted


def _switch(count: int) -> Make:
    def make(reader: _Reader, element: Element, given: Attributes) -> Node:
        cases = [literal(_needed(element, f"case_{at}")) for at in range(1, count + 1)]
        return nodes.Switch(
            name=_named(given), variable=_needed(element, "variable"), children=reader.children(element),
            cases=tuple(_case(case) for case in cases),
        )  # fmt: skip

    return make


def _case(case: float | str) -> float | str:
    """A number, a key in braces, or a word."""
    return case if isinstance(case, float) or case.startswith("{") else f"'{case.strip(chr(39))}'"


def _set(reader: _Reader, element: Element, given: Attributes) -> Node:
    key, value = _needed(element, "output_key").strip("{}"), literal(_needed(element, "value"))
    if isinstance(value, str) and not value.startswith("{"):
        value = f"'{value}'"
    return nodes.Set(name=_named(given), key=key, to=value)


def _script(reader: _Reader, element: Element, given: Attributes) -> Node:
    return script(_needed(element, "code"), _named(given), element.place)


def _sleep(reader: _Reader, element: Element, given: Attributes) -> Node:
    return nodes.Wait(name=_named(given), seconds=number(_needed(element, "msec"), element.place) / 1_000.0)


_BUILT_IN: dict[str, tuple[Make, tuple[str, ...]]] = {
    "Sequence": (_ordered(nodes.Sequence, memory=True), ()),
    "ReactiveSequence": (_ordered(nodes.Sequence, memory=False), ()),
    "SequenceWithMemory": (_plain(nodes.StarSequence), ()),
    "SequenceStar": (_plain(nodes.StarSequence), ()),
    "Fallback": (_ordered(nodes.Selector, memory=True), ()),
    "ReactiveFallback": (_ordered(nodes.Selector, memory=False), ()),
    "Parallel": (
        _parallel, ("success_count", "failure_count", "success_threshold", "failure_threshold", "threshold")
    ),
    "ParallelAll": (_parallel_all, ("max_failures",)),
    "IfThenElse": (_plain(nodes.IfThenElse), ()),
    "WhileDoElse": (_plain(nodes.WhileDoElse), ()),
    **{
        f"Switch{count}": (_switch(count), ("variable", *(f"case_{at}" for at in range(1, count + 1))))
        for count in range(2, 7)
    },
    "Inverter": (_wrapped(nodes.Inverter), ()),
    "ForceSuccess": (_wrapped(nodes.ForceSuccess), ()),
    "ForceFailure": (_wrapped(nodes.ForceFailure), ()),
    "KeepRunningUntilFailure": (_wrapped(nodes.Map, success="running"), ()),
    "Repeat": (_cycles(nodes.RepeatAtOnce, "cycles", "num_cycles"), ("num_cycles",)),
    "RetryUntilSuccessful": (_cycles(nodes.RetryAtOnce, "attempts", "num_attempts"), ("num_attempts",)),
    "RetryUntilSuccesful": (_cycles(nodes.RetryAtOnce, "attempts", "num_attempts"), ("num_attempts",)),
    "Delay": (_limit(nodes.Delay, "delay_msec"), ("delay_msec",)),
    "Timeout": (_limit(nodes.Cutoff, "msec"), ("msec",)),
    "RunOnce": (_run_once, ("then_skip",)),
    "Precondition": (_precondition, ("if", "else")),
    **{
        f"BlackboardCheck{kind}": (_check_equal, ("value_A", "value_B", "return_on_mismatch"))
        for kind in ("Int", "Double", "Bool", "String")
    },
    "AlwaysSuccess": (lambda reader, element, given: nodes.Always(name=_named(given), status="success"), ()),
    "AlwaysFailure": (lambda reader, element, given: nodes.Always(name=_named(given), status="failure"), ()),
    "SetBlackboard": (_set, ("value", "output_key")),
    "Script": (_script, ("code",)),
    "ScriptCondition": (
        lambda reader, element, given: nodes.Condition(name=_named(given), when=_needed(element, "code")), ("code",)
    ),
    "Sleep": (_sleep, ("msec",)),
}  # fmt: skip
