"""Which version of a prompt each unit gets, and its text: labels and versions as this process knows them now.

`learn` brings what is in force, from here or from another replica. A prompt without a label is the bundled one, and so
is a version that this release cannot render; a label that nobody set is an error. It knows no database.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from app.core.errors import Error, Invalid, NotFound, nearest
from app.core.ids import stable_hash
from app.core.ports import Log
from app.core.prompts import (
    PRODUCTION,
    Label,
    Live,
    Prompt,
    PromptLimits,
    Rendered,
    from_canonical,
    shown,
    version_of,
)
from app.core.words import Part

if TYPE_CHECKING:
    from app.control.prompts.language import Template

BUNDLED = "bundled"
_SIGNS = str.maketrans({"<": "‹", ">": "›"})


class Compiled:
    """One version, ready to render; implements app.core.prompts.Chosen once a label led to it."""

    __slots__ = ("_literals", "_players", "_templates", "label", "prompt", "version")

    def __init__(self, prompt: Prompt, *, output_bytes_max: int, players: frozenset[str], label: str = BUNDLED) -> None:
        from app.control.prompts.language import Template, parse

        parsed = {name: parse(section.text) for name, section in prompt.sections.items()}
        for name, each in parsed.items():
            if each.faults:
                raise Invalid(f"section {name!r}: {each.faults[0].what}", hint="lint the prompt")
        self.prompt, self.label, self.version = prompt, label, shown(prompt.name, version_of(prompt))
        self._templates: Mapping[str, tuple[Any, Template]] = {
            name: (section.trust or "system", Template(section.text, output_bytes_max=output_bytes_max))
            for name, section in prompt.sections.items()
        }
        self._literals = {name: each.literals for name, each in parsed.items()}
        self._players = players

    def found_by(self, label: str) -> Compiled:
        """The same version under the label that led to it."""
        twin = Compiled.__new__(Compiled)
        for name in Compiled.__slots__:
            setattr(twin, name, getattr(self, name))
        twin.label = label
        return twin

    def part(self, section: str, variables: Mapping[str, Any]) -> Part:
        """One section as a part of a context; signs of delimiters are taken out of what players typed."""
        trust, template = self._templates[section]
        if self._players:
            variables = {
                name: value.translate(_SIGNS) if name in self._players and isinstance(value, str) else value
                for name, value in variables.items()
            }
        return Part(trust=trust, text=template.render(variables))

    def literals(self, *sections: str) -> tuple[str, ...]:
        return tuple(text for name in sections for text in self._literals[name])


class Registry:
    """Implements app.core.prompts.Prompts over the bundled prompts and what tenants have put."""

    def __init__(self, bundled: Mapping[str, Prompt], limits: PromptLimits, log: Log) -> None:
        self.bundled = bundled
        self.limits = limits
        self._log = log
        self._own = {name: self._compile(prompt) for name, prompt in bundled.items()}
        self._labels: dict[tuple[str, str], dict[str, Label]] = {}
        self._known: dict[str, Live] = {}
        self._compiled: OrderedDict[tuple[str, str, str], Compiled] = OrderedDict()
        self.label_of: Callable[[str, str, str], str] = lambda _tenant, _name, _unit: PRODUCTION
        """(tenant, prompt, unit) -> the label that the unit's variant of the task names; empty is production."""

    async def learn(self, known: Iterable[Live]) -> None:
        """Take what is in force now for tenants, compiled beside the loop; what is older than known is left out."""
        changed = [live for live in known if self._is_news(live)]
        if not changed:
            return
        compiled = await asyncio.to_thread(self._prepare, changed)
        for live in filter(self._is_news, changed):
            self._forget(live.tenant)
            self._known[live.tenant] = live
            for label in live.labels:
                self._labels.setdefault((live.tenant, label.prompt), {})[label.label] = label
        for key, each in compiled.items():
            self._keep(key, each)

    def keep_only(self, tenants: Iterable[str]) -> None:
        """Forget the tenants that have no label any more."""
        for tenant in self._known.keys() - set(tenants):
            self._forget(tenant)

    def labels(self, tenant: str) -> tuple[Label, ...]:
        """Every label of the tenant that this process knows."""
        return self._known[tenant].labels if tenant in self._known else ()

    def choose(self, tenant: str, name: str, *, unit: str = "", label: str = "") -> Compiled:
        pointers = self._labels.get((tenant, name))
        if not label:
            routed = self.label_of(tenant, name, unit)
            label = routed if pointers and routed in pointers else PRODUCTION
        pointer = pointers.get(label) if pointers else None
        if pointer is not None:
            return self._version(tenant, name, pointer, unit)
        own = self._own.get(name)
        if own is None:
            raise NotFound(f"no prompt {name!r}", hint=nearest(name, self._own))
        if label != PRODUCTION:
            known = [PRODUCTION, *(pointers or ())]
            raise NotFound(f"prompt {name!r} has no label {label!r}", hint=nearest(label, known))
        return own

    def render(
        self, tenant: str, name: str, variables: Mapping[str, Any], *, unit: str = "", label: str = ""
    ) -> Rendered:
        return rendered(self.choose(tenant, name, unit=unit, label=label), variables)

    def compile(self, prompt: Prompt, label: str = "") -> Compiled:
        """A version that no label leads to, as an eval renders it; raises Invalid."""
        return self._compile(prompt).found_by(label)

    def _version(self, tenant: str, name: str, pointer: Label, unit: str) -> Compiled:
        version = pick(tenant, name, pointer.targets, unit)
        key = (tenant, version, pointer.label)
        found = self._compiled.get(key)
        if found is None:
            found = self._open(self._known[tenant], name, version, pointer.label)
            self._keep(key, found)
        else:
            self._compiled.move_to_end(key)
        return found

    def _is_news(self, live: Live) -> bool:
        known = self._known.get(live.tenant)
        return known is None or live.change > known.change

    def _prepare(self, changed: Iterable[Live]) -> dict[tuple[str, str, str], Compiled]:
        """Every version that a label leads to and that is not compiled yet."""
        return {
            key: self._open(live, label.prompt, version, label.label)
            for live in changed
            for label in live.labels
            for version in label.targets
            if (key := (live.tenant, version, label.label)) not in self._compiled
        }

    def _keep(self, key: tuple[str, str, str], compiled: Compiled) -> None:
        self._compiled[key] = compiled
        while len(self._compiled) > self.limits.compiled_max:
            self._compiled.popitem(last=False)

    def _open(self, live: Live, name: str, version: str, label: str) -> Compiled:
        """The version; the bundled one in place of one that is not there, or that this release cannot render."""
        own = self._own.get(name)
        try:
            body = live.versions.get(version)
            if body is None:
                raise NotFound(f"version {shown(name, version)!r} is not there", hint="put it again")
            prompt = from_canonical(body)
            if own is not None:
                require_fit(prompt, own.prompt)
            return self._compile(prompt).found_by(label)
        except Error as error:
            if own is None:
                raise NotFound(f"version {shown(name, version)!r} cannot be rendered", hint="lint it") from error
            self._log.warning("prompt.fell_back", tenant=live.tenant, what=shown(name, version), reason=str(error))
            return own

    def _compile(self, prompt: Prompt) -> Compiled:
        contract = self.bundled.get(prompt.name, prompt)
        players = frozenset(name for name, variable in contract.variables.items() if variable.trust == "player")
        return Compiled(prompt, output_bytes_max=self.limits.output_bytes_max, players=players)

    def _forget(self, tenant: str) -> None:
        """Forget a tenant's labels; versions never change, so what is compiled stays, but for what fell back."""
        live = self._known.pop(tenant, None)
        for label in live.labels if live is not None else ():
            self._labels.pop((tenant, label.prompt), None)
        for key in [key for key, each in self._compiled.items() if key[0] == tenant and each.label == BUNDLED]:
            del self._compiled[key]


def rendered(chosen: Compiled, variables: Mapping[str, Any]) -> Rendered:
    """Every section of a version, in its order."""
    prompt = chosen.prompt
    return Rendered(
        parts=tuple(chosen.part(section, variables) for section in prompt.sections),
        version=chosen.version,
        label=chosen.label,
        model=prompt.model,
        sampling=prompt.sampling,
        output_tokens_max=prompt.output_tokens_max,
    )


def pick(tenant: str, name: str, targets: Mapping[str, int], unit: str) -> str:
    """The version of a split that `unit` gets, always the same one; each gets its share of units.

    They lie side by side in the order of their ids, so that one of two that grows keeps the units that it had.
    """
    at = stable_hash(tenant, name, unit) / 2.0**63 * sum(targets.values())
    *others, last = sorted(targets)
    for version in others:
        at -= targets[version]
        if at < 0.0:
            return version
    return last


def require_fit(prompt: Prompt, contract: Prompt) -> None:
    """Raise Invalid where the code of this release cannot render a version: a section or a variable that it lacks."""
    from app.control.prompts.language import parse

    missing = contract.sections.keys() - prompt.sections.keys()
    if missing:
        raise Invalid(f"section {min(missing)!r} is missing", hint="lint the prompt")
    for section, content in prompt.sections.items():
        for name in parse(content.text).names:
            variable = contract.variables.get(name)
            if variable is None or (variable.sections and section not in variable.sections):
                raise Invalid(f"nobody gives {name!r} to section {section!r}", hint="lint the prompt")
