"""What may be done with a tenant's prompts: versions put, labels moved and rolled back, each with its proof and trace.

`production` moves to a version that passed the eval set of its prompt, or with a reason that the audit trail keeps. It
knows no engine and no database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from app.control.prompts.bundled import load_sets
from app.control.prompts.evals import id_of_set
from app.core.clock import Clock
from app.core.errors import Conflict, Invalid, NotFound, nearest
from app.core.ports import Audit
from app.core.prompts import (
    PRODUCTION,
    Eval,
    Finding,
    Label,
    Prompt,
    PromptLimits,
    PromptStore,
    Version,
    canonical,
    from_canonical,
    require_label,
    require_name,
    shown,
    version_of,
)

BUNDLED = "bundled"
"""What stands for the bundled version where a version is named."""
PREFIX_CHARACTERS_MIN = 8


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt of a tenant; `bundled` is the id of the bundled version, empty where there is none."""

    name: str
    bundled: str
    labels: tuple[Label, ...]


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """A version that was put, whether it is new, and what lint warns of."""

    version: str
    new: bool
    warnings: tuple[Finding, ...]


class Desk:
    """A tenant's prompts, over the store and beside the bundled ones."""

    def __init__(
        self, store: PromptStore, bundled: Mapping[str, Prompt], limits: PromptLimits, *, clock: Clock, audit: Audit
    ) -> None:
        self._store = store
        self._bundled = bundled
        self._limits = limits
        self._clock = clock
        self._audit = audit
        self._sets = {name: id_of_set(text) for name, text in load_sets().items()}

    async def all(self, tenant: str) -> list[Summary]:
        """Every prompt: those that are bundled, and those that have a label."""
        known: dict[str, list[Label]] = {name: [] for name in self._bundled}
        for label in await self._store.labels(tenant):
            known.setdefault(label.prompt, []).append(label)
        return [
            Summary(name=name, bundled=self._bundled_id(name), labels=tuple(labels))
            for name, labels in sorted(known.items())
        ]

    async def versions(self, tenant: str, name: str) -> Sequence[Version]:
        """The versions that the tenant has put, newest first."""
        return await self._store.versions(tenant, require_name(name))

    async def read(self, tenant: str, name: str, text: str) -> tuple[str, Prompt]:
        """(id, content) of a version by its id, the beginning of one, a label that is no split, or `bundled`."""
        id = await self.resolve(tenant, name, text)
        own = self._bundled.get(name)
        if own is not None and id == version_of(own):
            return id, own
        body = await self._store.body(tenant, name, id)
        if body is None:
            raise NotFound(f"prompt {name!r} has no version {text!r}", hint="list its versions")
        return id, from_canonical(body)

    async def resolve(self, tenant: str, name: str, text: str) -> str:
        """The id of a version, named as for `read`; raises NotFound and Invalid, and never takes the newest instead."""
        require_name(name)
        if text == BUNDLED and name in self._bundled:
            return self._bundled_id(name)
        ids = [version.id for version in await self._store.versions(tenant, name)]
        ids += [self._bundled_id(name)] if name in self._bundled else []
        found = {id for id in ids if id == text or (len(text) >= PREFIX_CHARACTERS_MIN and id.startswith(text))}
        if len(found) == 1:
            return found.pop()
        if found:
            raise Invalid(f"{text!r} is the beginning of {len(found)} versions", hint="give more of it")
        labels = {label.label: label for label in await self._store.labels(tenant) if label.prompt == name}
        if text not in labels:
            known = [*labels, *(id[:PREFIX_CHARACTERS_MIN] for id in ids)]
            raise NotFound(f"prompt {name!r} has no version and no label {text!r}", hint=nearest(text, known))
        if len(labels[text].targets) > 1:
            raise Invalid(f"label {text!r} is a split", hint="name one of its versions")
        return next(iter(labels[text].targets))

    async def lint(self, prompt: Prompt) -> list[Finding]:
        """Everything to mend, errors first; read beside the loop, for a long template takes a while."""
        from app.control.prompts.lint import lint  # it brings Jinja, which most verbs of the command line never need

        return await asyncio.to_thread(lint, prompt, self._limits, contract=self._bundled.get(prompt.name))

    async def put(self, tenant: str, actor: str, prompt: Prompt) -> Put:
        """Keep a version; the same content again is the same version. Raises Invalid with the first thing to mend."""
        require_name(prompt.name)
        findings = await self.lint(prompt)
        errors = [one for one in findings if one.level == "error"]
        if errors:
            first = errors[0]
            place = f"section {first.section!r}, line {first.line}, column {first.column}: " if first.line else ""
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            raise Invalid(f"{prompt.name}: {place}{first.message}{more}", hint=first.hint)
        id = version_of(prompt)
        new = await self._keep(tenant, actor, prompt)
        if new:
            self._audit.note(tenant, actor, "prompt.put", shown(prompt.name, id))
        return Put(version=id, new=new, warnings=tuple(findings))

    async def labels(self, tenant: str, name: str) -> list[Label]:
        """The labels of one prompt."""
        require_name(name)
        return [label for label in await self._store.labels(tenant) if label.prompt == name]

    async def move(
        self, tenant: str, actor: str, name: str, label: str, targets: Mapping[str, int], *, force: str = ""
    ) -> Label:
        """Point a label to versions by their weights.

        `force` is the reason for which `production` is moved without a passing eval. Raises NotFound for a version
        that is not there, Conflict for one that has not passed.
        """
        require_label(label)
        if not targets or any(weight < 1 for weight in targets.values()):
            raise Invalid("a label points to one version or more, by weights of 1 or more", hint="write VERSION=WEIGHT")
        found = {await self.resolve(tenant, name, text): weight for text, weight in targets.items()}
        if len(found) < len(targets):
            raise Invalid("a version is named twice", hint="name each once")
        own = self._bundled.get(name)
        if own is not None and version_of(own) in found:
            await self._keep(tenant, actor, own)  # the next release may bundle another one
        if label == PRODUCTION:
            await self._require_passed(tenant, name, found, force=bool(force))
        told = ", ".join(f"{id[:12]}={weight}" for id, weight in found.items())
        if force:
            await self._audit.write(tenant, actor, "prompt.forced", f"{name}:{label}", targets=told, reason=force)
        pointer = Label(prompt=name, label=label, targets=found, changed_ms=self._clock.wall_ms())
        moved = await self._store.put_label(tenant, pointer)
        self._audit.note(tenant, actor, "prompt.labeled", f"{name}:{label}", targets=told, change=moved.change)
        return moved

    async def rollback(self, tenant: str, actor: str, name: str, label: str, *, change: int | None = None) -> Label:
        """Point a label where it pointed before, with no eval asked; raises Conflict when there is nothing before.

        With `change`, only from that change on, so that the same request sent again goes back no further.
        """
        require_name(name)
        moved = await self._store.rollback(tenant, name, label, self._clock.wall_ms(), change=change)
        if moved is None:
            raise Conflict(
                f"label {label!r} of {name!r} points nowhere to go back to, or was moved since", hint="list its labels"
            )
        self._audit.note(tenant, actor, "prompt.rolled_back", f"{name}:{label}", change=moved.change)
        return moved

    async def evals(self, tenant: str, name: str) -> Sequence[Eval]:
        """The runs for a prompt, newest first."""
        return await self._store.evals(tenant, require_name(name))

    async def note_eval(self, tenant: str, actor: str, run: Eval) -> None:
        """Keep a run."""
        await self._store.add_eval(tenant, run)
        target = shown(run.prompt, run.version)
        self._audit.note(
            tenant, actor, "prompt.evaluated", target, engine=run.engine, passed=run.passed, cases=run.cases, ok=run.ok
        )

    async def current_set(self, tenant: str, name: str) -> str:
        """The id of the prompt's eval set: of the newest run, else the bundled one; empty where there is none."""
        runs = await self._store.evals(tenant, name)
        return runs[0].set_id if runs else self._sets.get(name, "")

    async def _require_passed(self, tenant: str, name: str, targets: Mapping[str, int], *, force: bool) -> None:
        set_id = await self.current_set(tenant, name)
        if force or not set_id:
            return
        passed = {run.version for run in await self._store.evals(tenant, name) if run.ok and run.set_id == set_id}
        for id in targets:
            if id not in passed and id != self._bundled_id(name):
                raise Conflict(
                    f"{shown(name, id)} has not passed the eval set {set_id[:12]}",
                    hint=f"manage.py prompts eval {name} {id[:12]}, or give the reason for going without",
                )

    async def _keep(self, tenant: str, actor: str, prompt: Prompt) -> bool:
        version = Version(id=version_of(prompt), prompt=prompt.name, created_ms=self._clock.wall_ms(), actor=actor)
        return await self._store.put_version(tenant, version, canonical(prompt), versions_max=self._limits.versions_max)

    def _bundled_id(self, name: str) -> str:
        own = self._bundled.get(name)
        return version_of(own) if own is not None else ""
